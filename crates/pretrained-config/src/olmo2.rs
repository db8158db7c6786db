use crate::{
    Activation, Error, RopeParameters,
    family::{Attributes, Family},
    rope,
    schema::family,
    shape,
};

family! {
    /// OLMo 2: <https://arxiv.org/abs/2501.00656>.
    ///
    /// A field is named as in `config.json` and has the value that `Olmo2Config` gives it.
    ///
    /// Invariant: all sizes are positive and fit together; query heads are a multiple of key-value
    /// heads.
    pub struct Olmo2 {
        /// Token ids there are: rows of the embedding and of the head (V).
        vocab_size: i64 = vocabulary(50_304),
        /// Channels of the residual stream (C).
        hidden_size: i64 = size(4096),
        /// Channels within a feed-forward layer (F).
        intermediate_size: i64 = size(11_008),
        /// Transformer blocks.
        num_hidden_layers: usize = layers(32),
        /// Query heads of an attention layer (H).
        num_attention_heads: i64 = size(32),
        /// Key-value heads of an attention layer (K); absent, as many as query heads.
        num_key_value_heads: i64 = optional_size(),
        /// Activation on the gate of the feed-forward layer.
        hidden_act: Activation = text("silu"),
        /// Positions that the model was made for, in tokens.
        max_position_embeddings: i64 = positions(2048),
        /// Standard deviation of fresh weights.
        initializer_range: f64 = float(0.02),
        /// Whether generating keeps keys and values; says nothing about the network.
        use_cache: bool = switch(true),
        /// The token that fills a batch up.
        pad_token_id: Option<u32> = token(Some(1)),
        /// The token that begins a text.
        bos_token_id: Option<u32> = token(None),
        /// The tokens that end a text.
        eos_token_id: Vec<u32> = tokens(Some(50_279)),
        /// Whether the head is the embedding.
        tie_word_embeddings: bool = switch(false),
        /// Whether the four projections of attention have a bias.
        attention_bias: bool = switch(false),
        /// Probability of zeroing an attention weight, in training.
        attention_dropout: f64 = dropout(0.0),
        /// ε within the root of the norms.
        rms_norm_eps: f64 = float(1e-5),
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

/// `Olmo2Config`
pub(crate) const FAMILY: Family = Family {
    model_type: "olmo2",
    causal_lm: "Olmo2ForCausalLM",
    fields: Olmo2::FIELDS,
    aliases: &[],
    derive: |a, _| {
        shape::key_value_heads(a);
        Ok(())
    },
    rope: Some(rope::convert),
    validate: |_| Ok(()),
    before_save: |_| Ok(()),
};

impl Olmo2 {
    pub(crate) fn new(a: &Attributes) -> Result<Olmo2, Error> {
        let config = Olmo2::read(a)?;
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
        let biases = u128::from(self.attention_bias) * (h * d + 2 * k * d + c);
        let norms = h * d + k * d + 2 * c;
        let layer = shape::attention(c, h, k, d) + biases + 3 * c * f + norms;
        let head = if self.tie_word_embeddings { 0 } else { v * c };
        v * c + self.num_hidden_layers as u128 * layer + c + head
    }
}
