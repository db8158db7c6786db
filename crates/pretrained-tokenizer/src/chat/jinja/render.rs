//! Runs a template: its statements. What they write goes into one string.

use std::cell::Cell;

use bumpalo::Bump;

use super::{
    ast::{Captured, Expr, Function, Load, Name, Place, Scope, Stmt, StmtKind, Target},
    budget::FUEL,
    error::{Result, at_line, failure},
    value::{Macro, Object, Undefined, Value},
};

/// A rendering.
pub(in crate::chat) struct Run<'a> {
    pub(super) arena: &'a Bump,
    pub(super) globals: &'a [Value<'a>],
    /// What was written. Strings under construction are at its end for a while.
    pub(super) out: String,
    pub(super) fuel: usize,
    /// How many macros and recursive loops are being called.
    pub(super) calls: usize,
    /// The stack that one function of the template takes at most.
    pub(super) stack: usize,
    /// The text of the block that is being filtered.
    pub(super) captured: Value<'a>,
    /// How many statements around this one keep what is written for themselves.
    pub(super) buffered: usize,
    /// Where the output that the innermost unbuffered statement writes begins.
    pub(super) base: usize,
    /// Where generation blocks began, and how many characters they wrote.
    pub(super) generated: Option<Vec<(usize, usize)>>,
}

/// The variables of a function that runs.
#[derive(Debug)]
pub(in crate::chat) struct Frame<'a> {
    slots: &'a [Cell<Value<'a>>],
    around: Option<&'a Frame<'a>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Next,
    Break,
    Continue,
}

impl<'a> Frame<'a> {
    fn slot(&self, up: usize, slot: usize) -> Option<&'a Cell<Value<'a>>> {
        let mut slots = self.slots;
        let mut around = self.around;
        for _ in 0..up {
            let frame = around?;
            (slots, around) = (frame.slots, frame.around);
        }
        slots.get(slot)
    }
}

impl<'a> Run<'a> {
    pub(super) fn new(arena: &'a Bump, globals: &'a [Value<'a>], stack: usize) -> Run<'a> {
        Run {
            arena,
            globals,
            out: String::with_capacity(1024),
            fuel: FUEL,
            calls: 0,
            stack,
            captured: Value::None,
            buffered: 0,
            base: 0,
            generated: None,
        }
    }

    pub(super) fn root(&mut self, function: &'a Function) -> Result<()> {
        let frame = self.frame(function.slots, None);
        self.enter(&function.scope, frame);
        self.body(&function.body, frame)?;
        Ok(())
    }

    pub(super) fn frame(&self, slots: usize, around: Option<&'a Frame<'a>>) -> &'a Frame<'a> {
        let nothing = || Cell::new(Value::Undefined(Undefined::Because("not set yet")));
        let slots = self.arena.alloc_slice_fill_with(slots, |_| nothing());
        self.arena.alloc(Frame { slots, around })
    }

    pub(super) fn enter(&self, scope: &'a Scope, frame: &'a Frame<'a>) {
        for (slot, load) in &scope.loads {
            let value = match load {
                Load::Copy(place) => self.at(*place, frame),
                Load::Missing(name) => Value::Undefined(Undefined::Name(name)),
            };
            self.set(Place::Slot { up: 0, slot: *slot }, value, frame);
        }
    }

    #[inline]
    pub(super) fn at(&self, place: Place, frame: &'a Frame<'a>) -> Value<'a> {
        match place {
            Place::Global(at) => self.globals[at],
            Place::Slot { up: 0, slot } => frame.slots[slot].get(),
            Place::Slot { up, slot } => frame.slot(up, slot).map_or(Value::None, Cell::get),
        }
    }

    pub(super) fn set(&self, place: Place, value: Value<'a>, frame: &'a Frame<'a>) {
        if let Place::Slot { up, slot } = place
            && let Some(cell) = frame.slot(up, slot)
        {
            cell.set(value);
        }
    }

    pub(super) fn body(&mut self, body: &'a [Stmt], frame: &'a Frame<'a>) -> Result<Flow> {
        for stmt in body {
            self.spend(1)?;
            match self.statement(stmt, frame) {
                Ok(Flow::Next) => {}
                Ok(flow) => return Ok(flow),
                Err(failure) => return Err(at_line(failure, stmt.line)),
            }
        }
        Ok(Flow::Next)
    }

    fn statement(&mut self, stmt: &'a Stmt, frame: &'a Frame<'a>) -> Result<Flow> {
        match &stmt.kind {
            StmtKind::Text(text) => {
                self.spend_text(text.len())?;
                self.out.push_str(text);
            }
            StmtKind::Print(value) => {
                self.mark_base();
                self.print(value, frame)?;
            }
            StmtKind::If(branches, otherwise) => {
                for (condition, body) in branches {
                    if self.eval(condition, frame)?.is_true() {
                        return self.body(body, frame);
                    }
                }
                return self.body(otherwise, frame);
            }
            StmtKind::For(node) => return self.for_loop(node, frame),
            StmtKind::Set(target, value) => {
                self.check_target(target, frame)?;
                let value = self.eval(value, frame)?;
                self.bind(target, value, frame)?;
            }
            StmtKind::SetBlock(captured, target) => {
                let (value, flow) = self.captured(captured, frame)?;
                if flow != Flow::Next {
                    return Ok(flow);
                }
                self.check_target(target, frame)?;
                self.bind(target, value, frame)?;
            }
            StmtKind::FilterBlock(captured) => {
                self.mark_base();
                let (value, flow) = self.captured(captured, frame)?;
                if flow != Flow::Next {
                    return Ok(flow);
                }
                self.write_out(value)?;
            }
            StmtKind::With(variables, scope, body) => {
                self.enter(scope, frame);
                for (target, value) in variables {
                    let value = self.eval(value, frame)?;
                    self.bind(target, value, frame)?;
                }
                return self.body(body, frame);
            }
            StmtKind::Macro(name, function) => {
                let value = self.object(Object::Macro(Macro { function, around: frame }));
                self.set(name.place, value, frame);
            }
            StmtKind::Call(call, function) => {
                self.mark_base();
                let caller = self.object(Object::Macro(Macro { function, around: frame }));
                if let Expr::Call(call) = call {
                    self.print_call(call, Some(caller), frame)?;
                }
            }
            StmtKind::Generation(function) => self.generation(function, frame)?,
            StmtKind::Block(function) => {
                let inner = self.frame(function.slots, Some(frame));
                self.enter(&function.scope, inner);
                self.body(&function.body, inner)?;
            }
            StmtKind::Break => return Ok(Flow::Break),
            StmtKind::Continue => return Ok(Flow::Continue),
            StmtKind::Load(from, _) => {
                self.eval(from, frame)?;
                return failure("a chat template cannot load another template");
            }
        }
        Ok(Flow::Next)
    }

    pub(super) fn mark_base(&mut self) {
        if self.buffered == 0 {
            self.base = self.out.len();
        }
    }

    /// Runs what writes into a string of its own.
    pub(super) fn capture(&mut self, run: impl FnOnce(&mut Self) -> Result<()>) -> Result<&'a str> {
        let start = self.out.len();
        self.buffered += 1;
        run(self)?;
        self.buffered -= 1;
        self.take_from(start)
    }

    /// What was written since, which is not output.
    pub(super) fn take_from(&mut self, start: usize) -> Result<&'a str> {
        self.spend_text(self.out.len() - start)?;
        let text = self.arena.alloc_str(&self.out[start..]);
        self.out.truncate(start);
        Ok(text)
    }

    fn captured(
        &mut self,
        captured: &'a Captured,
        frame: &'a Frame<'a>,
    ) -> Result<(Value<'a>, Flow)> {
        self.enter(&captured.scope, frame);
        let mut flow = Flow::Next;
        let text = self.capture(|run| {
            flow = run.body(&captured.body, frame)?;
            Ok(())
        })?;
        if flow != Flow::Next {
            return Ok((Value::None, flow));
        }
        self.captured = Value::Str(text);
        Ok((self.eval(&captured.value, frame)?, flow))
    }

    fn generation(&mut self, function: &'a Function, frame: &'a Frame<'a>) -> Result<()> {
        self.mark_base();
        let (base, start) = (self.base, self.out.len());
        self.buffered += 1;
        let inner = self.frame(function.slots, Some(frame));
        self.enter(&function.scope, inner);
        self.body(&function.body, inner)?;
        self.buffered -= 1;
        if let Some(generated) = &mut self.generated {
            // As transformers counts: from what had been output when the statement began.
            generated.push((base, self.out[start..].chars().count()));
        }
        Ok(())
    }

    /// `set` says that something is no namespace before it evaluates what to assign.
    fn check_target(&mut self, target: &'a Target, frame: &'a Frame<'a>) -> Result<()> {
        match target {
            Target::Name(_) => Ok(()),
            Target::Tuple(targets) => {
                targets.iter().try_for_each(|target| self.check_target(target, frame))
            }
            Target::Attr(name, _) => match self.at(name.place, frame) {
                Value::Object(Object::Namespace(_)) => Ok(()),
                _ => failure("cannot assign attribute on non-namespace object"),
            },
        }
    }

    pub(super) fn bind(
        &mut self,
        target: &'a Target,
        value: Value<'a>,
        frame: &'a Frame<'a>,
    ) -> Result<()> {
        match target {
            Target::Name(Name { place, .. }) => self.set(*place, value, frame),
            Target::Attr(name, attr) => {
                if let Value::Object(Object::Namespace(namespace)) = self.at(name.place, frame) {
                    self.set_field(namespace, attr, value)?;
                }
            }
            Target::Tuple(targets) => {
                let mut items = self.items(value)?;
                for target in targets {
                    let Some(item) = items.next(self)? else {
                        return failure("not enough values to unpack");
                    };
                    self.bind(target, item, frame)?;
                }
                if items.next(self)?.is_some() {
                    return failure("too many values to unpack");
                }
            }
        }
        Ok(())
    }
}
