use crate::{
    Activation, Error, RopeParameters,
    family::{Attributes, Family},
    json::{Object, Value},
    rope,
    schema::family,
    shape,
};

family! {
    /// Phi 3: <https://arxiv.org/abs/2404.14219>.
    ///
    /// A field is named as in `config.json` and has the value that `Phi3Config` gives it.
    ///
    /// Invariant: all sizes are positive and fit together; query heads are a multiple of key-value
    /// heads.
    pub struct Phi3 {
        /// Token ids there are: rows of the embedding and of the head (V).
        vocab_size: i64 = vocabulary(32_064),
        /// Channels of the residual stream (C).
        hidden_size: i64 = size(3072),
        /// Channels within a feed-forward layer (F).
        intermediate_size: i64 = size(8192),
        /// Transformer blocks.
        num_hidden_layers: usize = layers(32),
        /// Query heads of an attention layer (H).
        num_attention_heads: i64 = size(32),
        /// Key-value heads of an attention layer (K); absent, as many as query heads.
        num_key_value_heads: i64 = optional_size(),
        /// Probability of zeroing an element of what a layer adds to the residual stream, in
        /// training.
        resid_pdrop: f64 = dropout(0.0),
        /// Probability of zeroing an element of the embeddings; the reference does not use it.
        embd_pdrop: f64 = dropout(0.0),
        /// Probability of zeroing an attention weight, in training.
        attention_dropout: f64 = dropout(0.0),
        /// Activation on the gate of the feed-forward layer.
        hidden_act: Activation = text("silu"),
        /// Positions that the model was made for, in tokens.
        max_position_embeddings: i64 = positions(4096),
        /// Positions of the pretraining, in tokens, if rotations are scaled.
        original_max_position_embeddings: i64 = positions(4096),
        /// Standard deviation of fresh weights.
        initializer_range: f64 = float(0.02),
        /// ε within the root of the norms.
        rms_norm_eps: f64 = float(1e-5),
        /// Whether generating keeps keys and values; says nothing about the network.
        use_cache: bool = switch(true),
        /// Whether the head is the embedding.
        tie_word_embeddings: bool = switch(false),
        /// The token that begins a text.
        bos_token_id: Option<u32> = token(Some(1)),
        /// The tokens that end a text.
        eos_token_id: Vec<u32> = tokens(Some(32_000)),
        /// The token that fills a batch up.
        pad_token_id: Option<u32> = token(Some(32_000)),
        /// Keys that a query sees, itself included, in tokens; absent, all before it.
        sliding_window: Option<i64> = window(None),
    }
    hidden {}
    derived {
        /// Channels of a head (D): a field of some files, else the hidden size shared among the query
        /// heads.
        head_dim: i64 = shape::any_head_dim,
        /// Rotation of queries and keys; the type is `default` or `longrope`.
        rope_parameters: RopeParameters = |a| RopeParameters::read(a, shape::any_head_dim(a)?),
    }
}

/// `Phi3Config`
pub(crate) const FAMILY: Family = Family {
    model_type: "phi3",
    causal_lm: "Phi3ForCausalLM",
    fields: Phi3::FIELDS,
    aliases: &[],
    derive: |a, _| {
        shape::key_value_heads(a);
        Ok(())
    },
    rope: Some(convert),
    validate,
    before_save: |_| Ok(()),
};

impl Phi3 {
    pub(crate) fn new(a: &Attributes) -> Result<Phi3, Error> {
        let config = Phi3::read(a)?;
        shape::check_heads(a, config.num_attention_heads, config.num_key_value_heads)?;
        shape::check_parameters(a, config.parameter_count())?;
        Ok(config)
    }

    /// How many numbers the weights have.
    pub fn parameter_count(&self) -> u128 {
        let [v, c, f, h, k, d] = shape::wide([
            self.vocab_size,
            self.hidden_size,
            self.intermediate_size,
            self.num_attention_heads,
            self.num_key_value_heads,
            self.head_dim,
        ]);
        let layer = shape::attention(c, h, k, d) + 3 * c * f + 2 * c;
        let head = if self.tie_word_embeddings { 0 } else { v * c };
        v * c + self.num_hidden_layers as u128 * layer + c + head
    }
}

fn convert(a: &mut Attributes, rest: &mut Object) -> Result<(), Error> {
    rope::take_scaling(a, rest)?;
    let theta = rest.remove("rope_theta").unwrap_or(Value::Float(10_000.0));
    // The class also keeps this one as a field of its own.
    let share = rest.get("partial_rotary_factor").cloned().unwrap_or(Value::Float(1.0));
    if let Some(parameters) = a.get_mut("rope_parameters").and_then(Value::as_object_mut) {
        parameters.set_default("rope_theta", theta);
        parameters.set_default("partial_rotary_factor", share);
    }
    rope::standardize(a)?;
    let context = a.get("original_max_position_embeddings").clone();
    let Some(parameters) = a.get_mut("rope_parameters").and_then(Value::as_object_mut) else {
        return Ok(());
    };
    // Old files say `su` or `yarn` and mean `longrope`. The reference means to read them, too, but
    // looks for the context of the pretraining before it renames the type, and misses it.
    if matches!(parameters.get("rope_type").and_then(Value::as_str), Some("su" | "yarn")) {
        parameters.set("rope_type", "longrope");
        parameters.set_default("original_max_position_embeddings", context);
    }
    Ok(())
}

/// `Phi3Config.validate_rope`
fn validate(a: &Attributes) -> Result<(), Error> {
    let Some(parameters) = a.get("rope_parameters").as_object() else { return Ok(()) };
    let rope_type = parameters.get("rope_type").unwrap_or(&Value::Null);
    if !matches!(rope_type.as_str(), Some("default" | "longrope")) {
        return Err(a.wrong("rope_parameters.rope_type", "default or longrope", rope_type));
    }
    let share = parameters.get("partial_rotary_factor").and_then(Value::as_f64).unwrap_or(1.0);
    let n_pairs = (shape::shared_head_dim(a)? as f64 * share) as i64 / 2;
    for name in ["short_factor", "long_factor"] {
        let value = parameters.get(name).unwrap_or(&Value::Null);
        let is_number = |it: &Value| matches!(it, Value::Int(_) | Value::Float(_) | Value::Bool(_));
        let fits = |it: &[Value]| it.len() as i64 == n_pairs && it.iter().all(is_number);
        if !value.is_null() && !value.as_array().is_some_and(fits) {
            let expected = format!("a list of {n_pairs} numbers");
            return Err(a.wrong(&format!("rope_parameters.{name}"), &expected, value));
        }
    }
    Ok(())
}
