//! What transformers writes for a model.

use crate::{
    Config, Error, base,
    family::{self, Attributes},
    json::{Object, Value},
    rope,
};

/// The version of transformers whose files this crate writes: the one that its tests compare with.
pub const TRANSFORMERS_VERSION: &str = "5.23.0";

impl Config {
    /// The document that transformers writes when it saves this model: every field of the model's
    /// class, in the form of transformers 5, and every field that the class does not know.
    ///
    /// A model type that is not supported stays as it is, but for the three fields that say what
    /// was saved: `architectures`, `dtype` and `transformers_version`.
    ///
    /// # Errors
    ///
    /// [`Error::NoModelType`]; [`Error::Invalid`] for a `dtype` that PyTorch does not have, and for
    /// a field that the model's class refuses.
    pub fn for_save(&self, architectures: &[&str], dtype: &str) -> Result<Config, Error> {
        let name = crate::dtype::check("config", &dtype.into())?.map(str::to_owned);
        let mut config = self.clone();
        config.set("architectures", architectures.to_vec());
        config.set("dtype", name);
        config.remove("torch_dtype");
        config.saved(Step::Model)
    }

    /// The document that `AutoConfig` writes after reading this one.
    ///
    /// # Errors
    ///
    /// [`Error::NoModelType`]; [`Error::Invalid`] for a field that the model's class refuses.
    pub fn normalized(&self) -> Result<Config, Error> {
        self.saved(Step::Config)
    }

    /// The class that transformers makes of this model for generating text, such as
    /// `LlamaForCausalLM`: what [`Config::for_save`] is told for one.
    ///
    /// # Errors
    ///
    /// [`Error::NoModelType`] and [`Error::UnsupportedModelType`].
    pub fn causal_lm_class(&self) -> Result<&'static str, Error> {
        Ok(self.family()?.causal_lm)
    }

    fn saved(&self, step: Step) -> Result<Config, Error> {
        let family = match self.family() {
            Ok(family) => family,
            Err(Error::UnsupportedModelType(_)) => {
                let mut config = self.clone();
                config.set("transformers_version", TRANSFORMERS_VERSION);
                return Ok(config);
            }
            Err(error) => return Err(error),
        };
        let mut a = family::load(family, &self.document)?;
        if step == Step::Model {
            build(&mut a)?;
        }
        (family.before_save)(&mut a)?;
        let document = to_diff(&a);
        Ok(Config { document })
    }
}

/// What was made of the document before it was saved.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    Config,
    Model,
}

/// What making a model changes: scaled RoPE looks at its parameters once more, now that the fields
/// that the class does not know are there.
fn build(a: &mut Attributes) -> Result<(), Error> {
    let parameters = a.get("rope_parameters").as_object();
    let scaled = |object: &Object| {
        let rope_type = object.get("rope_type").and_then(Value::as_str);
        rope_type.is_some_and(|it| it != "default")
    };
    let nested = || parameters.into_iter().flat_map(Object::iter);
    if parameters.is_some_and(scaled) || nested().any(|(_, it)| it.as_object().is_some_and(scaled))
    {
        rope::standardize(a)?;
    }
    Ok(())
}

/// `to_diff_dict`: the fields that every class has are left out where they are at their default.
fn to_diff(a: &Attributes) -> Object {
    let mut document = a.fields().clone();
    document.set("model_type", a.family.model_type);
    document.set("transformers_version", TRANSFORMERS_VERSION);
    for value in document.iter_mut().map(|(_, value)| value) {
        drop_internal(value);
    }
    document.retain(|key, value| !is_internal(key) && !is_default(key, value));
    document
}

fn is_default(key: &str, value: &Value) -> bool {
    let default = match key {
        "transformers_version" => return false,
        "output_attentions" => Value::Bool(false),
        "id2label" => {
            let names = [("0", "LABEL_0"), ("1", "LABEL_1")];
            Value::Object(
                names.map(|(id, name)| (id.to_owned(), name.into())).into_iter().collect(),
            )
        }
        "label2id" => {
            let ids = [("LABEL_0", 0), ("LABEL_1", 1)];
            Value::Object(ids.map(|(name, id)| (name.to_owned(), id.into())).into_iter().collect())
        }
        _ => match base::FIELDS.iter().find(|field| field.name == key) {
            Some(field) => field.default.into(),
            None => return false,
        },
    };
    default.equals(value)
}

fn drop_internal(value: &mut Value) {
    let Some(object) = value.as_object_mut() else { return };
    object.retain(|key, _| !is_internal(key));
    if let Some(value) = object.remove("_output_attentions") {
        object.set("output_attentions", value);
    }
    for (_, value) in object.iter_mut() {
        drop_internal(value);
    }
}

/// `_remove_keys_not_serialized`
fn is_internal(key: &str) -> bool {
    matches!(
        key,
        "_is_quantized"
            | "_auto_class"
            | "_commit_hash"
            | "_attn_implementation_internal"
            | "_experts_implementation_internal"
            | "_post_init_done"
            | "ignore_keys_at_rope_validation"
            | "base_model_tp_plan"
            | "base_model_pp_plan"
            | "base_model_fsdp_plan"
            | "distributed_config"
            | "transformers_weights"
    )
}
