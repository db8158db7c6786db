//! What all configuration classes of transformers have in common (`PreTrainedConfig`).

use crate::{
    Error, dtype,
    family::{Attributes, Default, Field},
    json::{Object, Value},
    rope, schema,
};

/// `PreTrainedConfig.__post_init__`
pub(crate) fn complete(a: &mut Attributes, rest: &mut Object) -> Result<(), Error> {
    let torch_dtype = rest.remove("torch_dtype").unwrap_or(Value::Null);
    if a.get("dtype").is_null() && !torch_dtype.is_null() {
        a.set("dtype", torch_dtype);
    }
    if let Some(name) = dtype::check(a.family.model_type, a.get("dtype"))?.map(str::to_owned) {
        a.set("dtype", name);
    }
    labels(a, rest)?;

    let says = |key| rest.get(key).is_some_and(Value::is_truthy);
    match a.family.rope {
        Some(convert) => convert(a, rest)?,
        None if says("rope_scaling") && says("rope_theta") => rope::convert(a, rest)?,
        None => {}
    }
    check_attention_outputs(a, rest)?;
    rest.retain(|key, _| !GENERATION.contains(&key) && !DROPPED.contains(&key));
    a.set("output_attentions", rest.remove("output_attentions").unwrap_or(Value::Bool(false)));
    Ok(())
}

/// `validate_output_attentions`
fn check_attention_outputs(a: &Attributes, rest: &Object) -> Result<(), Error> {
    let given = rest.get("_attn_implementation").or_else(|| rest.get("attn_implementation"));
    let is_eager = given.is_none_or(|it| it.is_null() || it.as_str() == Some("eager"));
    match rest.get("output_attentions").is_some_and(Value::is_truthy) && !is_eager {
        true => Err(a.invalid("output_attentions", "needs `_attn_implementation` to be eager")),
        false => Ok(()),
    }
}

/// `id2label`, `label2id` and `num_labels` say the same; the first wins, two labels are the default.
fn labels(a: &mut Attributes, rest: &mut Object) -> Result<(), Error> {
    let count = match rest.remove("num_labels") {
        None => None,
        Some(value) => match value.as_i64() {
            Some(count) if count <= MAX_LABELS => Some(count.max(0)),
            _ => return Err(a.wrong("num_labels", "an integer of at most 2^20", &value)),
        },
    };
    let names = match a.get("id2label") {
        Value::Null => None,
        Value::Object(names) => {
            let id = |key: &str| key.trim().parse::<i64>().ok();
            let names: Option<Object> = names
                .iter()
                .map(|(key, name)| Some((id(key)?.to_string(), name.clone())))
                .collect();
            Some(names.ok_or_else(|| a.invalid("id2label", "must have integers as keys"))?)
        }
        other => return Err(a.wrong("id2label", "an object or null", other)),
    };
    let n_names = names.as_ref().map(|names| names.len() as i64);
    match (names, count) {
        (Some(names), None) => a.set("id2label", names),
        (Some(names), Some(count)) if Some(count) == n_names => a.set("id2label", names),
        // A count that contradicts the names replaces them, as the last step of transformers does.
        (_, count) => {
            let labels = || (0..count.unwrap_or(2)).map(|i| (i, format!("LABEL_{i}")));
            let named = labels().map(|(i, label)| (i.to_string(), label.into()));
            a.set("id2label", named.collect::<Object>());
            let numbered = labels().map(|(i, label)| (label, i.into()));
            a.set("label2id", numbered.collect::<Object>());
        }
    }
    let one = a.get("id2label").as_object().is_some_and(|names| names.len() == 1);
    if one && a.get("problem_type").as_str() == Some("single_label_classification") {
        return Err(a.invalid("problem_type", "needs more than one label"));
    }
    Ok(())
}

/// Sets a field that the class does not declare.
pub(crate) fn set_rest(a: &mut Attributes, key: String, value: Value) {
    match key.as_str() {
        // A model without RoPE keeps the scaling under its new name.
        "rope_scaling" => a.set("rope_parameters", value),
        "_output_attentions" => a.set("output_attentions", value),
        _ => a.set(&key, value),
    }
}

/// Names of layer types that were changed.
pub(crate) fn remap_layer_types(a: &mut Attributes) {
    for name in ["layer_types", "mtp_layer_types"] {
        let Some(Value::Array(types)) = a.get_mut(name) else { continue };
        for layer_type in types {
            let new = match layer_type.as_str() {
                Some("mamba") => "linear_attention",
                Some("attention") => "full_attention",
                Some("deepseek_sparse_attention" | "qwen_sparse_attention") => "indexed_attention",
                _ => continue,
            };
            *layer_type = new.into();
        }
    }
}

/// `PreTrainedConfig.validate`
pub(crate) fn validate(a: &mut Attributes) -> Result<(), Error> {
    validate_layer_types(a, "layer_types", ATTENTION_TYPES)?;
    if a.has("layer_types") {
        validate_layer_types(a, "mlp_layer_types", &["sparse", "dense"])?;
    }
    rope::validate(a)?;
    (a.family.validate)(a)
}

fn validate_layer_types(a: &Attributes, name: &str, allowed: &[&str]) -> Result<(), Error> {
    let types = match a.get(name) {
        Value::Null => return Ok(()),
        Value::Array(types) => types,
        other => return Err(a.wrong(name, "a list", other)),
    };
    for layer_type in types {
        if !layer_type.as_str().is_some_and(|it| allowed.contains(&it)) {
            return Err(a.wrong(name, "a list of known layer types", layer_type));
        }
    }
    let count = a.int("num_hidden_layers")?;
    if types.len() as i64 != count {
        let reason = format!("has {} entries for {count} layers (num_hidden_layers)", types.len());
        return Err(a.invalid(name, reason));
    }
    Ok(())
}

/// The fields that every class has. Their types are not checked, as transformers does not.
pub(crate) const FIELDS: &[Field] = &[
    schema::any("transformers_version", Default::Null),
    schema::any("architectures", Default::Null),
    schema::any("output_hidden_states", Default::Bool(false)),
    schema::any("return_dict", Default::Bool(true)),
    schema::any("dtype", Default::Null),
    schema::any("chunk_size_feed_forward", Default::Int(0)),
    schema::any("is_encoder_decoder", Default::Bool(false)),
    schema::any("id2label", Default::Null),
    schema::any("label2id", Default::Null),
    schema::any("problem_type", Default::Null),
];

/// More classes than any classifier has.
const MAX_LABELS: i64 = 1 << 20;

/// `ALLOWED_ATTN_LAYER_TYPES`
const ATTENTION_TYPES: &[&str] = &[
    "full_attention",
    "sliding_attention",
    "chunked_attention",
    "window_attention",
    "indexed_attention",
    "compressed_sparse_attention",
    "heavily_compressed_attention",
    "minimax_m3_sparse",
    "conv",
    "moe",
    "hybrid",
    "hybrid_sliding",
    "reference_sliding_attention",
    "linear_attention",
];

/// Parameters of generation, which older files have in `config.json`; they belong into
/// `generation_config.json` and are not kept here.
const GENERATION: &[&str] = &[
    "max_length",
    "min_length",
    "do_sample",
    "use_cache",
    "early_stopping",
    "num_beams",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
    "repetition_penalty",
    "length_penalty",
    "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size",
    "bad_words_ids",
    "num_return_sequences",
    "output_scores",
    "return_dict_in_generate",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "remove_invalid_values",
    "exponential_decay_length_penalty",
    "suppress_tokens",
    "begin_suppress_tokens",
    "epsilon_cutoff",
    "eta_cutoff",
    "encoder_repetition_penalty",
    "num_assistant_tokens",
    "num_assistant_tokens_schedule",
    "assistant_confidence_threshold",
    "assistant_lookbehind",
    "target_lookbehind",
    "num_beam_groups",
    "diversity_penalty",
];

/// Fields that say where a file came from or how to run it, and are never kept.
const DROPPED: &[&str] = &[
    "name_or_path",
    "_name_or_path",
    "_commit_hash",
    "attn_implementation",
    "_attn_implementation",
    "_attn_implementation_internal",
    "experts_implementation",
    "_experts_implementation",
    "_experts_implementation_internal",
    "model_type",
    "kwargs",
];
