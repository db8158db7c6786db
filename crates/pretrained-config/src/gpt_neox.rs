use crate::{
    Activation, Error, RopeParameters,
    family::{Attributes, Family},
    json::{Object, Value},
    rope,
    schema::family,
    shape,
};

family! {
    /// GPT-NeoX: <https://arxiv.org/abs/2204.06745>.
    ///
    /// A field is named as in `config.json` and has the value that `GPTNeoXConfig` gives it.
    ///
    /// Invariant: all sizes are positive and fit together; the hidden size is a multiple of the heads.
    pub struct GptNeoX {
        /// Token ids there are: rows of the embedding and of the head (V).
        vocab_size: i64 = vocabulary(50_432),
        /// Channels of the residual stream (C).
        hidden_size: i64 = size(6144),
        /// Transformer blocks.
        num_hidden_layers: usize = layers(44),
        /// Heads of an attention layer (H).
        num_attention_heads: i64 = size(64),
        /// Channels within a feed-forward layer (F).
        intermediate_size: i64 = size(24_576),
        /// Activation of the feed-forward layer.
        hidden_act: Activation = text("gelu"),
        /// Probability of zeroing an attention weight, in training.
        attention_dropout: f64 = dropout(0.0),
        /// Probability of zeroing an element of the embeddings and of what a layer adds to the
        /// residual stream, in training.
        hidden_dropout: f64 = dropout(0.0),
        /// The same for what a classifier reads, in training.
        classifier_dropout: f64 = dropout(0.1),
        /// Positions that the model was made for, in tokens.
        max_position_embeddings: i64 = positions(2048),
        /// Standard deviation of fresh weights.
        initializer_range: f64 = float(0.02),
        /// ε within the root of the norms.
        layer_norm_eps: f64 = float(1e-5),
        /// Whether generating keeps keys and values; says nothing about the network.
        use_cache: bool = switch(true),
        /// The token that begins a text.
        bos_token_id: Option<u32> = token(Some(0)),
        /// The tokens that end a text.
        eos_token_id: Vec<u32> = tokens(Some(2)),
        /// The token that fills a batch up.
        pad_token_id: Option<u32> = token(None),
        /// Whether the head is the embedding.
        tie_word_embeddings: bool = switch(false),
        /// Whether attention and feed-forward layer read the same input, and both add to it.
        use_parallel_residual: bool = switch(true),
        /// Whether the two projections of attention have a bias.
        attention_bias: bool = switch(true),
        /// Whether tokens see only those before them.
        is_decoder: bool = switch(false),
    }
    hidden {}
    derived {
        /// Channels of a head (D).
        head_dim: i64 = shape::any_head_dim,
        /// Rotation of queries and keys: of a quarter of each head, if the file does not say.
        rope_parameters: RopeParameters = |a| RopeParameters::read(a, shape::any_head_dim(a)?),
    }
}

/// `GPTNeoXConfig`
pub(crate) const FAMILY: Family = Family {
    model_type: "gpt_neox",
    causal_lm: "GPTNeoXForCausalLM",
    fields: GptNeoX::FIELDS,
    aliases: &[],
    derive: |_, _| Ok(()),
    rope: Some(convert),
    validate: shape::heads_divide_hidden_size,
    before_save: |_| Ok(()),
};

impl GptNeoX {
    pub(crate) fn new(a: &Attributes) -> Result<GptNeoX, Error> {
        let config = GptNeoX::read(a)?;
        // The class has no such field, but the network looks for one where it rotates.
        if config.head_dim != shape::shared_head_dim(a)? {
            return Err(a.invalid("head_dim", "must be hidden_size / num_attention_heads"));
        }
        shape::check_parameters(a, config.parameter_count())?;
        Ok(config)
    }

    /// How many numbers the weights have.
    pub fn parameter_count(&self) -> u128 {
        let [v, c, f] = shape::wide([self.vocab_size, self.hidden_size, self.intermediate_size]);
        let biases = u128::from(self.attention_bias) * 4 * c;
        let layer = 4 * c * c + biases + 2 * c * f + f + c + 4 * c;
        let head = if self.tie_word_embeddings { 0 } else { v * c };
        v * c + self.num_hidden_layers as u128 * layer + 2 * c + head
    }
}

/// The class has names of its own for the base and the share.
fn convert(a: &mut Attributes, rest: &mut Object) -> Result<(), Error> {
    rope::take_scaling(a, rest)?;
    let theta = rest.remove("rotary_emb_base").unwrap_or(Value::Float(10_000.0));
    let share = rest.remove("rotary_pct").unwrap_or(Value::Float(0.25));
    if let Some(parameters) = a.get_mut("rope_parameters").and_then(Value::as_object_mut) {
        parameters.set_default("rope_theta", theta);
        parameters.set_default("partial_rotary_factor", share);
    }
    rope::standardize(a)
}
