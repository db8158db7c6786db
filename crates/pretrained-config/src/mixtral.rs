use crate::{
    Activation, Error, RopeParameters,
    family::{Attributes, Family},
    rope,
    schema::family,
    shape,
};

family! {
    /// Mixtral: <https://arxiv.org/abs/2401.04088>.
    ///
    /// A field is named as in `config.json` and has the value that `MixtralConfig` gives it.
    ///
    /// Invariant: all sizes are positive and fit together; query heads are a multiple of key-value
    /// heads, and a token goes through at most as many experts as there are.
    pub struct Mixtral {
        /// Token ids there are: rows of the embedding and of the head (V).
        vocab_size: i64 = vocabulary(32_000),
        /// Channels of the residual stream (C).
        hidden_size: i64 = size(4096),
        /// Channels within a feed-forward layer (F).
        intermediate_size: i64 = size(14_336),
        /// Transformer blocks.
        num_hidden_layers: usize = layers(32),
        /// Query heads of an attention layer (H).
        num_attention_heads: i64 = size(32),
        /// Key-value heads of an attention layer (K).
        num_key_value_heads: i64 = size(8),
        /// Activation on the gate of the feed-forward layer.
        hidden_act: Activation = text("silu"),
        /// Positions that the model was made for, in tokens.
        max_position_embeddings: i64 = positions(131_072),
        /// Standard deviation of fresh weights.
        initializer_range: f64 = float(0.02),
        /// ε within the root of the norms.
        rms_norm_eps: f64 = float(1e-5),
        /// Whether generating keeps keys and values; says nothing about the network.
        use_cache: bool = switch(true),
        /// The token that fills a batch up.
        pad_token_id: Option<u32> = token(None),
        /// The token that begins a text.
        bos_token_id: Option<u32> = token(Some(1)),
        /// The tokens that end a text.
        eos_token_id: Vec<u32> = tokens(Some(2)),
        /// Whether the head is the embedding.
        tie_word_embeddings: bool = switch(false),
        /// Keys that a query sees, itself included, in tokens; absent, all before it.
        sliding_window: Option<i64> = window(None),
        /// Probability of zeroing an attention weight, in training.
        attention_dropout: f64 = dropout(0.0),
        /// Experts that each token goes through.
        num_experts_per_tok: i64 = size(2),
        /// Experts of a layer (E); `num_experts` is read, too.
        num_local_experts: i64 = size(8),
        /// Whether training adds the routers' loss.
        output_router_logits: bool = switch(false),
        /// Weight of the routers' loss.
        router_aux_loss_coef: f64 = float(0.001),
        /// How far the input of a router is scaled at random, in training.
        router_jitter_noise: f64 = float(0.0),
    }
    hidden { head_dim = optional_size() }
    derived {
        /// Channels of a head (D): absent, the hidden size shared among the query heads.
        head_dim: i64 = shape::any_head_dim,
        /// Rotation of queries and keys.
        rope_parameters: RopeParameters = shape::whole_heads,
    }
}

/// `MixtralConfig`
pub(crate) const FAMILY: Family = Family {
    model_type: "mixtral",
    causal_lm: "MixtralForCausalLM",
    fields: Mixtral::FIELDS,
    aliases: &[("num_experts", "num_local_experts")],
    derive: |_, _| Ok(()),
    rope: Some(|a, rest| rope::convert_with(a, rest, 1_000_000.0)),
    validate: |_| Ok(()),
    before_save: |_| Ok(()),
};

impl Mixtral {
    pub(crate) fn new(a: &Attributes) -> Result<Mixtral, Error> {
        let config = Mixtral::read(a)?;
        shape::check_heads(a, config.num_attention_heads, config.num_key_value_heads)?;
        shape::check_experts(a, config.num_experts_per_tok, config.num_local_experts)?;
        shape::check_parameters(a, config.parameter_count())?;
        Ok(config)
    }

    /// How many numbers the weights have.
    pub fn parameter_count(&self) -> u128 {
        let [v, c, f, h, k, d, e] = shape::wide([
            self.vocab_size,
            self.hidden_size,
            self.intermediate_size,
            self.num_attention_heads,
            self.num_key_value_heads,
            self.head_dim,
            self.num_local_experts,
        ]);
        let layer = shape::attention(c, h, k, d) + e * c + e * 3 * c * f + 2 * c;
        let head = if self.tie_word_embeddings { 0 } else { v * c };
        v * c + self.num_hidden_layers as u128 * layer + c + head
    }
}
