//! Says where each name lives, by the rules of Jinja's compiler.
//!
//! A scope (the template, a loop's body, a macro, …) has a symbol for each name that it sets, and
//! for each that it reads and no scope around it knows. A symbol has a slot in its function's
//! frame; what it holds when the scope is entered is the outer variable of the name, the
//! template's variable, or nothing, as Jinja's `idtracking` decides it: mostly obvious, and in
//! the corner cases what published templates have come to rely on.

use super::{
    ast::{Captured, Expr, For, Function, Place, Stmt, StmtKind, Target},
    error::{Result, failure, syntax},
    names::{children, mentions, stores},
    symbols::Resolver,
};

/// Resolves a template; the names of the variables that it wants come with it.
pub(super) fn resolve(body: Vec<Stmt>) -> Result<(Function, Vec<Box<str>>)> {
    let mut resolver = Resolver::default();
    let mut root = Function { body, ..Function::default() };
    resolver.function(&mut root, false)?;
    Ok((root, resolver.globals))
}

impl Resolver {
    /// A function's own scope. `called`: it may use `caller`, `kwargs` and `varargs`.
    fn function(&mut self, function: &mut Function, called: bool) -> Result<()> {
        self.slots.push(0);
        self.enter();
        for param in &mut function.params {
            self.declare(&param.name.text);
        }
        if called {
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
                    self.function(function, true)?;
                }
                StmtKind::Call(call, function) => {
                    self.assign(call, soft)?;
                    self.function(function, true)?;
                }
                StmtKind::Generation(function) => self.function(function, true)?,
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

    fn captured(&mut self, captured: &mut Captured) -> Result<()> {
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
        self.function(function, false)?;
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
                if *name.text == *"self" && matches!(name.place, Place::Global(_)) {
                    let reason = "'self', the blocks of the template, is not supported";
                    return syntax(self.line, reason);
                }
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
