//! Filters that call other filters, tests and attributes on each item.

use super::super::{
    args::{Args, required},
    error::{Result, failure},
    render::Run,
    tests,
    value::{Undefined, Value},
};

/// An attribute's name, which may lead through several: `a.b.0`.
pub(super) struct Path<'a> {
    parts: Vec<Value<'a>>,
    pub(super) default: Option<Value<'a>>,
}

impl<'a> Path<'a> {
    pub(super) fn new(run: &mut Run<'a>, attribute: Value<'a>) -> Result<Path<'a>> {
        let parts = match attribute {
            Value::None => Vec::new(),
            Value::Str(name) | Value::Markup(name) => {
                run.spend_text(name.len())?;
                let part = |part: &'a str| match part.parse::<u32>() {
                    Ok(index) if part.bytes().all(|b| b.is_ascii_digit()) => {
                        Value::Int(index.into())
                    }
                    _ => Value::Str(part),
                };
                name.split('.').map(part).collect()
            }
            other => vec![other],
        };
        Ok(Path { parts, default: None })
    }

    pub(super) fn get(&self, run: &mut Run<'a>, mut item: Value<'a>) -> Result<Value<'a>> {
        for part in &self.parts {
            run.spend(1)?;
            item = run.item(item, *part)?;
            if let (true, Some(default)) = (item.is_undefined(), self.default) {
                item = default;
            }
        }
        Ok(item)
    }
}

/// Attributes only, which the keys of a dictionary are not.
pub(super) fn attr<'a>(run: &mut Run<'a>, value: Value<'a>, args: &Args<'a>) -> Result<Value<'a>> {
    let [name] = args.bind(["name"])?;
    let Some(name) = required(name)?.text() else {
        return failure("attribute name must be string");
    };
    run.check_defined(value)?;
    if value.is_dict() && !super::super::attribute::has_method(value, name) {
        return Ok(Run::undefined("there is no such attribute"));
    }
    match run.attribute(value, name)? {
        // The name may come from the conversation.
        Value::Undefined(Undefined::Attribute(_)) => {
            Ok(Run::undefined("there is no such attribute"))
        }
        found => Ok(found),
    }
}

pub(super) fn default<'a>(_: &mut Run<'a>, value: Value<'a>, args: &Args<'a>) -> Result<Value<'a>> {
    let [default, boolean] = args.bind(["default_value", "boolean"])?;
    let replaced =
        value.is_undefined() || (boolean.is_some_and(Value::is_true) && !value.is_true());
    Ok(if replaced { default.unwrap_or(Value::Str("")) } else { value })
}

pub(super) fn map<'a>(run: &mut Run<'a>, value: Value<'a>, args: &Args<'a>) -> Result<Value<'a>> {
    run.generate(|run, found| {
        if !value.is_true() {
            return Ok(());
        }
        let attribute = args.named.iter().find(|(name, _)| *name == "attribute");
        let (filter, path);
        let mut rest = Args::default();
        if let (Some((_, attribute)), []) = (attribute, args.values) {
            let mut attribute = Path::new(run, *attribute)?;
            for (name, value) in args.named {
                match *name {
                    "attribute" => {}
                    "default" => {
                        attribute.default = Some(*value).filter(|it| !matches!(it, Value::None));
                    }
                    name => return failure(format!("unexpected keyword argument '{name}'")),
                }
            }
            (filter, path) = (None, attribute);
        } else {
            let Some((name, values)) = args.values.split_first() else {
                return failure("map requires a filter argument");
            };
            let Some(function) = name.text().and_then(super::find) else {
                return failure("map got the name of no filter");
            };
            rest = Args { values, named: args.named };
            (filter, path) = (Some(function), Path::new(run, Value::None)?);
        }
        let mut items = run.items(value)?;
        while let Some(item) = items.next(run)? {
            found.push(match filter {
                Some(filter) => filter(run, item, &rest)?,
                None => path.get(run, item)?,
            });
        }
        Ok(())
    })
}

pub(super) fn select<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    args: &Args<'a>,
) -> Result<Value<'a>> {
    chosen(run, value, args, false, true)
}

pub(super) fn reject<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    args: &Args<'a>,
) -> Result<Value<'a>> {
    chosen(run, value, args, false, false)
}

pub(super) fn selectattr<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    args: &Args<'a>,
) -> Result<Value<'a>> {
    chosen(run, value, args, true, true)
}

pub(super) fn rejectattr<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    args: &Args<'a>,
) -> Result<Value<'a>> {
    chosen(run, value, args, true, false)
}

/// The items, or those whose attribute, passes (or fails) a test.
fn chosen<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    args: &Args<'a>,
    by_attribute: bool,
    wanted: bool,
) -> Result<Value<'a>> {
    run.generate(|run, found| {
        if !value.is_true() {
            return Ok(());
        }
        let mut values = args.values;
        let mut path = Path::new(run, Value::None)?;
        if by_attribute {
            let Some((attribute, rest)) = values.split_first() else {
                return failure("missing parameter for attribute name");
            };
            (path, values) = (Path::new(run, *attribute)?, rest);
        }
        let mut rest = Args { values, named: args.named };
        let mut test = None;
        if let Some((name, values)) = values.split_first() {
            let Some(function) = name.text().and_then(tests::find) else {
                return failure("select got the name of no test");
            };
            rest.values = values;
            test = Some(function);
        }
        let mut items = run.items(value)?;
        while let Some(item) = items.next(run)? {
            let tested = path.get(run, item)?;
            let passes = match test {
                Some(test) => test(run, tested, &rest)?,
                None => tested.is_true(),
            };
            if passes == wanted {
                found.push(item);
            }
        }
        Ok(())
    })
}
