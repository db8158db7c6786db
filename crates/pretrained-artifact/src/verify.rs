use std::{
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use half::{bf16, f16};
use pretrained_fs::with_causes;
use pretrained_safetensors::{Dtype, Strictness};
use pretrained_tokenizer::TokenizerFiles;
use rayon::prelude::*;

use crate::{
    Error, Missing, OpenOptions, Refusal, Warning, Weights, artifact, cache, dir::ModelDir,
    error::Failures,
};

/// How closely to look.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// Which weights.
    pub variant: Option<String>,
    /// Reads every floating-point tensor, and looks for values that are not finite.
    pub values: bool,
    /// Whether to let files pass that break the safetensors format as the reference lets them. What
    /// they break is then a warning.
    pub strictness: Strictness,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// What was looked at.
    pub path: PathBuf,
    /// The files of weights, and the bytes of each. Empty if they cannot be read.
    pub files: Vec<(String, u64)>,
    /// Number of tensors in them.
    pub tensors: usize,
    /// What is damaged, each with its path and cause. None if all is whole.
    pub problems: Vec<String>,
    /// What is odd, and does no harm.
    pub warnings: Vec<Warning>,
    /// Tensors with values that are not finite, if these were asked for.
    pub non_finite: Vec<NonFinite>,
}

/// A tensor with values that are not finite. Such a model can be loaded, and is of no use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NonFinite {
    /// The tensor.
    pub tensor: String,
    /// How many values are not a number.
    pub nan: u64,
    /// How many values are infinite.
    pub infinite: u64,
}

/// Checks that a model directory, or a single file of weights, is whole.
///
/// This is about structure: every file that should be there is, every header fits its file, every
/// pickle agrees with its own checksums. A safetensors file has none: whether its bytes are the
/// ones that were saved, only a checkpoint's manifest can tell.
///
/// Goes on after the first problem.
///
/// # Errors
///
/// [`Error::Missing`] if there is nothing to look at. Unless there is damage, also why something may
/// not be looked at, as a link out of the directory or a pickle of what is not read here: that is no
/// damage, and whether there is any is not known.
pub fn verify(path: impl AsRef<Path>, options: &VerifyOptions) -> Result<Verification, Error> {
    let path = cache::resolve(path.as_ref())?;
    let mut look = Look::default();
    look.found.path.clone_from(&path);
    let weights = if path.is_dir() {
        let (dir, _unchanged) = artifact::open_dir(&path)?;
        look.check_dir(&dir, options)
    } else {
        let weights = look.keep(Weights::open_file(&path, options.strictness));
        look.found.warnings = weights.as_ref().map(Weights::odd).unwrap_or_default();
        weights
    };
    if let Some(weights) = weights {
        look.check_weights(&weights, options);
    }
    match look.unknown {
        Some(error) if look.found.is_whole() => return Err(error),
        error => look.found.problems.extend(error.map(|it| with_causes(&it))),
    }
    Ok(look.found)
}

/// A verification under way.
#[derive(Debug, Default)]
struct Look {
    found: Verification,
    /// The first reason for which something could not be looked at.
    unknown: Option<Error>,
}

/// Whether another copy of the same would do.
fn is_damage(error: &Error) -> bool {
    use pretrained_pickle::{Error as PickleError, FormatError};
    match error {
        Error::Io(e) => e.kind() != io::ErrorKind::PermissionDenied,
        Error::Missing { missing, .. } => !matches!(missing, Missing::Config | Missing::Directory),
        Error::Refused { reason, .. } => matches!(reason, Refusal::Empty | Refusal::Text),
        Error::Foreign(_) => false,
        Error::Tokenizer(pretrained_tokenizer::Error::Foreign(_)) => false,
        Error::Safetensors(pretrained_safetensors::Error::NotAFile { .. }) => false,
        Error::Safetensors(pretrained_safetensors::Error::Io(e)) => {
            e.kind() != io::ErrorKind::PermissionDenied
        }
        Error::Pickle(PickleError::NotAFile { .. }) => false,
        Error::Pickle(PickleError::Io(e)) => e.kind() != io::ErrorKind::PermissionDenied,
        // It holds what we do not read, and may be as its writer left it.
        Error::Pickle(PickleError::Format { source, .. }) => !matches!(
            source,
            FormatError::Tar
                | FormatError::Opcode { .. }
                | FormatError::Global { .. }
                | FormatError::Unnamed { .. }
                | FormatError::Dtype(_)
        ),
        _ => true,
    }
}

impl Verification {
    /// Whether nothing is damaged.
    pub fn is_whole(&self) -> bool {
        self.problems.is_empty()
    }
}

impl Look {
    fn check_dir(&mut self, dir: &ModelDir, options: &VerifyOptions) -> Option<Weights> {
        self.keep(artifact::read_generation_config(dir));
        let tokenizer = self.keep(TokenizerFiles::read(dir.path()).map_err(Error::from));
        self.check_tokenizer(dir, &tokenizer.unwrap_or_default());
        let config = self.keep(artifact::read_config(dir))?;
        let (variant, strictness) = (options.variant.clone(), options.strictness);
        let open = OpenOptions { variant, strictness };
        match artifact::open_weights(dir, Some(&config), &open) {
            Ok((weights, warnings)) => {
                self.found.warnings = warnings;
                Some(weights)
            }
            Err(Failures(errors)) => {
                for error in errors {
                    self.keep::<()>(Err(error));
                }
                None
            }
        }
    }

    fn check_tokenizer(&mut self, dir: &ModelDir, files: &TokenizerFiles) {
        for name in files.names().filter(|it| it.ends_with(".json")) {
            let json = files.get(name).unwrap_or_default();
            if let Err(e) = serde_json::from_slice::<serde::de::IgnoredAny>(json) {
                self.found
                    .problems
                    .push(format!("{}: not JSON: {e}", dir.path().join(name).display()));
            }
        }
    }

    fn check_weights(&mut self, weights: &Weights, options: &VerifyOptions) {
        self.found.tensors = weights.len();
        for file in weights.files() {
            self.found.files.push((file.name().to_owned(), file.bytes()));
            self.keep(file.verify_checksums());
        }
        if options.values && self.found.is_whole() {
            let names: Vec<&str> = weights.names().collect();
            let found = names.into_par_iter().map(|it| count_non_finite(weights, it));
            for found in found.collect::<Vec<_>>() {
                let found = self.keep(found).flatten();
                self.found.non_finite.extend(found);
            }
        }
    }

    /// Takes note of an error.
    fn keep<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        match result {
            Ok(found) => return Some(found),
            Err(e) if is_damage(&e) => self.found.problems.push(with_causes(&e)),
            Err(e) => {
                self.unknown.get_or_insert(e);
            }
        }
        None
    }
}

/// Counts the values of a tensor that are not finite, piece by piece where that can be done.
fn count_non_finite(weights: &Weights, name: &str) -> Result<Option<NonFinite>, Error> {
    let Some(count) = weights.info(name).and_then(|it| counter(it.dtype)) else { return Ok(None) };
    let (nan, infinite) = (AtomicU64::new(0), AtomicU64::new(0));
    weights.for_pieces(name, |_, bytes| {
        let counts = count(bytes);
        nan.fetch_add(counts.0, Ordering::Relaxed);
        infinite.fetch_add(counts.1, Ordering::Relaxed);
        Ok(())
    })?;
    let (nan, infinite) = (nan.into_inner(), infinite.into_inner());
    let tensor = name.to_owned();
    Ok((nan + infinite > 0).then_some(NonFinite { tensor, nan, infinite }))
}

/// Counts what is not a number, and what is infinite, among the elements in some bytes.
type Counter = fn(&[u8]) -> (u64, u64);

/// A float whose exponent is all ones is infinite, or with a fraction no number. So without its sign
/// it is at least infinity's bits, which the compiler asks of many elements at a time.
macro_rules! counter {
    ($bits:ty, $infinity:expr) => {
        |bytes| {
            let (elements, _) = bytes.as_chunks();
            let (mut nan, mut infinite) = (0, 0);
            // So that the counts of a chunk fit the width of an element.
            for chunk in elements.chunks(1 << 12) {
                let (mut nans, mut infinities): ($bits, $bits) = (0, 0);
                for element in chunk {
                    let bits = <$bits>::from_le_bytes(*element) & (<$bits>::MAX >> 1);
                    nans += <$bits>::from(bits > $infinity);
                    infinities += <$bits>::from(bits == $infinity);
                }
                nan += u64::from(nans);
                infinite += u64::from(infinities);
            }
            (nan, infinite)
        }
    };
}

fn counter(dtype: Dtype) -> Option<Counter> {
    match dtype {
        Dtype::F16 => Some(counter!(u16, f16::INFINITY.to_bits())),
        Dtype::BF16 => Some(counter!(u16, bf16::INFINITY.to_bits())),
        Dtype::F32 => Some(counter!(u32, f32::INFINITY.to_bits())),
        Dtype::F64 => Some(counter!(u64, f64::INFINITY.to_bits())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every number of 16 bits, and the same widened, beside what the types say of themselves.
    #[test]
    fn counts_are_those_of_the_types_themselves() {
        let all = || 0..=u16::MAX;
        let check = |dtype, bytes: Vec<u8>, is: &dyn Fn(u16) -> (bool, bool)| {
            let count = |pick: fn(&(bool, bool)) -> bool| all().map(is).filter(pick).count() as u64;
            let expected = (count(|it| it.0), count(|it| it.1));
            assert_eq!(counter(dtype).expect("a float")(&bytes), expected, "{dtype}");
            assert!(0 < expected.0 && expected.1 == 2, "{dtype}: {expected:?}");
        };
        let bf = |bits: u16| bf16::from_bits(bits);
        check(Dtype::F16, all().flat_map(u16::to_le_bytes).collect(), &|it| {
            (f16::from_bits(it).is_nan(), f16::from_bits(it).is_infinite())
        });
        let is_bf16 = |it| (bf(it).is_nan(), bf(it).is_infinite());
        check(Dtype::BF16, all().flat_map(u16::to_le_bytes).collect(), &is_bf16);
        let wide = all().flat_map(|it| bf(it).to_f32().to_le_bytes()).collect();
        check(Dtype::F32, wide, &is_bf16);
        let wide = all().flat_map(|it| bf(it).to_f64().to_le_bytes()).collect();
        check(Dtype::F64, wide, &is_bf16);
    }
}
