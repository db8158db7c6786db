//! SIGINT and SIGTERM: the first asks what runs to save and stop, the second ends it at once.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use anyhow::Context;
use signal_hook::flag;

/// Which signal has come, if any.
#[derive(Debug)]
pub(crate) struct Interrupt {
    signal: Arc<AtomicUsize>,
    is_second: Arc<AtomicBool>,
}

impl Interrupt {
    /// From now on, these signals are noticed rather than fatal.
    pub(crate) fn install(signals: &[i32]) -> anyhow::Result<Interrupt> {
        let signal = Arc::new(AtomicUsize::new(0));
        let is_second = Arc::new(AtomicBool::new(false));
        for &number in signals {
            // In this order: the first signal arms what the second one triggers.
            flag::register_conditional_shutdown(number, 128 + number, Arc::clone(&is_second))
                .and_then(|_| flag::register(number, Arc::clone(&is_second)))
                .and_then(|_| flag::register_usize(number, Arc::clone(&signal), number as usize))
                .context("handle signals")?;
        }
        Ok(Interrupt { signal, is_second })
    }

    /// Forgets what has come: the next signal is the first.
    pub(crate) fn reset(&self) {
        self.is_second.store(false, Ordering::Relaxed);
        self.signal.store(0, Ordering::Relaxed);
    }

    /// The number of the signal that has come.
    pub(crate) fn signal(&self) -> Option<u8> {
        u8::try_from(self.signal.load(Ordering::Relaxed)).ok().filter(|&it| it != 0)
    }
}
