//! Tensors of two element types, compared as the numbers that they stand for.

use pretrained_safetensors::{Dtype, TensorSpec, cast};

use super::values::{Sums, by_pieces};
use crate::{Error, TensorInfo, Weights};

/// What is known of the elements compared so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Compared {
    /// Of the numbers as they are.
    pub(super) sums: Sums,
    /// How many differ once those of `b` are converted to the type of `a`. `None` if they cannot be.
    pub(super) as_a: Option<u64>,
    /// How many differ once those of `a` are converted to the type of `b`.
    pub(super) as_b: Option<u64>,
}

/// Compares a tensor that both have, of one shape, piece by piece and in parallel.
pub(super) fn compare(
    a: &Weights,
    b: &Weights,
    tensor: &TensorSpec,
    dtype_b: Dtype,
    progress: impl Fn(u64) + Sync,
) -> Result<Compared, Error> {
    let (name, dtypes) = (tensor.name.as_str(), [tensor.dtype, dtype_b]);
    let [size_a, size_b] = dtypes.map(|it| it.bits() / 8);
    let elements = TensorInfo { dtype: tensor.dtype, shape: &tensor.shape }.elements() as usize;
    let sides = [(a, elements * size_a, PIECE * size_a), (b, elements * size_b, PIECE * size_b)];
    let pieces = by_pieces(name, sides, progress, |a, b| compare_piece(dtypes, a, b))?;
    Ok(pieces.into_iter().fold(Compared::nothing(dtypes), Compared::and))
}

/// Whether elements of this type are numbers on a line.
pub(super) fn are(dtype: Dtype) -> bool {
    numbers(dtype, &[]).is_some()
}

impl Compared {
    fn nothing([a, b]: [Dtype; 2]) -> Compared {
        let none = |from, to| cast(&[], from, to).is_ok().then_some(0);
        Compared { sums: Sums::default(), as_a: none(b, a), as_b: none(a, b) }
    }

    fn and(self, other: Compared) -> Compared {
        let sum = |a: Option<u64>, b: Option<u64>| Some(a? + b?);
        Compared {
            sums: self.sums.and(other.sums),
            as_a: sum(self.as_a, other.as_a),
            as_b: sum(self.as_b, other.as_b),
        }
    }
}

fn compare_piece(dtypes: [Dtype; 2], a: &[u8], b: &[u8]) -> Compared {
    let sums = sums((dtypes[0], a), (dtypes[1], b));
    if sums.differing == 0 {
        // No conversion changes a number that the other type has.
        return Compared { sums, ..Compared::nothing(dtypes) };
    }
    let converted = |(from, bytes), to: (Dtype, &[u8])| {
        let bytes = cast(bytes, from, to.0).ok()?;
        Some(self::sums((to.0, &bytes), to).differing)
    };
    let (a, b) = ((dtypes[0], a), (dtypes[1], b));
    Compared { sums, as_a: converted(b, a), as_b: converted(a, b) }
}

fn sums(a: (Dtype, &[u8]), b: (Dtype, &[u8])) -> Sums {
    use Numbers::{Floats, Ints};
    let (Some(a), Some(b)) = (numbers(a.0, a.1), numbers(b.0, b.1)) else {
        return Sums::default();
    };
    match (a, b) {
        (Ints(a), Ints(b)) => summed(a, b, |a, b| a.abs_diff(b) as f64),
        (Floats(a), Floats(b)) => summed(a, b, of_floats),
        (Ints(a), Floats(b)) => summed(a, b, of_int_and_float),
        (Floats(a), Ints(b)) => summed(a, b, |a, b| of_int_and_float(b, a)),
    }
}

fn summed<A, B>(a: Vec<A>, b: Vec<B>, difference: impl Fn(A, B) -> f64) -> Sums {
    let mut sums = Sums::default();
    for difference in a.into_iter().zip(b).map(|(a, b)| difference(a, b)) {
        sums.differing += u64::from(difference != 0.0);
        sums.add(difference);
    }
    sums
}

fn of_floats(a: f64, b: f64) -> f64 {
    // Infinity less infinity would be no number.
    if a == b || a.is_nan() && b.is_nan() { 0.0 } else { (a - b).abs() }
}

/// Integers are not converted where it would round them.
fn of_int_and_float(int: i128, float: f64) -> f64 {
    match float.fract() == 0.0 && float.abs() < 2f64.powi(100) {
        true => int.abs_diff(float as i128) as f64,
        false => (int as f64 - float).abs(),
    }
}

/// Elements of any type, none of them rounded.
enum Numbers {
    Ints(Vec<i128>),
    Floats(Vec<f64>),
}

/// `None` if elements of this type are not read as numbers, or are not on a line.
fn numbers(dtype: Dtype, bytes: &[u8]) -> Option<Numbers> {
    macro_rules! ints {
        ($int:ty) => {{
            let elements = bytes.as_chunks().0.iter();
            Numbers::Ints(elements.map(|it| <$int>::from_le_bytes(*it).into()).collect())
        }};
    }
    Some(match dtype {
        Dtype::BOOL | Dtype::U8 => ints!(u8),
        Dtype::I8 => ints!(i8),
        Dtype::I16 => ints!(i16),
        Dtype::U16 => ints!(u16),
        Dtype::I32 => ints!(i32),
        Dtype::U32 => ints!(u32),
        Dtype::I64 => ints!(i64),
        Dtype::U64 => ints!(u64),
        Dtype::F64 => {
            Numbers::Floats(bytes.as_chunks().0.iter().map(|it| f64::from_le_bytes(*it)).collect())
        }
        dtype => {
            let floats = cast(bytes, dtype, Dtype::F32).ok()?;
            let floats = floats.as_chunks().0.iter().map(|it| f32::from_le_bytes(*it).into());
            Numbers::Floats(floats.collect())
        }
    })
}

/// Elements that are compared at a time: few enough for a core's cache as `f64`.
const PIECE: usize = 1 << 15;

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;

    fn bytes<const N: usize>(elements: &[[u8; N]]) -> Vec<u8> {
        elements.as_flattened().to_vec()
    }

    fn floats(values: &[f32]) -> (Dtype, Vec<u8>) {
        (Dtype::F32, values.iter().flat_map(|it| it.to_le_bytes()).collect())
    }

    /// `expected`: how many differ as numbers, as NaN, the largest difference, and how many differ once
    /// the one is converted to the type of the other.
    #[track_caller]
    fn check(
        a: &(Dtype, Vec<u8>),
        b: &(Dtype, Vec<u8>),
        expected: (u64, u64, f64, [Option<u64>; 2]),
    ) {
        let of = |a: &(Dtype, Vec<u8>), b: &(Dtype, Vec<u8>)| {
            let found = compare_piece([a.0, b.0], &a.1, &b.1);
            (found.sums.differing, found.sums.not_numbers, found.sums.max, [found.as_a, found.as_b])
        };
        assert_eq!(of(a, b), expected);
        let (differing, nan, max, [as_a, as_b]) = expected;
        assert_eq!(of(b, a), (differing, nan, max, [as_b, as_a]), "either way round");
    }

    #[test]
    fn what_was_rounded_is_equal_after_the_same_rounding() {
        let third = 1.0 / 3.0;
        let rounded = |values: &[f32]| {
            let values: Vec<_> =
                values.iter().map(|it| bf16::from_f32(*it).to_le_bytes()).collect();
            (Dtype::BF16, bytes(&values))
        };
        check(&floats(&[1.0, -0.5, 0.0]), &rounded(&[1.0, -0.5, -0.0]), (0, 0, 0.0, [Some(0); 2]));
        let error = f64::from(bf16::from_f32(third)) - f64::from(third);
        let both = [Some(1), Some(0)];
        check(&floats(&[third, 1.0]), &rounded(&[third, 1.0]), (1, 0, error.abs(), both));
        let other = [Some(2), Some(1)];
        check(&floats(&[third, 1.0]), &rounded(&[third, 3.0]), (2, 0, 2.0, other));
    }

    #[test]
    fn nan_is_nan_and_infinity_is_infinity_in_any_type() {
        let half = |values: &[f32]| {
            let values: Vec<_> = values.iter().map(|it| f16::from_f32(*it).to_le_bytes()).collect();
            (Dtype::F16, bytes(&values))
        };
        let (nan, infinity) = (f32::NAN, f32::INFINITY);
        check(&floats(&[nan, infinity]), &half(&[-nan, infinity]), (0, 0, 0.0, [Some(0); 2]));
        check(&floats(&[nan, 1.0]), &half(&[1.0, nan]), (2, 2, 0.0, [Some(2); 2]));
        // Too large for a half.
        check(&floats(&[1e6]), &half(&[1e6]), (1, 0, f64::INFINITY, [Some(1), Some(0)]));
    }

    #[test]
    fn integers_are_numbers_and_are_not_rounded() {
        let large = (1i64 << 53) + 1;
        let ints = |it: i64| (Dtype::I64, it.to_le_bytes().to_vec());
        let double = |it: f64| (Dtype::F64, it.to_le_bytes().to_vec());
        check(&ints(-3), &double(-3.0), (0, 0, 0.0, [None; 2]));
        check(&ints(large), &double(large as f64), (1, 0, 1.0, [None; 2]));
        check(&ints(2), &double(2.5), (1, 0, 0.5, [None; 2]));
        check(&ints(2), &double(f64::NAN), (1, 1, 0.0, [None; 2]));
        let unsigned = (Dtype::U64, u64::MAX.to_le_bytes().to_vec());
        check(&ints(-1), &unsigned, (1, 0, 2f64.powi(64), [None; 2]));
        check(&(Dtype::BOOL, vec![1]), &ints(1), (0, 0, 0.0, [None; 2]));
    }

    #[test]
    fn eight_bits_are_read_and_not_written() {
        // 1 and 2 with three bits of fraction and a bias of seven.
        let eight = (Dtype::F8_E4M3, vec![0x38, 0x40]);
        check(&floats(&[1.0, 2.0]), &eight, (0, 0, 0.0, [Some(0), None]));
        check(&floats(&[1.0, 2.1]), &eight, (1, 0, f64::from(2.1f32) - 2.0, [Some(1), None]));
    }

    #[test]
    fn complex_and_packed_elements_are_no_numbers_on_a_line() {
        for dtype in Dtype::ALL {
            let is_number = dtype.bits() >= 8 && dtype != Dtype::C64;
            assert_eq!(are(dtype), is_number, "{dtype}");
        }
    }
}
