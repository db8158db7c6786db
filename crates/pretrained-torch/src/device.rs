//! Where tensors are, and how libtorch's CUDA half gets into the process.

use std::{path::PathBuf, str::FromStr, sync::OnceLock};

/// Where parameters are kept and networks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// The NVIDIA GPU of this number.
    Cuda(usize),
}

impl Device {
    /// The first GPU if there is one that libtorch can use, else the CPU.
    pub fn cuda_if_available() -> Device {
        if cuda_is_available() { Device::Cuda(0) } else { Device::Cpu }
    }
}

/// A text names no device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no device: cpu, cuda or cuda:1")]
pub struct UnknownDevice(String);

impl FromStr for Device {
    type Err = UnknownDevice;

    /// As PyTorch spells them: `cpu`, `cuda`, `cuda:1`.
    fn from_str(text: &str) -> Result<Device, UnknownDevice> {
        let number = match text {
            "cpu" => return Ok(Device::Cpu),
            "cuda" => Some(0),
            _ => text.strip_prefix("cuda:").and_then(|it| it.parse().ok()),
        };
        number.map(Device::Cuda).ok_or_else(|| UnknownDevice(text.to_owned()))
    }
}

impl From<Device> for tch::Device {
    fn from(device: Device) -> tch::Device {
        match device {
            Device::Cpu => tch::Device::Cpu,
            Device::Cuda(i) => {
                // Asked for by number, so that the library is loaded whoever asks first.
                cuda_is_available();
                tch::Device::Cuda(i)
            }
        }
    }
}

/// Whether libtorch can use a GPU.
///
/// The first call loads `libtorch_cuda.so` where an NVIDIA driver is: linkers drop it, since no
/// symbol of it is used, and libtorch remembers the first answer, so it has to come before.
pub fn cuda_is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| load_libtorch_cuda().is_some() && tch::Cuda::is_available())
}

/// Whether libtorch can use a GPU, or why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cuda {
    /// It can use so many.
    Usable(usize),
    /// There is no NVIDIA driver.
    NoDriver,
    /// There is a driver, and libtorch was built without CUDA.
    NotBuilt,
    /// There are both, and libtorch finds no GPU: there is none, it is hidden, or the driver is too
    /// old.
    NoDevice,
}

/// Asks libtorch, and its parts where it says no.
pub(crate) fn cuda() -> Cuda {
    if cuda_is_available() {
        return Cuda::Usable(usize::try_from(tch::Cuda::device_count()).unwrap_or_default());
    }
    if load(DRIVER.into()).is_none() {
        Cuda::NoDriver
    } else if load_libtorch_cuda().is_none() {
        Cuda::NotBuilt
    } else {
        Cuda::NoDevice
    }
}

fn load_libtorch_cuda() -> Option<()> {
    // Loading costs up to a second, so only where there is a driver.
    load(DRIVER.into())?;
    load(libtorch_dir()?.join("libtorch_cuda.so"))
}

/// Loads a library for the rest of the process.
#[allow(unsafe_code)]
fn load(path: PathBuf) -> Option<()> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

    // SAFETY: NVIDIA's driver and libtorch's own other half run initializers that are made to run
    // at any time; nothing is looked up in them here.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) }.ok()?;
    std::mem::forget(library);
    Some(())
}

/// The directory that this process has libtorch from.
pub(crate) fn libtorch_dir() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps.lines().find_map(|line| {
        Some(&line[line.find('/')?..]).filter(|it| it.ends_with("/libtorch_cpu.so"))
    })?;
    PathBuf::from(path).parent().map(Into::into)
}

/// NVIDIA's driver.
const DRIVER: &str = "libcuda.so.1";
