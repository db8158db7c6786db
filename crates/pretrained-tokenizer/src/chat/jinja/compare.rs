//! Equality, order, membership and sorting, as Python defines them.

use std::{cmp::Ordering, collections::HashSet};

use super::{
    ast::Comparison,
    error::{Result, failure},
    render::Run,
    value::{Object, Value, View, fields},
};

/// What a dictionary tells keys apart by: `1`, `1.0` and `true` are one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key<'a> {
    Undefined,
    None,
    Int(i128),
    Float(u64),
    Str(&'a str),
    Tuple(Vec<Key<'a>>),
    Object(usize),
}

impl<'a> Run<'a> {
    pub(super) fn compare(
        &mut self,
        op: Comparison,
        left: Value<'a>,
        right: Value<'a>,
    ) -> Result<bool> {
        Ok(match op {
            Comparison::Eq => self.equal(left, right, 0)?,
            Comparison::Ne => !self.equal(left, right, 0)?,
            Comparison::Lt => self.order(left, right)?.is_some_and(Ordering::is_lt),
            Comparison::Le => self.order(left, right)?.is_some_and(Ordering::is_le),
            Comparison::Gt => self.order(left, right)?.is_some_and(Ordering::is_gt),
            Comparison::Ge => self.order(left, right)?.is_some_and(Ordering::is_ge),
            Comparison::In => self.contains(right, left)?,
            Comparison::NotIn => !self.contains(right, left)?,
        })
    }

    pub(super) fn equal(&mut self, a: Value<'a>, b: Value<'a>, depth: usize) -> Result<bool> {
        if let (Some(a), Some(b)) = (a.text(), b.text()) {
            if a.len() == b.len() {
                self.spend_text(a.len())?;
            }
            return Ok(a == b);
        }
        match (a, b) {
            (Value::Undefined(_), Value::Undefined(_)) | (Value::None, Value::None) => Ok(true),
            (Value::Bool(_) | Value::Int(_), Value::Bool(_) | Value::Int(_)) => {
                Ok(a.int() == b.int())
            }
            (Value::Bool(_) | Value::Int(_) | Value::Float(_), _) => {
                Ok(b.float().is_some() && a.float() == b.float())
            }
            (Value::Object(Object::Range(a)), Value::Object(Object::Range(b))) => {
                Ok(a.len() == b.len() && (0..a.len().min(2)).all(|i| a.get(i) == b.get(i)))
            }
            _ if a.is_list() && b.is_list() => self.equal_items(a, b, depth),
            _ if a.tuple().is_some() && b.tuple().is_some() => self.equal_items(a, b, depth),
            _ if a.is_dict() && b.is_dict() => self.equal_dicts(a, b, depth),
            _ => Ok(a.is_same(b)),
        }
    }

    fn equal_items(&mut self, a: Value<'a>, b: Value<'a>, depth: usize) -> Result<bool> {
        self.check_depth(depth)?;
        let (Some(a), Some(b)) = (a.sequence(), b.sequence()) else { return Ok(false) };
        if a.len() != b.len() {
            return Ok(false);
        }
        for (a, b) in a.iter().zip(b.iter()) {
            self.spend(1)?;
            if !self.equal(a, b, depth + 1)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn equal_dicts(&mut self, a: Value<'a>, b: Value<'a>, depth: usize) -> Result<bool> {
        self.check_depth(depth)?;
        if a.len() != b.len() {
            return Ok(false);
        }
        for (key, value) in fields(a) {
            match self.field(b, key)? {
                Some(other) if self.equal(value, other, depth + 1)? => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Which of two is smaller; `None` beside a NaN.
    pub(super) fn order(&mut self, a: Value<'a>, b: Value<'a>) -> Result<Option<Ordering>> {
        self.order_at(a, b, 0)
    }

    fn order_at(&mut self, a: Value<'a>, b: Value<'a>, depth: usize) -> Result<Option<Ordering>> {
        self.spend(1)?;
        if let (Some(a), Some(b)) = (a.int(), b.int()) {
            return Ok(Some(a.cmp(&b)));
        }
        if let (Some(a), Some(b)) = (a.float(), b.float()) {
            return Ok(a.partial_cmp(&b));
        }
        if let (Some(a), Some(b)) = (a.text(), b.text()) {
            self.spend_text(a.len().min(b.len()))?;
            return Ok(Some(a.cmp(b)));
        }
        let alike = (a.is_list() && b.is_list()) || (a.tuple().is_some() && b.tuple().is_some());
        if let (Some(left), Some(right), true) = (a.sequence(), b.sequence(), alike) {
            self.check_depth(depth)?;
            for (a, b) in left.iter().zip(right.iter()) {
                if !self.equal(a, b, depth + 1)? {
                    return self.order_at(a, b, depth + 1);
                }
            }
            return Ok(Some(left.len().cmp(&right.len())));
        }
        self.check_defined(a)?;
        self.check_defined(b)?;
        let (a, b) = (a.type_name(), b.type_name());
        failure(format!("'<' not supported between instances of '{a}' and '{b}'"))
    }

    /// `item in container`.
    pub(super) fn contains(&mut self, container: Value<'a>, item: Value<'a>) -> Result<bool> {
        if let Some(text) = container.text() {
            let Some(part) = item.text() else {
                let kind = item.type_name();
                return failure(format!("'in <string>' requires string, not {kind}"));
            };
            self.spend_text(text.len())?;
            return Ok(text.contains(part));
        }
        if container.is_dict() {
            return Ok(self.field(container, item)?.is_some());
        }
        if let Value::Object(Object::View(View::Keys, dict)) = container {
            return Ok(self.field(*dict, item)?.is_some());
        }
        if let Value::Object(Object::Range(range)) = container {
            let Some(it) = whole(item) else { return Ok(false) };
            let (low, high) = (range.start.min(range.stop), range.start.max(range.stop));
            let inside =
                if range.step > 0 { low <= it && it < high } else { low < it && it <= high };
            return Ok(range.len() > 0 && inside && (it - range.start) % range.step == 0);
        }
        let mut items = self.items(container)?;
        while let Some(other) = items.next(self)? {
            if self.equal(other, item, 0)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The value of a dictionary's key.
    pub(super) fn field(&mut self, dict: Value<'a>, key: Value<'a>) -> Result<Option<Value<'a>>> {
        match (dict, key) {
            (Value::JsonDict(fields), Value::Str(key) | Value::Markup(key)) => {
                self.spend_text(key.len())?;
                if fields.len() > FEW {
                    return Ok(fields.get(key).map(Value::from_json));
                }
                let mut found = fields.iter().find(|(name, _)| name.as_str() == key);
                Ok(found.take().map(|(_, value)| Value::from_json(value)))
            }
            (Value::Dict(fields), Value::Str(key) | Value::Markup(key)) => {
                self.spend(fields.len() / 16)?;
                for (name, value) in fields {
                    let Some(name) = name.text().filter(|name| name.len() == key.len()) else {
                        continue;
                    };
                    self.spend_text(key.len())?;
                    if name == key {
                        return Ok(Some(*value));
                    }
                }
                Ok(None)
            }
            (Value::Dict(fields), key) => {
                self.key(key)?;
                for (name, value) in fields {
                    if self.equal(*name, key, 0)? {
                        return Ok(Some(*value));
                    }
                    self.spend(1)?;
                }
                Ok(None)
            }
            (_, key) => self.key(key).map(|_| None),
        }
    }

    /// A dictionary of these fields, later ones in the place of earlier ones.
    pub(super) fn dict(&mut self, pairs: &[(Value<'a>, Value<'a>)]) -> Result<Value<'a>> {
        self.spend(pairs.len())?;
        let mut fields: Vec<(Value<'a>, Value<'a>)> = Vec::with_capacity(pairs.len());
        let mut keys = std::collections::HashMap::new();
        for (key, value) in pairs {
            match keys.entry(self.key(*key)?) {
                std::collections::hash_map::Entry::Occupied(at) => {
                    let at: usize = *at.get();
                    fields[at].1 = *value;
                }
                std::collections::hash_map::Entry::Vacant(at) => {
                    at.insert(fields.len());
                    fields.push((*key, *value));
                }
            }
        }
        Ok(Value::Dict(self.arena.alloc_slice_copy(&fields)))
    }

    /// Sorts by a key, and keeps the order of what is equal.
    pub(super) fn sort<T: Copy>(
        &mut self,
        items: &mut Vec<T>,
        reverse: bool,
        key: impl Fn(&mut Self, &T) -> Result<Value<'a>>,
    ) -> Result<()> {
        let mut keyed = Vec::with_capacity(items.len());
        for item in items.iter() {
            keyed.push((key(self, item)?, *item));
        }
        // As Python does it, so that equal ones stay in their order.
        if reverse {
            keyed.reverse();
        }
        let mut width = 1;
        while width < keyed.len() {
            let mut merged = Vec::with_capacity(keyed.len());
            for run in keyed.chunks(2 * width) {
                let (mut left, mut right) = run.split_at(width.min(run.len()));
                while let ([a, ..], [b, ..]) = (left, right) {
                    let from = if self.order(b.0, a.0)?.is_some_and(Ordering::is_lt) {
                        &mut right
                    } else {
                        &mut left
                    };
                    merged.push(from[0]);
                    *from = &from[1..];
                }
                merged.extend_from_slice(left);
                merged.extend_from_slice(right);
            }
            keyed = merged;
            width *= 2;
        }
        if reverse {
            keyed.reverse();
        }
        items.clear();
        items.extend(keyed.into_iter().map(|(_, item)| item));
        Ok(())
    }

    /// Whether a set did not have the value; it has now.
    pub(super) fn is_new(&mut self, seen: &mut HashSet<Key<'a>>, value: Value<'a>) -> Result<bool> {
        // To hash takes as long as a few steps.
        self.spend(4)?;
        Ok(seen.insert(self.key(value)?))
    }

    /// What a value is told apart by as a key, which takes as long as its text and items are.
    pub(super) fn key(&mut self, value: Value<'a>) -> Result<Key<'a>> {
        let Some(items) = value.tuple() else { return self.plain_key(value) };
        self.spend(items.len())?;
        let mut keys = Vec::with_capacity(items.len());
        for item in items {
            keys.push(match item.tuple() {
                None => self.plain_key(*item)?,
                Some(items) => {
                    self.spend(items.len())?;
                    let keys = items.iter().map(|item| match item.tuple() {
                        Some([]) => Ok(Key::Tuple(Vec::new())),
                        // A tuple in a tuple in a tuple…: nobody's key.
                        Some(_) => failure("the key is nested too deeply"),
                        None => self.plain_key(*item),
                    });
                    Key::Tuple(keys.collect::<Result<_>>()?)
                }
            });
        }
        Ok(Key::Tuple(keys))
    }

    /// The key of what is no tuple.
    fn plain_key(&mut self, value: Value<'a>) -> Result<Key<'a>> {
        Ok(match value {
            Value::Undefined(_) => Key::Undefined,
            Value::None => Key::None,
            Value::Bool(it) => Key::Int(it.into()),
            Value::Int(it) => Key::Int(it),
            Value::Float(it) => whole(value).map_or(Key::Float(it.to_bits()), Key::Int),
            Value::Str(text) | Value::Markup(text) => {
                self.spend_text(text.len())?;
                Key::Str(text)
            }
            Value::Object(Object::View(..)) => return failure("unhashable type"),
            Value::Object(object) => Key::Object(std::ptr::from_ref(object).addr()),
            value => return failure(format!("unhashable type: '{}'", value.type_name())),
        })
    }
}

/// The whole number that a number equals.
fn whole(value: Value<'_>) -> Option<i128> {
    match value {
        Value::Float(it) if it.fract() == 0.0 && it.abs() < 1e38 => Some(it as i128),
        value => value.int(),
    }
}

/// So many keys are compared faster than one is hashed.
const FEW: usize = 8;
