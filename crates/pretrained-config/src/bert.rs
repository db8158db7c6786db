use crate::{
    Activation, Error,
    family::{Attributes, Family},
    schema::family,
    shape,
};

family! {
    /// BERT: <https://arxiv.org/abs/1810.04805>.
    ///
    /// A field is named as in `config.json` and has the value that `BertConfig` gives it.
    ///
    /// Invariant: all sizes are positive and fit together; the hidden size is a multiple of the heads.
    pub struct Bert {
        /// Token ids there are: rows of the embedding and of the head (V).
        vocab_size: i64 = vocabulary(30_522),
        /// Channels of the residual stream (C).
        hidden_size: i64 = size(768),
        /// Transformer blocks.
        num_hidden_layers: usize = layers(12),
        /// Heads of an attention layer (H).
        num_attention_heads: i64 = size(12),
        /// Channels within a feed-forward layer (F).
        intermediate_size: i64 = size(3072),
        /// Activation of the feed-forward layer and of the head.
        hidden_act: Activation = text("gelu"),
        /// Probability of zeroing an element of the embeddings and of what a layer adds to the
        /// residual stream, in training.
        hidden_dropout_prob: f64 = dropout(0.1),
        /// Probability of zeroing an attention weight, in training.
        attention_probs_dropout_prob: f64 = dropout(0.1),
        /// Positions there are, in tokens: rows of the position embedding.
        max_position_embeddings: i64 = positions(512),
        /// Kinds of segments: rows of the token type embedding.
        type_vocab_size: i64 = size(2),
        /// Standard deviation of fresh weights.
        initializer_range: f64 = float(0.02),
        /// ε within the root of the norms.
        layer_norm_eps: f64 = float(1e-12),
        /// The token that fills a batch up.
        pad_token_id: Option<u32> = token(Some(0)),
        /// Whether generating keeps keys and values; says nothing about the network.
        use_cache: bool = switch(true),
        /// Probability of zeroing an element of what a classifier reads, in training; absent,
        /// `hidden_dropout_prob`.
        classifier_dropout: Option<f64> = optional_dropout(None),
        /// Whether tokens see only those before them.
        is_decoder: bool = switch(false),
        /// Whether blocks attend to an encoder, too.
        add_cross_attention: bool = switch(false),
        /// The token that begins a text.
        bos_token_id: Option<u32> = token(None),
        /// The tokens that end a text.
        eos_token_id: Vec<u32> = tokens(None),
        /// Whether the head is the embedding.
        tie_word_embeddings: bool = switch(true),
    }
    hidden {}
    derived {
    }
}

/// `BertConfig`
pub(crate) const FAMILY: Family = Family {
    model_type: "bert",
    causal_lm: "BertLMHeadModel",
    fields: Bert::FIELDS,
    aliases: &[],
    derive: |_, _| Ok(()),
    rope: None,
    validate: |_| Ok(()),
    before_save: |_| Ok(()),
};

impl Bert {
    pub(crate) fn new(a: &Attributes) -> Result<Bert, Error> {
        let config = Bert::read(a)?;
        shape::heads_divide_hidden_size(a)?;
        shape::check_parameters(a, config.parameter_count())?;
        Ok(config)
    }

    /// How many numbers the weights of `BertLMHeadModel` have.
    pub fn parameter_count(&self) -> u128 {
        let [v, p, t, c, f] = shape::wide([
            self.vocab_size,
            self.max_position_embeddings,
            self.type_vocab_size,
            self.hidden_size,
            self.intermediate_size,
        ]);
        let attention = 4 * c * c + 4 * c + 2 * c;
        let attentions = 1 + u128::from(self.add_cross_attention);
        let layer = attentions * attention + 2 * c * f + f + c + 2 * c;
        let embeddings = (v + p + t) * c + 2 * c;
        let head = c * c + c + 2 * c + v + if self.tie_word_embeddings { 0 } else { v * c + v };
        embeddings + self.num_hidden_layers as u128 * layer + head
    }
}
