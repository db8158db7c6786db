//! JSON objects that differ in a few fields.

use serde_json::Value;

/// The object with these fields on top.
#[track_caller]
pub(crate) fn with(mut base: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().expect("fields by name") {
        base[name] = value.clone();
    }
    base
}
