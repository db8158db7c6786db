//! How the sizes of a network hang together.

use crate::{
    Error,
    family::{Attributes, Default},
    json::Value,
    rope::RopeParameters,
};

/// So many numbers no supported model has: 2^40. The largest published ones have some 2^39.
const MAX_PARAMETERS: u128 = 1 << 40;

/// `head_dim` that is not given is the hidden size shared among the query heads.
pub(crate) fn head_dim(a: &mut Attributes) -> Result<(), Error> {
    if a.get("head_dim").is_null() {
        let head_dim = shared_head_dim(a)?;
        a.set("head_dim", head_dim);
    }
    Ok(())
}

/// `num_key_value_heads` that is not given is that of the query heads.
pub(crate) fn key_value_heads(a: &mut Attributes) {
    if a.get("num_key_value_heads").is_null() {
        let heads = a.get("num_attention_heads").clone();
        a.set("num_key_value_heads", heads);
    }
}

/// The size of a head where the class may lack the field.
pub(crate) fn any_head_dim(a: &Attributes) -> Result<i64, Error> {
    match a.get("head_dim") {
        Value::Null => match shared_head_dim(a)? {
            0 => Err(a.invalid("hidden_size", "is smaller than num_attention_heads")),
            head_dim => Ok(head_dim),
        },
        value => match value.as_i64() {
            Some(head_dim) if (1..=crate::schema::MAX_WIDTH as i64).contains(&head_dim) => {
                Ok(head_dim)
            }
            _ => Err(a.wrong("head_dim", "an integer from 1 to 16777216", value)),
        },
    }
}

/// The hidden size shared among the query heads.
pub(crate) fn shared_head_dim(a: &Attributes) -> Result<i64, Error> {
    let heads = a.int("num_attention_heads")?;
    match a.int("hidden_size")?.checked_div_euclid(heads) {
        Some(head_dim) => Ok(head_dim),
        None => Err(a.wrong("num_attention_heads", "positive", &heads.into())),
    }
}

/// The rotation of a family whose network rotates whole heads.
pub(crate) fn whole_heads(a: &Attributes) -> Result<RopeParameters, Error> {
    whole(a, RopeParameters::read(a, any_head_dim(a)?)?)
}

pub(crate) fn whole(a: &Attributes, rope: RopeParameters) -> Result<RopeParameters, Error> {
    match rope.partial_rotary_factor == 1.0 {
        true => Ok(rope),
        // The reference ignores it or breaks, depending on the type of scaling.
        false => {
            Err(a.invalid("partial_rotary_factor", "must be 1.0: this family rotates whole heads"))
        }
    }
}

/// `validate_architecture` of several classes.
pub(crate) fn heads_divide_hidden_size(a: &Attributes) -> Result<(), Error> {
    let (hidden, heads) = (a.int("hidden_size")?, a.int("num_attention_heads")?);
    match hidden.checked_rem(heads) {
        Some(0) => Ok(()),
        _ => {
            let reason = format!("({hidden}) is not a multiple of num_attention_heads ({heads})");
            Err(a.invalid("hidden_size", reason))
        }
    }
}

/// Each key-value head serves the same number of query heads.
pub(crate) fn check_heads(a: &Attributes, queries: i64, keys: i64) -> Result<(), Error> {
    match queries % keys {
        0 => Ok(()),
        _ => {
            let reason = format!("({queries}) is not a multiple of num_key_value_heads ({keys})");
            Err(a.invalid("num_attention_heads", reason))
        }
    }
}

/// A token cannot go through more experts than there are.
pub(crate) fn check_experts(a: &Attributes, chosen: i64, experts: i64) -> Result<(), Error> {
    match chosen > experts {
        true => {
            let reason = format!("({chosen}) is more than there are experts ({experts})");
            Err(a.invalid("num_experts_per_tok", reason))
        }
        false => Ok(()),
    }
}

/// Numbers in the four projections of an attention layer.
pub(crate) fn attention(c: u128, h: u128, k: u128, d: u128) -> u128 {
    2 * c * h * d + 2 * c * k * d
}

/// Refuses what no machine could hold, and names the field that is furthest from its default.
pub(crate) fn check_parameters(a: &Attributes, count: u128) -> Result<(), Error> {
    if count < MAX_PARAMETERS {
        return Ok(());
    }
    let excess = |name: &str, default: i64| a.get(name).as_f64().unwrap_or(0.0) / default as f64;
    let fields = a.family.fields.iter().filter_map(|field| match field.default {
        Default::Int(default) if default > 1 => Some((field.name, excess(field.name, default))),
        _ => None,
    });
    let (field, _) = fields.max_by(|x, y| x.1.total_cmp(&y.1)).unwrap_or(("vocab_size", 0.0));
    let reason = format!(
        "({}) makes {count} parameters together with the other sizes, over 2^40",
        a.int(field)?
    );
    Err(a.invalid(field, reason))
}

/// Sizes as numbers whose products cannot overflow: a size has at most 31 bits, and at most four
/// of them are multiplied.
pub(crate) fn wide<const N: usize>(sizes: [i64; N]) -> [u128; N] {
    sizes.map(|size| size.unsigned_abs().into())
}
