//! The header's JSON, before anything is said about sizes and offsets.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::{
    Dtype, FormatError, Metadata,
    header::{Findings, METADATA_KEY},
    name::check_tensor_name,
    plain,
};

/// One tensor's entry as it is written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RawInfo {
    /// A dtype, or a name that is none.
    pub(crate) dtype: Result<Dtype, String>,
    pub(crate) shape: Vec<usize>,
    pub(crate) offsets: (usize, usize),
}

/// What a header says, in its order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Entries {
    pub(crate) tensors: Vec<(String, RawInfo)>,
    pub(crate) metadata: Metadata,
}

/// Tensors are sorted by name, each there once.
pub(crate) fn parse(json: &str, findings: &mut Findings) -> Result<Entries, FormatError> {
    let Entries { tensors, metadata } = match plain::parse(json) {
        Some(entries) => entries,
        None => parse_any(json, findings)?,
    };
    Ok(Entries { tensors: sort(tensors, findings)?, metadata })
}

/// Reads any header, and says what is wrong with it.
pub(crate) fn parse_any(json: &str, findings: &mut Findings) -> Result<Entries, FormatError> {
    let mut state =
        State { findings, refused: None, entries: Entries::default(), has_metadata: false };
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let parsed =
        deserializer.deserialize_map(HeaderVisitor(&mut state)).and_then(|()| deserializer.end());
    match (state.refused.take(), parsed) {
        (Some(refused), _) => Err(refused),
        (None, Err(e)) => Err(FormatError::Json(e.to_string())),
        (None, Ok(())) => Ok(state.entries),
    }
}

/// Sorts by name, and finds names that are there twice.
fn sort(
    mut tensors: Vec<(String, RawInfo)>,
    findings: &mut Findings,
) -> Result<Vec<(String, RawInfo)>, FormatError> {
    // Most files are sorted as they are.
    if tensors.is_sorted_by(|(a, _), (b, _)| a < b) {
        return Ok(tensors);
    }
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut unique: Vec<(String, RawInfo)> = Vec::with_capacity(tensors.len());
    for (tensor, info) in tensors {
        let Some((_, last)) = unique.last_mut().filter(|(last, _)| *last == tensor) else {
            unique.push((tensor, info));
            continue;
        };
        // A plain map would keep the last one, and hide the others from the reader.
        findings.refuse(FormatError::DuplicateTensor(tensor.clone()))?;
        if let Err(dtype) = std::mem::replace(last, info).dtype {
            findings.refuse(FormatError::UnknownDtype { tensor, dtype })?;
        }
    }
    Ok(unique)
}

struct State<'a> {
    findings: &'a mut Findings,
    /// Carries a typed error past serde, whose errors are text.
    refused: Option<FormatError>,
    entries: Entries,
    has_metadata: bool,
}

impl State<'_> {
    fn refuse<E: Error>(&mut self, error: FormatError) -> Result<(), E> {
        self.findings.refuse(error).or_else(|e| self.fail(e))
    }

    fn fail<T, E: Error>(&mut self, error: FormatError) -> Result<T, E> {
        self.refused = Some(error);
        Err(E::custom("refused"))
    }
}

struct HeaderVisitor<'s, 'a>(&'s mut State<'a>);

impl<'de> Visitor<'de> for HeaderVisitor<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let state = self.0;
        while let Some(name) = map.next_key::<String>()? {
            if name == METADATA_KEY {
                // A second one is an error for the reference as well.
                if std::mem::replace(&mut state.has_metadata, true) {
                    return state.fail(FormatError::DuplicateMetadata(name));
                }
                map.next_value_seed(MetadataSeed(state))?;
                continue;
            }
            if let Err(error) = check_tensor_name(&name) {
                state.refuse(error)?;
            }
            let info = map.next_value_seed(EntrySeed { state, tensor: &name })?;
            state.entries.tensors.push((name, info));
        }
        Ok(())
    }
}

struct MetadataSeed<'s, 'a>(&'s mut State<'a>);

impl<'de> DeserializeSeed<'de> for MetadataSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for MetadataSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of strings")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.0.refuse(FormatError::NullMetadata)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let state = self.0;
        while let Some((key, value)) = map.next_entry::<String, String>()? {
            if state.entries.metadata.contains_key(&key) {
                state.refuse(FormatError::DuplicateMetadata(key.clone()))?;
            }
            state.entries.metadata.insert(key, value);
        }
        Ok(())
    }
}

struct EntrySeed<'s, 'a> {
    state: &'s mut State<'a>,
    tensor: &'s str,
}

impl<'de> DeserializeSeed<'de> for EntrySeed<'_, '_> {
    type Value = RawInfo;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawInfo, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EntrySeed<'_, '_> {
    type Value = RawInfo;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map with dtype, shape and data_offsets")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawInfo, A::Error> {
        let EntrySeed { state, tensor } = self;
        let (mut dtype, mut shape, mut offsets) = (None, None, None);
        while let Some(field) = map.next_key::<Field>()? {
            let duplicate = match field {
                Field::Dtype => dtype.replace(map.next_value::<RawDtype>()?).map(|_| "dtype"),
                Field::Shape => shape.replace(map.next_value()?).map(|_| "shape"),
                Field::Offsets => offsets.replace(map.next_value()?).map(|_| "data_offsets"),
                Field::Unknown(field) => {
                    let tensor = tensor.to_owned();
                    state.refuse(FormatError::UnknownField { tensor, field })?;
                    map.next_value::<Skip>()?;
                    None
                }
            };
            if let Some(field) = duplicate {
                let tensor = tensor.to_owned();
                return state.fail(FormatError::DuplicateField { tensor, field });
            }
        }
        let mut missing = |field| {
            let tensor = tensor.to_owned();
            state.fail(FormatError::MissingField { tensor, field })
        };
        let Some(RawDtype(dtype)) = dtype else { return missing("dtype") };
        let Some(shape) = shape else { return missing("shape") };
        let Some(offsets) = offsets else { return missing("data_offsets") };
        Ok(RawInfo { dtype, shape, offsets })
    }
}

/// A field of an entry. A header of many tensors has each of them as often: they are told apart
/// without being copied.
enum Field {
    Dtype,
    Shape,
    Offsets,
    Unknown(String),
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Field, D::Error> {
        deserializer.deserialize_identifier(TextVisitor(|text: &str| match text {
            "dtype" => Field::Dtype,
            "shape" => Field::Shape,
            "data_offsets" => Field::Offsets,
            _ => Field::Unknown(text.to_owned()),
        }))
    }
}

/// A dtype, or a name that is none.
struct RawDtype(Result<Dtype, String>);

impl<'de> Deserialize<'de> for RawDtype {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RawDtype, D::Error> {
        deserializer.deserialize_str(TextVisitor(|text: &str| {
            RawDtype(Dtype::from_name(text).ok_or_else(|| text.to_owned()))
        }))
    }
}

/// Makes something of a string.
struct TextVisitor<F>(F);

impl<T, F: FnOnce(&str) -> T> Visitor<'_> for TextVisitor<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok((self.0)(text))
    }
}

/// Reads any JSON value and keeps nothing of it.
///
/// Unlike `IgnoredAny` it recurses, and so stops at the depth at which the reference does.
struct Skip;

impl<'de> Deserialize<'de> for Skip {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Skip, D::Error> {
        deserializer.deserialize_any(Skip)
    }
}

impl<'de> Visitor<'de> for Skip {
    type Value = Skip;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Skip, E> {
        Ok(Skip)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Skip, E> {
        Ok(Skip)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Skip, E> {
        Ok(Skip)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Skip, E> {
        Ok(Skip)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Skip, E> {
        Ok(Skip)
    }

    fn visit_str<E>(self, _: &str) -> Result<Skip, E> {
        Ok(Skip)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Skip, A::Error> {
        while seq.next_element::<Skip>()?.is_some() {}
        Ok(Skip)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Skip, A::Error> {
        while map.next_entry::<String, Skip>()?.is_some() {}
        Ok(Skip)
    }
}
