use std::sync::{Mutex, PoisonError};

use tch::{Device, Kind, Tensor};

/// Runs what draws from libtorch's generator, as if nobody else did.
///
/// There is one generator in the process. Two trainings in two threads would each spoil what the
/// other one's seed promises, so they take turns.
pub(crate) fn seeded<T>(seed: i64, run: impl FnOnce() -> T) -> T {
    static GENERATOR: Mutex<()> = Mutex::new(());
    // Whoever panicked left the generator somewhere; it is seeded anew.
    let _turn = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    tch::manual_seed(seed);
    run()
}

/// A seed of its own, drawn from libtorch's generator.
pub(crate) fn draw_seed() -> i64 {
    Tensor::empty([1], (Kind::Int64, Device::Cpu)).random_().int64_value(&[0])
}
