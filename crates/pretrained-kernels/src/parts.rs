//! Work in parts, which a team's threads take one after the other, compiled for what the CPU has.

use std::sync::{Mutex, PoisonError};

use crate::{Team, cpu::Cpu};

/// What is done with a part.
pub(crate) trait Job<P>: Sync {
    /// `fma`: whether the CPU multiplies and adds in one instruction. To be inlined always, and without
    /// closures, which would not be compiled for the CPU.
    fn run(&self, part: P, fma: bool);
}

/// Does all parts. What a part becomes may depend on nothing but the part.
pub(crate) fn run_parts<P: Send, J: Job<P>>(
    parts: impl ExactSizeIterator<Item = P> + Send,
    job: &J,
    team: &impl Team,
) {
    let threads = team.threads().min(parts.len());
    let parts = Mutex::new(parts);
    let next = || parts.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        while let Some(part) = next() {
            run_on(Cpu::best(), job, part);
        }
    };
    match threads {
        0 | 1 => work(),
        threads => team.run(threads, &work),
    }
}

#[allow(unsafe_code)]
pub(crate) fn run_on<P, J: Job<P>>(cpu: Cpu, job: &J, part: P) {
    match cpu {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: That this is the CPU says that it has the instructions.
        Cpu::Avx512Bf16(_) | Cpu::Avx512(_) => unsafe { with_avx512(job, part) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: As above.
        Cpu::Avx2(_) => unsafe { with_avx2(job, part) },
        Cpu::Plain(_) => job.run(part, false),
    }
}

/// # Safety
/// The CPU has the foundation of AVX-512.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
#[target_feature(enable = "avx512f")]
unsafe fn with_avx512<P, J: Job<P>>(job: &J, part: P) {
    job.run(part, true);
}

/// # Safety
/// The CPU has AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
#[target_feature(enable = "avx2,fma")]
unsafe fn with_avx2<P, J: Job<P>>(job: &J, part: P) {
    job.run(part, true);
}

/// `a · b + c`, rounded once where the CPU can.
#[inline(always)]
pub(crate) fn multiply_add(a: f32, b: f32, c: f32, fma: bool) -> f32 {
    // Not `mul_add` where there is no instruction for it, since it is a slow function there.
    if fma { a.mul_add(b, c) } else { a * b + c }
}

/// e to a power of at most 88, to two units in the last place; 0 below -87.
#[inline(always)]
pub(crate) fn exp(x: f32, fma: bool) -> f32 {
    // Split into a whole power of two and a rest of at most half a bit, as in Cephes' `expf`.
    let scaled = multiply_add(x, std::f32::consts::LOG2_E, ROUND, fma);
    let whole = scaled - ROUND;
    let rest = multiply_add(whole, -LN_2_HIGH, x, fma);
    let rest = multiply_add(whole, -LN_2_LOW, rest, fma);
    let mut y = 1.987_569_1e-4;
    y = multiply_add(y, rest, 1.398_199_9e-3, fma);
    y = multiply_add(y, rest, 8.333_452e-3, fma);
    y = multiply_add(y, rest, 4.166_579_6e-2, fma);
    y = multiply_add(y, rest, 1.666_666_6e-1, fma);
    y = multiply_add(y, rest, 0.5, fma);
    let y = multiply_add(y, rest * rest, rest + 1.0, fma);
    // The sum's last bits are the whole power.
    let power = f32::from_bits(scaled.to_bits().wrapping_add(127) << 23);
    if x < -87.0 { 0.0 } else { y * power }
}

/// Added to a number below 2^22, leaves no bits behind the point.
const ROUND: f32 = 12_582_912.0;
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_those_of_the_standard_library() {
        for i in 0..200_000 {
            let x = -100.0 + i as f32 * (188.0 / 200_000.0);
            for fma in [true, false] {
                let (ours, exact) = (f64::from(exp(x, fma)), f64::from(x).exp());
                let off = (ours - exact).abs();
                assert!(off <= exact * 3e-7 || x < -87.0 && off < 1e-37, "{x}: {ours}, {exact}");
            }
        }
        assert_eq!(exp(0.0, true), 1.0);
        assert_eq!(exp(f32::NEG_INFINITY, true), 0.0);
        assert!(exp(f32::NAN, true).is_nan());
    }
}
