//! Where a model runs.

use anyhow::bail;
use pretrained::torch::{Device, cuda_is_available};

use crate::output;

/// The option `--device`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where to run: cpu, cuda, cuda:1; default: a GPU if there is one
    #[arg(long, value_name = "DEVICE")]
    device: Option<Device>,
}

impl Options {
    pub(crate) fn get(&self) -> anyhow::Result<Device> {
        match self.device {
            Some(Device::Cuda(_)) if !cuda_is_available() => {
                bail!(
                    "--device cuda: libtorch finds no GPU that it can use; leave it out, or use cpu"
                )
            }
            Some(device) => Ok(told(device)),
            None => Ok(told(Device::cuda_if_available())),
        }
    }
}

fn told(device: Device) -> Device {
    match device {
        Device::Cpu => output::detail("runs on the CPU"),
        Device::Cuda(i) => output::detail(format_args!("runs on GPU {i}")),
    }
    device
}
