//! From the fields of transformers 4 to those of 5.

use crate::{
    Error,
    family::Attributes,
    json::{Object, Value},
};

/// `convert_rope_params_to_dict` of most classes: the fields of transformers 4 move into
/// `rope_parameters`.
pub(crate) fn convert(a: &mut Attributes, rest: &mut Object) -> Result<(), Error> {
    convert_with(a, rest, 10_000.0)
}

pub(crate) fn convert_with(
    a: &mut Attributes,
    rest: &mut Object,
    default_theta: f64,
) -> Result<(), Error> {
    take_scaling(a, rest)?;
    let theta = rest.remove("rope_theta").unwrap_or(Value::Float(default_theta));
    let share = rest.remove("partial_rotary_factor").unwrap_or(Value::Null);
    for parameters in flat_or_nested(a)? {
        parameters.set_default("rope_theta", theta.clone());
        if !share.is_null() {
            parameters.set_default("partial_rotary_factor", share.clone());
        }
    }
    standardize(a)
}

/// `rope_parameters` becomes an object: `rope_scaling` if that says something.
pub(crate) fn take_scaling(a: &mut Attributes, rest: &mut Object) -> Result<(), Error> {
    let scaling = rest.remove("rope_scaling").unwrap_or(Value::Null);
    match scaling {
        Value::Object(_) if scaling.is_truthy() => a.set("rope_parameters", scaling),
        _ if scaling.is_truthy() => return Err(a.wrong("rope_scaling", "an object", &scaling)),
        _ if a.get("rope_parameters").is_null() => a.set("rope_parameters", Object::new()),
        _ => {}
    }
    Ok(())
}

/// `standardize_rope_params`: each set of parameters says its type, its θ and, where the type
/// needs it, the context of the pretraining.
pub(crate) fn standardize(a: &mut Attributes) -> Result<(), Error> {
    let share = a.get("partial_rotary_factor").clone();
    let theta = a.get("rope_theta").clone();
    let context = a.get("max_position_embeddings").clone();
    let original = match a.has("original_max_position_embeddings") {
        true if nested_keys(a).is_empty() => {
            Some(a.get("original_max_position_embeddings").clone())
        }
        _ => None,
    };
    for parameters in flat_or_nested(a)? {
        if parameters.is_empty() && !theta.is_truthy() {
            continue;
        }
        let legacy = parameters.get("type").cloned();
        parameters.set_default("rope_type", legacy.unwrap_or_else(|| "default".into()));
        parameters.set_default("rope_theta", theta.clone());
        if !share.is_null() {
            parameters.set_default("partial_rotary_factor", share.clone());
        }
        let rope_type = parameters.get("rope_type").and_then(Value::as_str);
        if matches!(rope_type, Some("llama3" | "yarn" | "longrope")) {
            match &original {
                Some(original) => {
                    parameters.set("original_max_position_embeddings", original.clone());
                }
                None => parameters.set_default("original_max_position_embeddings", context.clone()),
            }
        }
    }
    Ok(())
}

/// `validate_rope`: each set says its type, and has what the type needs. What that is, is checked
/// where they are read as types.
pub(crate) fn validate(a: &mut Attributes) -> Result<(), Error> {
    for parameters in flat_or_nested(a)? {
        if !parameters.is_empty() {
            let legacy = parameters.get("type").cloned();
            parameters.set_default("rope_type", legacy.unwrap_or_else(|| "default".into()));
        }
    }
    let parameters = match a.get("rope_parameters") {
        Value::Object(parameters) => parameters,
        other if other.is_truthy() => return Err(a.wrong("rope_parameters", "an object", other)),
        _ => return Ok(()),
    };
    let nested = nested_keys(a);
    if nested.is_empty() && !parameters.is_empty() {
        return validate_one(a, parameters, "rope_parameters");
    }
    for key in nested {
        if let Some(Value::Object(object)) = parameters.get(&key) {
            validate_one(a, object, &format!("rope_parameters.{key}"))?;
        }
    }
    Ok(())
}

fn validate_one(a: &Attributes, parameters: &Object, place: &str) -> Result<(), Error> {
    let rope_type = parameters.get("rope_type").and_then(Value::as_str).unwrap_or("default");
    let required: &[&str] = match rope_type {
        "linear" | "dynamic" => &["factor"],
        "yarn" => &["factor", "original_max_position_embeddings"],
        "longrope" => &["short_factor", "long_factor", "original_max_position_embeddings"],
        "llama3" => &[
            "factor",
            "original_max_position_embeddings",
            "low_freq_factor",
            "high_freq_factor",
            "rope_theta",
        ],
        "proportional" => &["rope_theta"],
        _ => &[],
    };
    match required.iter().find(|key| !parameters.contains(key)) {
        Some(missing) => {
            Err(a.invalid(place, format!("lacks `{missing}`, which type `{rope_type}` needs")))
        }
        None => Ok(()),
    }
}

/// The layer types under which `rope_parameters` has parameters of their own.
pub(crate) fn nested_keys(a: &Attributes) -> Vec<String> {
    let types = a.get("layer_types").as_array().unwrap_or_default();
    let keys = a.get("rope_parameters").as_object().into_iter().flat_map(Object::iter);
    // Few keys are asked for, since a hostile file can have very many of both.
    let keys = keys.map(|(key, _)| key).take(64);
    keys.filter(|key| types.iter().any(|it| it.as_str() == Some(key))).map(str::to_owned).collect()
}

/// The sets of parameters: one, or one for each layer type that has its own.
fn flat_or_nested(a: &mut Attributes) -> Result<Vec<&mut Object>, Error> {
    let keys = nested_keys(a);
    let parameters = a.get("rope_parameters").as_object();
    for key in &keys {
        let value = parameters.and_then(|it| it.get(key)).unwrap_or(&Value::Null);
        if !matches!(value, Value::Object(_) | Value::Null) {
            return Err(a.wrong(&format!("rope_parameters.{key}"), "an object or null", value));
        }
    }
    let Some(Value::Object(parameters)) = a.get_mut("rope_parameters") else {
        return Ok(Vec::new());
    };
    if keys.is_empty() {
        return Ok(vec![parameters]);
    }
    let nested = parameters.iter_mut().filter(|(key, _)| keys.iter().any(|it| it == key));
    Ok(nested.filter_map(|(_, value)| value.as_object_mut()).collect())
}
