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

/// Any CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plain;

/// Instructions on sixteen numbers.
pub(crate) trait Simd: Copy {
    type Lanes: Copy;
    /// How many sums of sixteen lanes registers hold beside what they are made of; at most 16.
    const SUMS: usize;

    fn zero(self) -> Self::Lanes;

    fn load_f32(self, numbers: &[f32; LANES]) -> Self::Lanes;

    fn load_bf16(self, numbers: &[bf16; LANES]) -> Self::Lanes;

    /// `a · b + sum`, rounded once where the CPU can.
    fn multiply_add(self, a: Self::Lanes, b: Self::Lanes, sum: Self::Lanes) -> Self::Lanes;

    fn store(self, lanes: Self::Lanes) -> [f32; LANES];

    /// The same for one number.
    fn multiply_add_one(self, a: f32, b: f32, sum: f32) -> f32;

    /// Asks for what is at an address, or may not be, to be brought near.
    fn prefetch(self, _address: *const u8) {}
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
    const SUMS: usize = 4;

    #[inline(always)]
    fn zero(self) -> [__m256; 2] {
        // SAFETY: The invariant.
        unsafe { [_mm256_setzero_ps(); 2] }
    }

    #[inline(always)]
    fn load_f32(self, numbers: &[f32; LANES]) -> [__m256; 2] {
        let start = numbers.as_ptr();
        // SAFETY: The invariant; there are two times eight numbers.
        unsafe { [_mm256_loadu_ps(start), _mm256_loadu_ps(start.add(8))] }
    }

    #[inline(always)]
    fn load_bf16(self, numbers: &[bf16; LANES]) -> [__m256; 2] {
        let start = numbers.as_ptr().cast::<__m128i>();
        // SAFETY: The invariant; there are two times eight numbers of 16 bits. They are the upper
        // halves of the f32 that they stand for.
        unsafe {
            [start, start.add(1)].map(|eight| {
                let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(eight));
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
            })
        }
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
    fn multiply_add_one(self, a: f32, b: f32, sum: f32) -> f32 {
        a.mul_add(b, sum)
    }

    #[inline(always)]
    fn prefetch(self, address: *const u8) {
        // SAFETY: The invariant; any address will do.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
impl Simd for Avx512 {
    type Lanes = __m512;
    const SUMS: usize = 16;

    #[inline(always)]
    fn zero(self) -> __m512 {
        // SAFETY: The invariant.
        unsafe { _mm512_setzero_ps() }
    }

    #[inline(always)]
    fn load_f32(self, numbers: &[f32; LANES]) -> __m512 {
        // SAFETY: The invariant; there are sixteen numbers.
        unsafe { _mm512_loadu_ps(numbers.as_ptr()) }
    }

    #[inline(always)]
    fn load_bf16(self, numbers: &[bf16; LANES]) -> __m512 {
        // SAFETY: The invariant; there are sixteen numbers of 16 bits. They are the upper halves of the
        // f32 that they stand for.
        unsafe {
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(numbers.as_ptr().cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
        }
    }

    #[inline(always)]
    fn multiply_add(self, a: __m512, b: __m512, sum: __m512) -> __m512 {
        // SAFETY: The invariant.
        unsafe { _mm512_fmadd_ps(a, b, sum) }
    }

    #[inline(always)]
    fn store(self, lanes: __m512) -> [f32; LANES] {
        let mut numbers = [0.0; LANES];
        // SAFETY: The invariant; there is room for sixteen numbers.
        unsafe { _mm512_storeu_ps(numbers.as_mut_ptr(), lanes) };
        numbers
    }

    #[inline(always)]
    fn multiply_add_one(self, a: f32, b: f32, sum: f32) -> f32 {
        a.mul_add(b, sum)
    }

    #[inline(always)]
    fn prefetch(self, address: *const u8) {
        // SAFETY: The invariant; any address will do.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }
}

impl Simd for Plain {
    type Lanes = [f32; LANES];
    const SUMS: usize = 1;

    #[inline(always)]
    fn zero(self) -> [f32; LANES] {
        [0.0; LANES]
    }

    #[inline(always)]
    fn load_f32(self, numbers: &[f32; LANES]) -> [f32; LANES] {
        *numbers
    }

    #[inline(always)]
    fn load_bf16(self, numbers: &[bf16; LANES]) -> [f32; LANES] {
        std::array::from_fn(|lane| f32::from_bits(u32::from(numbers[lane].to_bits()) << 16))
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
