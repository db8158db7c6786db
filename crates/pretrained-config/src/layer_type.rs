use crate::{
    Error,
    family::{Attributes, Field},
    json::Value,
    schema::{FromValue, listed},
};

/// Which keys the queries of a layer see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerType {
    /// All (`full_attention`).
    Full,
    /// Those within the sliding window (`sliding_attention`).
    Sliding,
}

impl FromValue for LayerType {
    fn from_value(value: &Value, _: &Field) -> Option<LayerType> {
        match value.as_str()? {
            "full_attention" => Some(LayerType::Full),
            "sliding_attention" => Some(LayerType::Sliding),
            _ => None,
        }
    }

    fn expected(_: &Field) -> String {
        "full_attention or sliding_attention".to_owned()
    }
}

listed!(LayerType);

/// `sliding_window` says nothing unless `use_sliding_window` does.
pub(crate) fn drop_unused_window(a: &mut Attributes) {
    if !a.get("use_sliding_window").is_truthy() {
        a.set("sliding_window", Value::Null);
    }
}

/// The first layer with a window, which is behind the last if there is none.
pub(crate) fn first_with_window(a: &Attributes) -> Result<i64, Error> {
    match a.get("sliding_window") {
        Value::Null => Ok(i64::MAX),
        _ => a.int("max_window_layers"),
    }
}

/// `layer_types` that are not given follow from the number of each layer.
pub(crate) fn fill(a: &mut Attributes, is_sliding: impl Fn(i64) -> bool) -> Result<(), Error> {
    if a.get("layer_types").is_null() {
        let name = |sliding| if sliding { "sliding_attention" } else { "full_attention" };
        let layers = 0..a.int("num_hidden_layers")?;
        let types: Vec<&str> = layers.map(|layer| name(is_sliding(layer))).collect();
        a.set("layer_types", types);
    }
    Ok(())
}

/// A layer with a window needs to know how wide it is.
pub(crate) fn check_windows(
    a: &Attributes,
    types: &[LayerType],
    window: Option<i64>,
) -> Result<(), Error> {
    match window.is_none() && types.contains(&LayerType::Sliding) {
        true => Err(a.invalid("sliding_window", "is missing, and a layer is of sliding_attention")),
        false => Ok(()),
    }
}
