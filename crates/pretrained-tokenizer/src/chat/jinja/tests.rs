//! Jinja's tests, the words after `is`.

use super::{
    args::{Args, required},
    ast::{Comparison, Math},
    error::Result,
    filters,
    render::Run,
    value::{Object, Value},
};

pub(super) type TestFn = for<'a> fn(&mut Run<'a>, Value<'a>, &Args<'a>) -> Result<bool>;

pub(super) fn find(name: &str) -> Option<TestFn> {
    Some(match name {
        "boolean" => |_, value, args| is(matches!(value, Value::Bool(_)), args),
        "callable" => |_, value, args| is(callable(value), args),
        "defined" => |_, value, args| is(!value.is_undefined(), args),
        "undefined" => |_, value, args| is(value.is_undefined(), args),
        "none" => |_, value, args| is(matches!(value, Value::None), args),
        "true" => |_, value, args| is(matches!(value, Value::Bool(true)), args),
        "false" => |_, value, args| is(matches!(value, Value::Bool(false)), args),
        "integer" => |_, value, args| is(matches!(value, Value::Int(_)), args),
        "float" => |_, value, args| is(matches!(value, Value::Float(_)), args),
        "number" => |_, value, args| is(value.float().is_some(), args),
        "string" => |_, value, args| is(value.text().is_some(), args),
        "mapping" => |_, value, args| is(value.is_dict(), args),
        "iterable" => |run, value, args| is(run.items(value).is_ok(), args),
        "sequence" => |_, value, args| is(sequence(value), args),
        "escaped" => |_, value, args| is(matches!(value, Value::Markup(_)), args),
        "lower" => |run, value, args| {
            let text = run.str(value)?;
            let lower = text.chars().any(char::is_lowercase);
            is(lower && !text.chars().any(char::is_uppercase), args)
        },
        "upper" => |run, value, args| {
            let text = run.str(value)?;
            let upper = text.chars().any(char::is_uppercase);
            is(upper && !text.chars().any(char::is_lowercase), args)
        },
        "odd" => |run, value, args| {
            args.none()?;
            rest_is(run, value, Value::Int(2), Value::Int(1))
        },
        "even" => |run, value, args| {
            args.none()?;
            rest_is(run, value, Value::Int(2), Value::Int(0))
        },
        "divisibleby" => |run, value, args| {
            let [by] = args.bind(["num"])?;
            rest_is(run, value, required(by)?, Value::Int(0))
        },
        "filter" => |run, value, args| {
            args.none()?;
            run.key(value)?;
            Ok(value.text().and_then(filters::find).is_some())
        },
        "test" => |run, value, args| {
            args.none()?;
            run.key(value)?;
            Ok(value.text().and_then(find).is_some())
        },
        "sameas" => |_, value, args| {
            let [other] = args.bind(["other"])?;
            Ok(value.is_same(required(other)?))
        },
        "in" => |run, value, args| {
            let [container] = args.bind(["seq"])?;
            run.contains(required(container)?, value)
        },
        "eq" | "==" | "equalto" => |run, a, args| run.compare(Comparison::Eq, a, args.one()?),
        "ne" | "!=" => |run, a, args| run.compare(Comparison::Ne, a, args.one()?),
        "lt" | "<" | "lessthan" => |run, a, args| run.compare(Comparison::Lt, a, args.one()?),
        "le" | "<=" => |run, a, args| run.compare(Comparison::Le, a, args.one()?),
        "gt" | ">" | "greaterthan" => |run, a, args| run.compare(Comparison::Gt, a, args.one()?),
        "ge" | ">=" => |run, a, args| run.compare(Comparison::Ge, a, args.one()?),
        _ => return None,
    })
}

fn is(yes: bool, args: &Args<'_>) -> Result<bool> {
    args.none()?;
    Ok(yes)
}

fn callable(value: Value<'_>) -> bool {
    match value {
        // Calling it says that it is undefined.
        Value::Undefined(_) => true,
        Value::Object(object) => matches!(
            object,
            Object::Macro(_)
                | Object::Loop(_)
                | Object::Method(..)
                | Object::Function(_)
                | Object::Joiner(..)
        ),
        _ => false,
    }
}

/// What has a length and elements.
fn sequence(value: Value<'_>) -> bool {
    match value {
        Value::Undefined(_) => true,
        Value::Object(object) => matches!(object, Object::Range(_) | Object::Group(_)),
        value => value.len().is_some(),
    }
}

/// `value % by == rest`.
fn rest_is<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    by: Value<'a>,
    rest: Value<'a>,
) -> Result<bool> {
    let found = run.math(Math::Mod, value, by)?;
    run.compare(Comparison::Eq, found, rest)
}
