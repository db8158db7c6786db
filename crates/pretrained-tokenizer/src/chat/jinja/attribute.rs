//! `value.name`, `value[key]` and `value[a:b]`, as Jinja's sandbox has them.

use super::{
    args,
    ast::Expr,
    builtins::Builtin,
    error::{Result, failure},
    render::{Frame, Run},
    strings,
    value::{Field, Loop, Namespace, Object, Undefined, Value},
};

impl<'a> Run<'a> {
    /// `value.name`: attributes go before keys.
    pub(super) fn attribute(&mut self, value: Value<'a>, name: &'a str) -> Result<Value<'a>> {
        if let Some(found) = self.own_attribute(value, name)? {
            return Ok(found);
        }
        if value.is_dict()
            && !is_internal(name)
            && let Some(found) = self.field(value, Value::Str(name))?
        {
            return Ok(found);
        }
        Ok(Value::Undefined(Undefined::Attribute(name)))
    }

    /// `value[key]`: keys go before attributes.
    pub(super) fn item(&mut self, value: Value<'a>, key: Value<'a>) -> Result<Value<'a>> {
        self.check_defined(value)?;
        if value.is_dict() {
            // What cannot be a key is not there.
            if let Ok(Some(found)) = self.field(value, key) {
                return Ok(found);
            }
        } else if let Some(index) = key.int()
            && let Some(found) = self.at_index(value, index)?
        {
            return Ok(found);
        }
        if let Some(name) = key.text()
            && let Some(found) = self.own_attribute(value, name)?
        {
            return Ok(found);
        }
        Ok(Run::undefined("there is no such element"))
    }

    fn at_index(&mut self, value: Value<'a>, index: i128) -> Result<Option<Value<'a>>> {
        let from_end = |len: usize| {
            let index = if index < 0 { index + len as i128 } else { index };
            usize::try_from(index).ok()
        };
        if let Some(items) = value.sequence() {
            return Ok(from_end(items.len()).and_then(|at| items.get(at)));
        }
        if let Some(text) = value.text() {
            self.spend_text(text.len())?;
            let len = value.len().unwrap_or(0);
            let Some(at) = from_end(len).filter(|&at| at < len) else { return Ok(None) };
            let start = byte(text, at);
            return Ok(Some(Value::Str(&text[start..byte(&text[start..], 1) + start])));
        }
        match value {
            Value::Object(Object::Range(range)) => {
                Ok(from_end(range.len()).and_then(|at| range.get(at)).map(Value::Int))
            }
            _ => Ok(None),
        }
    }

    /// An attribute that the value's type has; what is unsafe is undefined.
    fn own_attribute(&mut self, value: Value<'a>, name: &'a str) -> Result<Option<Value<'a>>> {
        if name.starts_with('_') {
            self.check_defined(value)?;
            return Ok(None);
        }
        Ok(match value {
            Value::Undefined(_) => {
                self.check_defined(value)?;
                None
            }
            Value::Int(_) | Value::Bool(_) if matches!(name, "real" | "numerator") => {
                value.int().map(Value::Int)
            }
            Value::Int(_) | Value::Bool(_) if name == "imag" => Some(Value::Int(0)),
            Value::Int(_) | Value::Bool(_) if name == "denominator" => Some(Value::Int(1)),
            Value::Float(_) if name == "real" => Some(value),
            Value::Float(_) if name == "imag" => Some(Value::Float(0.0)),
            Value::Object(object) => match (object, name) {
                (Object::Loop(it), _) => self.loop_attribute(value, it, name)?,
                (Object::Namespace(it), _) => {
                    self.spend(it.len.get() / 8)?;
                    it.find(name).map(|field| field.value.get())
                }
                (Object::Range(it), "start") => Some(Value::Int(it.start)),
                (Object::Range(it), "stop") => Some(Value::Int(it.stop)),
                (Object::Range(it), "step") => Some(Value::Int(it.step)),
                (Object::Group([grouper, _]), "grouper") => Some(*grouper),
                (Object::Group([_, list]), "list") => Some(*list),
                (Object::Macro(it), "name") => Some(Value::Str(&it.function.name)),
                (Object::Macro(it), "catch_kwargs") => {
                    Some(Value::Bool(it.function.kwargs.is_some()))
                }
                (Object::Macro(it), "catch_varargs") => {
                    Some(Value::Bool(it.function.varargs.is_some()))
                }
                (Object::Macro(it), "caller") => Some(Value::Bool(it.function.takes_caller())),
                (Object::Macro(it), "arguments") => {
                    let names: Vec<Value<'a>> =
                        it.function.params.iter().map(|it| Value::Str(&it.name.text)).collect();
                    Some(Value::Tuple(self.arena.alloc_slice_copy(&names)))
                }
                (Object::Cycler(items, at), "current") => items.get(at.get()).copied(),
                _ => self.method(value, name),
            },
            _ => self.method(value, name),
        })
    }

    fn method(&self, value: Value<'a>, name: &'a str) -> Option<Value<'a>> {
        has_method(value, name).then(|| self.object(Object::Method(value, name)))
    }

    fn loop_attribute(
        &mut self,
        value: Value<'a>,
        state: &'a Loop<'a>,
        name: &'a str,
    ) -> Result<Option<Value<'a>>> {
        let index0 = state.index0.get();
        Ok(Some(match name {
            "index" => Value::Int(index0 + 1),
            "index0" => Value::Int(index0),
            "first" => Value::Bool(index0 == 0),
            "last" => Value::Bool(self.peek(state)?.is_none()),
            "length" => Value::Int(self.loop_length(state)?),
            "revindex" => Value::Int(self.loop_length(state)? - index0),
            "revindex0" => Value::Int(self.loop_length(state)? - index0 - 1),
            "depth" => Value::Int(state.depth + 1),
            "depth0" => Value::Int(state.depth),
            "previtem" => match state.before.get() {
                Some(before) if index0 > 0 => before,
                _ => Run::undefined("there is no previous item"),
            },
            "nextitem" => match self.peek(state)? {
                Some(next) => next,
                None => Run::undefined("there is no next item"),
            },
            "cycle" | "changed" => self.object(Object::Method(value, name)),
            _ => return Ok(None),
        }))
    }

    /// The item after the current one.
    fn peek(&mut self, state: &'a Loop<'a>) -> Result<Option<Value<'a>>> {
        if let Some(after) = state.after.get() {
            return Ok(after);
        }
        let after = self.next_of_loop(state)?;
        state.after.set(Some(after));
        Ok(after)
    }

    fn next_of_loop(&mut self, state: &'a Loop<'a>) -> Result<Option<Value<'a>>> {
        let Ok(mut items) = state.items.try_borrow_mut() else {
            return failure("the loop is already looking for its next item");
        };
        // Items that were counted have passed the loop's condition.
        if state.length.get().is_some() {
            return items.next(self);
        }
        self.next_item(state.node, &mut items, state.frame)
    }

    /// Makes the next item the current one.
    pub(super) fn advance(&mut self, state: &'a Loop<'a>) -> Result<Option<Value<'a>>> {
        let next = match state.after.take() {
            Some(after) => after,
            None => self.next_of_loop(state)?,
        };
        if next.is_some() {
            state.index0.set(state.index0.get() + 1);
            state.before.set(state.current.get());
            state.current.set(next);
        }
        Ok(next)
    }

    pub(super) fn loop_length(&mut self, state: &'a Loop<'a>) -> Result<i128> {
        if let Some(length) = state.length.get() {
            return Ok(length);
        }
        // What is not known is counted, which takes all items that are left.
        let mut rest = Vec::new();
        while let Some(item) = self.next_of_loop(state)? {
            rest.push(item);
        }
        let ahead = i128::from(matches!(state.after.get(), Some(Some(_))));
        let length = rest.len() as i128 + state.index0.get() + 1 + ahead;
        let rest = self.arena.alloc_slice_copy(&rest);
        if let Ok(mut items) = state.items.try_borrow_mut() {
            *items = super::items::Items::Values(rest.iter());
        }
        state.length.set(Some(length));
        Ok(length)
    }

    /// Sets a field of a namespace.
    pub(super) fn set_field(
        &mut self,
        namespace: &Namespace<'a>,
        name: &'a str,
        value: Value<'a>,
    ) -> Result<()> {
        if name.starts_with('_') {
            return failure(
                "chat templates cannot store underscore-prefixed attributes on a namespace",
            );
        }
        self.spend(namespace.len.get() / 8)?;
        if let Some(field) = namespace.find(name) {
            field.value.set(value);
            return Ok(());
        }
        namespace.len.set(namespace.len.get() + 1);
        let next = namespace.first.get();
        let field = Field { name: Value::Str(name), value: std::cell::Cell::new(value), next };
        namespace.first.set(Some(self.arena.alloc(field)));
        Ok(())
    }

    pub(super) fn sliced(
        &mut self,
        value: &'a Expr,
        parts: &'a [Option<Expr>; 3],
        frame: &'a Frame<'a>,
    ) -> Result<Value<'a>> {
        let value = self.eval(value, frame)?;
        let mut bounds = [None; 3];
        for (bound, part) in bounds.iter_mut().zip(parts) {
            if let Some(part) = part {
                *bound = match self.eval(part, frame)? {
                    Value::None => None,
                    part => Some(args::int(part)?.clamp(-FAR, FAR)),
                };
            }
        }
        self.slice(value, bounds)
    }

    /// `value[start:stop:step]`.
    pub(super) fn slice(
        &mut self,
        value: Value<'a>,
        [start, stop, step]: [Option<i128>; 3],
    ) -> Result<Value<'a>> {
        self.check_defined(value)?;
        let step = step.unwrap_or(1);
        if step == 0 {
            return failure("slice step cannot be zero");
        }
        let Some(len) = value.len().filter(|_| !value.is_dict()) else {
            return failure(format!("'{}' object cannot be sliced", value.type_name()));
        };
        let (low, high) = if step > 0 { (0, len as i128) } else { (-1, len as i128 - 1) };
        let clamp = |bound: i128| {
            let bound = if bound < 0 { bound + len as i128 } else { bound };
            bound.clamp(low, high)
        };
        let start = start.map_or(if step > 0 { low } else { high }, clamp);
        let stop = stop.map_or(if step > 0 { high } else { low }, clamp);
        if let Some(text) = value.text() {
            self.spend_text(text.len())?;
            let cut = if step == 1 {
                let (start, stop) = (start as usize, stop.max(start) as usize);
                &text[byte(text, start)..byte(text, stop)]
            } else {
                self.spend(len / 4)?;
                let chars: Vec<char> = text.chars().collect();
                let cut: String = steps(start, stop, step).map(|at| chars[at]).collect();
                self.alloc_str(&cut)?
            };
            let is_markup = matches!(value, Value::Markup(_));
            return Ok(if is_markup { Value::Markup(cut) } else { Value::Str(cut) });
        }
        match (value, value.sequence()) {
            (Value::JsonList(items), _) if step == 1 => {
                Ok(Value::JsonList(&items[start as usize..stop.max(start) as usize]))
            }
            (Value::List(items), _) if step == 1 => {
                Ok(Value::List(&items[start as usize..stop.max(start) as usize]))
            }
            (Value::Object(Object::Range(range)), _) => {
                let at = |index: i128| range.start + range.step * index;
                let range = super::value::Range {
                    start: at(start),
                    stop: at(stop),
                    step: range.step * step,
                };
                Ok(self.object(Object::Range(range)))
            }
            (_, Some(items)) => {
                self.spend(len)?;
                let cut: Vec<Value<'a>> =
                    steps(start, stop, step).filter_map(|at| items.get(at)).collect();
                let cut = self.arena.alloc_slice_copy(&cut);
                Ok(if value.is_list() { Value::List(cut) } else { Value::Tuple(cut) })
            }
            _ => failure(format!("'{}' object cannot be sliced", value.type_name())),
        }
    }
}

fn steps(start: i128, stop: i128, step: i128) -> impl Iterator<Item = usize> {
    let mut at = start;
    std::iter::from_fn(move || {
        let inside = if step > 0 { at < stop } else { at > stop };
        let index = usize::try_from(at).ok().filter(|_| inside)?;
        at += step;
        Some(index)
    })
}

/// Where the character is.
pub(super) fn byte(text: &str, at: usize) -> usize {
    if at <= text.len() && text.is_ascii() {
        return at;
    }
    text.char_indices().nth(at).map_or(text.len(), |(byte, _)| byte)
}

/// Whether a safe method of that name exists.
pub(super) fn has_method(value: Value<'_>, name: &str) -> bool {
    match value {
        Value::Str(_) | Value::Markup(_) => strings::METHODS.contains(&name),
        Value::List(_) | Value::JsonList(_) => matches!(name, "index" | "count" | "copy"),
        Value::Tuple(_) | Value::Object(Object::Group(_) | Object::Range(_)) => {
            matches!(name, "index" | "count")
        }
        Value::Dict(_) | Value::JsonDict(_) => is_dict_method(name),
        Value::Int(_) | Value::Bool(_) => {
            matches!(name, "bit_length" | "bit_count" | "conjugate" | "is_integer")
                && name != "is_integer"
        }
        Value::Float(_) => matches!(name, "is_integer" | "conjugate"),
        Value::Object(Object::Loop(_)) => matches!(name, "cycle" | "changed"),
        Value::Object(Object::Cycler(..)) => matches!(name, "next" | "reset"),
        Value::Object(Object::Function(Builtin::Dict)) => name == "fromkeys",
        _ => false,
    }
}

pub(super) fn is_dict_method(name: &str) -> bool {
    matches!(name, "get" | "items" | "keys" | "values" | "copy" | "fromkeys")
}

/// What Python's dictionaries have and Jinja's sandbox gives to nobody.
fn is_internal(name: &str) -> bool {
    matches!(name, "clear" | "pop" | "popitem" | "setdefault" | "update")
        || (name.starts_with("__") && name.ends_with("__"))
}

/// Farther than any index.
const FAR: i128 = 1 << 62;
