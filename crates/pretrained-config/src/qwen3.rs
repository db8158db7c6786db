use crate::{
    Activation, Error, LayerType, RopeParameters,
    family::{Attributes, Family},
    layer_type, rope,
    schema::family,
    shape,
};

family! {
    /// Qwen 3: <https://arxiv.org/abs/2505.09388>.
    ///
    /// A field is named as in `config.json` and has the value that `Qwen3Config` gives it.
    ///
    /// Invariant: all sizes are positive and fit together; query heads are a multiple of key-value
    /// heads, each layer has a type, and there is a window if a layer needs one.
    pub struct Qwen3 {
        /// Token ids there are: rows of the embedding and of the head (V).
        vocab_size: i64 = vocabulary(151_936),
        /// Channels of the residual stream (C).
        hidden_size: i64 = size(4096),
        /// Channels within a feed-forward layer (F).
        intermediate_size: i64 = size(22_016),
        /// Transformer blocks.
        num_hidden_layers: usize = layers(32),
        /// Query heads of an attention layer (H).
        num_attention_heads: i64 = size(32),
        /// Key-value heads of an attention layer (K); absent, as many as query heads.
        num_key_value_heads: i64 = size_or_null(32),
        /// Channels of a head (D).
        head_dim: i64 = size(128),
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
        /// Whether the head is the embedding.
        tie_word_embeddings: bool = switch(false),
        /// Whether the four projections of attention have a bias.
        attention_bias: bool = switch(false),
        /// Whether there are layers with a window.
        use_sliding_window: bool = switch(false),
        /// Keys that a query sees in a layer with a window, itself included, in tokens.
        sliding_window: Option<i64> = window(Some(4096)),
        /// The first layer with a window, from 0, unless `layer_types` says otherwise.
        max_window_layers: usize = count(28),
        /// Which keys each layer's queries see.
        layer_types: Vec<LayerType> = texts(),
        /// Probability of zeroing an attention weight, in training.
        attention_dropout: f64 = dropout(0.0),
        /// The token that fills a batch up.
        pad_token_id: Option<u32> = token(None),
        /// The token that begins a text.
        bos_token_id: Option<u32> = token(None),
        /// The tokens that end a text.
        eos_token_id: Vec<u32> = tokens(None),
    }
    hidden {}
    derived {
        /// Rotation of queries and keys.
        rope_parameters: RopeParameters = shape::whole_heads,
    }
}

/// `Qwen3Config`
pub(crate) const FAMILY: Family = Family {
    model_type: "qwen3",
    causal_lm: "Qwen3ForCausalLM",
    fields: Qwen3::FIELDS,
    aliases: &[],
    derive: |a, _| {
        layer_type::drop_unused_window(a);
        shape::key_value_heads(a);
        let first = layer_type::first_with_window(a)?;
        layer_type::fill(a, |layer| layer >= first)
    },
    rope: Some(rope::convert),
    validate: |_| Ok(()),
    before_save: |_| Ok(()),
};

impl Qwen3 {
    pub(crate) fn new(a: &Attributes) -> Result<Qwen3, Error> {
        let config = Qwen3::read(a)?;
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
        let layer = shape::attention(c, h, k, d) + biases + 2 * d + 3 * c * f + 2 * c;
        let head = if self.tie_word_embeddings { 0 } else { v * c };
        v * c + self.num_hidden_layers as u128 * layer + c + head
    }
}
