//! What libtorch says of itself, for who asks why something does not work.

use std::{ffi::c_char, path::PathBuf};

use tch::{Device, Kind, Tensor};

use crate::{
    Error,
    device::{Cuda, cuda, libtorch_dir},
    ops,
};

/// The libtorch of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Libtorch {
    /// The version that was loaded.
    pub version: String,
    /// The version that this program was built for.
    pub built_for: String,
    /// The directory that it was loaded from, where the system tells.
    pub dir: Option<PathBuf>,
    /// Whether its C++ has the ABI of C++11.
    pub has_cxx11_abi: bool,
    /// The instructions that its kernels for the CPU use, such as `AVX512`.
    pub cpu_capability: String,
    /// How many threads it computes with.
    pub threads: usize,
    /// Whether it can use a GPU.
    pub cuda: Cuda,
}

impl Libtorch {
    /// Asks the library that is loaded. Loads its CUDA half too, where a driver is.
    ///
    /// # Errors
    ///
    /// [`Error::Torch`] if it cannot describe itself.
    #[allow(unsafe_code)]
    pub fn of_this_process() -> Result<Libtorch, Error> {
        // Asked first: what libtorch says of itself is more once that half is there.
        let cuda = cuda();
        let mut text: Vec<c_char> = vec![0; 1 << 14];
        // SAFETY: The buffers have the lengths that are given with them, and stay terminated.
        ops::attempt(|error, error_len| unsafe {
            pretrained_describe(text.as_mut_ptr(), text.len(), error, error_len)
        })?;
        let text: Vec<u8> = text.iter().take_while(|it| **it != 0).map(|it| *it as u8).collect();
        let text = String::from_utf8_lossy(&text);
        Ok(Libtorch {
            version: setting(&text, "TORCH_VERSION=", ','),
            built_for: setting(&text, "built for: ", '\n'),
            dir: libtorch_dir(),
            has_cxx11_abi: setting(&text, "cxx11 abi: ", '\n') == "1",
            cpu_capability: setting(&text, "CPU capability usage: ", '\n'),
            threads: usize::try_from(tch::get_num_threads()).unwrap_or(1),
            cuda,
        })
    }

    /// Computes something, and looks at what comes out.
    ///
    /// # Errors
    ///
    /// [`Error::Torch`] if it fails, or if something else comes out.
    pub fn check() -> Result<(), Error> {
        let ones = Tensor::f_ones([8, 8], (Kind::Float, Device::Cpu))?;
        let sum = ones.f_matmul(&ones)?.f_sum(Kind::Float)?.f_double_value(&[])?;
        match sum {
            512.0 => Ok(()),
            sum => Err(Error::Torch(format!("a product that sums up to 512 sums up to {sum}"))),
        }
    }
}

/// What stands behind a word, up to some character.
fn setting(text: &str, word: &str, end: char) -> String {
    let found = text.split_once(word).map(|(_, rest)| rest);
    let value = found.and_then(|it| it.split(end).next()).unwrap_or("unknown");
    value.trim().to_owned()
}

#[allow(unsafe_code)]
unsafe extern "C" {
    fn pretrained_describe(
        text: *mut c_char,
        len: usize,
        error: *mut c_char,
        error_len: usize,
    ) -> bool;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_one_that_this_was_built_for_and_it_computes() {
        let libtorch = Libtorch::of_this_process().expect("libtorch describes itself");
        assert_eq!(libtorch.version, libtorch.built_for);
        assert!(libtorch.version.starts_with("2."), "{libtorch:?}");
        assert!(libtorch.has_cxx11_abi && libtorch.threads > 0, "{libtorch:?}");
        assert_ne!(libtorch.cpu_capability, "unknown");
        Libtorch::check().expect("libtorch computes");
    }
}
