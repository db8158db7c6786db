use tch::{Device, Kind, Tensor};

use crate::{dropout, recompute::Recompute};

/// Keys and values of the tokens that a network has already seen, per layer.
///
/// Its buffers are larger than what is in them and grow by doubling, so that a step writes only
/// its own keys and values.
#[derive(Debug, Default)]
pub struct KvCache {
    remembers: bool,
    len: i64,
    layers: Vec<(Tensor, Tensor)>,
    /// How many tokens at the start of each row are padding, (B).
    padding: Option<Tensor>,
}

/// What a network is told besides its tokens.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    pub(crate) cache: &'a mut KvCache,
    /// Whether dropout drops.
    pub(crate) train: bool,
    pub(crate) device: Device,
    /// What is kept of the pass, where its layers are run again for their gradients.
    pub(crate) recompute: Option<&'a mut Recompute>,
}

impl Pass<'_> {
    /// Zeroes this part of the elements in training.
    pub(crate) fn dropout(&self, x: Tensor, p: f64) -> Tensor {
        if self.train && p > 0.0 { dropout::dropout(&x, p) } else { x }
    }

    /// `residual` plus `x`, of which this part of the elements is zeroed in training.
    pub(crate) fn dropout_add(&self, x: &Tensor, residual: &Tensor, p: f64) -> Tensor {
        match self.train && p > 0.0 {
            true => dropout::dropout_add(x, residual, p),
            false => residual + x,
        }
    }

    /// Positions of the next `t` tokens: (T), or (B, T) where rows are padded.
    pub(crate) fn positions(&self, t: i64) -> Tensor {
        let positions =
            Tensor::arange_start(self.cache.len, self.cache.len + t, (Kind::Int64, self.device));
        match &self.cache.padding {
            Some(padding) => (positions.unsqueeze(0) - padding.unsqueeze(1)).clamp_min(0),
            None => positions,
        }
    }

    /// How long the text is with the next `t` tokens.
    pub(crate) fn len_with(&self, t: i64) -> i64 {
        self.cache.len + t
    }
}

impl KvCache {
    /// Remembers, for generation. The default forgets, for training.
    pub fn remembering() -> KvCache {
        KvCache { remembers: true, ..KvCache::default() }
    }

    /// Remembers rows that begin with so many tokens of padding.
    pub fn left_padded(n_padding: &[usize], device: crate::Device) -> KvCache {
        let n_padding: Vec<i64> = n_padding.iter().map(|&it| it as i64).collect();
        let padded = n_padding.iter().any(|&it| it > 0);
        let padding = padded.then(|| Tensor::from_slice(&n_padding).to_device(device.into()));
        KvCache { remembers: true, padding, ..KvCache::default() }
    }

    /// How many tokens have been seen.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether no tokens have been seen.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets all but the first `len` tokens.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len as i64);
    }

    /// Keeps these rows, some perhaps more than once, and forgets the others. Where as many stay
    /// as there were, those that change are known to be equal in their first `shared` tokens.
    pub(crate) fn select(&mut self, rows: &[usize], shared: usize) {
        let Some((keys, _)) = self.layers.first() else { return };
        let n_rows = keys.size()[0] as usize;
        let moved: Vec<usize> = (0..rows.len()).filter(|&it| rows[it] != it).collect();
        if rows.len() == n_rows && moved.is_empty() {
            return;
        }
        let device = keys.device();
        let indices = |it: &[usize]| {
            let it: Vec<i64> = it.iter().map(|&it| it as i64).collect();
            Tensor::from_slice(&it).to_device(device)
        };
        let _guard = tch::no_grad_guard();
        self.padding = self.padding.as_ref().map(|it| it.index_select(0, &indices(rows)));
        if rows.len() == n_rows {
            let from = (shared as i64).min(self.len);
            let sources: Vec<usize> = moved.iter().map(|&it| rows[it]).collect();
            let (sources, moved) = (indices(&sources), indices(&moved));
            for buffer in self.layers.iter().flat_map(|(k, v)| [k, v]) {
                let mut part = buffer.narrow(2, from, self.len - from);
                let _ = part.index_copy_(0, &moved, &part.index_select(0, &sources));
            }
        } else {
            let rows = indices(rows);
            for buffer in self.layers.iter_mut().flat_map(|(k, v)| [k, v]) {
                let part = buffer.narrow(2, 0, self.len).index_select(0, &rows);
                *buffer = with_room(&part, buffer.size()[2]);
            }
        }
    }

    pub(crate) fn padding(&self) -> Option<&Tensor> {
        self.padding.as_ref()
    }

    /// Appends a layer's new keys and values, (B, K, T, D), and returns all, (B, K, S, D).
    ///
    /// The length stands still until [`advance`](KvCache::advance), so that layers see it alike.
    pub(crate) fn extend(&mut self, layer: usize, k: Tensor, v: Tensor) -> (Tensor, Tensor) {
        if !self.remembers {
            return (k, v);
        }
        if layer == self.layers.len() {
            self.layers.push((buffer(&k, CAPACITY), buffer(&v, CAPACITY)));
        }
        let (keys, values) = &mut self.layers[layer];
        (append(keys, &k, self.len), append(values, &v, self.len))
    }

    /// Counts the `t` tokens that every layer has now seen.
    pub(crate) fn advance(&mut self, t: i64) {
        if self.remembers {
            self.len += t;
        }
    }
}

/// Writes `new` behind the first `len` positions and returns a view of all.
fn append(buffer: &mut Tensor, new: &Tensor, len: i64) -> Tensor {
    let t = new.size()[2];
    let capacity = buffer.size()[2];
    if len + t > capacity {
        *buffer = with_room(&buffer.narrow(2, 0, len), (len + t).max(2 * capacity));
    }
    buffer.narrow(2, len, t).copy_(new);
    buffer.narrow(2, 0, len + t)
}

/// What is there, (B, K, T, D), with room for so many positions.
fn with_room(part: &Tensor, capacity: i64) -> Tensor {
    let larger = buffer(part, capacity);
    larger.narrow(2, 0, part.size()[2]).copy_(part);
    larger
}

/// Room for so many positions of what `like`, (B, K, T, D), is one part of.
fn buffer(like: &Tensor, capacity: i64) -> Tensor {
    let size = like.size();
    let capacity = capacity.max(size[2]);
    Tensor::empty([size[0], size[1], capacity, size[3]], (like.kind(), like.device()))
}

/// What a cache has room for at first.
const CAPACITY: i64 = 256;
