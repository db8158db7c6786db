//! Python's methods of dictionaries and lists: those that change nothing.

use minijinja::{
    Error, ErrorKind, Value,
    value::{Tuple, from_args},
};

use super::methods::{invalid, unsafe_call};

/// A method of a dictionary.
pub(super) fn dict(value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let keys = || value.try_iter();
    Ok(match method {
        "get" => {
            let (key, default): (Value, Option<Value>) = from_args(args)?;
            let found = value.get_item(&key)?;
            if found.is_undefined() { default.unwrap_or(Value::from(())) } else { found }
        }
        "items" => {
            () = from_args(args)?;
            let pair = |key: Value| -> Result<Value, Error> {
                let item = value.get_item(&key)?;
                Ok(Value::from(Tuple::new(vec![key, item])))
            };
            Value::from(keys()?.map(pair).collect::<Result<Vec<Value>, Error>>()?)
        }
        "keys" => {
            () = from_args(args)?;
            Value::from(keys()?.collect::<Vec<Value>>())
        }
        "values" => {
            () = from_args(args)?;
            let values: Result<Vec<Value>, Error> =
                keys()?.map(|key| value.get_item(&key)).collect();
            Value::from(values?)
        }
        "copy" => {
            () = from_args(args)?;
            value.clone()
        }
        "clear" | "pop" | "popitem" | "setdefault" | "update" => return Err(unsafe_call(method)),
        _ => return Err(Error::from(ErrorKind::UnknownMethod)),
    })
}

/// A method of a list.
pub(super) fn list(value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    Ok(match method {
        "index" => {
            let (needle,): (Value,) = from_args(args)?;
            let at = value.try_iter()?.position(|item| item == needle);
            Value::from(at.ok_or_else(|| invalid("value is not in list"))?)
        }
        "count" => {
            let (needle,): (Value,) = from_args(args)?;
            Value::from(value.try_iter()?.filter(|item| *item == needle).count())
        }
        "copy" => {
            () = from_args(args)?;
            value.clone()
        }
        "append" | "clear" | "extend" | "insert" | "pop" | "remove" | "reverse" | "sort" => {
            return Err(unsafe_call(method));
        }
        _ => return Err(Error::from(ErrorKind::UnknownMethod)),
    })
}
