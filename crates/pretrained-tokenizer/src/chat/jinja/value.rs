//! What a template's expressions stand for.
//!
//! Values are small and copied freely: what they refer to is borrowed from the conversation and
//! the template, or lies in the arena of the rendering, which goes as a whole when it is done.

use std::cell::{Cell, RefCell};

use serde_json::{Map, Value as Json};

use super::{
    ast::{For, Function},
    builtins::Builtin,
    items::Items,
    render::Frame,
};

#[derive(Clone, Copy, Debug)]
pub(in crate::chat) enum Value<'a> {
    Undefined(Undefined<'a>),
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(&'a str),
    /// Text that the `safe` and `escape` filters have marked: what is joined to it is escaped.
    Markup(&'a str),
    List(&'a [Value<'a>]),
    Tuple(&'a [Value<'a>]),
    Dict(&'a [(Value<'a>, Value<'a>)]),
    /// A list and a dictionary of the conversation, as they came.
    JsonList(&'a [Json]),
    JsonDict(&'a Map<String, Json>),
    Object(&'a Object<'a>),
}

/// Why a value is not there.
#[derive(Clone, Copy, Debug)]
pub(in crate::chat) enum Undefined<'a> {
    Name(&'a str),
    Attribute(&'a str),
    Because(&'static str),
}

/// Everything that is rare.
#[derive(Debug)]
pub(in crate::chat) enum Object<'a> {
    Range(Range),
    /// `dict.items()` and its like.
    View(View, Value<'a>),
    /// A generator: its items can be taken once.
    Generator(Generator<'a>),
    /// What `groupby` makes: a tuple with names.
    Group([Value<'a>; 2]),
    Namespace(Namespace<'a>),
    Macro(Macro<'a>),
    Loop(Loop<'a>),
    Method(Value<'a>, &'a str),
    Function(Builtin),
    Cycler(&'a [Value<'a>], Cell<usize>),
    Joiner(Value<'a>, Cell<bool>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::chat) enum View {
    Keys,
    Values,
    Items,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::chat) struct Range {
    pub(super) start: i128,
    pub(super) stop: i128,
    pub(super) step: i128,
}

#[derive(Debug)]
pub(in crate::chat) struct Generator<'a> {
    pub(super) items: RefCell<Items<'a>>,
    /// Why there are no more items than these.
    pub(super) broken: Option<&'a str>,
}

/// Fields that `set` can change; the newest is the first.
#[derive(Debug)]
pub(in crate::chat) struct Namespace<'a> {
    pub(super) first: Cell<Option<&'a Field<'a>>>,
    pub(super) len: Cell<usize>,
}

#[derive(Debug)]
pub(in crate::chat) struct Field<'a> {
    pub(super) name: Value<'a>,
    pub(super) value: Cell<Value<'a>>,
    pub(super) next: Option<&'a Field<'a>>,
}

#[derive(Debug)]
pub(in crate::chat) struct Macro<'a> {
    pub(super) function: &'a Function,
    /// The variables around it, as they are when it is called.
    pub(super) around: &'a Frame<'a>,
}

/// The variable `loop`.
#[derive(Debug)]
pub(in crate::chat) struct Loop<'a> {
    pub(super) node: &'a For,
    pub(super) frame: &'a Frame<'a>,
    /// The frame around a recursive loop's own.
    pub(super) around: &'a Frame<'a>,
    pub(super) items: RefCell<Items<'a>>,
    pub(super) length: Cell<Option<i128>>,
    pub(super) index0: Cell<i128>,
    pub(super) depth: i128,
    pub(super) before: Cell<Option<Value<'a>>>,
    pub(super) current: Cell<Option<Value<'a>>>,
    /// An item that was looked at ahead of time; `Some(None)` is the end.
    pub(super) after: Cell<Option<Option<Value<'a>>>>,
    pub(super) changed: Cell<Option<&'a [Value<'a>]>>,
}

impl<'a> Value<'a> {
    pub(in crate::chat) fn from_json(json: &'a Json) -> Value<'a> {
        match json {
            Json::Null => Value::None,
            Json::Bool(it) => Value::Bool(*it),
            Json::Number(it) => match (it.as_i64(), it.as_u64()) {
                (Some(it), _) => Value::Int(it.into()),
                (_, Some(it)) => Value::Int(it.into()),
                _ => Value::Float(it.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(it) => Value::Str(it),
            Json::Array(it) => Value::JsonList(it),
            Json::Object(it) => Value::JsonDict(it),
        }
    }

    /// The text, if it is one.
    pub(super) fn text(self) -> Option<&'a str> {
        match self {
            Value::Str(text) | Value::Markup(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, which booleans are too.
    pub(super) fn int(self) -> Option<i128> {
        match self {
            Value::Int(it) => Some(it),
            Value::Bool(it) => Some(it.into()),
            _ => None,
        }
    }

    pub(super) fn float(self) -> Option<f64> {
        match self {
            Value::Float(it) => Some(it),
            it => it.int().map(|it| it as f64),
        }
    }

    pub(super) fn is_undefined(self) -> bool {
        matches!(self, Value::Undefined(_))
    }

    pub(super) fn is_dict(self) -> bool {
        matches!(self, Value::Dict(_) | Value::JsonDict(_))
    }

    pub(super) fn is_list(self) -> bool {
        matches!(self, Value::List(_) | Value::JsonList(_))
    }

    /// The items of a list or a tuple.
    pub(super) fn sequence(self) -> Option<Sequence<'a>> {
        match self {
            Value::List(items) | Value::Tuple(items) => Some(Sequence::Values(items)),
            Value::JsonList(items) => Some(Sequence::Json(items)),
            Value::Object(Object::Group(items)) => Some(Sequence::Values(items)),
            _ => None,
        }
    }

    /// The items of a tuple.
    pub(super) fn tuple(self) -> Option<&'a [Value<'a>]> {
        match self {
            Value::Tuple(items) => Some(items),
            Value::Object(Object::Group(items)) => Some(items),
            _ => None,
        }
    }

    /// `len(value)`; `None` for what has none.
    pub(super) fn len(self) -> Option<usize> {
        Some(match self {
            Value::Undefined(_) => 0,
            Value::Str(text) | Value::Markup(text) => {
                if text.is_ascii() {
                    text.len()
                } else {
                    text.chars().count()
                }
            }
            Value::Dict(fields) => fields.len(),
            Value::JsonDict(fields) => fields.len(),
            Value::Object(Object::Range(range)) => range.len(),
            Value::Object(Object::View(_, dict)) => return dict.len(),
            value => value.sequence()?.len(),
        })
    }

    pub(super) fn is_true(self) -> bool {
        match self {
            Value::Undefined(_) | Value::None => false,
            Value::Bool(it) => it,
            Value::Int(it) => it != 0,
            Value::Float(it) => it != 0.0,
            Value::Str(text) | Value::Markup(text) => !text.is_empty(),
            Value::List(items) | Value::Tuple(items) => !items.is_empty(),
            Value::Dict(fields) => !fields.is_empty(),
            Value::JsonList(items) => !items.is_empty(),
            Value::JsonDict(fields) => !fields.is_empty(),
            Value::Object(Object::Range(range)) => range.len() > 0,
            Value::Object(Object::View(_, dict)) => dict.is_true(),
            Value::Object(_) => true,
        }
    }

    /// What Python calls the type.
    pub(super) fn type_name(self) -> &'static str {
        match self {
            Value::Undefined(_) => "Undefined",
            Value::None => "NoneType",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float",
            Value::Str(_) => "str",
            Value::Markup(_) => "Markup",
            Value::List(_) | Value::JsonList(_) => "list",
            Value::Tuple(_) => "tuple",
            Value::Dict(_) | Value::JsonDict(_) => "dict",
            Value::Object(object) => match object {
                Object::Range(_) => "range",
                Object::View(View::Keys, _) => "dict_keys",
                Object::View(View::Values, _) => "dict_values",
                Object::View(View::Items, _) => "dict_items",
                Object::Generator(_) => "generator",
                Object::Group(_) => "_GroupTuple",
                Object::Namespace(_) => "Namespace",
                Object::Macro(_) => "Macro",
                Object::Loop(_) => "LoopContext",
                Object::Method(..) => "builtin_function_or_method",
                Object::Function(_) => "function",
                Object::Cycler(..) => "Cycler",
                Object::Joiner(..) => "Joiner",
            },
        }
    }

    /// Whether both are one object in Python's memory, as far as that can be told.
    pub(super) fn is_same(self, other: Value<'a>) -> bool {
        match (self, other) {
            (Value::None, Value::None) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a == b,
            (Value::Str(a), Value::Str(b)) => a == b,
            (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
                std::ptr::eq(a, b)
            }
            (Value::Dict(a), Value::Dict(b)) => std::ptr::eq(a, b),
            (Value::JsonList(a), Value::JsonList(b)) => std::ptr::eq(a, b),
            (Value::JsonDict(a), Value::JsonDict(b)) => std::ptr::eq(a, b),
            (Value::Object(a), Value::Object(b)) => std::ptr::eq(a, b),
            _ => false,
        }
    }
}

impl Range {
    pub(super) fn len(self) -> usize {
        let Range { start, stop, step } = self;
        let len = match step {
            0 => 0,
            1.. if start < stop => (stop - start - 1) / step + 1,
            ..0 if start > stop => (start - stop - 1) / -step + 1,
            _ => 0,
        };
        usize::try_from(len).unwrap_or(usize::MAX)
    }

    pub(super) fn get(self, index: usize) -> Option<i128> {
        (index < self.len()).then(|| self.start + self.step * index as i128)
    }
}

impl<'a> Namespace<'a> {
    pub(super) fn find(&self, name: &str) -> Option<&'a Field<'a>> {
        let mut next = self.first.get();
        while let Some(field) = next {
            if field.name.text() == Some(name) {
                return Some(field);
            }
            next = field.next;
        }
        None
    }
}

/// The items of a list, wherever it came from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sequence<'a> {
    Values(&'a [Value<'a>]),
    Json(&'a [Json]),
}

impl<'a> Sequence<'a> {
    pub(super) fn len(self) -> usize {
        match self {
            Sequence::Values(items) => items.len(),
            Sequence::Json(items) => items.len(),
        }
    }

    pub(super) fn get(self, index: usize) -> Option<Value<'a>> {
        match self {
            Sequence::Values(items) => items.get(index).copied(),
            Sequence::Json(items) => items.get(index).map(Value::from_json),
        }
    }

    pub(super) fn iter(self) -> impl DoubleEndedIterator<Item = Value<'a>> {
        (0..self.len()).filter_map(move |at| self.get(at))
    }
}

/// The fields of a dictionary, wherever it came from.
pub(super) fn fields<'a>(dict: Value<'a>) -> Fields<'a> {
    match dict {
        Value::Dict(fields) => Fields::Values(fields.iter()),
        Value::JsonDict(fields) => Fields::Json(fields.iter()),
        _ => Fields::Values([].iter()),
    }
}

#[derive(Clone, Debug)]
pub(in crate::chat) enum Fields<'a> {
    Values(std::slice::Iter<'a, (Value<'a>, Value<'a>)>),
    Json(serde_json::map::Iter<'a>),
}

impl<'a> Iterator for Fields<'a> {
    type Item = (Value<'a>, Value<'a>);

    fn next(&mut self) -> Option<(Value<'a>, Value<'a>)> {
        match self {
            Fields::Values(fields) => fields.next().copied(),
            Fields::Json(fields) => {
                let (name, value) = fields.next()?;
                Some((Value::Str(name), Value::from_json(value)))
            }
        }
    }
}
