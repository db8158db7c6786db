use tch::{Kind, Tensor};

use crate::{AutoModelForCausalLM, Error, KvCache};

/// What a model says about every next token of some rows of tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Logits {
    /// B, T, V.
    pub shape: [usize; 3],
    /// In C order.
    pub values: Vec<f32>,
}

/// Runs the model over rows of tokens of the same length. The values are f32 whatever the model
/// computes in.
///
/// # Errors
///
/// [`Error::RowLength`] if rows are not of one length, [`Error::Tokens`] if they are empty;
/// otherwise as [`forward`](AutoModelForCausalLM::forward).
pub fn logits(model: &AutoModelForCausalLM, rows: &[Vec<u32>]) -> Result<Logits, Error> {
    let t = rows.first().map_or(0, Vec::len);
    if let Some((row, it)) = rows.iter().enumerate().find(|(_, it)| it.len() != t) {
        return Err(Error::RowLength { row, len: it.len(), expected: t });
    }
    for row in rows {
        model.check_tokens(row)?;
    }
    let tokens: Vec<i64> = rows.iter().flatten().map(|&it| it.into()).collect();
    let tokens = Tensor::from_slice(&tokens).view([rows.len() as i64, t as i64]);
    let _guard = tch::no_grad_guard();
    let logits = model.forward(&tokens, &mut KvCache::default())?; // (B, T, V)
    let logits = logits.to_device(tch::Device::Cpu).to_kind(Kind::Float);
    let shape = [rows.len(), t, model.vocab_size()];
    Ok(Logits { shape, values: Vec::try_from(logits.flatten(0, -1))? })
}
