use crate::{
    Error,
    family::{Default as FieldDefault, Field},
    json::{Object, Value},
    schema::{self, FromValue},
};

/// Makes the type and what reads it from a document and writes it into one.
macro_rules! settings {
    ($(#[$doc:meta])* pub struct $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
            /// As it was read; what the fields above say wins.
            pub(super) document: Object,
        }

        impl $name {
            pub(super) fn from_document(document: Object) -> Result<$name, Error> {
                Ok($name { $($field: read(&document, stringify!($field))?,)* document })
            }

            /// The document with the fields that were changed.
            pub(super) fn merged(&self) -> Object {
                let mut document = self.document.clone();
                $(merge(&mut document, stringify!($field), &self.$field);)*
                document
            }
        }
    };
}

settings! {
    /// How to draw text from a model.
    ///
    /// Fields are named as in `generation_config.json`. What is absent has the effect that is told
    /// last; it is left to what generates, so that a file says only what its author said.
    /// Lengths are in tokens.
    pub struct GenerationConfig {
        /// Longest text, with the prompt. 20, and then without the prompt.
        max_length: Option<i64>,
        /// Longest continuation; beats `max_length`. No limit.
        max_new_tokens: Option<i64>,
        /// Shortest text, with the prompt. 0.
        min_length: Option<i64>,
        /// Shortest continuation; beats `min_length`. 0.
        min_new_tokens: Option<i64>,
        /// When a beam search stops. Once no running beam can win by the usual guess.
        early_stopping: Option<EarlyStopping>,
        /// Longest time, in seconds. No limit.
        max_time: Option<f64>,
        /// Texts that end the continuation. None.
        stop_strings: Vec<String>,
        /// Whether tokens are drawn rather than the likeliest taken. No.
        do_sample: Option<bool>,
        /// Beams of the search. 1, which is none.
        num_beams: Option<i64>,
        /// Whether keys and values are kept from step to step. Yes.
        use_cache: Option<bool>,
        /// What logits are divided by before drawing. 1.
        temperature: Option<f64>,
        /// How many of the likeliest tokens are drawn from; 0 for all. 50.
        top_k: Option<i64>,
        /// The probability that the likeliest tokens that are drawn from add up to. 1.
        top_p: Option<f64>,
        /// The least probability that is drawn, as a share of the highest. Off.
        min_p: Option<f64>,
        /// The entropy that is kept, as a share. Off.
        top_h: Option<f64>,
        /// The probability that the most typical tokens add up to. 1.
        typical_p: Option<f64>,
        /// The least probability that is drawn. 0.
        epsilon_cutoff: Option<f64>,
        /// The same, lowered where the distribution is flat. 0.
        eta_cutoff: Option<f64>,
        /// What the logits of tokens that occurred are divided (or multiplied, below 0) by. 1.
        repetition_penalty: Option<f64>,
        /// The inverse, for the tokens of the prompt. 1.
        encoder_repetition_penalty: Option<f64>,
        /// The power of the length that a beam's score is divided by. 1.
        length_penalty: Option<f64>,
        /// Runs of so many tokens occur once only; 0 for no limit. 0.
        no_repeat_ngram_size: Option<i64>,
        /// The same for runs that are in the prompt. 0.
        encoder_no_repeat_ngram_size: Option<i64>,
        /// Sequences of token ids that do not occur. None.
        bad_words_ids: Vec<Vec<u32>>,
        /// Whether probabilities add up to one again after all changes. No.
        renormalize_logits: Option<bool>,
        /// The token after the first one. Any.
        forced_bos_token_id: Option<u32>,
        /// The tokens that one of which is the last if the greatest length is reached. Any.
        forced_eos_token_id: Vec<u32>,
        /// Whether NaN and infinite logits are replaced. No.
        remove_invalid_values: Option<bool>,
        /// From so many new tokens on, the end gets likelier by that factor per token. Off.
        exponential_decay_length_penalty: Option<(i64, f64)>,
        /// Tokens that do not occur. None.
        suppress_tokens: Vec<u32>,
        /// Tokens that do not come first. None.
        begin_suppress_tokens: Vec<u32>,
        /// What is added to the logit of a sequence's last token after the others. None.
        sequence_bias: Vec<(Vec<u32>, f64)>,
        /// The scale of classifier-free guidance. Off.
        guidance_scale: Option<f64>,
        /// Continuations for each prompt. 1.
        num_return_sequences: Option<i64>,
        /// Whether attention weights are returned. No.
        output_attentions: Option<bool>,
        /// Whether the hidden states of all layers are returned. No.
        output_hidden_states: Option<bool>,
        /// Whether logits are returned after all changes. No.
        output_scores: Option<bool>,
        /// Whether logits are returned as the model made them. No.
        output_logits: Option<bool>,
        /// Whether more than the tokens is returned. No.
        return_dict_in_generate: Option<bool>,
        /// The token that fills a batch up. The first that ends a text.
        pad_token_id: Option<u32>,
        /// The token that begins a text. None.
        bos_token_id: Option<u32>,
        /// The tokens that end a text. None.
        eos_token_id: Vec<u32>,
    }
}

/// When a beam search stops that has as many finished texts as beams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EarlyStopping {
    /// Once the best running beam could not win if it ended now (`false`).
    Guess,
    /// At once (`true`).
    Immediately,
    /// Once the best running beam cannot win at any length (`"never"`).
    Never,
}

/// Reads a field; `null` is as good as nothing.
fn read<T: FromValue>(document: &Object, name: &'static str) -> Result<T, Error> {
    let field = schema::any(name, FieldDefault::Null);
    let value = document.get(name).unwrap_or(&Value::Null);
    T::from_value(value, &field).ok_or_else(|| Error::Invalid {
        model_type: "generation_config",
        field: name.to_owned(),
        reason: format!("must be {}, got {}", T::expected(&field), crate::json::to_line(value)),
    })
}

/// Writes a field unless the document says the same, whose spelling is kept.
fn merge<T: FromValue + ToValue + PartialEq>(document: &mut Object, name: &'static str, field: &T) {
    let is_unchanged = read::<T>(document, name).is_ok_and(|read| read == *field);
    if !is_unchanged {
        document.set(name, field.to_value());
    }
}

/// The form of a setting in a document.
trait ToValue {
    fn to_value(&self) -> Value;
}

macro_rules! to_value {
    ($($type:ty => $convert:expr;)*) => {$(
        impl ToValue for $type {
            fn to_value(&self) -> Value {
                let convert: fn(&$type) -> Value = $convert;
                convert(self)
            }
        }
    )*};
}

to_value! {
    i64 => |it| (*it).into();
    u32 => |it| i64::from(*it).into();
    f64 => |it| (*it).into();
    bool => |it| (*it).into();
    EarlyStopping => |it| match it {
        EarlyStopping::Guess => false.into(),
        EarlyStopping::Immediately => true.into(),
        EarlyStopping::Never => "never".into(),
    };
    (i64, f64) => |(start, factor)| Value::Array(vec![(*start).into(), (*factor).into()]);
    // A list that is empty says nothing, and one token is written without brackets.
    Vec<u32> => |it| match it.as_slice() {
        [] => Value::Null,
        [one] => i64::from(*one).into(),
        several => list(several),
    };
    Vec<String> => |it| if it.is_empty() { Value::Null } else { it.clone().into() };
    Vec<Vec<u32>> => |it| match it.is_empty() {
        true => Value::Null,
        false => Value::Array(it.iter().map(|ids| list(ids)).collect()),
    };
    Vec<(Vec<u32>, f64)> => |it| match it.is_empty() {
        true => Value::Null,
        false => Value::Array(
            it.iter().map(|(ids, bias)| Value::Array(vec![list(ids), (*bias).into()])).collect(),
        ),
    };
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, ToValue::to_value)
    }
}

fn list(ids: &[u32]) -> Value {
    Value::Array(ids.iter().map(|id| i64::from(*id).into()).collect())
}

schema::optional!(EarlyStopping, (i64, f64));

impl FromValue for EarlyStopping {
    fn from_value(value: &Value, _: &Field) -> Option<EarlyStopping> {
        match value {
            Value::Bool(false) => Some(EarlyStopping::Guess),
            Value::Bool(true) => Some(EarlyStopping::Immediately),
            Value::String(text) if text == "never" => Some(EarlyStopping::Never),
            _ => None,
        }
    }

    fn expected(_: &Field) -> String {
        "true, false or \"never\"".to_owned()
    }
}

impl FromValue for (i64, f64) {
    fn from_value(value: &Value, _: &Field) -> Option<(i64, f64)> {
        match value.as_array()? {
            [start, factor] => Some((start.as_i64()?, factor.as_f64()?)),
            _ => None,
        }
    }

    fn expected(_: &Field) -> String {
        "a list of a start and a factor".to_owned()
    }
}

impl FromValue for Vec<String> {
    fn from_value(value: &Value, _: &Field) -> Option<Vec<String>> {
        let owned = |value: &Value| value.as_str().map(str::to_owned);
        match value {
            Value::Null => Some(Vec::new()),
            Value::Array(values) => values.iter().map(owned).collect(),
            one => Some(vec![owned(one)?]),
        }
    }

    fn expected(_: &Field) -> String {
        "a string or a list of them".to_owned()
    }
}

impl FromValue for Vec<Vec<u32>> {
    fn from_value(value: &Value, _: &Field) -> Option<Vec<Vec<u32>>> {
        match value {
            Value::Null => Some(Vec::new()),
            value => value.as_array()?.iter().map(token_ids).collect(),
        }
    }

    fn expected(_: &Field) -> String {
        "a list of lists of token ids".to_owned()
    }
}

impl FromValue for Vec<(Vec<u32>, f64)> {
    fn from_value(value: &Value, _: &Field) -> Option<Vec<(Vec<u32>, f64)>> {
        let pair = |value: &Value| match value.as_array()? {
            [ids, bias] => Some((token_ids(ids)?, bias.as_f64()?)),
            _ => None,
        };
        match value {
            Value::Null => Some(Vec::new()),
            value => value.as_array()?.iter().map(pair).collect(),
        }
    }

    fn expected(_: &Field) -> String {
        "a list of pairs of a list of token ids and a number".to_owned()
    }
}

fn token_ids(value: &Value) -> Option<Vec<u32>> {
    let ids = value.as_array().filter(|ids| !ids.is_empty())?;
    ids.iter().map(|id| id.as_i64()?.try_into().ok()).collect()
}
