//! Says where each name lives, by the rules of Jinja's compiler.
//!
//! A scope (the template, a loop's body, a macro, …) has a symbol for each name that it sets, and
//! for each that it reads and no scope around it knows. A symbol has a slot in its function's
//! frame; what it holds when the scope is entered is the outer variable of the name, the
//! template's variable, or nothing, as Jinja's `idtracking` decides it: mostly obvious, and in
//! the corner cases what published templates have come to rely on.

use super::{
    ast::{Expr, For, Function, Load, Name, Place, Scope, Stmt, StmtKind, Target},
    error::{Result, failure, syntax},
    names::{children, mentions, stores},
};

/// Resolves a template; the names of the variables that it wants come with it.
pub(super) fn resolve(body: Vec<Stmt>) -> Result<(Function, Vec<Box<str>>)> {
    let mut resolver = Resolver::default();
    let mut root = Function { body, ..Function::default() };
    resolver.function(&mut root, None)?;
    Ok((root, resolver.globals))
}

#[derive(Default)]
struct Resolver {
    /// The scopes around the current one, and it.
    scopes: Vec<Symbols>,
    /// How many slots the functions around the current one have, and it.
    slots: Vec<usize>,
    globals: Vec<Box<str>>,
    line: u32,
}

#[derive(Clone, Default)]
struct Symbols {
    /// The depth of the function that the scope is in.
    function: usize,
    symbols: Vec<Symbol>,
    /// The slot of each name, in whichever branch it was met.
    slots: Vec<(Box<str>, usize)>,
}

#[derive(Clone)]
struct Symbol {
    name: Box<str>,
    slot: usize,
    start: Start,
    stored: bool,
}

/// What a variable holds when its scope is entered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    Given,
    /// What the template was given.
    Global,
    Copy(Place),
    Missing,
}

impl Symbols {
    fn find(&self, name: &str) -> Option<usize> {
        self.symbols.iter().position(|symbol| *symbol.name == *name)
    }
}

impl Resolver {
    /// A function's own scope. `captures` is the root function's body for a block.
    fn function(&mut self, function: &mut Function, inner: Option<bool>) -> Result<()> {
        self.slots.push(0);
        self.enter();
        for param in &mut function.params {
            self.declare(&param.name.text);
        }
        if inner.is_some() {
            for (name, slot) in [
                ("caller", &mut function.caller),
                ("kwargs", &mut function.kwargs),
                ("varargs", &mut function.varargs),
            ] {
                let is_param = function.params.iter().any(|param| *param.name.text == *name);
                if !mentions(&mut function.body, name) {
                    continue;
                }
                if !is_param {
                    *slot = Some(self.declare(name));
                } else if name == "caller"
                    && !function
                        .params
                        .iter()
                        .any(|param| *param.name.text == *name && param.default.is_some())
                {
                    return syntax(
                        self.line,
                        "the special \"caller\" argument must be omitted or be given a default",
                    );
                }
            }
        }
        for param in &mut function.params {
            if let Some(default) = &mut param.default {
                self.collect(default)?;
            }
        }
        self.collect_body(&mut function.body)?;
        for param in &mut function.params {
            self.place(&mut param.name);
            if let Some(default) = &mut param.default {
                self.assign(default, false)?;
            }
        }
        self.assign_body(&mut function.body, false)?;
        function.scope = self.leave();
        function.slots = self.slots.pop().unwrap_or(0);
        Ok(())
    }

    fn enter(&mut self) {
        let function = self.slots.len();
        self.scopes.push(Symbols { function, ..Symbols::default() });
    }

    fn leave(&mut self) -> Scope {
        let symbols = self.scopes.pop().unwrap_or_default().symbols;
        let mut loads = Vec::new();
        for symbol in symbols {
            let load = match symbol.start {
                Start::Given => continue,
                Start::Global if !symbol.stored => continue,
                Start::Global => Load::Copy(Place::Global(self.global(&symbol.name))),
                Start::Copy(place) => Load::Copy(place),
                Start::Missing => Load::Missing(symbol.name),
            };
            loads.push((symbol.slot, load));
        }
        Scope { loads }
    }

    fn global(&mut self, name: &str) -> usize {
        self.globals.iter().position(|known| **known == *name).unwrap_or_else(|| {
            self.globals.push(name.into());
            self.globals.len() - 1
        })
    }

    /// Where the scopes before the `end`th keep a name.
    fn outer(&mut self, name: &str, end: usize) -> Option<Place> {
        let (scope, at) =
            (0..end).rev().find_map(|scope| Some((scope, self.scopes[scope].find(name)?)))?;
        let symbol = &self.scopes[scope].symbols[at];
        if symbol.start == Start::Global && !symbol.stored {
            return Some(Place::Global(self.global(name)));
        }
        let (up, slot) = (self.slots.len() - self.scopes[scope].function, symbol.slot);
        Some(Place::Slot { up, slot })
    }

    fn define(&mut self, name: &str, start: Start) -> usize {
        let last = self.scopes.len() - 1;
        let known = self.scopes[last].slots.iter().find(|(known, _)| **known == *name);
        let slot = match known {
            Some((_, slot)) => *slot,
            None => {
                let slots = self.slots.last_mut().expect("a function is being resolved");
                let slot = *slots;
                *slots += 1;
                self.scopes[last].slots.push((name.into(), slot));
                slot
            }
        };
        self.scopes[last].symbols.push(Symbol { name: name.into(), slot, start, stored: false });
        slot
    }

    /// A variable that the scope is given: a parameter, a loop's target.
    fn declare(&mut self, name: &str) -> usize {
        let last = self.scopes.len() - 1;
        let slot = match self.scopes[last].find(name) {
            Some(at) => self.scopes[last].symbols[at].slot,
            None => self.define(name, Start::Given),
        };
        if let Some(at) = self.scopes[last].find(name) {
            let symbol = &mut self.scopes[last].symbols[at];
            (symbol.start, symbol.stored) = (Start::Given, true);
        }
        slot
    }

    fn store(&mut self, name: &str) {
        let last = self.scopes.len() - 1;
        if self.scopes[last].find(name).is_none() {
            let start = match self.outer(name, last) {
                Some(place) => Start::Copy(place),
                None => Start::Missing,
            };
            self.define(name, start);
        }
        if let Some(at) = self.scopes[last].find(name) {
            self.scopes[last].symbols[at].stored = true;
        }
    }

    fn load(&mut self, name: &str) {
        if !self.scopes.iter().any(|scope| scope.find(name).is_some()) {
            self.define(name, Start::Global);
        }
    }

    fn place(&mut self, name: &mut Name) {
        let end = self.scopes.len();
        name.place = match self.outer(&name.text, end) {
            Some(place) => place,
            None => Place::Global(self.global(&name.text)),
        };
    }

    // What the names of a scope are: looks at no scope inside of it.

    fn collect_body(&mut self, body: &mut [Stmt]) -> Result<()> {
        for stmt in body {
            self.line = stmt.line;
            match &mut stmt.kind {
                StmtKind::Text(_) | StmtKind::Break | StmtKind::Continue => {}
                StmtKind::Generation(_) | StmtKind::Block(_) => {}
                StmtKind::Print(value) | StmtKind::Call(value, _) => self.collect(value)?,
                StmtKind::Set(target, value) => {
                    self.collect(value)?;
                    self.collect_target(target, false);
                }
                StmtKind::SetBlock(_, target) => self.collect_target(target, false),
                // Jinja looks at the filters of a block both here and inside.
                StmtKind::FilterBlock(captured) => self.collect(&mut captured.value)?,
                StmtKind::For(it) => self.collect(&mut it.iter)?,
                StmtKind::If(branches, otherwise) => self.collect_if(branches, otherwise)?,
                StmtKind::With(variables, ..) => {
                    for (_, value) in variables {
                        self.collect(value)?;
                    }
                }
                StmtKind::Macro(name, _) => self.store(&name.text),
                StmtKind::Load(from, names) => {
                    self.collect(from)?;
                    for name in names {
                        self.store(&name.text);
                    }
                }
            }
        }
        Ok(())
    }

    /// The branches of an `if` see each other's names, but not in order.
    fn collect_if(
        &mut self,
        branches: &mut [(Expr, Vec<Stmt>)],
        otherwise: &mut [Stmt],
    ) -> Result<()> {
        let last = self.scopes.len() - 1;
        if let Some((condition, _)) = branches.first_mut() {
            self.collect(condition)?;
        }
        let before = self.scopes[last].clone();
        let mut after = before.clone();
        let mut branch =
            |resolver: &mut Self, condition: Option<&mut Expr>, body: &mut [Stmt]| -> Result<()> {
                let slots = resolver.scopes[last].slots.clone();
                resolver.scopes[last] = Symbols { slots, ..before.clone() };
                if let Some(condition) = condition {
                    resolver.collect(condition)?;
                }
                resolver.collect_body(body)?;
                for symbol in &resolver.scopes[last].symbols {
                    match after.find(&symbol.name) {
                        Some(at) => {
                            let known = &mut after.symbols[at];
                            known.start = symbol.start;
                            known.stored |= symbol.stored;
                        }
                        None => after.symbols.push(symbol.clone()),
                    }
                }
                Ok(())
            };
        for (i, (condition, body)) in branches.iter_mut().enumerate() {
            branch(self, (i > 0).then_some(condition), body)?;
        }
        branch(self, None, otherwise)?;
        after.slots = self.scopes[last].slots.clone();
        let stored_before =
            |name: &str| before.find(name).is_some_and(|at| before.symbols[at].stored);
        let new: Vec<usize> = (0..after.symbols.len())
            .filter(|&at| after.symbols[at].stored && !stored_before(&after.symbols[at].name))
            .collect();
        for at in new {
            let name = after.symbols[at].name.clone();
            after.symbols[at].start = match self.outer(&name, last) {
                Some(place) => Start::Copy(place),
                None => Start::Global,
            };
        }
        self.scopes[last] = after;
        Ok(())
    }

    fn collect(&mut self, expr: &mut Expr) -> Result<()> {
        if let Expr::Name(name) = expr {
            self.load(&name.text);
        }
        children(expr, &mut |child| self.collect(child))
    }

    fn collect_target(&mut self, target: &Target, given: bool) {
        match target {
            Target::Name(name) if given => {
                self.declare(&name.text);
            }
            Target::Name(name) => self.store(&name.text),
            Target::Attr(name, _) => self.load(&name.text),
            Target::Tuple(targets) => {
                for target in targets {
                    self.collect_target(target, given);
                }
            }
        }
    }

    // Where the names of a scope are, and the scopes inside. `soft`: a filter that does not
    // exist is an error only if it is reached.

    fn assign_body(&mut self, body: &mut [Stmt], soft: bool) -> Result<()> {
        for stmt in body {
            self.line = stmt.line;
            match &mut stmt.kind {
                StmtKind::Text(_) | StmtKind::Break | StmtKind::Continue => {}
                StmtKind::Print(value) => self.assign(value, soft)?,
                StmtKind::Set(target, value) => {
                    self.assign(value, soft)?;
                    self.assign_target(target);
                }
                StmtKind::SetBlock(captured, target) => {
                    self.captured(captured)?;
                    self.assign_target(target);
                }
                StmtKind::FilterBlock(captured) => self.captured(captured)?,
                StmtKind::For(it) => self.for_loop(it, soft)?,
                StmtKind::If(branches, otherwise) => {
                    for (condition, body) in branches {
                        self.assign(condition, true)?;
                        self.assign_body(body, true)?;
                    }
                    self.assign_body(otherwise, true)?;
                }
                StmtKind::With(variables, scope, body) => {
                    for (_, value) in &mut *variables {
                        self.assign(value, soft)?;
                    }
                    self.enter();
                    for (target, _) in &*variables {
                        self.collect_target(target, true);
                    }
                    self.collect_body(body)?;
                    for (target, _) in &mut *variables {
                        self.assign_target(target);
                    }
                    self.assign_body(body, false)?;
                    *scope = self.leave();
                }
                StmtKind::Macro(name, function) => {
                    self.place(name);
                    self.function(function, Some(true))?;
                }
                StmtKind::Call(call, function) => {
                    self.assign(call, soft)?;
                    self.function(function, Some(true))?;
                }
                StmtKind::Generation(function) => self.function(function, Some(true))?,
                StmtKind::Block(function) => self.block(function)?,
                StmtKind::Load(from, names) => {
                    self.assign(from, soft)?;
                    for name in names {
                        self.place(name);
                    }
                }
            }
        }
        Ok(())
    }

    fn captured(&mut self, captured: &mut super::ast::Captured) -> Result<()> {
        self.enter();
        self.collect_body(&mut captured.body)?;
        self.collect(&mut captured.value)?;
        self.assign_body(&mut captured.body, false)?;
        self.assign(&mut captured.value, false)?;
        captured.scope = self.leave();
        Ok(())
    }

    /// A block sees what the template has set outside of all loops, and sets nothing outside.
    fn block(&mut self, function: &mut Function) -> Result<()> {
        let around = self.scopes.split_off(1);
        self.function(function, None)?;
        self.scopes.extend(around);
        Ok(())
    }

    fn for_loop(&mut self, it: &mut For, soft: bool) -> Result<()> {
        self.assign(&mut it.iter, soft)?;
        let line = self.line;
        let mut takes_loop = target_names(&it.target).any(|name| name == "loop");
        takes_loop |= stores(&mut it.body, "loop") || stores(&mut it.otherwise, "loop");
        if takes_loop {
            return syntax(line, "can't assign to special loop variable in for-loop");
        }
        if it.recursive {
            self.slots.push(0);
        }
        if let Some(test) = &mut it.test {
            self.enter();
            self.collect_target(&test.target, true);
            self.collect(&mut test.condition)?;
            self.assign_target(&mut test.target);
            self.assign(&mut test.condition, false)?;
            test.scope = self.leave();
        }
        self.enter();
        if it.recursive || mentions(&mut it.body, "loop") {
            it.looped = Some(self.declare("loop"));
        }
        self.collect_target(&it.target, true);
        self.collect_body(&mut it.body)?;
        self.assign_target(&mut it.target);
        self.assign_body(&mut it.body, false)?;
        it.scope = self.leave();
        self.enter();
        self.collect_body(&mut it.otherwise)?;
        self.assign_body(&mut it.otherwise, false)?;
        it.else_scope = self.leave();
        if it.recursive {
            it.slots = self.slots.pop().unwrap_or(0);
        }
        Ok(())
    }

    fn assign_target(&mut self, target: &mut Target) {
        match target {
            Target::Name(name) | Target::Attr(name, _) => self.place(name),
            Target::Tuple(targets) => targets.iter_mut().for_each(|it| self.assign_target(it)),
        }
    }

    fn assign(&mut self, expr: &mut Expr, soft: bool) -> Result<()> {
        let unknown = match expr {
            Expr::Name(name) => {
                self.place(name);
                None
            }
            Expr::Filter(it) if it.1.function.is_none() => Some(("filter", &it.1.name)),
            Expr::Test(it) if it.1.function.is_none() => Some(("test", &it.1.name)),
            _ => None,
        };
        if let Some((kind, name)) = unknown
            && !soft
        {
            let reason = format!("no {kind} named '{name}'");
            return if self.line == 0 { failure(reason) } else { syntax(self.line, reason) };
        }
        let soft = soft || matches!(expr, Expr::If(_));
        children(expr, &mut |child| self.assign(child, soft))
    }
}

fn target_names(target: &Target) -> Box<dyn Iterator<Item = &str> + '_> {
    match target {
        Target::Name(name) | Target::Attr(name, _) => Box::new(std::iter::once(&*name.text)),
        Target::Tuple(targets) => Box::new(targets.iter().flat_map(target_names)),
    }
}
