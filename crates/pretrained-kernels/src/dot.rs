//! Rows of weights times rows of numbers, on one thread.

use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use crate::cpu::{Avx2, Avx512, Avx512Bf16};
use crate::{
    Element,
    cpu::{Plain, Simd, fold},
};

/// At the start of a cache line, since reading across two takes twice as long.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Aligned<T>(T);

/// Rows of numbers that weights are multiplied with.
#[derive(Debug)]
pub(crate) struct Rows<T: Element, S: Simd> {
    /// The first block of each row, then the second of each: one pointer walks through all.
    blocks: Vec<Aligned<T::Prepared<S>>>,
    /// What is left of each row.
    rests: Vec<f32>,
    /// How many numbers a row has.
    n: usize,
    n_rows: usize,
}

impl<T: Element, S: Simd> Rows<T, S> {
    pub(crate) fn new(x: &[T], n: usize) -> Rows<T, S> {
        let rows = || x.chunks_exact(n).map(T::blocks);
        let n_blocks = rows().next().map_or(0, |(blocks, _)| blocks.len());
        let prepare = |block: &T::Block| Aligned(T::prepare::<S>(block));
        let blocks = (0..n_blocks).flat_map(|k| rows().map(move |(blocks, _)| prepare(&blocks[k])));
        let rests = rows().flat_map(|(_, rest)| rest.iter().map(|it| it.to_f32()));
        Rows { blocks: blocks.collect(), rests: rests.collect(), n, n_rows: x.len() / n }
    }

    /// What is left of a row.
    fn rest(&self, i: usize) -> &[f32] {
        let n_rest = self.rests.len() / self.n_rows;
        &self.rests[i * n_rest..][..n_rest]
    }
}

/// What multiplies rows, compiled for a CPU.
pub(crate) trait Dots: Simd + Sync {
    /// `sums[i][j]` = `weights[i] · x[j]`, each a row of as many numbers.
    ///
    /// Panics if there are not `weights.len() / n` times as many sums as `x` has rows.
    fn dots<T: Element>(self, weights: &[T], x: &Rows<T, Self>, sums: &mut [f32]);
}

#[cfg(target_arch = "x86_64")]
macro_rules! compiled_for {
    ($($cpu:ident: $features:literal;)*) => {$(
        #[allow(unsafe_code)]
        impl Dots for $cpu {
            fn dots<T: Element>(self, weights: &[T], x: &Rows<T, $cpu>, sums: &mut [f32]) {
                #[target_feature(enable = $features)]
                fn compiled<T: Element>(
                    cpu: $cpu,
                    weights: &[T],
                    x: &Rows<T, $cpu>,
                    sums: &mut [f32],
                ) {
                    dots(cpu, weights, x, sums);
                }
                // SAFETY: The invariant of the CPU.
                unsafe { compiled(self, weights, x, sums) }
            }
        }
    )*};
}

#[cfg(target_arch = "x86_64")]
compiled_for! {
    Avx512Bf16: "avx512f,avx512bf16";
    Avx512: "avx512f";
    Avx2: "avx2,fma";
}

impl Dots for Plain {
    fn dots<T: Element>(self, weights: &[T], x: &Rows<T, Self>, sums: &mut [f32]) {
        dots(self, weights, x, sums);
    }
}

#[inline(always)]
fn dots<S: Simd, T: Element>(cpu: S, weights: &[T], x: &Rows<T, S>, sums: &mut [f32]) {
    let (n, n_rows) = (x.n, x.n_rows);
    assert_eq!(sums.len(), weights.len() / n * n_rows, "a sum for each pair of rows");
    // As many sums at once as registers hold. Weights come from memory with the first tile of them;
    // the others find them in the cache.
    let width = n_rows.min(S::SUMS);
    let height = match S::SUMS / width {
        0 | 1 => 1,
        2 | 3 => 2,
        _ => 4,
    };
    // Where the numbers are too many for the nearest cache, a part of them is multiplied with all these
    // weights before the next, and sums are put aside meanwhile.
    let n_blocks = x.blocks.len() / n_rows;
    let is_near = size_of_val(x.blocks.as_slice()) <= NEAR;
    let part = match is_near {
        true => n_blocks,
        false => (PART / size_of_val(&x.blocks[..n_rows])).max(1),
    };
    let n_tiles = if is_near { 0 } else { weights.len() / n * n_rows.div_ceil(width) };
    let mut aside = vec![[cpu.zero(); 16]; n_tiles];
    let mut blocks = 0..part.min(n_blocks);
    loop {
        let (mut weights, mut sums) = (weights, &mut *sums);
        let mut tiles = aside.iter_mut();
        while !weights.is_empty() {
            let left = weights.len() / n;
            let height = if height <= left { height } else { left.min(2) };
            for first in (0..n_rows).step_by(width) {
                let width = width.min(n_rows - first);
                let (out, aside) = (&mut sums[first..], tiles.next());
                let blocks = blocks.clone();
                // Called by name, or it would not be compiled for the CPU that this is compiled for.
                macro_rules! tile {
                    ($($rows:literal x $columns:literal),*) => {
                        match (height, width) {
                            $(($rows, $columns) => {
                                tile::<S, T, $rows, $columns>(
                                    cpu, weights, x, first, blocks, aside, out,
                                );
                            })*
                            _ => unreachable!("no tile of {height} x {width}"),
                        }
                    };
                }
                tile!(
                    1 x 1, 1 x 2, 1 x 3, 1 x 4, 1 x 5, 1 x 6, 1 x 7, 1 x 8, 2 x 1, 2 x 2, 2 x 3,
                    2 x 4, 2 x 5, 2 x 6, 2 x 7, 2 x 8, 4 x 1, 4 x 2, 4 x 3, 4 x 4
                );
            }
            weights = &weights[height * n..];
            sums = &mut sums[height * n_rows..];
        }
        if blocks.end == n_blocks {
            return;
        }
        blocks = blocks.end..(blocks.end + part).min(n_blocks);
    }
}

/// R rows of weights times C rows of numbers, of which these blocks: what comes before is aside, and
/// what comes of it, unless they are the last. Each sum is made in the same order, whatever R and C.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // Indices as in a formula.
fn tile<S: Simd, T: Element, const R: usize, const C: usize>(
    cpu: S,
    weights: &[T],
    x: &Rows<T, S>,
    first: usize,
    blocks: Range<usize>,
    aside: Option<&mut [S::Lanes; 16]>,
    sums: &mut [f32],
) {
    let (n, stride) = (x.n, x.n_rows);
    let weights: [(&[T::Block], &[T]); R] =
        std::array::from_fn(|r| T::blocks(&weights[r * n..][..n]));
    // The next rows, as soon as these are read: streams as short as a row are over before the CPU has
    // understood that they are streams. Whole pages it follows by itself.
    let is_short = aside.is_some() || size_of::<T>() * n <= PAGE;
    let ahead = if is_short { R * size_of::<T>() * n } else { 0 };
    let mut lanes = [[cpu.zero(); C]; R];
    if let (Some(aside), true) = (&aside, blocks.start > 0) {
        for r in 0..R {
            for c in 0..C {
                lanes[r][c] = aside[r * C + c];
            }
        }
    }
    let parts = &x.blocks[blocks.start * stride..blocks.end * stride];
    for (x, k) in parts.chunks_exact(stride).zip(blocks.clone()) {
        let Some(x) = x[first..].first_chunk::<C>() else { return };
        let mut w = [T::load(cpu, &weights[0].0[k]); R];
        for r in 0..R {
            let block = &weights[r].0[k];
            if ahead > 0 {
                cpu.prefetch(std::ptr::from_ref(block).cast::<u8>().wrapping_add(ahead));
            }
            w[r] = T::load(cpu, block);
        }
        // Numbers outside, so that each is read once for all rows of weights.
        for c in 0..C {
            for r in 0..R {
                lanes[r][c] = T::add_products(cpu, w[r], &x[c].0, lanes[r][c]);
            }
        }
    }
    let mut all = [cpu.zero(); 16];
    for r in 0..R {
        for c in 0..C {
            all[r * C + c] = lanes[r][c];
        }
    }
    if let Some(aside) = aside
        && blocks.end < weights[0].0.len()
    {
        *aside = all;
        return;
    }
    // Few are faster one by one.
    let mut folded = [0.0; 16];
    if R * C > 4 {
        folded = cpu.sums(&all);
    } else {
        for i in 0..R * C {
            folded[i] = fold(cpu.store(all[i]));
        }
    }
    for r in 0..R {
        for c in 0..C {
            let mut sum = folded[r * C + c];
            for (w, x) in weights[r].1.iter().zip(x.rest(first + c)) {
                sum = cpu.multiply_add_one(w.to_f32(), *x, sum);
            }
            sums[r * stride + c] = sum;
        }
    }
}

/// What the nearest cache holds beside weights.
const NEAR: usize = 40 << 10;
/// What is multiplied at once where that is not enough.
const PART: usize = 16 << 10;
/// How long a row of weights is that needs no help.
const PAGE: usize = 4096;
