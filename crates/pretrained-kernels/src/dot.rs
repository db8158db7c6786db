//! Rows of weights times rows of numbers, on one thread.

#[cfg(target_arch = "x86_64")]
use crate::cpu::{Avx2, Avx512};
use crate::{
    Element,
    cpu::{Cpu, LANES, Simd},
    element::Numbers,
};

impl Cpu {
    /// `sums[i][j]` = `weights[i] · x[j]`, each a row of `n` numbers.
    ///
    /// Panics if there are not `weights.len() / n * (x.len() / n)` sums.
    #[allow(unsafe_code)]
    pub(crate) fn dots<T: Element>(self, weights: &[T], x: &[f32], n: usize, sums: &mut [f32]) {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: The invariant of `Avx512`.
            Cpu::Avx512(cpu) => unsafe { dots_avx512(cpu, weights, x, n, sums) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: The invariant of `Avx2`.
            Cpu::Avx2(cpu) => unsafe { dots_avx2(cpu, weights, x, n, sums) },
            Cpu::Plain(cpu) => dots(cpu, weights, x, n, sums),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn dots_avx512<T: Element>(cpu: Avx512, weights: &[T], x: &[f32], n: usize, sums: &mut [f32]) {
    dots(cpu, weights, x, n, sums);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn dots_avx2<T: Element>(cpu: Avx2, weights: &[T], x: &[f32], n: usize, sums: &mut [f32]) {
    dots(cpu, weights, x, n, sums);
}

#[inline(always)]
fn dots<S: Simd, T: Element>(cpu: S, weights: &[T], x: &[f32], n: usize, sums: &mut [f32]) {
    let n_rows = x.len() / n;
    assert_eq!(sums.len(), weights.len() / n * n_rows, "a sum for each pair of rows");
    // As many sums at once as registers hold. Weights come from memory with the first tile of them;
    // the others find them in the cache.
    let width = n_rows.min(S::SUMS);
    let height = match S::SUMS / width {
        0 | 1 => 1,
        2 | 3 => 2,
        _ => 4,
    };
    let (mut weights, mut sums) = (weights, sums);
    while !weights.is_empty() {
        let left = weights.len() / n;
        let height = if height <= left { height } else { left.min(2) };
        for (x, first) in x.chunks(width * n).zip((0..n_rows).step_by(width)) {
            let width = x.len() / n;
            let out = &mut sums[first..];
            // Called by name, or it would not be compiled for the CPU that this is compiled for.
            macro_rules! tile {
                ($($rows:literal x $columns:literal),*) => {
                    match (height, width) {
                        $(($rows, $columns) => {
                            tile::<T, $rows, $columns>(cpu, weights, x, n, out, n_rows);
                        })*
                        _ => unreachable!("no tile of {height} x {width}"),
                    }
                };
            }
            tile!(
                1 x 1, 1 x 2, 1 x 3, 1 x 4, 1 x 5, 1 x 6, 1 x 7, 1 x 8, 2 x 1, 2 x 2, 2 x 3, 2 x 4,
                2 x 5, 2 x 6, 2 x 7, 2 x 8, 4 x 1, 4 x 2, 4 x 3, 4 x 4
            );
        }
        weights = &weights[height * n..];
        sums = &mut sums[height * n_rows..];
    }
}

/// R rows of weights times C rows of numbers. Each sum is made in the same order, whatever R and C.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // Indices as in a formula.
fn tile<T: Element, const R: usize, const C: usize>(
    cpu: impl Simd,
    weights: &[T],
    x: &[f32],
    n: usize,
    sums: &mut [f32],
    stride: usize,
) {
    let weights: [&[T]; R] = std::array::from_fn(|r| &weights[r * n..][..n]);
    let x: [&[f32]; C] = std::array::from_fn(|c| &x[c * n..][..n]);
    let w_lanes: [&[[T; LANES]]; R] = weights.map(|it| it.as_chunks().0);
    let x_lanes: [&[[f32; LANES]]; C] = x.map(|it| it.as_chunks().0);
    let mut lanes = [[cpu.zero(); C]; R];
    // The next rows, as soon as these are read: streams as short as a row are over before the CPU has
    // understood that they are streams. Whole pages it follows by itself.
    let ahead = if size_of::<T>() * n <= PAGE { R * n } else { 0 };
    for k in 0..n / LANES {
        for r in 0..R {
            if ahead > 0 {
                cpu.prefetch(
                    w_lanes[r].as_ptr().cast::<T>().wrapping_add(k * LANES + ahead).cast(),
                );
            }
            // Known when this is compiled.
            let w = match T::numbers(&w_lanes[r][k]) {
                Numbers::F32(numbers) => cpu.load_f32(numbers),
                Numbers::Bf16(numbers) => cpu.load_bf16(numbers),
            };
            for c in 0..C {
                lanes[r][c] = cpu.multiply_add(w, cpu.load_f32(&x_lanes[c][k]), lanes[r][c]);
            }
        }
    }
    for r in 0..R {
        for c in 0..C {
            let mut sum = fold(cpu.store(lanes[r][c]));
            for k in n / LANES * LANES..n {
                sum = cpu.multiply_add_one(weights[r][k].to_f32(), x[c][k], sum);
            }
            sums[r * stride + c] = sum;
        }
    }
}

/// How long a row of weights is that needs no help.
const PAGE: usize = 4096;

/// Halves added to halves.
#[inline(always)]
fn fold(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}
