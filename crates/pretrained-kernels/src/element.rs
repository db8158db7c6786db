use std::fmt::Debug;

use half::bf16;

pub(crate) use self::sealed::{Load, Numbers};
use crate::cpu::LANES;

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
    #[inline(always)]
    fn numbers(these: &[f32; LANES]) -> Numbers<'_> {
        Numbers::F32(these)
    }
}

impl Load for bf16 {
    #[inline(always)]
    fn numbers(these: &[bf16; LANES]) -> Numbers<'_> {
        Numbers::Bf16(these)
    }
}

mod sealed {
    use super::{LANES, bf16};

    /// What fills a register, by type; keeps others from being elements.
    pub trait Load: Sized {
        #[doc(hidden)]
        fn numbers(these: &[Self; LANES]) -> Numbers<'_>;
    }

    #[derive(Debug)]
    pub enum Numbers<'a> {
        F32(&'a [f32; LANES]),
        Bf16(&'a [bf16; LANES]),
    }
}
