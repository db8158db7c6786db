use std::fmt::Debug;

use half::bf16;

pub(crate) use self::sealed::Load;
use crate::cpu::{LANES, Simd};

/// What numbers are stored as.
pub trait Element: Copy + Debug + Send + Sync + 'static + sealed::Load {
    /// The same number.
    fn to_f32(self) -> f32;

    /// The nearest number; of two, the one that ends in a zero bit.
    fn from_f32(x: f32) -> Self;
}

impl Element for f32 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }

    #[inline(always)]
    fn from_f32(x: f32) -> f32 {
        x
    }
}

impl Element for bf16 {
    // Not `half`'s own, which asks whether it is NaN: that branch keeps loops from becoming vectors.
    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    #[inline(always)]
    fn from_f32(x: f32) -> bf16 {
        if x.is_nan() {
            // libtorch's.
            return bf16::from_bits(0x7fc0);
        }
        let bits = x.to_bits();
        let odd = (bits >> 16) & 1;
        // No number that is not NaN overflows; those above the largest become infinite, as they should.
        bf16::from_bits(((bits + 0x7fff + odd) >> 16) as u16)
    }
}

impl Load for f32 {
    type Block = [f32; LANES];
    type Prepared<S: Simd> = [f32; LANES];
    type Loaded<S: Simd> = S::Lanes;

    #[inline(always)]
    fn blocks(row: &[f32]) -> (&[[f32; LANES]], &[f32]) {
        row.as_chunks()
    }

    #[inline(always)]
    fn prepare<S: Simd>(block: &[f32; LANES]) -> [f32; LANES] {
        *block
    }

    #[inline(always)]
    fn load<S: Simd>(cpu: S, block: &[f32; LANES]) -> S::Lanes {
        cpu.load(block)
    }

    #[inline(always)]
    fn add_products<S: Simd>(cpu: S, w: S::Lanes, x: &[f32; LANES], sum: S::Lanes) -> S::Lanes {
        cpu.multiply_add(w, cpu.load(x), sum)
    }
}

impl Load for bf16 {
    type Block = [bf16; 2 * LANES];
    type Prepared<S: Simd> = S::PreparedPairs;
    type Loaded<S: Simd> = S::Pairs;

    #[inline(always)]
    fn blocks(row: &[bf16]) -> (&[[bf16; 2 * LANES]], &[bf16]) {
        row.as_chunks()
    }

    #[inline(always)]
    fn prepare<S: Simd>(block: &[bf16; 2 * LANES]) -> S::PreparedPairs {
        S::prepare_pairs(block)
    }

    #[inline(always)]
    fn load<S: Simd>(cpu: S, block: &[bf16; 2 * LANES]) -> S::Pairs {
        cpu.load_pairs(block)
    }

    #[inline(always)]
    fn add_products<S: Simd>(cpu: S, w: S::Pairs, x: &S::PreparedPairs, sum: S::Lanes) -> S::Lanes {
        cpu.add_pairs(w, x, sum)
    }
}

mod sealed {
    use crate::cpu::Simd;

    /// How numbers are taken together that are worked on at once; keeps others from being elements.
    pub trait Load: Copy {
        /// These numbers, in a row.
        type Block: Copy;
        /// The same of what weights are multiplied with, as it is fastest read.
        type Prepared<S: Simd>: Copy + Send + Sync;
        /// The same of weights, in registers.
        type Loaded<S: Simd>: Copy;

        #[doc(hidden)]
        fn blocks(row: &[Self]) -> (&[Self::Block], &[Self]);

        #[doc(hidden)]
        fn prepare<S: Simd>(block: &Self::Block) -> Self::Prepared<S>;

        #[doc(hidden)]
        fn load<S: Simd>(cpu: S, block: &Self::Block) -> Self::Loaded<S>;

        /// Each product is added to one of the sums.
        #[doc(hidden)]
        fn add_products<S: Simd>(
            cpu: S,
            w: Self::Loaded<S>,
            x: &Self::Prepared<S>,
            sum: S::Lanes,
        ) -> S::Lanes;
    }
}
