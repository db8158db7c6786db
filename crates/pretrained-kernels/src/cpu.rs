//! What CPUs can do with sixteen numbers at once.
//!
//! The length is the same everywhere, so that sums are made in the same order.

use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use half::bf16;

/// Which instructions are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cpu {
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16(Avx512Bf16),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    Plain(Plain),
}

/// Invariant: the CPU has AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Avx2(());

/// Invariant: the CPU has the foundation of AVX-512.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Avx512(());

/// Invariant: the CPU has AVX-512's instructions for bf16, and with them its foundation.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Avx512Bf16(Avx512);

/// Any CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plain;

/// Instructions on sixteen numbers.
pub trait Simd: Copy {
    type Lanes: Copy;
    /// Thirty-two numbers in bf16: sixteen pairs.
    type Pairs: Copy;
    /// The same in memory, as they are fastest read.
    type PreparedPairs: Copy + Send + Sync;
    /// How many sums of sixteen lanes registers hold beside what they are made of; at most 16.
    const SUMS: usize;

    fn zero(self) -> Self::Lanes;

    fn load(self, numbers: &[f32; LANES]) -> Self::Lanes;

    fn prepare_pairs(numbers: &[bf16; 2 * LANES]) -> Self::PreparedPairs;

    fn load_pairs(self, numbers: &[bf16; 2 * LANES]) -> Self::Pairs;

    /// `a · b + sum`, rounded once where the CPU can.
    fn multiply_add(self, a: Self::Lanes, b: Self::Lanes, sum: Self::Lanes) -> Self::Lanes;

    /// Adds the product of each pair's second numbers to its sum, then that of the first ones.
    fn add_pairs(self, a: Self::Pairs, b: &Self::PreparedPairs, sum: Self::Lanes) -> Self::Lanes;

    fn store(self, lanes: Self::Lanes) -> [f32; LANES];

    /// The sums of all sixteen.
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // A closure would not be compiled for the CPU.
    fn sums(self, all: &[Self::Lanes; 16]) -> [f32; 16] {
        let mut sums = [0.0; 16];
        for i in 0..16 {
            sums[i] = fold(self.store(all[i]));
        }
        sums
    }

    /// `a · b + sum` of one number, rounded as those of sixteen.
    #[inline(always)]
    fn multiply_add_one(self, a: f32, b: f32, sum: f32) -> f32 {
        a.mul_add(b, sum)
    }

    /// Asks for what is at an address, or may not be, to be brought near.
    fn prefetch(self, _address: *const u8) {}
}

/// [`Simd::prefetch`] where there is an instruction for it.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
#[inline(always)]
pub(crate) fn bring_near(address: *const u8) {
    // SAFETY: Every such CPU has it, and any address will do.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
}

/// [`Simd::add_pairs`] where pairs are split before they are multiplied.
#[inline(always)]
pub(crate) fn add_split<S: Simd>(cpu: S, a: [S::Lanes; 2], b: &Split, sum: S::Lanes) -> S::Lanes {
    let sum = cpu.multiply_add(a[0], cpu.load(&b[0]), sum);
    cpu.multiply_add(a[1], cpu.load(&b[1]), sum)
}

/// Halves added to halves.
#[inline(always)]
pub(crate) fn fold(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// Pairs as numbers in f32: the second ones, and the first ones.
pub(crate) type Split = [[f32; LANES]; 2];

pub(crate) fn split(numbers: &[bf16; 2 * LANES]) -> Split {
    [1, 0].map(|which| {
        std::array::from_fn(|lane| {
            f32::from_bits(u32::from(numbers[2 * lane + which].to_bits()) << 16)
        })
    })
}

#[cfg(target_arch = "x86_64")]
impl Avx512Bf16 {
    /// The CPU without them.
    pub(crate) fn foundation(self) -> Avx512 {
        self.0
    }
}

impl Cpu {
    /// The best that this machine has.
    pub(crate) fn best() -> Cpu {
        static BEST: OnceLock<Cpu> = OnceLock::new();
        *BEST.get_or_init(|| Cpu::all()[0])
    }

    /// Everything that this machine has, the best first; never empty.
    pub(crate) fn all() -> Vec<Cpu> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                if is_x86_feature_detected!("avx512bf16") {
                    all.push(Cpu::Avx512Bf16(Avx512Bf16(Avx512(()))));
                }
                all.push(Cpu::Avx512(Avx512(())));
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                all.push(Cpu::Avx2(Avx2(())));
            }
        }
        all.push(Cpu::Plain(Plain));
        all
    }
}

/// How many partial sums a sum is made of.
pub(crate) const LANES: usize = 16;

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
impl Simd for Avx2 {
    type Lanes = [__m256; 2];
    type Pairs = [[__m256; 2]; 2];
    type PreparedPairs = Split;
    const SUMS: usize = 4;

    #[inline(always)]
    fn zero(self) -> [__m256; 2] {
        // SAFETY: The invariant.
        unsafe { [_mm256_setzero_ps(); 2] }
    }

    #[inline(always)]
    fn load(self, numbers: &[f32; LANES]) -> [__m256; 2] {
        let start = numbers.as_ptr();
        // SAFETY: The invariant; there are two times eight numbers.
        unsafe { [_mm256_loadu_ps(start), _mm256_loadu_ps(start.add(8))] }
    }

    #[inline(always)]
    fn prepare_pairs(numbers: &[bf16; 2 * LANES]) -> Split {
        split(numbers)
    }

    #[inline(always)]
    fn load_pairs(self, numbers: &[bf16; 2 * LANES]) -> [[__m256; 2]; 2] {
        let start = numbers.as_ptr().cast::<__m256i>();
        // SAFETY: The invariant; there are two times sixteen numbers of 16 bits. They are the upper
        // halves of the f32 that they stand for, and the second of a pair is the upper half of it.
        unsafe {
            let pairs = [_mm256_loadu_si256(start), _mm256_loadu_si256(start.add(1))];
            let upper = _mm256_set1_epi32(0xffff_0000_u32.cast_signed());
            [
                pairs.map(|it| _mm256_castsi256_ps(_mm256_and_si256(it, upper))),
                pairs.map(|it| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(it))),
            ]
        }
    }

    #[inline(always)]
    fn add_pairs(self, a: [[__m256; 2]; 2], b: &Split, sum: [__m256; 2]) -> [__m256; 2] {
        add_split(self, a, b, sum)
    }

    #[inline(always)]
    fn multiply_add(self, a: [__m256; 2], b: [__m256; 2], sum: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: The invariant.
        unsafe { [_mm256_fmadd_ps(a[0], b[0], sum[0]), _mm256_fmadd_ps(a[1], b[1], sum[1])] }
    }

    #[inline(always)]
    fn store(self, lanes: [__m256; 2]) -> [f32; LANES] {
        let mut numbers = [0.0; LANES];
        // SAFETY: The invariant; there is room for two times eight numbers.
        unsafe {
            _mm256_storeu_ps(numbers.as_mut_ptr(), lanes[0]);
            _mm256_storeu_ps(numbers.as_mut_ptr().add(8), lanes[1]);
        }
        numbers
    }

    #[inline(always)]
    fn prefetch(self, address: *const u8) {
        bring_near(address);
    }
}

impl Simd for Plain {
    type Lanes = [f32; LANES];
    type Pairs = Split;
    type PreparedPairs = Split;
    const SUMS: usize = 1;

    #[inline(always)]
    fn zero(self) -> [f32; LANES] {
        [0.0; LANES]
    }

    #[inline(always)]
    fn load(self, numbers: &[f32; LANES]) -> [f32; LANES] {
        *numbers
    }

    #[inline(always)]
    fn prepare_pairs(numbers: &[bf16; 2 * LANES]) -> Split {
        split(numbers)
    }

    #[inline(always)]
    fn load_pairs(self, numbers: &[bf16; 2 * LANES]) -> Split {
        split(numbers)
    }

    #[inline(always)]
    fn add_pairs(self, a: Split, b: &Split, sum: [f32; LANES]) -> [f32; LANES] {
        add_split(self, a, b, sum)
    }

    #[inline(always)]
    fn multiply_add(self, a: [f32; LANES], b: [f32; LANES], sum: [f32; LANES]) -> [f32; LANES] {
        // Not `mul_add`, which is a slow function where there is no instruction for it.
        std::array::from_fn(|lane| a[lane] * b[lane] + sum[lane])
    }

    #[inline(always)]
    fn store(self, lanes: [f32; LANES]) -> [f32; LANES] {
        lanes
    }

    #[inline(always)]
    fn multiply_add_one(self, a: f32, b: f32, sum: f32) -> f32 {
        a * b + sum
    }
}
