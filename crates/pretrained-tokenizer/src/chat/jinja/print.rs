//! `str(value)` and `repr(value)`.

use std::fmt::Write;

use super::{
    error::{Result, failure},
    render::Run,
    text,
    value::{Object, Value, View, fields},
};

impl<'a> Run<'a> {
    /// `str(value)`, without a copy where it is a string already.
    pub(super) fn str(&mut self, value: Value<'a>) -> Result<&'a str> {
        if let Some(text) = value.text() {
            // Whoever asks goes through it.
            self.spend_text(text.len())?;
            return Ok(text);
        }
        let mut out = String::new();
        self.write(value, &mut out)?;
        self.alloc_str(&out)
    }

    /// Appends `str(value)`.
    pub(super) fn write(&mut self, value: Value<'a>, out: &mut String) -> Result<()> {
        match value {
            Value::Str(text) | Value::Markup(text) => {
                self.spend_text(text.len())?;
                out.push_str(text);
                Ok(())
            }
            Value::Undefined(_) => Ok(()),
            value => self.repr(value, out, 0),
        }
    }

    /// Appends `repr(value)`.
    pub(super) fn repr(&mut self, value: Value<'a>, out: &mut String, depth: usize) -> Result<()> {
        self.spend(1)?;
        self.check_depth(depth)?;
        match value {
            Value::Undefined(_) => out.push_str("Undefined"),
            Value::None => out.push_str("None"),
            Value::Bool(it) => out.push_str(if it { "True" } else { "False" }),
            Value::Int(it) => {
                // Writing to a string cannot fail.
                let _ = write!(out, "{it}");
            }
            Value::Float(it) => text::float(it, out),
            Value::Str(text) => {
                self.spend_text(text.len())?;
                text::repr(text, out);
            }
            Value::Markup(text) => {
                self.spend_text(text.len())?;
                out.push_str("Markup(");
                text::repr(text, out);
                out.push(')');
            }
            Value::List(_) | Value::JsonList(_) => {
                self.repr_items(value, ["[", "]"], out, depth)?
            }
            Value::Tuple(items) => {
                let close = if items.len() == 1 { ",)" } else { ")" };
                self.repr_items(value, ["(", close], out, depth)?;
            }
            Value::Dict(_) | Value::JsonDict(_) => {
                out.push('{');
                for (i, (key, value)) in fields(value).enumerate() {
                    if i > 0 {
                        out.push_str(", ");
                    }
                    self.repr(key, out, depth + 1)?;
                    out.push_str(": ");
                    self.repr(value, out, depth + 1)?;
                }
                out.push('}');
            }
            Value::Object(object) => self.repr_object(value, object, out, depth)?,
        }
        Ok(())
    }

    fn repr_items(
        &mut self,
        list: Value<'a>,
        [open, close]: [&str; 2],
        out: &mut String,
        depth: usize,
    ) -> Result<()> {
        out.push_str(open);
        let mut items = self.items(list)?;
        let mut first = true;
        while let Some(item) = items.next(self)? {
            if !first {
                out.push_str(", ");
            }
            first = false;
            self.repr(item, out, depth + 1)?;
        }
        out.push_str(close);
        Ok(())
    }

    fn repr_object(
        &mut self,
        value: Value<'a>,
        object: &'a Object<'a>,
        out: &mut String,
        depth: usize,
    ) -> Result<()> {
        let _ = match object {
            Object::Range(range) if range.step == 1 => {
                write!(out, "range({}, {})", range.start, range.stop)
            }
            Object::Range(range) => {
                write!(out, "range({}, {}, {})", range.start, range.stop, range.step)
            }
            Object::View(view, _) => {
                out.push_str(match view {
                    View::Keys => "dict_keys(",
                    View::Values => "dict_values(",
                    View::Items => "dict_items(",
                });
                self.repr_items(value, ["[", "]"], out, depth)?;
                out.write_char(')')
            }
            Object::Group(_) => return self.repr_items(value, ["(", ")"], out, depth),
            Object::Namespace(namespace) => {
                let mut all = Vec::new();
                let mut next = namespace.first.get();
                while let Some(field) = next {
                    all.push((field.name, field.value.get()));
                    next = field.next;
                }
                all.reverse();
                out.push_str("<Namespace ");
                let dict = Value::Dict(self.arena.alloc_slice_copy(&all));
                self.repr(dict, out, depth + 1)?;
                out.write_char('>')
            }
            Object::Macro(it) => {
                out.push_str("<Macro ");
                text::repr(&it.function.name, out);
                out.write_char('>')
            }
            Object::Loop(it) => {
                let (index, length) = (it.index0.get() + 1, self.loop_length(it)?);
                write!(out, "<LoopContext {index}/{length}>")
            }
            // Python goes on with an address.
            _ => write!(out, "<{} object>", value.type_name()),
        };
        Ok(())
    }

    pub(super) fn check_depth(&self, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH { failure("the value is nested too deeply") } else { Ok(()) }
    }
}

/// Deeper than any conversation, shallower than any stack.
const MAX_DEPTH: usize = 200;
