//! A configuration class of transformers and its Rust type, written down once.

use crate::{
    Error,
    family::{Attributes, Default, Field, Kind},
    json::{self, Value},
};

/// Makes the type of a family, the fields of its class, and what reads the one from the other.
///
/// Each field has the type that code uses and, behind the equal sign, the declaration of the class:
/// a function below, which stands for the declared type, with the default. Fields that only the
/// class has follow after `hidden`, those that only the type has after `derived`, each with a
/// function of the attributes.
macro_rules! family {
    (
        $(#[$doc:meta])*
        pub struct $name:ident {
            $($(#[$field_doc:meta])* $field:ident: $type:ty = $declare:ident($($default:expr)?),)*
        }
        hidden { $($hidden:ident = $declare_hidden:ident())* }
        derived {
            $($(#[$derived_doc:meta])* $derived:ident: $derived_type:ty = $read:expr,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
            $($(#[$derived_doc])* pub $derived: $derived_type,)*
        }

        impl $name {
            const FIELDS: &[$crate::family::Field] =
                &[
                    $($crate::schema::$declare(stringify!($field) $(, $default)?),)*
                    $($crate::schema::$declare_hidden(stringify!($hidden)),)*
                ];

            fn read(a: &$crate::family::Attributes) -> Result<$name, $crate::Error> {
                let mut fields = Self::FIELDS.iter();
                // Fields are evaluated in the order in which they are written.
                Ok($name {
                    $($field: $crate::schema::read(a, fields.next())?,)*
                    $($derived: $read(a)?,)*
                })
            }
        }
    };
}

pub(crate) use family;

/// The largest width (hidden size, feed-forward size, heads, …) that is taken for meant.
pub(crate) const MAX_WIDTH: f64 = (1 << 24) as f64;

/// The largest count of something that takes no memory by itself, such as positions.
const MAX_COUNT: f64 = i32::MAX as f64;

const fn field(name: &'static str, kind: Kind, default: Default, least: f64, most: f64) -> Field {
    Field { name, kind, default, least, most }
}

/// `int`: a width.
pub(crate) const fn size(name: &'static str, default: i64) -> Field {
    field(name, Kind::Int, Default::Int(default), 1.0, MAX_WIDTH)
}

/// `int | None`: a width that may follow from others.
pub(crate) const fn optional_size(name: &'static str) -> Field {
    field(name, Kind::OptionalInt, Default::Null, 1.0, MAX_WIDTH)
}

/// `int | None`: a width with a default, though it may be nothing.
pub(crate) const fn size_or_null(name: &'static str, default: i64) -> Field {
    field(name, Kind::OptionalInt, Default::Int(default), 1.0, MAX_WIDTH)
}

/// `int`: how many ids the vocabulary has.
pub(crate) const fn vocabulary(name: &'static str, default: i64) -> Field {
    field(name, Kind::Int, Default::Int(default), 1.0, (1 << 28) as f64)
}

/// `int`: how many layers there are.
pub(crate) const fn layers(name: &'static str, default: i64) -> Field {
    field(name, Kind::Int, Default::Int(default), 0.0, crate::family::MAX_LAYERS as f64)
}

/// `int`: a number of tokens or positions.
pub(crate) const fn positions(name: &'static str, default: i64) -> Field {
    field(name, Kind::Int, Default::Int(default), 1.0, MAX_COUNT)
}

/// `int | None`: a number of tokens.
pub(crate) const fn window(name: &'static str, default: Option<i64>) -> Field {
    field(name, Kind::OptionalInt, or_null(default), 1.0, MAX_COUNT)
}

/// `int`: an index or a count from 0.
pub(crate) const fn count(name: &'static str, default: i64) -> Field {
    field(name, Kind::Int, Default::Int(default), 0.0, MAX_COUNT)
}

/// `int | None`: a count from 1.
pub(crate) const fn optional_count(name: &'static str, default: i64) -> Field {
    field(name, Kind::OptionalInt, Default::Int(default), 1.0, MAX_COUNT)
}

/// `float`: a small number that is added or drawn with.
pub(crate) const fn float(name: &'static str, default: f64) -> Field {
    field(name, Kind::Float, Default::Float(default), 0.0, f64::MAX)
}

/// `float`: a number from 0 to 1, which the class itself checks.
pub(crate) const fn fraction(name: &'static str, default: f64) -> Field {
    field(name, Kind::Float, Default::Float(default), 0.0, 1.0)
}

/// `float | None`: a number over 0.
pub(crate) const fn optional_float(name: &'static str, default: Option<f64>) -> Field {
    let default = match default {
        Some(default) => Default::Float(default),
        None => Default::Null,
    };
    field(name, Kind::OptionalFloat, default, f64::MIN_POSITIVE, f64::MAX)
}

/// `float | int`: the probability of zeroing an element.
pub(crate) const fn dropout(name: &'static str, default: f64) -> Field {
    field(name, Kind::Number, Default::Float(default), 0.0, 1.0)
}

/// `float | int | None`: the probability of zeroing an element.
pub(crate) const fn optional_dropout(name: &'static str, default: Option<f64>) -> Field {
    let default = match default {
        Some(default) => Default::Float(default),
        None => Default::Null,
    };
    field(name, Kind::OptionalNumber, default, 0.0, 1.0)
}

/// `bool`
pub(crate) const fn switch(name: &'static str, default: bool) -> Field {
    field(name, Kind::Bool, Default::Bool(default), 0.0, 0.0)
}

/// `bool | None`
pub(crate) const fn optional_switch(name: &'static str, default: Option<bool>) -> Field {
    let default = match default {
        Some(default) => Default::Bool(default),
        None => Default::Null,
    };
    field(name, Kind::OptionalBool, default, 0.0, 0.0)
}

/// `str`
pub(crate) const fn text(name: &'static str, default: &'static str) -> Field {
    field(name, Kind::Text, Default::Text(default), 0.0, 0.0)
}

/// `str | None`
pub(crate) const fn optional_text(name: &'static str) -> Field {
    field(name, Kind::OptionalText, Default::Null, 0.0, 0.0)
}

/// `int | None`: a token id; files use -1 for none, too.
pub(crate) const fn token(name: &'static str, default: Option<i64>) -> Field {
    field(name, Kind::OptionalInt, or_null(default), f64::MIN, u32::MAX as f64)
}

/// `int | list[int] | None`: token ids.
pub(crate) const fn tokens(name: &'static str, default: Option<i64>) -> Field {
    field(name, Kind::TokenIds, or_null(default), f64::MIN, u32::MAX as f64)
}

/// `list[int] | None`: an index or a count from 0 each.
pub(crate) const fn counts(name: &'static str) -> Field {
    field(name, Kind::Ints, Default::Null, 0.0, MAX_COUNT)
}

/// `list[str] | None`
pub(crate) const fn texts(name: &'static str) -> Field {
    field(name, Kind::Texts, Default::Null, 0.0, 0.0)
}

/// A field of the class that every class has.
pub(crate) const fn any(name: &'static str, default: Default) -> Field {
    field(name, Kind::Any, default, f64::MIN, f64::MAX)
}

/// `RopeParameters | dict | None`
pub(crate) const ROPE: Field = field("rope_parameters", Kind::Rope, Default::Null, 0.0, 0.0);

const fn or_null(default: Option<i64>) -> Default {
    match default {
        Some(default) => Default::Int(default),
        None => Default::Null,
    }
}

/// Reads a field as the type that code uses.
pub(crate) fn read<T: FromValue>(a: &Attributes, field: Option<&Field>) -> Result<T, Error> {
    let field = field.expect("the macro asks for as many fields as it lists");
    let value = a.get(field.name);
    T::from_value(value, field).ok_or_else(|| {
        let reason = format!("must be {}, got {}", T::expected(field), json::to_line(value));
        a.invalid(field.name, reason)
    })
}

/// A type that a field is read as.
pub(crate) trait FromValue: Sized {
    fn from_value(value: &Value, field: &Field) -> Option<Self>;

    /// What a value must be, for a message.
    fn expected(field: &Field) -> String;
}

impl FromValue for i64 {
    fn from_value(value: &Value, field: &Field) -> Option<i64> {
        let int = value.as_i64()?;
        (field.least..=field.most).contains(&(int as f64)).then_some(int)
    }

    fn expected(field: &Field) -> String {
        format!("an integer from {} to {}", field.least, field.most)
    }
}

impl FromValue for usize {
    fn from_value(value: &Value, field: &Field) -> Option<usize> {
        i64::from_value(value, field)?.try_into().ok()
    }

    fn expected(field: &Field) -> String {
        i64::expected(field)
    }
}

/// A token id: what is negative stands for none.
impl FromValue for Option<u32> {
    fn from_value(value: &Value, _: &Field) -> Option<Option<u32>> {
        match value {
            Value::Null => Some(None),
            value => match value.as_i64()? {
                ..0 => Some(None),
                id => Some(Some(id.try_into().ok()?)),
            },
        }
    }

    fn expected(_: &Field) -> String {
        "a token id below 2^32 or null".to_owned()
    }
}

/// Token ids: one, several or none.
impl FromValue for Vec<u32> {
    fn from_value(value: &Value, field: &Field) -> Option<Vec<u32>> {
        let ids = match value {
            Value::Array(ids) => ids.as_slice(),
            id => std::slice::from_ref(id),
        };
        let ids: Option<Vec<Option<u32>>> =
            ids.iter().map(|id| FromValue::from_value(id, field)).collect();
        Some(ids?.into_iter().flatten().collect())
    }

    fn expected(_: &Field) -> String {
        "token ids below 2^32".to_owned()
    }
}

impl FromValue for f64 {
    fn from_value(value: &Value, field: &Field) -> Option<f64> {
        // Where a class allows nothing for a probability, nothing is dropped.
        if field.kind == Kind::OptionalNumber && value.is_null() {
            return Some(0.0);
        }
        value.as_f64().filter(|it| (field.least..=field.most).contains(it))
    }

    fn expected(field: &Field) -> String {
        match (field.least, field.most) {
            (f64::MIN, _) => "a finite number".to_owned(),
            (f64::MIN_POSITIVE, _) => "a finite number over 0".to_owned(),
            (_, f64::MAX) => "a finite number of at least 0".to_owned(),
            (least, most) => format!("a number from {least} to {most}"),
        }
    }
}

impl FromValue for bool {
    fn from_value(value: &Value, _: &Field) -> Option<bool> {
        value.as_bool()
    }

    fn expected(_: &Field) -> String {
        "true or false".to_owned()
    }
}

impl FromValue for String {
    fn from_value(value: &Value, _: &Field) -> Option<String> {
        value.as_str().map(str::to_owned)
    }

    fn expected(_: &Field) -> String {
        "a string".to_owned()
    }
}

/// Types that may be absent; [`Option<u32>`] has rules of its own.
macro_rules! optional {
    ($($type:ty),*) => {$(
        impl $crate::schema::FromValue for Option<$type> {
            fn from_value(
                value: &$crate::json::Value,
                field: &$crate::family::Field,
            ) -> Option<Option<$type>> {
                match value {
                    $crate::json::Value::Null => Some(None),
                    value => <$type>::from_value(value, field).map(Some),
                }
            }

            fn expected(field: &$crate::family::Field) -> String {
                format!("{} or null", <$type>::expected(field))
            }
        }
    )*};
}

pub(crate) use optional;

optional!(i64, f64, bool, String);

/// Types that come in lists; no list is an empty one.
macro_rules! listed {
    ($($type:ty),*) => {$(
        impl $crate::schema::FromValue for Vec<$type> {
            fn from_value(
                value: &$crate::json::Value,
                field: &$crate::family::Field,
            ) -> Option<Vec<$type>> {
                match value {
                    $crate::json::Value::Null => Some(Vec::new()),
                    value => {
                        value.as_array()?.iter().map(|it| <$type>::from_value(it, field)).collect()
                    }
                }
            }

            fn expected(field: &$crate::family::Field) -> String {
                format!("a list, each {}", <$type>::expected(field))
            }
        }
    )*};
}

pub(crate) use listed;

listed!(usize);

/// Flags that are written as integers, as Python takes them.
impl FromValue for Vec<bool> {
    fn from_value(value: &Value, _: &Field) -> Option<Vec<bool>> {
        Some(value.as_array()?.iter().map(Value::is_truthy).collect())
    }

    fn expected(_: &Field) -> String {
        "a list of 0 and 1".to_owned()
    }
}
