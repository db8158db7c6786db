//! Keeps what libtorch, or the machine, cannot do from ending the process.

use crate::{Device, Error, params::Plan};

/// Runs libtorch's panicking operators; what one of them throws becomes an error.
pub(crate) fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, Error> {
    // Tensors are handles; whatever was half done is dropped with the closure.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).map_err(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        let text = text.or_else(|| payload.downcast_ref::<&str>().map(|it| (*it).to_owned()));
        Error::Torch(text.unwrap_or_default())
    })
}

/// Refuses a network that memory has no room for, before the first parameter is made.
pub(crate) fn check_room(plan: &Plan, device: Device) -> Result<(), Error> {
    let (parameters, needed) = (plan.numel(), plan.numel() * 4);
    let available = match device {
        Device::Cpu => available_memory(),
        // libtorch refuses by itself, one parameter at a time.
        Device::Cuda(_) => None,
    };
    match available {
        Some(available) if needed > available => {
            Err(Error::Memory { parameters, needed, available })
        }
        _ => Ok(()),
    }
}

fn available_memory() -> Option<u128> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|it| it.strip_prefix("MemAvailable:"))?;
    let kib: u128 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
