//! Filters over the items of something.

use std::{
    cmp::Ordering,
    collections::HashSet,
    hash::{BuildHasher, RandomState},
};

use super::{
    super::{
        args::{self, Args, required},
        ast::Comparison,
        error::{Result, failure},
        items::Items,
        render::Run,
        value::{Object, Value, View, fields},
    },
    numbers::count,
    select::Path,
};

pub(super) fn length<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    args: &Args<'a>,
) -> Result<Value<'a>> {
    args.none()?;
    run.spend_text(value.text().map_or(0, str::len))?;
    match value.len() {
        Some(len) => Ok(Value::Int(len as i128)),
        None => failure(format!("object of type '{}' has no len()", value.type_name())),
    }
}

pub(super) fn list<'a>(run: &mut Run<'a>, value: Value<'a>, args: &Args<'a>) -> Result<Value<'a>> {
    args.none()?;
    Ok(Value::List(run.collect(value)?))
}

pub(super) fn first<'a>(run: &mut Run<'a>, value: Value<'a>, args: &Args<'a>) -> Result<Value<'a>> {
    args.none()?;
    let first = run.items(value)?.next(run)?;
    Ok(first.unwrap_or(Run::undefined("no first item, sequence was empty")))
}

pub(super) fn last<'a>(run: &mut Run<'a>, value: Value<'a>, args: &Args<'a>) -> Result<Value<'a>> {
    args.none()?;
    if let Some(items) = value.sequence() {
        let last = items.len().checked_sub(1).and_then(|at| items.get(at));
        return Ok(last.unwrap_or(Run::undefined("no last item, sequence was empty")));
    }
    // An undefined value has a length, but no items to reverse.
    if value.is_undefined() {
        return Ok(Run::undefined("no last item, sequence was empty"));
    }
    let Some(mut items) = run.reversed(value)? else {
        return failure(format!("'{}' object is not reversible", value.type_name()));
    };
    let last = items.next(run)?;
    Ok(last.unwrap_or(Run::undefined("no last item, sequence was empty")))
}

pub(super) fn random<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    args: &Args<'a>,
) -> Result<Value<'a>> {
    args.none()?;
    let Some(len) = value.len() else {
        return failure(format!("object of type '{}' has no len()", value.type_name()));
    };
    if len == 0 {
        return Ok(Run::undefined("no random item, sequence was empty"));
    }
    let at = RandomState::new().hash_one(len) % len as u64;
    run.item(value, Value::Int(at.into()))
}

pub(super) fn reverse<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    args: &Args<'a>,
) -> Result<Value<'a>> {
    args.none()?;
    if value.text().is_some() {
        return run.slice(value, [None, None, Some(-1)]);
    }
    if let Some(items) = run.reversed(value)? {
        return Ok(run.generator(items, None));
    }
    let mut items = run.collect(value)?.to_vec();
    items.reverse();
    Ok(Value::List(run.arena.alloc_slice_copy(&items)))
}

pub(super) fn join<'a>(run: &mut Run<'a>, value: Value<'a>, args: &Args<'a>) -> Result<Value<'a>> {
    let [separator, attribute] = args.bind(["d", "attribute"])?;
    let separator = run.str(separator.unwrap_or(Value::Str("")))?;
    let path = Path::new(run, attribute.unwrap_or(Value::None))?;
    let mut items = run.items(value)?;
    let start = run.out.len();
    let mut first = true;
    while let Some(item) = items.next(run)? {
        if !first {
            run.write_out(Value::Str(separator))?;
        }
        first = false;
        let item = path.get(run, item)?;
        run.write_out(item)?;
    }
    Ok(Value::Str(run.take_from(start)?))
}

pub(super) fn sort<'a>(run: &mut Run<'a>, value: Value<'a>, args: &Args<'a>) -> Result<Value<'a>> {
    let [reverse, case_sensitive, attribute] =
        args.bind(["reverse", "case_sensitive", "attribute"])?;
    let reverse = reverse.is_some_and(Value::is_true);
    let case_sensitive = case_sensitive.is_some_and(Value::is_true);
    let attribute = attribute.unwrap_or(Value::None);
    let paths = match attribute.text() {
        Some(names) => names
            .split(',')
            .map(|name| Path::new(run, Value::Str(name)))
            .collect::<Result<Vec<_>>>()?,
        None => vec![Path::new(run, attribute)?],
    };
    let mut items = run.collect(value)?.to_vec();
    run.sort(&mut items, reverse, |run, item| {
        let keys = run.arena.alloc_slice_fill_copy(paths.len(), Value::None);
        for (key, path) in keys.iter_mut().zip(&paths) {
            let value = path.get(run, *item)?;
            *key = folded(run, value, case_sensitive)?;
        }
        Ok(Value::List(keys))
    })?;
    Ok(Value::List(run.arena.alloc_slice_copy(&items)))
}

/// Text in lower case, unless case matters.
fn folded<'a>(run: &mut Run<'a>, value: Value<'a>, case_sensitive: bool) -> Result<Value<'a>> {
    match value.text() {
        Some(text) if !case_sensitive => {
            run.spend_chars(text)?;
            if !text.chars().any(|c| c.is_uppercase() || !c.is_ascii()) {
                return Ok(Value::Str(text));
            }
            let lower = text.to_lowercase();
            Ok(Value::Str(run.alloc_str(&lower)?))
        }
        _ => Ok(value),
    }
}

pub(super) fn dictsort<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    args: &Args<'a>,
) -> Result<Value<'a>> {
    let [case_sensitive, by, reverse] = args.bind(["case_sensitive", "by", "reverse"])?;
    let case_sensitive = case_sensitive.is_some_and(Value::is_true);
    let by_value = match by.unwrap_or(Value::Str("key")).text() {
        Some("key") => false,
        Some("value") => true,
        _ => return failure("you can only sort by either \"key\" or \"value\""),
    };
    run.check_defined(value)?;
    if !value.is_dict() {
        return failure(format!("'{}' object has no attribute 'items'", value.type_name()));
    }
    let mut all: Vec<(Value<'a>, Value<'a>)> = fields(value).collect();
    run.spend(all.len())?;
    run.sort(&mut all, reverse.is_some_and(Value::is_true), |run, (key, value)| {
        folded(run, if by_value { *value } else { *key }, case_sensitive)
    })?;
    let pairs: Vec<Value<'a>> = all
        .into_iter()
        .map(|(key, value)| Value::Tuple(run.arena.alloc_slice_copy(&[key, value])))
        .collect();
    Ok(Value::List(run.arena.alloc_slice_copy(&pairs)))
}

pub(super) fn unique<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    args: &Args<'a>,
) -> Result<Value<'a>> {
    let [case_sensitive, attribute] = args.bind(["case_sensitive", "attribute"])?;
    let case_sensitive = case_sensitive.is_some_and(Value::is_true);
    let path = Path::new(run, attribute.unwrap_or(Value::None))?;
    run.generate(|run, found| {
        let mut seen = HashSet::new();
        let mut items = run.items(value)?;
        while let Some(item) = items.next(run)? {
            let key = path.get(run, item)?;
            let key = folded(run, key, case_sensitive)?;
            if run.is_new(&mut seen, key)? {
                found.push(item);
            }
        }
        Ok(())
    })
}

pub(super) fn min<'a>(run: &mut Run<'a>, value: Value<'a>, args: &Args<'a>) -> Result<Value<'a>> {
    best(run, value, args, Ordering::Less)
}

pub(super) fn max<'a>(run: &mut Run<'a>, value: Value<'a>, args: &Args<'a>) -> Result<Value<'a>> {
    best(run, value, args, Ordering::Greater)
}

fn best<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    args: &Args<'a>,
    wins: Ordering,
) -> Result<Value<'a>> {
    let [case_sensitive, attribute] = args.bind(["case_sensitive", "attribute"])?;
    let case_sensitive = case_sensitive.is_some_and(Value::is_true);
    let path = Path::new(run, attribute.unwrap_or(Value::None))?;
    let mut best: Option<(Value<'a>, Value<'a>)> = None;
    let mut items = run.items(value)?;
    while let Some(item) = items.next(run)? {
        let key = path.get(run, item)?;
        let key = folded(run, key, case_sensitive)?;
        let better = match best {
            Some((known, _)) => run.order(key, known)? == Some(wins),
            None => true,
        };
        if better {
            best = Some((key, item));
        }
    }
    Ok(best.map_or(Run::undefined("no aggregated item, sequence was empty"), |(_, item)| item))
}

pub(super) fn sum<'a>(run: &mut Run<'a>, value: Value<'a>, args: &Args<'a>) -> Result<Value<'a>> {
    let [attribute, start] = args.bind(["attribute", "start"])?;
    let path = Path::new(run, attribute.unwrap_or(Value::None))?;
    let mut sum = start.unwrap_or(Value::Int(0));
    if sum.text().is_some() {
        return failure("sum() can't sum strings");
    }
    let mut items = run.items(value)?;
    while let Some(item) = items.next(run)? {
        let item = path.get(run, item)?;
        sum = run.add(sum, item)?;
    }
    Ok(sum)
}

pub(super) fn groupby<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    args: &Args<'a>,
) -> Result<Value<'a>> {
    let [attribute, default, case_sensitive] =
        args.bind(["attribute", "default", "case_sensitive"])?;
    let case_sensitive = case_sensitive.is_some_and(Value::is_true);
    let mut path = Path::new(run, required(attribute)?)?;
    path.default = default.filter(|default| !matches!(default, Value::None));
    let key = |run: &mut Run<'a>, item: Value<'a>| {
        let key = path.get(run, item)?;
        folded(run, key, case_sensitive)
    };
    let mut items = run.collect(value)?.to_vec();
    run.sort(&mut items, false, |run, item| key(run, *item))?;
    let mut groups: Vec<(Value<'a>, Vec<Value<'a>>)> = Vec::new();
    for item in items {
        let this = key(run, item)?;
        match groups.last_mut() {
            Some((known, members)) if run.compare(Comparison::Eq, *known, this)? => {
                members.push(item);
            }
            _ => groups.push((this, vec![item])),
        }
    }
    let mut made = Vec::with_capacity(groups.len());
    for (_, members) in groups {
        let grouper = path.get(run, members[0])?;
        let members = Value::List(run.arena.alloc_slice_copy(&members));
        made.push(run.object(Object::Group([grouper, members])));
    }
    Ok(Value::List(run.arena.alloc_slice_copy(&made)))
}

pub(super) fn items<'a>(run: &mut Run<'a>, value: Value<'a>, args: &Args<'a>) -> Result<Value<'a>> {
    args.none()?;
    if value.is_undefined() {
        return Ok(run.generator(Items::Values([].iter()), None));
    }
    if !value.is_dict() {
        let reason = run.alloc_str("can only get item pairs from a mapping")?;
        return Ok(run.generator(Items::Values([].iter()), Some(reason)));
    }
    Ok(run.generator(Items::Fields(fields(value), View::Items), None))
}

pub(super) fn batch<'a>(run: &mut Run<'a>, value: Value<'a>, args: &Args<'a>) -> Result<Value<'a>> {
    let [len, fill] = args.bind(["linecount", "fill_with"])?;
    let len = count(len)?;
    let fill = fill.filter(|fill| !matches!(fill, Value::None));
    run.generate(|run, found| {
        let mut batch: Vec<Value<'a>> = Vec::new();
        let mut items = run.items(value)?;
        while let Some(item) = items.next(run)? {
            if batch.len() as i128 == len {
                found.push(Value::List(run.arena.alloc_slice_copy(&batch)));
                batch.clear();
            }
            batch.push(item);
        }
        if batch.is_empty() {
            return Ok(());
        }
        if let Some(fill) = fill {
            let missing = usize::try_from(len - batch.len() as i128).unwrap_or(0);
            run.spend(missing)?;
            batch.extend(std::iter::repeat_n(fill, missing));
        }
        found.push(Value::List(run.arena.alloc_slice_copy(&batch)));
        Ok(())
    })
}

pub(super) fn slice<'a>(run: &mut Run<'a>, value: Value<'a>, args: &Args<'a>) -> Result<Value<'a>> {
    let [slices, fill] = args.bind(["slices", "fill_with"])?;
    let slices = args::int(required(slices)?)?;
    let fill = fill.filter(|fill| !matches!(fill, Value::None));
    run.generate(|run, found| {
        let items = run.collect(value)?;
        let slices = match usize::try_from(slices) {
            Ok(0) => return failure("integer division or modulo by zero"),
            Ok(slices) => slices,
            Err(_) => return if slices < 0 { Ok(()) } else { failure("too many slices") },
        };
        run.spend(slices)?;
        let (len, extra) = (items.len() / slices, items.len() % slices);
        let mut rest = items;
        for i in 0..slices {
            let (slice, after) = rest.split_at(len + usize::from(i < extra));
            rest = after;
            let mut slice = slice.to_vec();
            if i >= extra {
                slice.extend(fill);
            }
            found.push(Value::List(run.arena.alloc_slice_copy(&slice)));
        }
        Ok(())
    })
}
