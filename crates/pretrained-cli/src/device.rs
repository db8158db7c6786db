//! Where a model runs.

use pretrained::torch::Device;

/// The option `--device`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where to run: cpu, cuda, cuda:1; default: a GPU if there is one
    #[arg(long, value_name = "DEVICE")]
    device: Option<Device>,
}

impl Options {
    pub(crate) fn get(&self) -> Device {
        self.device.unwrap_or_else(Device::cuda_if_available)
    }
}
