use crate::{
    Activation, Error, LayerType, RopeParameters,
    family::{Attributes, Family},
    json::{Object, Value},
    layer_type, rope,
    schema::family,
    shape,
};

family! {
    /// SmolLM 3: <https://huggingface.co/blog/smollm3>.
    ///
    /// A field is named as in `config.json` and has the value that `SmolLM3Config` gives it.
    ///
    /// Invariant: all sizes are positive and fit together; query heads are a multiple of key-value
    /// heads, the lists have an entry for each layer, and there is a window if a layer needs one.
    pub struct SmolLm3 {
        /// Token ids there are: rows of the embedding and of the head (V).
        vocab_size: i64 = vocabulary(128_256),
        /// Channels of the residual stream (C).
        hidden_size: i64 = size(2048),
        /// Channels within a feed-forward layer (F).
        intermediate_size: i64 = size(11_008),
        /// Transformer blocks.
        num_hidden_layers: usize = layers(36),
        /// Query heads of an attention layer (H).
        num_attention_heads: i64 = size(16),
        /// Key-value heads of an attention layer (K); absent, as many as query heads.
        num_key_value_heads: i64 = size_or_null(4),
        /// Activation on the gate of the feed-forward layer.
        hidden_act: Activation = text("silu"),
        /// Positions that the model was made for, in tokens.
        max_position_embeddings: i64 = positions(32_768),
        /// Standard deviation of fresh weights.
        initializer_range: f64 = float(0.02),
        /// ε within the root of the norms.
        rms_norm_eps: f64 = float(1e-6),
        /// Whether generating keeps keys and values; says nothing about the network.
        use_cache: bool = switch(true),
        /// The token that fills a batch up.
        pad_token_id: Option<u32> = token(Some(128_004)),
        /// The token that begins a text.
        bos_token_id: Option<u32> = token(Some(128_000)),
        /// The tokens that end a text.
        eos_token_id: Vec<u32> = tokens(Some(128_001)),
        /// Whether there are layers with a window.
        use_sliding_window: bool = switch(false),
        /// Keys that a query sees in a layer with a window, itself included, in tokens.
        sliding_window: Option<i64> = window(None),
        /// Whether each layer rotates queries and keys: in spite of the name, 1 is yes.
        no_rope_layers: Vec<bool> = counts(),
        /// Every so many layers, one does not rotate, unless `no_rope_layers` says otherwise.
        no_rope_layer_interval: i64 = size(4),
        /// Which keys each layer's queries see.
        layer_types: Vec<LayerType> = texts(),
        /// Whether the four projections of attention have a bias.
        attention_bias: bool = switch(false),
        /// Probability of zeroing an attention weight, in training.
        attention_dropout: f64 = dropout(0.0),
        /// Whether the three projections of the feed-forward layer have a bias.
        mlp_bias: bool = switch(false),
        /// Whether the head is the embedding.
        tie_word_embeddings: bool = switch(true),
    }
    hidden {}
    derived {
        /// Channels of a head (D): a field of some files, else the hidden size shared among the query
        /// heads.
        head_dim: i64 = shape::any_head_dim,
        /// Rotation of queries and keys.
        rope_parameters: RopeParameters = shape::whole_heads,
    }
}

/// `SmolLM3Config`
pub(crate) const FAMILY: Family = Family {
    model_type: "smollm3",
    causal_lm: "SmolLM3ForCausalLM",
    fields: SmolLm3::FIELDS,
    aliases: &[],
    derive,
    rope: Some(|a, rest| rope::convert_with(a, rest, 2_000_000.0)),
    validate: |_| Ok(()),
    before_save: |_| Ok(()),
};

impl SmolLm3 {
    pub(crate) fn new(a: &Attributes) -> Result<SmolLm3, Error> {
        let config = SmolLm3::read(a)?;
        shape::check_heads(a, config.num_attention_heads, config.num_key_value_heads)?;
        layer_type::check_windows(a, &config.layer_types, config.sliding_window)?;
        if config.no_rope_layers.len() < config.num_hidden_layers {
            return Err(a.invalid("no_rope_layers", "has fewer entries than there are layers"));
        }
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
        let biases = u128::from(self.attention_bias) * (h * d + 2 * k * d + c)
            + u128::from(self.mlp_bias) * (2 * f + c);
        let layer = shape::attention(c, h, k, d) + biases + 3 * c * f + 2 * c;
        let head = if self.tie_word_embeddings { 0 } else { v * c };
        v * c + self.num_hidden_layers as u128 * layer + c + head
    }
}

fn derive(a: &mut Attributes, _: &mut Object) -> Result<(), Error> {
    shape::key_value_heads(a);
    if a.get("no_rope_layers").is_null() {
        let interval = a.int("no_rope_layer_interval")?;
        if interval == 0 {
            return Err(a.invalid("no_rope_layer_interval", "must not be 0"));
        }
        // The sign does not matter for what is divisible.
        let rotates = |i: i64| i64::from((i + 1).checked_rem(interval) != Some(0));
        let rotates: Vec<i64> = (0..a.int("num_hidden_layers")?).map(rotates).collect();
        a.set("no_rope_layers", rotates);
    }
    let has_window = a.get("use_sliding_window").is_truthy() && !a.get("sliding_window").is_null();
    let rotates = a.get("no_rope_layers").as_array().unwrap_or_default();
    let rotates: Vec<bool> = rotates.iter().map(Value::is_truthy).collect();
    let missing = a.int("num_hidden_layers")? > rotates.len() as i64;
    if missing && a.get("layer_types").is_null() {
        return Err(a.invalid("no_rope_layers", "has fewer entries than there are layers"));
    }
    layer_type::fill(a, |layer| {
        has_window && rotates.get(layer as usize).is_some_and(|rotates| !rotates)
    })
}
