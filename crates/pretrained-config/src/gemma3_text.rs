use crate::{
    Activation, Error, LayerType, RopeParameters,
    family::{Attributes, Family},
    json::{Object, Value},
    layer_type, rope,
    schema::family,
    shape,
};

family! {
    /// Gemma 3, without images: <https://arxiv.org/abs/2503.19786>.
    ///
    /// A field is named as in `config.json` and has the value that `Gemma3TextConfig` gives it.
    ///
    /// Invariant: all sizes are positive and fit together; query heads are a multiple of key-value
    /// heads, each layer has a type, and there is a window if a layer needs one.
    pub struct Gemma3Text {
        /// Token ids there are: rows of the embedding and of the head (V).
        vocab_size: i64 = vocabulary(262_208),
        /// Channels of the residual stream (C).
        hidden_size: i64 = size(2304),
        /// Channels within a feed-forward layer (F).
        intermediate_size: i64 = size(9216),
        /// Transformer blocks.
        num_hidden_layers: usize = layers(26),
        /// Query heads of an attention layer (H).
        num_attention_heads: i64 = size(8),
        /// Key-value heads of an attention layer (K).
        num_key_value_heads: i64 = size(4),
        /// Channels of a head (D).
        head_dim: i64 = size(256),
        /// Activation on the gate of the feed-forward layer; `hidden_act` of older files says
        /// nothing.
        hidden_activation: Activation = text("gelu_pytorch_tanh"),
        /// Positions that the model was made for, in tokens.
        max_position_embeddings: i64 = positions(131_072),
        /// Standard deviation of fresh weights.
        initializer_range: f64 = float(0.02),
        /// ε within the root of the norms.
        rms_norm_eps: f64 = float(1e-6),
        /// Whether generating keeps keys and values; says nothing about the network.
        use_cache: bool = switch(true),
        /// The token that fills a batch up.
        pad_token_id: Option<u32> = token(Some(0)),
        /// The tokens that end a text.
        eos_token_id: Vec<u32> = tokens(Some(1)),
        /// The token that begins a text.
        bos_token_id: Option<u32> = token(Some(2)),
        /// Whether the head is the embedding.
        tie_word_embeddings: bool = switch(true),
        /// Whether the four projections of attention have a bias.
        attention_bias: bool = switch(false),
        /// Probability of zeroing an attention weight, in training.
        attention_dropout: f64 = optional_dropout(Some(0.0)),
        /// Attention scores are divided by its root.
        query_pre_attn_scalar: i64 = size(256),
        /// Keys that a query sees in a layer with a window, itself included, in tokens.
        sliding_window: Option<i64> = window(Some(4096)),
        /// Which keys each layer's queries see.
        layer_types: Vec<LayerType> = texts(),
        /// Bound c of the logits, c·tanh(x/c).
        final_logit_softcapping: Option<f64> = optional_float(None),
        /// Bound c of the attention scores, c·tanh(x/c).
        attn_logit_softcapping: Option<f64> = optional_float(None),
        /// Whether queries see keys after them, too.
        use_bidirectional_attention: Option<bool> = optional_switch(Some(false)),
    }
    hidden {}
    derived {
        /// Rotation in the layers that see everything.
        rope_full_attention: RopeParameters = |a| nested(a, "full_attention"),
        /// Rotation in the layers with a window.
        rope_sliding_attention: RopeParameters = |a| nested(a, "sliding_attention"),
    }
}

/// `Gemma3TextConfig`
pub(crate) const FAMILY: Family = Family {
    model_type: "gemma3_text",
    causal_lm: "Gemma3ForCausalLM",
    fields: Gemma3Text::FIELDS,
    aliases: &[],
    derive,
    rope: Some(convert),
    validate: shape::heads_divide_hidden_size,
    before_save,
};

impl Gemma3Text {
    pub(crate) fn new(a: &Attributes) -> Result<Gemma3Text, Error> {
        let config = Gemma3Text::read(a)?;
        shape::check_heads(a, config.num_attention_heads, config.num_key_value_heads)?;
        layer_type::check_windows(a, &config.layer_types, config.sliding_window)?;
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
        let biases = u128::from(self.attention_bias) * (h * d + 2 * k * d + c);
        let norms = 4 * c + 2 * d;
        let layer = shape::attention(c, h, k, d) + biases + 3 * c * f + norms;
        let head = if self.tie_word_embeddings { 0 } else { v * c };
        v * c + self.num_hidden_layers as u128 * layer + c + head
    }
}

fn nested(a: &Attributes, layer_type: &str) -> Result<RopeParameters, Error> {
    shape::whole(a, RopeParameters::read_nested(a, layer_type, shape::any_head_dim(a)?)?)
}

fn derive(a: &mut Attributes, rest: &mut Object) -> Result<(), Error> {
    if a.get("use_bidirectional_attention").is_truthy() {
        // Halved, since the window then lies on both sides.
        let window = a.int("sliding_window")?.div_euclid(2) + 1;
        a.set("sliding_window", window);
    }
    let pattern = rest.get("sliding_window_pattern").cloned().unwrap_or_else(|| 6.into());
    a.set("_sliding_window_pattern", pattern.clone());
    if !a.get("layer_types").is_null() {
        return Ok(());
    }
    match pattern.as_i64() {
        Some(pattern) if pattern != 0 => {
            layer_type::fill(a, |layer| (layer + 1).checked_rem(pattern) != Some(0))
        }
        _ => Err(a.wrong("sliding_window_pattern", "an integer that is not 0", &pattern)),
    }
}

/// Layers with a window have a base of their own.
fn convert(a: &mut Attributes, rest: &mut Object) -> Result<(), Error> {
    let unscaled = || Object::from_iter([("rope_type".to_owned(), "default".into())]);
    if a.get("rope_parameters").is_null() {
        let types = ["sliding_attention", "full_attention"];
        let nested = types.map(|it| (it.to_owned(), unscaled().into()));
        a.set("rope_parameters", Object::from_iter(nested));
    }
    let scaling = rest.remove("rope_scaling").unwrap_or(Value::Null);
    let mut theta = |key, default| rest.remove(key).unwrap_or(Value::Float(default));
    let (global, local) = (theta("rope_theta", 1e6), theta("rope_local_base_freq", 1e4));
    let not_object = |name: &str, a: &Attributes| Err(a.invalid(name, "must be an object"));

    let Some(parameters) = a.get_mut("rope_parameters").and_then(Value::as_object_mut) else {
        return not_object("rope_parameters", a);
    };
    match scaling {
        Value::Null => {}
        Value::Object(scaling) => match parameters.get_mut("full_attention") {
            Some(Value::Object(full)) => {
                scaling.into_iter().for_each(|(key, value)| full.set(key, value));
            }
            _ => return not_object("rope_parameters.full_attention", a),
        },
        _ => return not_object("rope_scaling", a),
    }
    for (layer_type, theta) in [("full_attention", global), ("sliding_attention", local)] {
        if parameters.get(layer_type).is_none_or(Value::is_null) {
            parameters.set(layer_type, unscaled());
        }
        match parameters.get_mut(layer_type) {
            Some(Value::Object(nested)) => nested.set_default("rope_theta", theta),
            _ => return not_object(&format!("rope_parameters.{layer_type}"), a),
        }
    }
    rope::standardize(a)
}

/// What was halved is written whole, so that reading it halves it again.
fn before_save(a: &mut Attributes) -> Result<(), Error> {
    if a.get("use_bidirectional_attention").is_truthy() {
        let window = a.int("sliding_window")?;
        a.set("sliding_window", (window - 1).saturating_mul(2));
    }
    Ok(())
}
