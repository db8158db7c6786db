//! Where a model runs.

use anyhow::bail;
use pretrained::torch::{Device, cuda_is_available};

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
            Some(device) => Ok(device),
            None => Ok(Device::cuda_if_available()),
        }
    }
}
