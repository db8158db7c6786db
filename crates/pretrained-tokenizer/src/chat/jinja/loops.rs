//! Runs `for` loops.

use std::cell::{Cell, RefCell};

use super::{
    ast::{For, Place},
    error::Result,
    items::Items,
    render::{Flow, Frame, Run},
    value::{Loop, Object, Value},
};

impl<'a> Run<'a> {
    pub(super) fn for_loop(&mut self, node: &'a For, frame: &'a Frame<'a>) -> Result<Flow> {
        let iter = self.eval(&node.iter, frame)?;
        if node.recursive {
            self.mark_base();
            self.recurse(node, iter, 0, frame)?;
            return Ok(Flow::Next);
        }
        self.run_loop(node, iter, 0, frame, frame)
    }

    /// A round of a recursive loop, in a frame of its own.
    pub(super) fn recurse(
        &mut self,
        node: &'a For,
        iter: Value<'a>,
        depth: i128,
        around: &'a Frame<'a>,
    ) -> Result<()> {
        let frame = self.frame(node.slots, Some(around));
        self.buffered += 1;
        self.nested(|run| run.run_loop(node, iter, depth, frame, around))?;
        self.buffered -= 1;
        Ok(())
    }

    fn run_loop(
        &mut self,
        node: &'a For,
        iter: Value<'a>,
        depth: i128,
        frame: &'a Frame<'a>,
        around: &'a Frame<'a>,
    ) -> Result<Flow> {
        self.spend_text(iter.text().map_or(0, str::len))?;
        let items = self.items(iter)?;
        let ran = match node.looped {
            None => self.plain_loop(node, items, frame)?,
            Some(slot) => {
                let length = if node.test.is_none() { iter.len() } else { None };
                let state = self.arena.alloc(Object::Loop(Loop {
                    node,
                    frame,
                    around,
                    items: RefCell::new(items),
                    length: Cell::new(length.map(|len| len as i128)),
                    index0: Cell::new(-1),
                    depth,
                    before: Cell::new(None),
                    current: Cell::new(None),
                    after: Cell::new(None),
                    changed: Cell::new(None),
                }));
                self.looped(node, state, slot, frame)?
            }
        };
        if ran || node.otherwise.is_empty() {
            return Ok(Flow::Next);
        }
        self.enter(&node.else_scope, frame);
        self.body(&node.otherwise, frame)
    }

    /// Whether a round was run to its end.
    fn plain_loop(
        &mut self,
        node: &'a For,
        mut items: Items<'a>,
        frame: &'a Frame<'a>,
    ) -> Result<bool> {
        let mut ran = false;
        while let Some(item) = self.next_item(node, &mut items, frame)? {
            self.bind(&node.target, item, frame)?;
            self.enter(&node.scope, frame);
            match self.body(&node.body, frame)? {
                Flow::Next => ran = true,
                Flow::Continue => {}
                Flow::Break => break,
            }
        }
        Ok(ran)
    }

    fn looped(
        &mut self,
        node: &'a For,
        object: &'a Object<'a>,
        slot: usize,
        frame: &'a Frame<'a>,
    ) -> Result<bool> {
        let Object::Loop(state) = object else { return Ok(false) };
        let mut ran = false;
        while let Some(item) = self.advance(state)? {
            self.bind(&node.target, item, frame)?;
            self.set(Place::Slot { up: 0, slot }, Value::Object(object), frame);
            self.enter(&node.scope, frame);
            match self.body(&node.body, frame)? {
                Flow::Next => ran = true,
                Flow::Continue => {}
                Flow::Break => break,
            }
        }
        Ok(ran)
    }

    /// The next item that passes the loop's condition.
    pub(super) fn next_item(
        &mut self,
        node: &'a For,
        items: &mut Items<'a>,
        frame: &'a Frame<'a>,
    ) -> Result<Option<Value<'a>>> {
        let Some(test) = &node.test else { return items.next(self) };
        while let Some(item) = items.next(self)? {
            self.bind(&test.target, item, frame)?;
            self.enter(&test.scope, frame);
            if self.eval(&test.condition, frame)?.is_true() {
                return Ok(Some(item));
            }
        }
        Ok(None)
    }
}
