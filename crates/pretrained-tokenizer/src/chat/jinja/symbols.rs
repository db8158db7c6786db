//! Which names each scope has, and what they hold when it is entered.

use super::{
    ast::{Expr, Load, Name, Place, Scope, Stmt, StmtKind, Target},
    error::Result,
    names::children,
};

#[derive(Default)]
pub(super) struct Resolver {
    /// The scopes around the current one, and it.
    pub(super) scopes: Vec<Symbols>,
    /// How many slots the functions around the current one have, and it.
    pub(super) slots: Vec<usize>,
    pub(super) globals: Vec<Box<str>>,
    pub(super) line: u32,
}

#[derive(Clone, Default)]
pub(super) struct Symbols {
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
    pub(super) fn enter(&mut self) {
        let function = self.slots.len();
        self.scopes.push(Symbols { function, ..Symbols::default() });
    }

    pub(super) fn leave(&mut self) -> Scope {
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
    pub(super) fn declare(&mut self, name: &str) -> usize {
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

    pub(super) fn store(&mut self, name: &str) {
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

    pub(super) fn place(&mut self, name: &mut Name) {
        let end = self.scopes.len();
        name.place = match self.outer(&name.text, end) {
            Some(place) => place,
            None => Place::Global(self.global(&name.text)),
        };
    }

    pub(super) fn collect_body(&mut self, body: &mut [Stmt]) -> Result<()> {
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

    pub(super) fn collect(&mut self, expr: &mut Expr) -> Result<()> {
        if let Expr::Name(name) = expr {
            self.load(&name.text);
        }
        children(expr, &mut |child| self.collect(child))
    }

    pub(super) fn collect_target(&mut self, target: &Target, given: bool) {
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
}
