use half::{bf16, f16};
use pretrained_safetensors::{Dtype, TensorSpec, cast};
use rayon::prelude::*;

use crate::{Error, Weights};

/// What is known of the elements compared so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sums {
    /// How many have other bits.
    pub(super) differing: u64,
    /// How many of these have no difference, since one of the two is NaN.
    pub(super) not_numbers: u64,
    /// The largest difference.
    pub(super) max: f64,
    /// All differences together.
    pub(super) sum: f64,
}

/// Compares a tensor that both have, of one type and shape, piece by piece and in parallel.
pub(super) fn compare(
    a: &Weights,
    b: &Weights,
    tensor: &TensorSpec,
    progress: impl Fn(u64) + Sync,
) -> Result<Sums, Error> {
    let name = tensor.name.as_str();
    let len = a.info(name).map_or(0, |it| it.byte_len()) as usize;
    let pieces = by_pieces(name, [(a, len, PIECE), (b, len, PIECE)], progress, |a, b| {
        compare_piece(tensor.dtype, a, b)
    })?;
    Ok(pieces.into_iter().fold(Sums::default(), Sums::and))
}

/// What `compare` says of each piece of a tensor, read in parallel. Of each side: its weights, its bytes,
/// and how many of them are in a piece. `progress` hears how many of the first have been read.
///
/// In the file's order, so that what is added up is the same on any number of cores.
pub(super) fn by_pieces<T: Send>(
    name: &str,
    sides: [(&Weights, usize, usize); 2],
    progress: impl Fn(u64) + Sync,
    compare: impl Fn(&[u8], &[u8]) -> T + Sync,
) -> Result<Vec<T>, Error> {
    let (_, len, piece) = sides[0];
    let numbers = (0..len.div_ceil(piece)).into_par_iter();
    let pieces = numbers.map_init(Default::default, |buffers: &mut [Vec<u8>; 2], i| {
        for (buffer, (weights, len, piece)) in buffers.iter_mut().zip(sides) {
            let start = i * piece;
            buffer.resize(piece.min(len - start), 0);
            weights.read_range(name, start, buffer)?;
        }
        let [a, b] = &*buffers;
        progress(a.len() as u64);
        Ok(compare(a, b))
    });
    pieces.collect()
}

impl Sums {
    /// The largest and the mean difference of so many elements, if any of them has one.
    pub(super) fn max_and_mean(&self, elements: u64) -> (Option<f64>, Option<f64>) {
        match elements - self.not_numbers {
            0 => (None, None),
            measured => (Some(self.max), Some(self.sum / measured as f64)),
        }
    }

    /// Adds the difference of two elements that are counted already.
    pub(super) fn add(&mut self, difference: f64) {
        if difference.is_nan() {
            self.not_numbers += 1;
        } else {
            self.max = self.max.max(difference);
            self.sum += difference;
        }
    }

    pub(super) fn and(self, other: Sums) -> Sums {
        Sums {
            differing: self.differing + other.differing,
            not_numbers: self.not_numbers + other.not_numbers,
            max: self.max.max(other.max),
            sum: self.sum + other.sum,
        }
    }
}

/// Compares elements of one type.
pub(super) fn compare_piece(dtype: Dtype, a: &[u8], b: &[u8]) -> Sums {
    // The usual case, and as fast as memory.
    if a == b {
        return Sums::default();
    }
    /// Of an integer of any width.
    macro_rules! int {
        ($int:ty) => {
            of_elements(a, b, |a, b| {
                <$int>::from_le_bytes(a).abs_diff(<$int>::from_le_bytes(b)) as f64
            })
        };
    }
    /// Of a number that fits an `f64`.
    macro_rules! float {
        ($float:ty) => {
            of_elements(a, b, |a, b| {
                (f64::from(<$float>::from_le_bytes(a)) - f64::from(<$float>::from_le_bytes(b)))
                    .abs()
            })
        };
    }
    match dtype {
        Dtype::BOOL | Dtype::U8 => int!(u8),
        Dtype::I8 => int!(i8),
        Dtype::I16 => int!(i16),
        Dtype::U16 => int!(u16),
        Dtype::I32 => int!(i32),
        Dtype::U32 => int!(u32),
        Dtype::I64 => int!(i64),
        Dtype::U64 => int!(u64),
        Dtype::F16 => float!(f16),
        Dtype::BF16 => float!(bf16),
        Dtype::F32 => float!(f32),
        Dtype::F64 => float!(f64),
        Dtype::C64 => of_elements(a, b, |a: [u8; 8], b| {
            let part = |it: [u8; 8], i: usize| {
                f64::from(f32::from_le_bytes([it[i], it[i + 1], it[i + 2], it[i + 3]]))
            };
            // Not `hypot`, for which infinity beside NaN is infinity.
            let (re, im) = (part(a, 0) - part(b, 0), part(a, 4) - part(b, 4));
            (re * re + im * im).sqrt()
        }),
        dtype if dtype.bits() == 8 => match all_of_eight_bits(dtype) {
            Some(values) => of_elements(a, b, |[a]: [u8; 1], [b]| {
                (f64::from(values[usize::from(a)]) - f64::from(values[usize::from(b)])).abs()
            }),
            None => of_bits(dtype.bits(), a, b),
        },
        dtype => of_bits(dtype.bits(), a, b),
    }
}

fn of_elements<const N: usize>(
    a: &[u8],
    b: &[u8],
    difference: impl Fn([u8; N], [u8; N]) -> f64,
) -> Sums {
    let mut sums = Sums::default();
    let ((a, _), (b, _)) = (a.as_chunks::<N>(), b.as_chunks::<N>());
    for (a, b) in a.iter().zip(b).filter(|(a, b)| a != b) {
        sums.differing += 1;
        sums.add(difference(*a, *b));
    }
    sums
}

/// What every byte stands for, as torch reads it.
fn all_of_eight_bits(dtype: Dtype) -> Option<Vec<f32>> {
    let bytes: Vec<u8> = (0..=u8::MAX).collect();
    let floats = cast(&bytes, dtype, Dtype::F32).ok()?;
    Some(floats.as_chunks().0.iter().map(|it| f32::from_le_bytes(*it)).collect())
}

/// Of elements of some bits, packed with the first one lowest. They are told apart, not read.
fn of_bits(bits: usize, a: &[u8], b: &[u8]) -> Sums {
    let mut differing = 0;
    let (mut waiting, mut n_waiting) = (0u32, 0);
    for (a, b) in a.iter().zip(b) {
        waiting |= u32::from(a ^ b) << n_waiting;
        n_waiting += 8;
        while n_waiting >= bits {
            differing += u64::from(waiting & ((1 << bits) - 1) != 0);
            waiting >>= bits;
            n_waiting -= bits;
        }
    }
    Sums { differing, ..Sums::default() }
}

/// Bytes that are compared at a time: few enough for a core's cache, and whole elements of every
/// type, those of six bits too.
pub(super) const PIECE: usize = 3 << 18;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(dtype: Dtype, a: &[u8], b: &[u8], differing: u64, not_numbers: u64, max: f64) {
        let sums = compare_piece(dtype, a, b);
        assert_eq!((sums.differing, sums.not_numbers, sums.max), (differing, not_numbers, max));
        assert_eq!(compare_piece(dtype, b, a), sums, "either way round");
    }

    fn floats(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|it| it.to_le_bytes()).collect()
    }

    #[test]
    fn floats_are_compared_as_numbers_and_told_apart_as_bits() {
        let check = |a, b, differing, not_numbers, max| {
            check(Dtype::F32, &floats(a), &floats(b), differing, not_numbers, max);
        };
        check(&[1.0, 2.0], &[1.0, 2.0], 0, 0, 0.0);
        check(&[1.0, 2.0], &[1.5, 2.0], 1, 0, 0.5);
        check(&[0.0], &[-0.0], 1, 0, 0.0);
        check(&[f32::MAX], &[f32::MIN], 1, 0, 2.0 * f64::from(f32::MAX));
        check(&[f32::INFINITY, 1.0], &[f32::INFINITY, 2.0], 1, 0, 1.0);
        check(&[f32::INFINITY], &[1.0], 1, 0, f64::INFINITY);
        check(&[f32::NAN, 1.0], &[f32::NAN, 3.0], 1, 0, 2.0);
        check(&[f32::NAN, 1.0], &[0.0, 3.0], 2, 1, 2.0);
        check(&[f32::NAN], &[-f32::NAN], 1, 1, 0.0);
    }

    #[test]
    fn every_type_is_read_as_what_it_is() {
        for (dtype, a, b, max) in [
            (Dtype::BOOL, vec![0], vec![1], 1.0),
            (Dtype::U8, vec![255], vec![0], 255.0),
            (Dtype::I8, vec![127], vec![128], 255.0),
            (Dtype::I16, (-2i16).to_le_bytes().into(), 3i16.to_le_bytes().into(), 5.0),
            (Dtype::U16, 0u16.to_le_bytes().into(), u16::MAX.to_le_bytes().into(), 65535.0),
            (Dtype::I32, i32::MIN.to_le_bytes().into(), 0i32.to_le_bytes().into(), 2f64.powi(31)),
            (Dtype::U32, 7u32.to_le_bytes().into(), 4u32.to_le_bytes().into(), 3.0),
            (
                Dtype::I64,
                i64::MIN.to_le_bytes().into(),
                i64::MAX.to_le_bytes().into(),
                2f64.powi(64),
            ),
            (Dtype::U64, 1u64.to_le_bytes().into(), 0u64.to_le_bytes().into(), 1.0),
            (Dtype::F64, 1f64.to_le_bytes().into(), 1.25f64.to_le_bytes().into(), 0.25),
            (
                Dtype::F16,
                f16::from_f32(1.0).to_le_bytes().into(),
                f16::from_f32(-1.0).to_le_bytes().into(),
                2.0,
            ),
            (
                Dtype::BF16,
                bf16::from_f32(3.0).to_le_bytes().into(),
                bf16::from_f32(1.0).to_le_bytes().into(),
                2.0,
            ),
            (Dtype::C64, floats(&[3.0, 0.0]), floats(&[0.0, 4.0]), 5.0),
            // 1 and 2 with three bits of fraction and a bias of seven; with two bits and fifteen.
            (Dtype::F8_E4M3, vec![0x38], vec![0x40], 1.0),
            (Dtype::F8_E5M2, vec![0x3c], vec![0x40], 1.0),
        ] {
            let sums = compare_piece(dtype, &a, &b);
            assert_eq!((sums.differing, sums.not_numbers, sums.max), (1, 0, max), "{dtype}");
        }
    }

    #[test]
    fn packed_elements_are_counted_one_by_one() {
        check(Dtype::F4, &[0x00, 0xff], &[0x10, 0x0f], 2, 0, 0.0);
        check(Dtype::F4, &[0x00], &[0x11], 2, 0, 0.0);
        // Four elements in three bytes: the second has the upper two bits of the first byte.
        check(Dtype::F6_E2M3, &[0, 0, 0], &[0xc0, 0, 0], 1, 0, 0.0);
        check(Dtype::F6_E3M2, &[0, 0, 0], &[0x41, 0, 0x80], 3, 0, 0.0);
    }

    #[test]
    fn a_piece_is_whole_elements_of_every_type() {
        assert!(Dtype::ALL.iter().all(|it| (PIECE * 8).is_multiple_of(it.bits())));
    }
}
