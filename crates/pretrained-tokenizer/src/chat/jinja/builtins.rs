//! The functions that every template has.

use std::cell::Cell;

use super::{
    args::{self, Args, required},
    error::{Failure, Result, failure},
    render::Run,
    value::{Namespace, Object, Range, Value},
};
use crate::chat::time::strftime_now;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::chat) enum Builtin {
    Range,
    Dict,
    Namespace,
    Cycler,
    Joiner,
    Lipsum,
    RaiseException,
    StrftimeNow,
}

pub(super) fn find(name: &str) -> Option<Builtin> {
    Some(match name {
        "range" => Builtin::Range,
        "dict" => Builtin::Dict,
        "namespace" => Builtin::Namespace,
        "cycler" => Builtin::Cycler,
        "joiner" => Builtin::Joiner,
        "lipsum" => Builtin::Lipsum,
        "raise_exception" => Builtin::RaiseException,
        "strftime_now" => Builtin::StrftimeNow,
        _ => return None,
    })
}

pub(super) fn call<'a>(run: &mut Run<'a>, function: Builtin, args: &Args<'a>) -> Result<Value<'a>> {
    match function {
        Builtin::Range => range(run, args),
        Builtin::Dict => dict(run, args),
        Builtin::Namespace => namespace(run, args),
        Builtin::Cycler => {
            if args.values.is_empty() || !args.named.is_empty() {
                return failure("at least one item has to be provided");
            }
            Ok(run.object(Object::Cycler(args.values, Cell::new(0))))
        }
        Builtin::Joiner => {
            let [separator] = args.bind(["sep"])?;
            Ok(run.object(Object::Joiner(separator.unwrap_or(Value::Str(", ")), Cell::new(false))))
        }
        Builtin::Lipsum => failure("lipsum makes up text, which no prompt needs"),
        Builtin::RaiseException => {
            let [message] = args.bind(["message"])?;
            let reason = run.str(required(message)?)?.to_owned();
            Err(Box::new(Failure { reason, line: 0, raised: true }))
        }
        Builtin::StrftimeNow => {
            let [format] = args.bind(["format"])?;
            let format = args::text(required(format)?)?;
            match strftime_now(format) {
                Some(now) => run.alloc_str(&now).map(Value::Str),
                None => failure("the time format is too long"),
            }
        }
    }
}

fn range<'a>(run: &mut Run<'a>, args: &Args<'a>) -> Result<Value<'a>> {
    let [first, second, step] = args.positional(1)?;
    let bound = |value: Option<Value<'a>>| -> Result<i128> {
        let value = args::int(required(value)?)?;
        if i64::try_from(value).is_err() {
            return failure("the range is too big");
        }
        Ok(value)
    };
    let (start, stop) = match second {
        Some(_) => (bound(first)?, bound(second)?),
        None => (0, bound(first)?),
    };
    let step = if step.is_some() { bound(step)? } else { 1 };
    if step == 0 {
        return failure("range() arg 3 must not be zero");
    }
    let range = Range { start, stop, step };
    if range.len() > MAX_RANGE {
        return failure(format!("the range is longer than {MAX_RANGE}"));
    }
    Ok(run.object(Object::Range(range)))
}

/// `dict(pairs, key=value)`.
fn dict<'a>(run: &mut Run<'a>, args: &Args<'a>) -> Result<Value<'a>> {
    if args.values.len() > 1 {
        return failure("dict expected at most 1 argument");
    }
    let mut pairs: Vec<(Value<'a>, Value<'a>)> = Vec::new();
    match args.values.first() {
        Some(dict) if dict.is_dict() => pairs.extend(super::value::fields(*dict)),
        Some(Value::Object(Object::Namespace(_))) => {
            return failure("'Namespace' object is not iterable");
        }
        Some(list) => {
            for pair in run.collect(*list)? {
                let [key, value] = run.collect(*pair)? else {
                    return failure("dict takes pairs");
                };
                pairs.push((*key, *value));
            }
        }
        None => {}
    }
    pairs.extend(args.named.iter().map(|(name, value)| (Value::Str(name), *value)));
    run.dict(&pairs)
}

pub(super) fn from_keys<'a>(
    run: &mut Run<'a>,
    keys: Value<'a>,
    value: Value<'a>,
) -> Result<Value<'a>> {
    let pairs: Vec<(Value<'a>, Value<'a>)> =
        run.collect(keys)?.iter().map(|key| (*key, value)).collect();
    run.dict(&pairs)
}

fn namespace<'a>(run: &mut Run<'a>, args: &Args<'a>) -> Result<Value<'a>> {
    let fields = dict(run, args)?;
    let namespace = Namespace { first: Cell::new(None), len: Cell::new(0) };
    for (name, value) in super::value::fields(fields) {
        match name.text() {
            Some(name) => run.set_field(&namespace, name, value)?,
            // Nothing can ask for it.
            None => continue,
        }
    }
    Ok(run.object(Object::Namespace(namespace)))
}

/// What Jinja's sandbox allows.
const MAX_RANGE: usize = 100_000;
