use crate::{
    Activation, Error, LayerType, RopeParameters,
    family::{Attributes, Family},
    layer_type, rope,
    schema::family,
    shape,
};

family! {
    /// Gemma 2: <https://arxiv.org/abs/2408.00118>.
    ///
    /// A field is named as in `config.json` and has the value that `Gemma2Config` gives it.
    ///
    /// Invariant: all sizes are positive and fit together; query heads are a multiple of key-value
    /// heads, each layer has a type, and there is a window if a layer needs one.
    pub struct Gemma2 {
        /// Token ids there are: rows of the embedding and of the head (V).
        vocab_size: i64 = vocabulary(256_000),
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
        max_position_embeddings: i64 = positions(8192),
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
        final_logit_softcapping: Option<f64> = optional_float(Some(30.0)),
        /// Bound c of the attention scores, c·tanh(x/c).
        attn_logit_softcapping: Option<f64> = optional_float(Some(50.0)),
        /// Whether queries see keys after them, too.
        use_bidirectional_attention: Option<bool> = optional_switch(None),
    }
    hidden {}
    derived {
        /// Rotation of queries and keys.
        rope_parameters: RopeParameters = shape::whole_heads,
    }
}

/// `Gemma2Config`
pub(crate) const FAMILY: Family = Family {
    model_type: "gemma2",
    causal_lm: "Gemma2ForCausalLM",
    fields: Gemma2::FIELDS,
    aliases: &[],
    derive: |a, _| layer_type::fill(a, |layer| (layer + 1) % 2 != 0),
    rope: Some(rope::convert),
    validate: shape::heads_divide_hidden_size,
    before_save: |_| Ok(()),
};

impl Gemma2 {
    pub(crate) fn new(a: &Attributes) -> Result<Gemma2, Error> {
        let config = Gemma2::read(a)?;
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
        let norms = 4 * c;
        let layer = shape::attention(c, h, k, d) + biases + 3 * c * f + norms;
        let head = if self.tie_word_embeddings { 0 } else { v * c };
        v * c + self.num_hidden_layers as u128 * layer + c + head
    }
}
