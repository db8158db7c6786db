use crate::{
    Error,
    json::{self, Value},
};

/// The number formats that a configuration may name, as PyTorch spells them.
const DTYPES: &[&str] = &[
    "float32",
    "float",
    "float64",
    "double",
    "float16",
    "half",
    "bfloat16",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
    "float4_e2m1fn_x2",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "int8",
    "int16",
    "short",
    "int32",
    "int",
    "int64",
    "long",
    "bool",
    "complex32",
    "chalf",
    "complex64",
    "cfloat",
    "complex128",
    "cdouble",
];

/// The name of a number format, if one is given.
pub(crate) fn check<'a>(
    model_type: &'static str,
    value: &'a Value,
) -> Result<Option<&'a str>, Error> {
    match value {
        Value::Null => Ok(None),
        Value::String(name) if DTYPES.contains(&name.as_str()) => Ok(Some(canonical(name))),
        other => Err(Error::Invalid {
            model_type,
            field: "dtype".to_owned(),
            reason: format!(
                "must be the name of a number format such as \"float32\" or \"bfloat16\", got {}",
                json::to_line(other)
            ),
        }),
    }
}

/// PyTorch has second names for some formats, and prints the first.
pub(crate) fn canonical(name: &str) -> &str {
    match name {
        "float" => "float32",
        "double" => "float64",
        "half" => "float16",
        "short" => "int16",
        "int" => "int32",
        "long" => "int64",
        "chalf" => "complex32",
        "cfloat" => "complex64",
        "cdouble" => "complex128",
        name => name,
    }
}
