//! Calls: of macros, of functions, of methods.

use super::{
    args::{self, Args, required},
    ast::Function,
    attribute::is_dict_method,
    budget::MAX_CALLS,
    builtins::{self, Builtin},
    error::{Result, failure},
    render::Run,
    strings,
    value::{Loop, Macro, Object, Undefined, Value, View},
};

impl Function {
    /// Whether a call block may call it.
    pub(super) fn takes_caller(&self) -> bool {
        self.caller.is_some()
    }
}

impl<'a> Run<'a> {
    pub(super) fn call(&mut self, callee: Value<'a>, args: &Args<'a>) -> Result<Value<'a>> {
        self.check_defined(callee)?;
        let Value::Object(object) = callee else {
            return failure(format!("'{}' object is not callable", callee.type_name()));
        };
        match object {
            Object::Macro(it) => self.capture(|run| run.call_macro(it, args)).map(Value::Str),
            Object::Function(function) => builtins::call(self, *function, args),
            Object::Method(value, name) => self.call_method(*value, name, args),
            Object::Loop(state) => {
                let iter = args.one()?;
                if !state.node.recursive {
                    return failure("the loop must have the 'recursive' marker to be called");
                }
                let depth = state.depth + 1;
                let text =
                    self.capture(|run| run.recurse(state.node, iter, depth, state.around))?;
                Ok(Value::Str(text))
            }
            Object::Joiner(separator, used) => {
                args.none()?;
                Ok(if used.replace(true) { *separator } else { Value::Str("") })
            }
            _ => failure(format!("'{}' object is not callable", callee.type_name())),
        }
    }

    pub(super) fn call_method(
        &mut self,
        value: Value<'a>,
        name: &'a str,
        args: &Args<'a>,
    ) -> Result<Value<'a>> {
        // A truth is an integer, and has its methods.
        let value = match value {
            Value::Bool(it) => Value::Int(it.into()),
            value => value,
        };
        match value {
            Value::Str(text) => {
                if let Some(result) = strings::call(self, text, name, args)? {
                    return Ok(result);
                }
            }
            Value::Markup(text) => {
                if matches!(name, "format" | "format_map") {
                    let formatted = strings::format(self, text, name, args, true)?;
                    return Ok(Value::Markup(self.alloc_str(&formatted)?));
                }
                // Close enough for what no chat template does.
                if let Some(result) = strings::call(self, text, name, args)? {
                    return Ok(match result {
                        Value::Str(text) => Value::Markup(text),
                        result => result,
                    });
                }
            }
            Value::Dict(_) | Value::JsonDict(_) if is_dict_method(name) => {
                return self.dict_method(value, name, args);
            }
            Value::List(_) | Value::JsonList(_) if name == "copy" => {
                args.none()?;
                return Ok(value);
            }
            Value::Object(Object::Loop(state)) if matches!(name, "cycle" | "changed") => {
                return self.loop_method(state, name, args);
            }
            Value::Object(Object::Cycler(items, at)) if matches!(name, "next" | "reset") => {
                args.none()?;
                let current = items.get(at.get()).copied().unwrap_or(Value::None);
                at.set(if name == "reset" { 0 } else { (at.get() + 1) % items.len().max(1) });
                return Ok(if name == "reset" { Value::None } else { current });
            }
            Value::Object(Object::Function(Builtin::Dict)) if name == "fromkeys" => {
                return self.dict_method(value, name, args);
            }
            Value::Int(it) if name == "bit_length" => {
                return Ok(Value::Int((128 - it.unsigned_abs().leading_zeros()).into()));
            }
            Value::Int(it) if name == "bit_count" => {
                return Ok(Value::Int(it.unsigned_abs().count_ones().into()));
            }
            Value::Int(_) | Value::Float(_) if name == "conjugate" => return Ok(value),
            Value::Float(it) if name == "is_integer" => return Ok(Value::Bool(it.fract() == 0.0)),
            _ if matches!(name, "index" | "count")
                && (value.sequence().is_some()
                    || matches!(value, Value::Object(Object::Range(_)))) =>
            {
                return self.list_method(value, name, args);
            }
            _ => {}
        }
        let callee = self.attribute(value, name)?;
        self.call(callee, args)
    }

    fn dict_method(
        &mut self,
        dict: Value<'a>,
        name: &'a str,
        args: &Args<'a>,
    ) -> Result<Value<'a>> {
        let view = match name {
            "get" => {
                let [key, default] = args.positional(1)?;
                let found = self.field(dict, required(key)?)?;
                return Ok(found.or(default).unwrap_or(Value::None));
            }
            "copy" => {
                args.none()?;
                return Ok(dict);
            }
            "fromkeys" => {
                let [keys, value] = args.positional(1)?;
                return builtins::from_keys(self, required(keys)?, value.unwrap_or(Value::None));
            }
            "keys" => View::Keys,
            "values" => View::Values,
            _ => View::Items,
        };
        args.none()?;
        Ok(self.object(Object::View(view, dict)))
    }

    fn list_method(
        &mut self,
        list: Value<'a>,
        name: &'a str,
        args: &Args<'a>,
    ) -> Result<Value<'a>> {
        let [wanted, start, stop] = args.positional(1)?;
        let wanted = required(wanted)?;
        let len = list.len().unwrap_or(0) as i128;
        let bound = |at: Option<Value<'a>>, default: i128| -> Result<i128> {
            let at = at.map_or(Ok(default), args::int)?;
            Ok(if at < 0 { (at + len).max(0) } else { at })
        };
        let (start, stop) = (bound(start, 0)?, bound(stop, len)?);
        let mut items = self.items(list)?;
        let (mut at, mut count) = (0, 0);
        while let Some(item) = items.next(self)? {
            if self.equal(item, wanted, 0)? {
                if name == "index" && (start..stop).contains(&at) {
                    return Ok(Value::Int(at));
                }
                count += 1;
            }
            at += 1;
        }
        if name == "index" {
            failure("the value is not in the list")
        } else {
            Ok(Value::Int(count))
        }
    }

    fn loop_method(
        &mut self,
        state: &'a Loop<'a>,
        name: &'a str,
        args: &Args<'a>,
    ) -> Result<Value<'a>> {
        if !args.named.is_empty() {
            return failure("takes no keyword arguments");
        }
        if name == "cycle" {
            if args.values.is_empty() {
                return failure("no items for cycling given");
            }
            let at = state.index0.get().rem_euclid(args.values.len() as i128);
            return Ok(args.values[at as usize]);
        }
        let new = Value::Tuple(args.values);
        let same = match state.changed.get() {
            Some(old) => self.equal(Value::Tuple(old), new, 0)?,
            None => false,
        };
        state.changed.set(Some(args.values));
        Ok(Value::Bool(!same))
    }

    /// Runs a macro; it writes into the output.
    pub(super) fn call_macro(&mut self, it: &'a Macro<'a>, args: &Args<'a>) -> Result<()> {
        let function = it.function;
        let frame = self.frame(function.slots, Some(it.around));
        let mut named: Vec<(&'a str, Value<'a>)> = args.named.to_vec();
        let mut pop = |name: &str| {
            named.iter().position(|(known, _)| *known == name).map(|at| named.remove(at).1)
        };
        let mut given = Vec::with_capacity(function.params.len());
        for (i, param) in function.params.iter().enumerate() {
            given.push(match args.values.get(i) {
                Some(value) => Some(*value),
                None => pop(&param.name.text),
            });
        }
        let slot = |slot| super::ast::Place::Slot { up: 0, slot };
        if let Some(caller) = function.caller {
            let missing = Value::Undefined(Undefined::Because("no caller defined"));
            self.set(slot(caller), pop("caller").unwrap_or(missing), frame);
        }
        if let Some(kwargs) = function.kwargs {
            let named: Vec<(Value<'a>, Value<'a>)> =
                named.iter().map(|(name, value)| (Value::Str(name), *value)).collect();
            self.set(slot(kwargs), Value::Dict(self.arena.alloc_slice_copy(&named)), frame);
        } else if let Some((name, _)) = named.first() {
            return failure(format!("macro '{}' takes no argument '{name}'", function.name));
        }
        let more = args.values.get(function.params.len()..).unwrap_or(&[]);
        if let Some(varargs) = function.varargs {
            self.set(slot(varargs), Value::Tuple(more), frame);
        } else if !more.is_empty() {
            let most = function.params.len();
            let name = &function.name;
            return failure(format!("macro '{name}' takes not more than {most} argument(s)"));
        }
        self.nested(|run| {
            run.enter(&function.scope, frame);
            // Until its turn has come, a parameter that is not given is not there.
            for (param, value) in function.params.iter().zip(&given) {
                let missing = Value::Undefined(Undefined::Name(&param.name.text));
                run.set(param.name.place, value.unwrap_or(missing), frame);
            }
            for (param, value) in function.params.iter().zip(&given) {
                if let (None, Some(default)) = (value, &param.default) {
                    let value = run.eval(default, frame)?;
                    run.set(param.name.place, value, frame);
                }
            }
            run.body(&function.body, frame)?;
            Ok(())
        })
    }

    /// Goes one call deeper.
    pub(super) fn nested<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.calls += 1;
        if self.calls > MAX_CALLS {
            return failure("macros call each other too deeply");
        }
        let stack = self.stack;
        let result = stacker::maybe_grow(stack, 16 * stack, || f(self));
        self.calls -= 1;
        result
    }
}
