use std::collections::BTreeSet;

use crate::{
    Activation, Error, RopeParameters,
    family::{Attributes, Family},
    json::Value,
    layer_type, rope,
    schema::family,
    shape,
};

family! {
    /// Qwen 3 with experts: <https://arxiv.org/abs/2505.09388>.
    ///
    /// A field is named as in `config.json` and has the value that `Qwen3MoeConfig` gives it.
    ///
    /// Invariant: all sizes are positive and fit together; query heads are a multiple of key-value
    /// heads, and a token goes through at most as many experts as there are.
    pub struct Qwen3Moe {
        /// Token ids there are: rows of the embedding and of the head (V).
        vocab_size: i64 = vocabulary(151_936),
        /// Channels of the residual stream (C).
        hidden_size: i64 = size(2048),
        /// Channels within a feed-forward layer without experts (F).
        intermediate_size: i64 = size(6144),
        /// Transformer blocks.
        num_hidden_layers: usize = layers(24),
        /// Query heads of an attention layer (H).
        num_attention_heads: i64 = size(32),
        /// Key-value heads of an attention layer (K).
        num_key_value_heads: i64 = size(4),
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
        /// Keys that a query sees, itself included, in tokens; absent, all before it.
        sliding_window: Option<i64> = window(Some(4096)),
        /// Probability of zeroing an attention weight, in training.
        attention_dropout: f64 = dropout(0.0),
        /// Every so many layers, one has experts.
        decoder_sparse_step: i64 = size(1),
        /// Channels within an expert.
        moe_intermediate_size: i64 = size(768),
        /// Experts that each token goes through.
        num_experts_per_tok: i64 = size(8),
        /// Experts of a layer (E); written as `num_local_experts`.
        num_experts: i64 = size(128),
        /// Whether the weights of the chosen experts are scaled to add up to one.
        norm_topk_prob: bool = switch(false),
        /// Whether training adds the routers' loss.
        output_router_logits: bool = switch(false),
        /// Weight of the routers' loss.
        router_aux_loss_coef: f64 = float(0.001),
        /// Layers without experts, from 0.
        mlp_only_layers: Vec<usize> = counts(),
        /// The token that fills a batch up.
        pad_token_id: Option<u32> = token(None),
        /// The token that begins a text.
        bos_token_id: Option<u32> = token(None),
        /// The tokens that end a text.
        eos_token_id: Vec<u32> = tokens(None),
    }
    hidden {}
    derived {
        /// Channels of a head (D): a field of some files, else the hidden size shared among the query
        /// heads.
        head_dim: i64 = shape::any_head_dim,
        /// Rotation of queries and keys.
        rope_parameters: RopeParameters = shape::whole_heads,
        /// Whether each layer has experts: what `decoder_sparse_step` and `mlp_only_layers` come to.
        sparse_layers: Vec<bool> = sparse_layers,
    }
}

/// `Qwen3MoeConfig`
pub(crate) const FAMILY: Family = Family {
    model_type: "qwen3_moe",
    causal_lm: "Qwen3MoeForCausalLM",
    fields: Qwen3Moe::FIELDS,
    aliases: &[("num_experts", "num_local_experts")],
    derive: |a, _| {
        layer_type::drop_unused_window(a);
        if a.get("mlp_only_layers").is_null() {
            a.set("mlp_only_layers", Value::Array(Vec::new()));
        }
        Ok(())
    },
    rope: Some(rope::convert),
    validate: |_| Ok(()),
    before_save: |_| Ok(()),
};

impl Qwen3Moe {
    pub(crate) fn new(a: &Attributes) -> Result<Qwen3Moe, Error> {
        let config = Qwen3Moe::read(a)?;
        shape::check_heads(a, config.num_attention_heads, config.num_key_value_heads)?;
        shape::check_experts(a, config.num_experts_per_tok, config.num_experts)?;
        shape::check_parameters(a, config.parameter_count())?;
        Ok(config)
    }

    /// How many numbers the weights have.
    pub fn parameter_count(&self) -> u128 {
        let [v, c, f, h, k, d, e, g] = shape::wide([
            self.vocab_size,
            self.hidden_size,
            self.intermediate_size,
            self.num_attention_heads,
            self.num_key_value_heads,
            self.head_dim,
            self.num_experts,
            self.moe_intermediate_size,
        ]);
        let biases = u128::from(self.attention_bias) * (h * d + 2 * k * d + c);
        let layer = shape::attention(c, h, k, d) + biases + 2 * d + 2 * c;
        let n_sparse = self.sparse_layers.iter().filter(|it| **it).count() as u128;
        let n_dense = self.num_hidden_layers as u128 - n_sparse;
        let feed_forward = n_sparse * (e * c + e * 3 * c * g) + n_dense * 3 * c * f;
        let head = if self.tie_word_embeddings { 0 } else { v * c };
        v * c + self.num_hidden_layers as u128 * layer + feed_forward + c + head
    }
}

fn sparse_layers(a: &Attributes) -> Result<Vec<bool>, Error> {
    let dense = a.get("mlp_only_layers").as_array().unwrap_or_default();
    // A set, since a hostile file can list very many.
    let dense: BTreeSet<i64> = dense.iter().filter_map(Value::as_i64).collect();
    let step = a.int("decoder_sparse_step")?;
    let is_sparse = |i: i64| !dense.contains(&i) && (i + 1).checked_rem(step) == Some(0);
    Ok((0..a.int("num_hidden_layers")?).map(is_sparse).collect())
}
