//! OLMo 2: <https://arxiv.org/abs/2501.00656>.
//!
//! Shapes: B batch, T time, S time including the cache, C hidden size, F feed-forward size,
//! H query heads, K key-value heads, D head size, V vocabulary.

use pretrained_config as config;
use tch::{Kind, Tensor};

use crate::{
    Error,
    attention::DotProduct,
    auto::CausalLm,
    cache::Pass,
    layers::{Embedding, GatedMlp, Linear, RmsNormF32 as RmsNorm},
    params::Params,
    rope::{Rope, Rotation, rotate},
};

#[derive(Debug)]
pub(crate) struct Olmo2 {
    embed_tokens: Embedding,
    layers: Vec<Layer>,
    norm: RmsNorm,
    lm_head: Linear,
    rope: Rope,
}

impl Olmo2 {
    pub(crate) fn new(p: &Params<'_>, c: &config::Olmo2) -> Result<Olmo2, Error> {
        let p = &p.std(c.initializer_range);
        let model = p.base("model");
        let embed_tokens = Embedding::new(&model.at("embed_tokens"), c.vocab_size, c.hidden_size)?;
        let layers = (0..c.num_hidden_layers).map(|i| Layer::new(&model.at("layers").at(i), c));
        let layers = layers.collect::<Result<Vec<Layer>, Error>>()?;
        let norm = RmsNorm::new(&model.at("norm"), c.hidden_size, c.rms_norm_eps)?;
        let (tie, of) = (c.tie_word_embeddings, "model.embed_tokens.weight");
        let lm_head = Linear::head(p, "lm_head", tie, &embed_tokens, of)?;
        let max = c.max_position_embeddings;
        let rope = Rope::new(&c.rope_parameters, c.head_dim, max, p.device());
        Ok(Olmo2 { embed_tokens, layers, norm, lm_head, rope })
    }
}

impl CausalLm for Olmo2 {
    fn hidden(&self, tokens: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let t = tokens.size()[1];
        let mut x = self.embed_tokens.forward(tokens); // (B, T, C)
        let rope = self.rope.forward(&pass.positions(t), pass.len_with(t), Kind::Float);
        for (i, layer) in self.layers.iter().enumerate() {
            x = pass.layer(&x, |x, pass| layer.forward(x, &rope, i, pass));
        }
        self.norm.forward(&x)
    }

    fn logits(&self, hidden: &Tensor) -> Tensor {
        self.lm_head.forward(hidden) // (B, T, V)
    }
}

#[derive(Debug)]
struct Layer {
    self_attn: Attention,
    mlp: GatedMlp,
    post_attention_layernorm: RmsNorm,
    post_feedforward_layernorm: RmsNorm,
}

impl Layer {
    fn new(p: &Params<'_>, c: &config::Olmo2) -> Result<Layer, Error> {
        let norm = |name| RmsNorm::new(&p.at(name), c.hidden_size, c.rms_norm_eps);
        let size = (c.hidden_size, c.intermediate_size);
        Ok(Layer {
            self_attn: Attention::new(&p.at("self_attn"), c)?,
            mlp: GatedMlp::new(&p.at("mlp"), size, false, c.hidden_act)?,
            post_attention_layernorm: norm("post_attention_layernorm")?,
            post_feedforward_layernorm: norm("post_feedforward_layernorm")?,
        })
    }

    fn forward(&self, x: &Tensor, rope: &Rotation, i: usize, pass: &mut Pass<'_>) -> Tensor {
        let y = self.self_attn.forward(x, rope, i, pass);
        let x = x + self.post_attention_layernorm.forward(&y);
        &x + self.post_feedforward_layernorm.forward(&self.mlp.forward(&x))
    }
}

#[derive(Debug)]
struct Attention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    q_norm: RmsNorm,
    k_norm: RmsNorm,
    head_dim: i64,
    attention: DotProduct,
}

impl Attention {
    fn new(p: &Params<'_>, c: &config::Olmo2) -> Result<Attention, Error> {
        let n_query = c.num_attention_heads * c.head_dim;
        let n_key = c.num_key_value_heads * c.head_dim;
        let linear = |name, n_in, n_out| Linear::new(&p.at(name), n_in, n_out, c.attention_bias);
        Ok(Attention {
            q_proj: linear("q_proj", c.hidden_size, n_query)?,
            k_proj: linear("k_proj", c.hidden_size, n_key)?,
            v_proj: linear("v_proj", c.hidden_size, n_key)?,
            o_proj: linear("o_proj", n_query, c.hidden_size)?,
            q_norm: RmsNorm::new(&p.at("q_norm"), n_query, c.rms_norm_eps)?,
            k_norm: RmsNorm::new(&p.at("k_norm"), n_key, c.rms_norm_eps)?,
            head_dim: c.head_dim,
            attention: DotProduct::causal(c.head_dim, c.attention_dropout),
        })
    }

    fn forward(&self, x: &Tensor, rope: &Rotation, i: usize, pass: &mut Pass<'_>) -> Tensor {
        let (b, t) = (x.size()[0], x.size()[1]);
        let heads = |x: Tensor| x.view([b, t, -1, self.head_dim]).transpose(1, 2);

        let q = heads(self.q_norm.forward(&self.q_proj.forward(x))); // (B, H, T, D)
        let k = heads(self.k_norm.forward(&self.k_proj.forward(x))); // (B, K, T, D)
        let v = heads(self.v_proj.forward(x)); // (B, K, T, D)

        // Rotated in f32 and rounded after.
        let (q, k) = (rotate(&q, rope).to_kind(x.kind()), rotate(&k, rope).to_kind(x.kind()));
        let (k, v) = pass.cache.extend(i, k, v); // (B, K, S, D)
        self.o_proj.forward(&self.attention.forward(&q, &k, &v, pass)) // (B, T, C)
    }
}
