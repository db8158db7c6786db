//! Phi-3: <https://arxiv.org/abs/2404.14219>.
//!
//! Shapes: B batch, T time, S time including the cache, C hidden size, F feed-forward size,
//! H query heads, K key-value heads, D head size, V vocabulary.

use pretrained_config::{self as config, Activation};
use tch::Tensor;

use crate::{
    Error,
    attention::DotProduct,
    auto::CausalLm,
    cache::Pass,
    layers::{Embedding, Linear, RmsNorm, activate},
    params::Params,
    rope::{Rope, Rotation, rotate},
};

#[derive(Debug)]
pub(crate) struct Phi3 {
    embed_tokens: Embedding,
    layers: Vec<Layer>,
    norm: RmsNorm,
    lm_head: Linear,
    rope: Rope,
}

impl Phi3 {
    pub(crate) fn new(p: &Params<'_>, c: &config::Phi3) -> Result<Phi3, Error> {
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
        Ok(Phi3 { embed_tokens, layers, norm, lm_head, rope })
    }
}

impl CausalLm for Phi3 {
    fn hidden(&self, tokens: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let t = tokens.size()[1];
        let mut x = self.embed_tokens.forward(tokens); // (B, T, C)
        let rope = self.rope.forward(&pass.positions(t), pass.len_with(t), x.kind());
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
    mlp: Mlp,
    input_layernorm: RmsNorm,
    post_attention_layernorm: RmsNorm,
    resid_pdrop: f64,
}

impl Layer {
    fn new(p: &Params<'_>, c: &config::Phi3) -> Result<Layer, Error> {
        let norm = |name| RmsNorm::new(&p.at(name), c.hidden_size, c.rms_norm_eps);
        Ok(Layer {
            self_attn: Attention::new(&p.at("self_attn"), c)?,
            mlp: Mlp::new(&p.at("mlp"), c)?,
            input_layernorm: norm("input_layernorm")?,
            post_attention_layernorm: norm("post_attention_layernorm")?,
            resid_pdrop: c.resid_pdrop,
        })
    }

    fn forward(&self, x: &Tensor, rope: &Rotation, i: usize, pass: &mut Pass<'_>) -> Tensor {
        let y = self.self_attn.forward(&self.input_layernorm.forward(x), rope, i, pass);
        let x = pass.dropout_add(&y, x, self.resid_pdrop);
        let y = self.mlp.forward(&self.post_attention_layernorm.forward(&x));
        pass.dropout_add(&y, &x, self.resid_pdrop)
    }
}

#[derive(Debug)]
struct Attention {
    o_proj: Linear,
    qkv_proj: Linear,
    n_query: i64,
    n_key: i64,
    head_dim: i64,
    attention: DotProduct,
}

impl Attention {
    fn new(p: &Params<'_>, c: &config::Phi3) -> Result<Attention, Error> {
        let n_query = c.num_attention_heads * c.head_dim;
        let n_key = c.num_key_value_heads * c.head_dim;
        let n_qkv = n_query + 2 * n_key;
        Ok(Attention {
            o_proj: Linear::new(&p.at("o_proj"), n_query, c.hidden_size, false)?,
            qkv_proj: Linear::new(&p.at("qkv_proj"), c.hidden_size, n_qkv, false)?,
            n_query,
            n_key,
            head_dim: c.head_dim,
            attention: DotProduct {
                window: c.sliding_window,
                ..DotProduct::causal(c.head_dim, c.attention_dropout)
            },
        })
    }

    fn forward(&self, x: &Tensor, rope: &Rotation, i: usize, pass: &mut Pass<'_>) -> Tensor {
        let (b, t) = (x.size()[0], x.size()[1]);
        let heads = |x: &Tensor| x.view([b, t, -1, self.head_dim]).transpose(1, 2);

        let qkv = self.qkv_proj.forward(x);
        let qkv = qkv.split_with_sizes([self.n_query, self.n_key, self.n_key], -1);
        let q = rotate(&heads(&qkv[0]), rope); // (B, H, T, D)
        let k = rotate(&heads(&qkv[1]), rope); // (B, K, T, D)
        let v = heads(&qkv[2]); // (B, K, T, D)

        let (k, v) = pass.cache.extend(i, k, v); // (B, K, S, D)
        self.o_proj.forward(&self.attention.forward(&q, &k, &v, pass)) // (B, T, C)
    }
}

#[derive(Debug)]
struct Mlp {
    gate_up_proj: Linear,
    down_proj: Linear,
    hidden_act: Activation,
}

impl Mlp {
    fn new(p: &Params<'_>, c: &config::Phi3) -> Result<Mlp, Error> {
        let (n, n_inner) = (c.hidden_size, c.intermediate_size);
        Ok(Mlp {
            gate_up_proj: Linear::new(&p.at("gate_up_proj"), n, 2 * n_inner, false)?,
            down_proj: Linear::new(&p.at("down_proj"), n_inner, n, false)?,
            hidden_act: c.hidden_act,
        })
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let gate_up = self.gate_up_proj.forward(x).chunk(2, -1); // (B, T, F) each
        self.down_proj.forward(&(&gate_up[1] * activate(self.hidden_act, &gate_up[0])))
    }
}
