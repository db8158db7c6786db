//! Sixteen numbers in one register.

use std::arch::x86_64::*;

use half::bf16;

use crate::cpu::{Avx512, Avx512Bf16, LANES, Simd, Split, add_split, bring_near, split};

#[allow(unsafe_code)]
impl Simd for Avx512 {
    type Lanes = __m512;
    type Pairs = [__m512; 2];
    type PreparedPairs = Split;
    const SUMS: usize = 16;

    #[inline(always)]
    fn zero(self) -> __m512 {
        // SAFETY: The invariant.
        unsafe { _mm512_setzero_ps() }
    }

    #[inline(always)]
    fn load(self, numbers: &[f32; LANES]) -> __m512 {
        // SAFETY: The invariant; there are sixteen numbers.
        unsafe { _mm512_loadu_ps(numbers.as_ptr()) }
    }

    #[inline(always)]
    fn prepare_pairs(numbers: &[bf16; 2 * LANES]) -> Split {
        split(numbers)
    }

    #[inline(always)]
    fn load_pairs(self, numbers: &[bf16; 2 * LANES]) -> [__m512; 2] {
        // SAFETY: The invariant; there are thirty-two numbers of 16 bits. They are the upper halves of
        // the f32 that they stand for, and the second of a pair is the upper half of it.
        unsafe {
            let pairs = _mm512_loadu_si512(numbers.as_ptr().cast());
            let upper = _mm512_set1_epi32(0xffff_0000_u32.cast_signed());
            [
                _mm512_castsi512_ps(_mm512_and_si512(pairs, upper)),
                _mm512_castsi512_ps(_mm512_slli_epi32::<16>(pairs)),
            ]
        }
    }

    #[inline(always)]
    fn add_pairs(self, a: [__m512; 2], b: &Split, sum: __m512) -> __m512 {
        add_split(self, a, b, sum)
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
    fn sums(self, all: &[__m512; 16]) -> [f32; 16] {
        // Halves added to halves, as in `fold`, of two at a time: what is left fills one register again.
        let mut by_two = [self.zero(); 8];
        let mut by_four = [self.zero(); 4];
        let mut by_eight = [self.zero(); 2];
        // SAFETY: The invariant.
        let last = unsafe {
            for i in 0..8 {
                let (a, b) = (all[2 * i], all[2 * i + 1]);
                let (low, high) =
                    (_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xee>(a, b));
                by_two[i] = _mm512_add_ps(low, high);
            }
            for i in 0..4 {
                let (a, b) = (by_two[2 * i], by_two[2 * i + 1]);
                let (low, high) =
                    (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b));
                by_four[i] = _mm512_add_ps(low, high);
            }
            for i in 0..2 {
                let (a, b) = (by_four[2 * i], by_four[2 * i + 1]);
                let (low, high) =
                    (_mm512_shuffle_ps::<0x44>(a, b), _mm512_shuffle_ps::<0xee>(a, b));
                by_eight[i] = _mm512_add_ps(low, high);
            }
            let [a, b] = by_eight;
            let (low, high) = (_mm512_shuffle_ps::<0x88>(a, b), _mm512_shuffle_ps::<0xdd>(a, b));
            _mm512_add_ps(low, high)
        };
        let last = self.store(last);
        let mut sums = [0.0; 16];
        for i in 0..16 {
            sums[i] = last[i % 4 * 4 + i / 4];
        }
        sums
    }

    #[inline(always)]
    fn prefetch(self, address: *const u8) {
        bring_near(address);
    }
}

#[allow(unsafe_code)]
impl Simd for Avx512Bf16 {
    type Lanes = __m512;
    type Pairs = __m512bh;
    type PreparedPairs = [bf16; 2 * LANES];
    const SUMS: usize = 16;

    #[inline(always)]
    fn zero(self) -> __m512 {
        self.foundation().zero()
    }

    #[inline(always)]
    fn load(self, numbers: &[f32; LANES]) -> __m512 {
        self.foundation().load(numbers)
    }

    #[inline(always)]
    fn prepare_pairs(numbers: &[bf16; 2 * LANES]) -> [bf16; 2 * LANES] {
        *numbers
    }

    #[inline(always)]
    fn load_pairs(self, numbers: &[bf16; 2 * LANES]) -> __m512bh {
        // SAFETY: The invariant; there are thirty-two numbers of 16 bits, which is what such a register
        // has.
        unsafe {
            std::mem::transmute::<__m512i, __m512bh>(_mm512_loadu_si512(numbers.as_ptr().cast()))
        }
    }

    #[inline(always)]
    fn multiply_add(self, a: __m512, b: __m512, sum: __m512) -> __m512 {
        self.foundation().multiply_add(a, b, sum)
    }

    #[inline(always)]
    fn add_pairs(self, a: __m512bh, b: &[bf16; 2 * LANES], sum: __m512) -> __m512 {
        // SAFETY: The invariant.
        unsafe { _mm512_dpbf16_ps(sum, a, self.load_pairs(b)) }
    }

    #[inline(always)]
    fn store(self, lanes: __m512) -> [f32; LANES] {
        self.foundation().store(lanes)
    }

    #[inline(always)]
    fn sums(self, all: &[__m512; 16]) -> [f32; 16] {
        self.foundation().sums(all)
    }

    #[inline(always)]
    fn prefetch(self, address: *const u8) {
        bring_near(address);
    }
}
