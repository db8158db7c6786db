//! BERT: <https://arxiv.org/abs/1810.04805>.
//!
//! Shapes: B batch, T time, C channels, F feed-forward size, H heads, D head size.

use pretrained_config::{self as config, Activation};
use tch::{Kind, Tensor};

use crate::{
    Error,
    layers::{Embedding, LayerNorm, Linear, activate},
    params::Params,
};

/// The network without a head.
#[derive(Debug)]
pub(crate) struct Bert {
    embeddings: Embeddings,
    layer: Vec<Layer>,
    pooler: Option<Linear>,
}

impl Bert {
    /// Without `pooler`, for weights that have none.
    pub(crate) fn new(p: &Params<'_>, c: &config::Bert, pooler: bool) -> Result<Bert, Error> {
        let p = &p.std(c.initializer_range).without("bert");
        let embeddings = Embeddings::new(&p.at("embeddings"), c)?;
        let layer = (0..c.num_hidden_layers).map(|i| Layer::new(&p.at("encoder.layer").at(i), c));
        let layer = layer.collect::<Result<Vec<Layer>, Error>>()?;
        let dense = || Linear::new(&p.at("pooler.dense"), c.hidden_size, c.hidden_size, true);
        Ok(Bert { embeddings, layer, pooler: pooler.then(dense).transpose()? })
    }

    /// The embeddings, and after them what each layer makes of what came before, (B, T, C).
    ///
    /// `tokens` and `types` are (B, T); `visible`, (B, 1, 1, T), says which tokens can be seen.
    pub(crate) fn hidden_states(
        &self,
        tokens: &Tensor,
        types: &Tensor,
        visible: Option<&Tensor>,
        mut state: impl FnMut(&Tensor),
    ) -> Tensor {
        let mut x = self.embeddings.forward(tokens, types);
        state(&x);
        for layer in &self.layer {
            x = layer.forward(&x, visible);
            state(&x);
        }
        x
    }

    /// What the whole text is, (B, C), of the last hidden state, (B, T, C).
    pub(crate) fn pool(&self, hidden: &Tensor) -> Option<Tensor> {
        self.pooler.as_ref().map(|it| it.forward(&hidden.select(1, 0)).tanh())
    }
}

#[derive(Debug)]
struct Embeddings {
    word_embeddings: Embedding,
    position_embeddings: Embedding,
    token_type_embeddings: Embedding,
    layer_norm: LayerNorm,
}

impl Embeddings {
    fn new(p: &Params<'_>, c: &config::Bert) -> Result<Embeddings, Error> {
        let embedding = |name, n| Embedding::new(&p.at(name), n, c.hidden_size);
        Ok(Embeddings {
            word_embeddings: embedding("word_embeddings", c.vocab_size)?,
            position_embeddings: embedding("position_embeddings", c.max_position_embeddings)?,
            token_type_embeddings: embedding("token_type_embeddings", c.type_vocab_size)?,
            layer_norm: LayerNorm::new(&p.at("LayerNorm"), c.hidden_size, c.layer_norm_eps)?,
        })
    }

    fn forward(&self, tokens: &Tensor, types: &Tensor) -> Tensor {
        let positions = Tensor::arange(tokens.size()[1], (Kind::Int64, tokens.device()));
        let x = self.word_embeddings.forward(tokens) + self.token_type_embeddings.forward(types);
        self.layer_norm.forward(&(x + self.position_embeddings.forward(&positions))) // (B, T, C)
    }
}

#[derive(Debug)]
struct Layer {
    attention: Attention,
    intermediate: Linear,
    output: Residual,
    hidden_act: Activation,
}

impl Layer {
    fn new(p: &Params<'_>, c: &config::Bert) -> Result<Layer, Error> {
        let (n, n_inner) = (c.hidden_size, c.intermediate_size);
        Ok(Layer {
            attention: Attention::new(&p.at("attention"), c)?,
            intermediate: Linear::new(&p.at("intermediate.dense"), n, n_inner, true)?,
            output: Residual::new(&p.at("output"), n_inner, c)?,
            hidden_act: c.hidden_act,
        })
    }

    fn forward(&self, x: &Tensor, visible: Option<&Tensor>) -> Tensor {
        let x = self.attention.forward(x, visible);
        let y = activate(self.hidden_act, &self.intermediate.forward(&x)); // (B, T, F)
        self.output.forward(&y, &x)
    }
}

#[derive(Debug)]
struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Residual,
    n_head: i64,
}

impl Attention {
    fn new(p: &Params<'_>, c: &config::Bert) -> Result<Attention, Error> {
        let linear = |name| Linear::new(&p.at("self").at(name), c.hidden_size, c.hidden_size, true);
        Ok(Attention {
            query: linear("query")?,
            key: linear("key")?,
            value: linear("value")?,
            output: Residual::new(&p.at("output"), c.hidden_size, c)?,
            n_head: c.num_attention_heads,
        })
    }

    fn forward(&self, x: &Tensor, visible: Option<&Tensor>) -> Tensor {
        let (b, t, c) = x.size3().expect("hidden states are (B, T, C)");
        let heads = |y: Tensor| y.view([b, t, self.n_head, -1]).transpose(1, 2); // (B, H, T, D)
        let [q, k, v] = [&self.query, &self.key, &self.value].map(|it| heads(it.forward(x)));
        let scale = None::<f64>; // 1 / √D
        let y = Tensor::scaled_dot_product_attention(&q, &k, &v, visible, 0.0, false, scale, false);
        self.output.forward(&y.transpose(1, 2).reshape([b, t, c]), x)
    }
}

/// Adds to the residual stream, and normalizes it.
#[derive(Debug)]
struct Residual {
    dense: Linear,
    layer_norm: LayerNorm,
}

impl Residual {
    fn new(p: &Params<'_>, n_in: i64, c: &config::Bert) -> Result<Residual, Error> {
        Ok(Residual {
            dense: Linear::new(&p.at("dense"), n_in, c.hidden_size, true)?,
            layer_norm: LayerNorm::new(&p.at("LayerNorm"), c.hidden_size, c.layer_norm_eps)?,
        })
    }

    fn forward(&self, y: &Tensor, x: &Tensor) -> Tensor {
        self.layer_norm.forward(&(self.dense.forward(y) + x))
    }
}
