use serde_json::{Map, Value};

use super::{
    ArgumentError, FIELDS, TrainingArguments,
    known::{Fate, HUGGING_FACE, LEAVE_IT_OUT, Meant, REMOVED},
};
use crate::json;

impl TrainingArguments {
    /// Reads what transformers' `TrainingArguments.to_json_string` writes, or a part of it.
    ///
    /// Names that transformers 5 has removed are taken as they were meant.
    ///
    /// # Errors
    ///
    /// [`ArgumentError::Json`] if the text is no JSON object; otherwise what
    /// [`set_value`](TrainingArguments::set_value) says to one of the arguments. Only
    /// [`check`](TrainingArguments::check) looks at them together.
    pub fn from_json(text: &str) -> Result<TrainingArguments, ArgumentError> {
        let document: Map<String, Value> =
            serde_json::from_str(text).map_err(|e| ArgumentError::Json(e.to_string()))?;
        let mut res = TrainingArguments::default();
        for (name, value) in &document {
            res.set_value(name, value)?;
        }
        Ok(res)
    }

    /// Writes what transformers' `TrainingArguments.to_json_string` writes: every argument, those
    /// that are derived from others filled in. Arguments that only this crate knows follow where
    /// they are not at their default, since transformers refuses names that it doesn't know.
    pub fn to_json(&self) -> String {
        let (args, default) = (self.resolved(), TrainingArguments::default());
        let mut document = Map::new();
        for (name, fate) in HUGGING_FACE {
            let value = match fate {
                Fate::Obeyed if *name == "gradient_checkpointing" => {
                    args.field("activation_checkpointing")
                }
                Fate::Obeyed => args.field(name),
                Fate::Kept(text) => args.without_effect.get(*name).cloned().or(parse(text)),
                Fate::Refused(text) => parse(text),
            };
            document.insert((*name).to_owned(), value.unwrap_or_default());
        }
        for field in FIELDS {
            let value = args.field(field.name);
            if !document.contains_key(field.name) && value != default.field(field.name) {
                document.insert(field.name.to_owned(), value.unwrap_or_default());
            }
        }
        json::to_python(&Value::Object(document))
    }

    /// The value of an argument, as in [`to_json`](TrainingArguments::to_json).
    pub fn get(&self, name: &str) -> Option<Value> {
        let (_, fate) = HUGGING_FACE
            .iter()
            .find(|it| it.0 == name)
            .or_else(|| FIELDS.iter().any(|it| it.name == name).then_some(&("", Fate::Obeyed)))?;
        match fate {
            Fate::Obeyed if name == "gradient_checkpointing" => {
                self.field("activation_checkpointing")
            }
            Fate::Obeyed => self.field(name),
            Fate::Kept(text) => self.without_effect.get(name).cloned().or(parse(text)),
            Fate::Refused(text) => parse(text),
        }
    }

    /// Sets one argument from JSON, or from text in a JSON string.
    ///
    /// # Errors
    ///
    /// [`ArgumentError::Unknown`] if no argument has this name; [`ArgumentError::Value`] if the
    /// value is not of its kind; [`ArgumentError::Unsupported`] if it would change what happens, in
    /// a way that is not done here.
    pub fn set_value(&mut self, name: &str, value: &Value) -> Result<(), ArgumentError> {
        if name == "include_num_input_tokens_seen"
            && let Some(is_counted) = as_bool(value)
        {
            let word = if is_counted { "all" } else { "no" };
            return self.set_value(name, &Value::from(word));
        }
        // A file that says null where transformers fills in a default.
        if value.is_null()
            && matches!(name, "activation_checkpointing" | "disable_tqdm" | "output_dir")
        {
            return Ok(());
        }
        match self.set_field(name, value) {
            Some(true) => return Ok(()),
            Some(false) => return Err(wrong_kind(name, value)),
            None => {}
        }
        if let Some((_, meant)) = REMOVED.iter().find(|it| it.0 == name) {
            return self.set_removed(name, meant, value);
        }
        match HUGGING_FACE.iter().find(|it| it.0 == name) {
            Some((_, Fate::Kept(_))) => {
                self.without_effect.insert(name.to_owned(), from_text(value));
                Ok(())
            }
            Some((_, Fate::Refused(default))) if is_same(value, default) => Ok(()),
            Some((_, Fate::Refused(default))) => {
                let way_out = format!("leave it at {default}");
                Err(unsupported(name, value, &way_out))
            }
            _ => Err(ArgumentError::Unknown { name: name.to_owned(), hint: closest(name) }),
        }
    }

    fn set_removed(
        &mut self,
        name: &str,
        meant: &Meant,
        value: &Value,
    ) -> Result<(), ArgumentError> {
        match meant {
            Meant::Renamed(new) if value.is_null() => {
                let _ = new;
                Ok(())
            }
            Meant::Renamed(new) => self.set_value(new, value),
            Meant::WarmupRatio => {
                let ratio = number(value).ok_or_else(|| wrong_kind(name, value))?;
                if !(0.0..1.0).contains(&ratio) {
                    return Err(unsupported(name, value, "set warmup_steps to a number of steps"));
                }
                // As in version 4, a number of steps wins over a share.
                if ratio > 0.0 && self.warmup_steps == 0.0 {
                    self.warmup_steps = ratio;
                }
                Ok(())
            }
            Meant::GroupByLength => match as_bool(value) {
                Some(true) => self.set_value("train_sampling_strategy", &"group_by_length".into()),
                Some(false) => Ok(()),
                None => Err(wrong_kind(name, value)),
            },
            Meant::Nothing(values, _) if values.iter().any(|it| is_same(value, it)) => Ok(()),
            Meant::Nothing(_, way_out) => Err(unsupported(name, value, way_out)),
        }
    }
}

/// A text option as the JSON that it stands for, where it does.
fn from_text(value: &Value) -> Value {
    match value {
        Value::String(text) => match text.as_str() {
            "True" => Value::Bool(true),
            "False" => Value::Bool(false),
            "None" => Value::Null,
            text => match serde_json::from_str(text) {
                Ok(it @ (Value::Bool(_) | Value::Number(_) | Value::Null)) => it,
                _ => value.clone(),
            },
        },
        other => other.clone(),
    }
}

fn is_same(value: &Value, default: &str) -> bool {
    let default = parse(default).unwrap_or_default();
    let value = from_text(value);
    // Python writes "nothing" in several ways: null, "", [], {}.
    let is_empty = |it: &Value| match it {
        Value::Null => true,
        Value::String(it) => it.is_empty(),
        Value::Array(it) => it.is_empty(),
        Value::Object(it) => it.is_empty(),
        _ => false,
    };
    match (&value, &default) {
        (Value::Object(value), Value::Object(default)) => value.iter().all(|(name, it)| {
            default.get(name) == Some(it) || name == "use_configured_state" && *it == false
        }),
        _ => value == default || is_empty(&value) && is_empty(&default) || value.is_null(),
    }
}

fn closest(name: &str) -> Option<String> {
    let names = FIELDS.iter().map(|it| it.name).chain(HUGGING_FACE.iter().map(|it| it.0));
    let best = names.map(|it| (distance(name, it), it)).min()?;
    (best.0 <= 1 + name.len() / 4).then(|| best.1.to_owned())
}

/// Levenshtein's edit distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

fn wrong_kind(name: &str, value: &Value) -> ArgumentError {
    let kind = FIELDS.iter().find(|it| it.name == name).map_or("a value of it", |it| it.value);
    let expected = match kind {
        "INT" => "a whole number in range".to_owned(),
        "FLOAT" | "STEPS" => "a finite number".to_owned(),
        "BOOL" => "true or false".to_owned(),
        names if names.contains('|') => {
            format!("one of {}", names.trim_end_matches('|').replace('|', ", "))
        }
        kind => kind.to_lowercase(),
    };
    ArgumentError::Value { name: name.to_owned(), value: value.to_string(), expected }
}

fn unsupported(name: &str, value: &Value, way_out: &str) -> ArgumentError {
    let way_out = if way_out.is_empty() { LEAVE_IT_OUT } else { way_out };
    let (name, value) = (name.to_owned(), value.to_string());
    ArgumentError::Unsupported { name, value, way_out: way_out.to_owned() }
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn as_bool(value: &Value) -> Option<bool> {
    from_text(value).as_bool()
}

fn parse(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}
