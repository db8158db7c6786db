use half::{bf16, f16};
use rayon::prelude::*;

use crate::Dtype;

/// A conversion that cannot be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages are the documentation.
pub enum CastError {
    #[error("no conversion from {from} to {to}")]
    Unsupported { from: Dtype, to: Dtype },
    #[error("{len} bytes are no whole number of {dtype} elements, or not as many as asked for")]
    Length { dtype: Dtype, len: usize },
}

/// Converts elements from one floating-point type to another, rounding to nearest, ties to even,
/// as torch does: by way of `F32`. Also copies, where both are the same.
///
/// `F16`, `BF16`, `F32` and `F64` convert into each other, and those of eight bits into them.
///
/// # Errors
///
/// [`CastError::Unsupported`] for any other two; [`CastError::Length`] where `bytes` are no whole
/// number of elements.
pub fn cast(bytes: &[u8], from: Dtype, to: Dtype) -> Result<Vec<u8>, CastError> {
    let elements = (bytes.len() * 8) / from.bits();
    let mut out = vec![0; elements * to.bits() / 8];
    cast_into(bytes, from, to, &mut out)?;
    Ok(out)
}

/// As [`cast`], into a buffer of exactly the right length. Works in parallel if it is long.
///
/// # Errors
///
/// As for [`cast`]; and [`CastError::Length`] where `out` is not as long as the result.
pub fn cast_into(bytes: &[u8], from: Dtype, to: Dtype, out: &mut [u8]) -> Result<(), CastError> {
    if from == to {
        if bytes.len() != out.len() {
            return Err(CastError::Length { dtype: from, len: bytes.len() });
        }
        out.copy_from_slice(bytes);
        return Ok(());
    }
    let (Some(load), Some(store)) = (loader(from), storer(to)) else {
        return Err(CastError::Unsupported { from, to });
    };
    let (from_size, to_size) = (from.bits() / 8, to.bits() / 8);
    let elements = bytes.len() / from_size;
    if !bytes.len().is_multiple_of(from_size) || out.len() != elements * to_size {
        return Err(CastError::Length { dtype: from, len: bytes.len() });
    }
    let convert = |(from, to): (&[u8], &mut [u8])| {
        let mut block = [0.0f32; BLOCK];
        for (from, to) in from.chunks(BLOCK * from_size).zip(to.chunks_mut(BLOCK * to_size)) {
            let block = &mut block[..from.len() / from_size];
            load(from, block);
            store(block, to);
        }
    };
    if elements <= PARALLEL {
        // To wake the other threads would take longer.
        convert((bytes, out));
        return Ok(());
    }
    let from = bytes.par_chunks(PARALLEL * from_size);
    from.zip(out.par_chunks_mut(PARALLEL * to_size)).for_each(convert);
    Ok(())
}

type Load = fn(&[u8], &mut [f32]);
type Store = fn(&[f32], &mut [u8]);

fn loader(dtype: Dtype) -> Option<Load> {
    match dtype {
        Dtype::F16 => Some(|bytes, out| load(bytes, out, |it| f16::from_le_bytes(it).to_f32())),
        Dtype::BF16 => Some(|bytes, out| {
            load(bytes, out, |it| f32::from_bits(u32::from(u16::from_le_bytes(it)) << 16));
        }),
        Dtype::F32 => Some(|bytes, out| load(bytes, out, f32::from_le_bytes)),
        Dtype::F64 => Some(|bytes, out| load(bytes, out, |it| f64::from_le_bytes(it) as f32)),
        Dtype::F8_E5M2 => Some(|bytes, out| {
            load(bytes, out, |[it]| f16::from_bits(u16::from(it) << 8).to_f32());
        }),
        Dtype::F8_E4M3 => Some(|bytes, out| {
            load(bytes, out, |[it]| if it & 0x7f == 0x7f { f32::NAN } else { small(it, 3, 7) });
        }),
        Dtype::F8_E4M3FNUZ => Some(|bytes, out| {
            load(bytes, out, |[it]| if it == 0x80 { f32::NAN } else { small(it, 3, 8) });
        }),
        Dtype::F8_E5M2FNUZ => Some(|bytes, out| {
            load(bytes, out, |[it]| if it == 0x80 { f32::NAN } else { small(it, 2, 16) });
        }),
        // An exponent alone.
        Dtype::F8_E8M0 => Some(|bytes, out| {
            load(bytes, out, |[it]| match it {
                0 => f32::from_bits(1 << 22),
                0xff => f32::NAN,
                it => f32::from_bits(u32::from(it) << 23),
            });
        }),
        _ => None,
    }
}

/// A number of eight bits: a sign, an exponent, and so many of a fraction.
fn small(bits: u8, fraction_bits: u32, bias: i32) -> f32 {
    let fraction = f32::from(bits & ((1 << fraction_bits) - 1));
    let exponent = i32::from((bits & 0x7f) >> fraction_bits);
    // Those of the least exponent have no leading one.
    let (fraction, exponent) = match exponent {
        0 => (fraction, 1),
        exponent => (fraction + (1 << fraction_bits) as f32, exponent),
    };
    let exponent = exponent - bias - fraction_bits as i32;
    // A power of two, which no rounding touches.
    let size = fraction * f32::from_bits(((exponent + 127) as u32) << 23);
    if bits & 0x80 == 0 { size } else { -size }
}

fn storer(dtype: Dtype) -> Option<Store> {
    match dtype {
        Dtype::F16 => Some(|from, out| store(from, out, |it| f16::from_f32(it).to_le_bytes())),
        Dtype::BF16 => Some(|from, out| store(from, out, |it| bf16::from_f32(it).to_le_bytes())),
        Dtype::F32 => Some(|from, out| store(from, out, f32::to_le_bytes)),
        Dtype::F64 => Some(|from, out| store(from, out, |it| f64::from(it).to_le_bytes())),
        _ => None,
    }
}

fn load<const N: usize>(bytes: &[u8], out: &mut [f32], decode: impl Fn([u8; N]) -> f32) {
    let (elements, _) = bytes.as_chunks::<N>();
    for (out, element) in out.iter_mut().zip(elements) {
        *out = decode(*element);
    }
}

fn store<const N: usize>(from: &[f32], out: &mut [u8], encode: impl Fn(f32) -> [u8; N]) {
    let (elements, _) = out.as_chunks_mut::<N>();
    for (element, from) in elements.iter_mut().zip(from) {
        *element = encode(*from);
    }
}

/// Elements that pass through the stack at a time.
const BLOCK: usize = 1024;
/// Elements that one thread takes at a time.
const PARALLEL: usize = 1 << 18;
