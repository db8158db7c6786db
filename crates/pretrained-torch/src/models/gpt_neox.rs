//! GPT-NeoX: <https://arxiv.org/abs/2204.06745>.
//!
//! Shapes: B batch, T time, S time including the cache, C hidden size, F feed-forward size, H heads,
//! D head size, V vocabulary.

use pretrained_config::{self as config, Activation};
use tch::Tensor;

use crate::{
    Error,
    attention::DotProduct,
    auto::CausalLm,
    cache::Pass,
    layers::{Embedding, LayerNorm, Linear, activate},
    params::Params,
    rope::{Rope, Rotation, rotate},
};

#[derive(Debug)]
pub(crate) struct GptNeoX {
    embed_in: Embedding,
    layers: Vec<Layer>,
    final_layer_norm: LayerNorm,
    embed_out: Linear,
    rope: Rope,
    hidden_dropout: f64,
}

impl GptNeoX {
    pub(crate) fn new(p: &Params<'_>, c: &config::GptNeoX) -> Result<GptNeoX, Error> {
        let p = &p.std(c.initializer_range);
        let model = p.base("gpt_neox");
        let embed_in = Embedding::new(&model.at("embed_in"), c.vocab_size, c.hidden_size)?;
        let layers = (0..c.num_hidden_layers).map(|i| Layer::new(&model.at("layers").at(i), c));
        let layers = layers.collect::<Result<Vec<Layer>, Error>>()?;
        let norm = model.at("final_layer_norm");
        let final_layer_norm = LayerNorm::new(&norm, c.hidden_size, c.layer_norm_eps)?;
        let (tie, of) = (c.tie_word_embeddings, "gpt_neox.embed_in.weight");
        let embed_out = Linear::head(p, "embed_out", tie, &embed_in, of)?;
        p.also("embed_out.weight", "lm_head.weight");
        let max = c.max_position_embeddings;
        let rope = Rope::new(&c.rope_parameters, c.head_dim, max, p.device());
        let hidden_dropout = c.hidden_dropout;
        Ok(GptNeoX { embed_in, layers, final_layer_norm, embed_out, rope, hidden_dropout })
    }
}

impl CausalLm for GptNeoX {
    fn hidden(&self, tokens: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let t = tokens.size()[1];
        let x = self.embed_in.forward(tokens); // (B, T, C)
        let rope = self.rope.forward(&pass.positions(t), pass.len_with(t), x.kind());
        let mut x = pass.dropout(x, self.hidden_dropout);
        for (i, layer) in self.layers.iter().enumerate() {
            x = pass.layer(&x, |x, pass| layer.forward(x, &rope, i, pass));
        }
        self.final_layer_norm.forward(&x)
    }

    fn logits(&self, hidden: &Tensor) -> Tensor {
        self.embed_out.forward(hidden) // (B, T, V)
    }
}

#[derive(Debug)]
struct Layer {
    input_layernorm: LayerNorm,
    post_attention_layernorm: LayerNorm,
    attention: Attention,
    mlp: Mlp,
    use_parallel_residual: bool,
    hidden_dropout: f64,
}

impl Layer {
    fn new(p: &Params<'_>, c: &config::GptNeoX) -> Result<Layer, Error> {
        let norm = |name| LayerNorm::new(&p.at(name), c.hidden_size, c.layer_norm_eps);
        Ok(Layer {
            input_layernorm: norm("input_layernorm")?,
            post_attention_layernorm: norm("post_attention_layernorm")?,
            attention: Attention::new(&p.at("attention"), c)?,
            mlp: Mlp::new(&p.at("mlp"), c)?,
            use_parallel_residual: c.use_parallel_residual,
            hidden_dropout: c.hidden_dropout,
        })
    }

    fn forward(&self, x: &Tensor, rope: &Rotation, i: usize, pass: &mut Pass<'_>) -> Tensor {
        let y = self.attention.forward(&self.input_layernorm.forward(x), rope, i, pass);
        let after = pass.dropout_add(&y, x, self.hidden_dropout);
        let seen = if self.use_parallel_residual { x } else { &after };
        let y = self.mlp.forward(&self.post_attention_layernorm.forward(seen));
        pass.dropout_add(&y, &after, self.hidden_dropout)
    }
}

#[derive(Debug)]
struct Attention {
    query_key_value: Linear,
    dense: Linear,
    head_dim: i64,
    attention: DotProduct,
}

impl Attention {
    fn new(p: &Params<'_>, c: &config::GptNeoX) -> Result<Attention, Error> {
        // Older files also store the causal mask.
        p.skip("bias");
        p.skip("masked_bias");
        let (n, bias) = (c.hidden_size, c.attention_bias);
        Ok(Attention {
            query_key_value: Linear::new(&p.at("query_key_value"), n, 3 * n, bias)?,
            dense: Linear::new(&p.at("dense"), n, n, bias)?,
            head_dim: c.head_dim,
            attention: DotProduct::causal(c.head_dim, c.attention_dropout),
        })
    }

    fn forward(&self, x: &Tensor, rope: &Rotation, i: usize, pass: &mut Pass<'_>) -> Tensor {
        let (b, t) = (x.size()[0], x.size()[1]);
        // Each head has its query, key and value side by side.
        let qkv = self.query_key_value.forward(x).view([b, t, -1, 3 * self.head_dim]);
        let qkv = qkv.transpose(1, 2).chunk(3, -1); // (B, H, T, D) each
        let (q, k) = (rotate(&qkv[0], rope), rotate(&qkv[1], rope));

        let (k, v) = pass.cache.extend(i, k, qkv[2].shallow_clone()); // (B, H, S, D)
        self.dense.forward(&self.attention.forward(&q, &k, &v, pass)) // (B, T, C)
    }
}

#[derive(Debug)]
struct Mlp {
    dense_h_to_4h: Linear,
    dense_4h_to_h: Linear,
    hidden_act: Activation,
}

impl Mlp {
    fn new(p: &Params<'_>, c: &config::GptNeoX) -> Result<Mlp, Error> {
        let (n, n_inner) = (c.hidden_size, c.intermediate_size);
        Ok(Mlp {
            dense_h_to_4h: Linear::new(&p.at("dense_h_to_4h"), n, n_inner, true)?,
            dense_4h_to_h: Linear::new(&p.at("dense_4h_to_h"), n_inner, n, true)?,
            hidden_act: c.hidden_act,
        })
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let y = activate(self.hidden_act, &self.dense_h_to_4h.forward(x)); // (B, T, F)
        self.dense_4h_to_h.forward(&y) // (B, T, C)
    }
}
