//! Rotary position embeddings: <https://arxiv.org/abs/2104.09864>.

mod convert;

use crate::{
    Error,
    family::Attributes,
    json::{Object, Value},
};

pub(crate) use convert::{convert, convert_with, standardize, take_scaling, validate};

/// How query and key vectors are rotated by their position.
///
/// A file of transformers 5 has them as `rope_parameters`; an older one has `rope_theta`,
/// `rope_scaling` and `partial_rotary_factor` beside each other.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeParameters {
    /// θ, the base of the angular velocities θ^(-2i/d), without unit (`rope_theta`).
    pub rope_theta: f64,
    /// The share of each head that is rotated, over 0 and at most 1 (`partial_rotary_factor`).
    pub partial_rotary_factor: f64,
    /// What is done to go beyond the context of the pretraining (`rope_type` and its parameters).
    pub rope_type: RopeType,
}

/// How the angular velocities are scaled for a context longer than that of the pretraining.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeType {
    /// Not at all.
    Default,
    /// All are divided by the factor: <https://arxiv.org/abs/2306.15595>.
    Linear {
        /// How many times longer the context gets.
        factor: f64,
    },
    /// θ grows with the sequence once it is longer than `max_position_embeddings`.
    Dynamic {
        /// How many times longer the context gets.
        factor: f64,
    },
    /// Low ones are divided, high ones kept, those between blended:
    /// <https://arxiv.org/abs/2407.21783>.
    Llama3 {
        /// How many times longer the context gets.
        factor: f64,
        /// Up to so many turns within the original context, a velocity is low.
        low_freq_factor: f64,
        /// From so many turns within the original context, a velocity is high.
        high_freq_factor: f64,
        /// The context of the pretraining, in tokens.
        original_max_position_embeddings: i64,
    },
    /// As Llama 3's with a linear ramp, and attention is sharpened: <https://arxiv.org/abs/2309.00071>.
    Yarn {
        /// How many times longer the context gets.
        factor: f64,
        /// The context of the pretraining, in tokens.
        original_max_position_embeddings: i64,
        /// What cosine and sine are multiplied by; if absent, it follows from the others.
        attention_factor: Option<f64>,
        /// From so many turns within the original context, a velocity is kept.
        beta_fast: f64,
        /// Up to so many turns within the original context, a velocity is divided.
        beta_slow: f64,
        /// Scales the logarithm of the factor in the numerator of the attention factor.
        mscale: Option<f64>,
        /// Scales the logarithm of the factor in its denominator.
        mscale_all_dim: Option<f64>,
        /// Whether the bounds of the ramp are rounded to whole dimensions.
        truncate: bool,
    },
    /// Each one is divided by a factor of its own: <https://arxiv.org/abs/2402.13753>.
    LongRope {
        /// The factors up to the original context, one for each rotated pair.
        short_factor: Vec<f64>,
        /// The factors beyond the original context, one for each rotated pair.
        long_factor: Vec<f64>,
        /// The context of the pretraining, in tokens.
        original_max_position_embeddings: i64,
        /// How many times longer the context gets; if absent, it follows from the contexts.
        factor: Option<f64>,
        /// What cosine and sine are multiplied by; if absent, it follows from the factor.
        attention_factor: Option<f64>,
    },
}

impl RopeParameters {
    /// How many dimensions of a head of that size are rotated; even.
    pub fn rotary_dim(&self, head_dim: i64) -> i64 {
        // Cut to an integer, then filled up to whole pairs, as the reference does.
        let cut = (head_dim as f64 * self.partial_rotary_factor) as i64;
        cut + cut % 2
    }

    /// The parameters of all layers.
    pub(crate) fn read(a: &Attributes, head_dim: i64) -> Result<RopeParameters, Error> {
        match a.get("rope_parameters") {
            Value::Object(object) => {
                Reader { a, object, place: "rope_parameters".to_owned() }.read(head_dim)
            }
            other => Err(a.wrong("rope_parameters", "an object", other)),
        }
    }

    /// The parameters of the layers of one type.
    pub(crate) fn read_nested(
        a: &Attributes,
        layer_type: &str,
        head_dim: i64,
    ) -> Result<RopeParameters, Error> {
        let place = format!("rope_parameters.{layer_type}");
        match a.get("rope_parameters").as_object().and_then(|it| it.get(layer_type)) {
            Some(Value::Object(object)) => Reader { a, object, place }.read(head_dim),
            other => Err(a.wrong(&place, "an object", other.unwrap_or(&Value::Null))),
        }
    }
}

/// Reads one set of parameters.
struct Reader<'a> {
    a: &'a Attributes,
    object: &'a Object,
    place: String,
}

impl Reader<'_> {
    fn read(&self, head_dim: i64) -> Result<RopeParameters, Error> {
        let rope_theta = self.number("rope_theta")?;
        // At 1 and below, no dimension turns slower than the one before it.
        if rope_theta <= 1.0 {
            return Err(self.invalid("rope_theta", "must be over 1"));
        }
        let partial_rotary_factor = self.optional("partial_rotary_factor")?.unwrap_or(1.0);
        if !(partial_rotary_factor > 0.0 && partial_rotary_factor <= 1.0) {
            return Err(self.invalid("partial_rotary_factor", "must be over 0 and at most 1"));
        }
        let rope_type = RopeType::Default;
        let parameters = RopeParameters { rope_theta, partial_rotary_factor, rope_type };
        let rotary_dim = parameters.rotary_dim(head_dim);
        if rotary_dim == 0 || rotary_dim > head_dim {
            let reason = format!("rotates {rotary_dim} dimensions of a head that has {head_dim}");
            return Err(self.a.invalid(&self.place, reason));
        }
        Ok(RopeParameters { rope_type: self.rope_type(rotary_dim)?, ..parameters })
    }

    fn rope_type(&self, rotary_dim: i64) -> Result<RopeType, Error> {
        let name = self.object.get("rope_type").unwrap_or(&Value::Null);
        Ok(match name.as_str() {
            Some("default") => RopeType::Default,
            Some("linear") => RopeType::Linear { factor: self.factor()? },
            Some("dynamic") if rotary_dim > 2 => RopeType::Dynamic { factor: self.factor()? },
            Some("dynamic") => {
                let reason = "of type `dynamic` needs more than 2 rotated dimensions";
                return Err(self.a.invalid(&self.place, reason));
            }
            Some("llama3") => self.llama3()?,
            Some("yarn") => self.yarn()?,
            Some("longrope") => RopeType::LongRope {
                short_factor: self.factors("short_factor", rotary_dim / 2)?,
                long_factor: self.factors("long_factor", rotary_dim / 2)?,
                original_max_position_embeddings: self.original()?,
                factor: self.optional("factor")?,
                attention_factor: self.optional("attention_factor")?,
            },
            _ => {
                let known = "one of default, linear, dynamic, llama3, yarn and longrope";
                return Err(self.a.wrong(&format!("{}.rope_type", self.place), known, name));
            }
        })
    }

    fn llama3(&self) -> Result<RopeType, Error> {
        let (low, high) = (self.number("low_freq_factor")?, self.number("high_freq_factor")?);
        if low <= 0.0 || high <= low {
            return Err(
                self.invalid("high_freq_factor", "must be over low_freq_factor, and both over 0")
            );
        }
        Ok(RopeType::Llama3 {
            factor: self.factor()?,
            low_freq_factor: low,
            high_freq_factor: high,
            original_max_position_embeddings: self.original()?,
        })
    }

    fn yarn(&self) -> Result<RopeType, Error> {
        let original_max_position_embeddings = self.original()?;
        // The reference takes a missing factor from the two contexts.
        let factor = match self.object.get("factor") {
            Some(Value::Null) => {
                let context = self.a.int("max_position_embeddings")?;
                context as f64 / original_max_position_embeddings as f64
            }
            _ => self.factor()?,
        };
        // Nothing and zero both mean the default there, as Python's `or` has it.
        let beta = |name, default| match self.optional(name)? {
            Some(beta) if beta != 0.0 => Ok::<f64, Error>(beta),
            _ => Ok(default),
        };
        Ok(RopeType::Yarn {
            factor,
            original_max_position_embeddings,
            attention_factor: self.optional("attention_factor")?,
            beta_fast: beta("beta_fast", 32.0)?,
            beta_slow: beta("beta_slow", 1.0)?,
            mscale: self.optional("mscale")?,
            mscale_all_dim: self.optional("mscale_all_dim")?,
            truncate: match self.object.get("truncate") {
                None => true,
                Some(Value::Bool(truncate)) => *truncate,
                Some(other) => return Err(self.wrong("truncate", "true or false", other)),
            },
        })
    }

    fn factor(&self) -> Result<f64, Error> {
        let factor = self.number("factor")?;
        match factor > 0.0 {
            true => Ok(factor),
            false => Err(self.invalid("factor", "must be over 0")),
        }
    }

    fn original(&self) -> Result<i64, Error> {
        let name = "original_max_position_embeddings";
        // A model that has the field beside the parameters takes it from there.
        let value = match self.a.has(name) {
            true => self.a.get(name),
            false => self.object.get(name).unwrap_or(&Value::Null),
        };
        match value.as_i64() {
            Some(tokens) if (1..=i64::from(i32::MAX)).contains(&tokens) => Ok(tokens),
            _ => Err(self.wrong(name, "an integer from 1 to 2^31 - 1", value)),
        }
    }

    fn factors(&self, name: &str, count: i64) -> Result<Vec<f64>, Error> {
        let value = self.object.get(name).unwrap_or(&Value::Null);
        let factors = value.as_array().filter(|it| it.len() as i64 == count);
        let factors =
            factors.and_then(|it| it.iter().map(Value::as_f64).collect::<Option<Vec<_>>>());
        match factors {
            Some(factors) if factors.iter().all(|it| it.is_finite() && *it > 0.0) => Ok(factors),
            _ => Err(self.wrong(name, &format!("a list of {count} numbers over 0"), value)),
        }
    }

    fn number(&self, name: &str) -> Result<f64, Error> {
        let value = self.object.get(name).unwrap_or(&Value::Null);
        self.optional(name)?.ok_or_else(|| self.wrong(name, "a number", value))
    }

    fn optional(&self, name: &str) -> Result<Option<f64>, Error> {
        match self.object.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_f64() {
                Some(number) if number.is_finite() => Ok(Some(number)),
                _ => Err(self.wrong(name, "a finite number", value)),
            },
        }
    }

    fn wrong(&self, name: &str, expected: &str, got: &Value) -> Error {
        self.a.wrong(&format!("{}.{name}", self.place), expected, got)
    }

    fn invalid(&self, name: &str, reason: &str) -> Error {
        self.a.invalid(&format!("{}.{name}", self.place), reason)
    }
}
