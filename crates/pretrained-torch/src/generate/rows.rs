use tch::{Kind, Tensor};

use crate::{AutoModelForCausalLM, Error, KvCache, guard::guarded};

/// Texts side by side, and what a model remembers of them.
///
/// Shorter ones begin with padding, so that all end together; no token of a text sees it.
#[derive(Debug)]
pub(crate) struct Rows<'m> {
    model: &'m AutoModelForCausalLM,
    cache: KvCache,
    /// How many tokens of padding each row begins with.
    padding: Vec<usize>,
    /// Which prompt each row begins with.
    prompts: Vec<usize>,
    /// How long the longest is.
    n_prompt: usize,
}

impl<'m> Rows<'m> {
    /// Rows that begin with texts of these lengths.
    pub(crate) fn new(model: &'m AutoModelForCausalLM, lens: &[usize]) -> Rows<'m> {
        let longest = lens.iter().copied().max().unwrap_or_default();
        let padding: Vec<usize> = lens.iter().map(|len| longest - len).collect();
        let cache = KvCache::left_padded(&padding, model.device());
        Rows { model, cache, padding, prompts: (0..lens.len()).collect(), n_prompt: longest }
    }

    pub(crate) fn model(&self) -> &'m AutoModelForCausalLM {
        self.model
    }

    /// Forgets all but the first `len` tokens of rows, or all if the model sees them by how long a
    /// text is.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.cache.truncate(if self.model.depends_on_length() { 0 } else { len });
    }

    /// What the model says comes after each row, (R, V), as f32.
    pub(crate) fn scores(&mut self, rows: &[&[u32]]) -> Result<Tensor, Error> {
        let len = rows.first().map_or(0, |it| it.len() + self.padding[0]);
        if self.model.recomputes(self.cache.len(), len) {
            self.cache.truncate(0);
        }
        let seen = self.cache.len();
        let mut unseen: Vec<i64> = Vec::with_capacity(rows.len() * (len - seen));
        for (row, &padding) in rows.iter().zip(&self.padding) {
            unseen.extend(std::iter::repeat_n(0, padding.saturating_sub(seen)));
            unseen.extend(row[seen.saturating_sub(padding)..].iter().map(|&it| i64::from(it)));
        }
        let (model, cache) = (self.model, &mut self.cache);
        guarded(|| {
            let _guard = tch::no_grad_guard();
            let tokens = Tensor::from_slice(&unseen).view([rows.len() as i64, -1]);
            let hidden = model.hidden(&tokens.to_device(model.device().into()), cache, false);
            // Only the last position predicts anything new.
            let last = hidden.narrow(1, hidden.size()[1] - 1, 1); // (R, 1, C)
            model.logits(&last).squeeze_dim(1).to_kind(Kind::Float) // (R, V)
        })
    }

    /// Goes on with these rows, some perhaps more than once, and without the others.
    pub(crate) fn select(&mut self, rows: &[usize]) -> Result<(), Error> {
        let prompts: Vec<usize> = rows.iter().map(|&it| self.prompts[it]).collect();
        // What takes a row's place begins like it, unless rows have moved up.
        let shared = if prompts == self.prompts { self.n_prompt } else { 0 };
        let cache = &mut self.cache;
        guarded(|| cache.select(rows, shared))?;
        self.padding = rows.iter().map(|&it| self.padding[it]).collect();
        self.prompts = prompts;
        Ok(())
    }
}
