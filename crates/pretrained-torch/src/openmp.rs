//! The threads that libtorch computes with, for what computes beside it.
//!
//! Between two parallel regions they wait awake; other threads would find every core taken.

use std::{
    ffi::{c_uint, c_void},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use pretrained_kernels::Team;

/// OpenMP's team of the calling thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OpenMp {
    parallel: Parallel,
}

/// Calls a function with its argument on so many threads, this one included, and waits for them.
type Parallel = unsafe extern "C" fn(Task, *mut c_void, c_uint, c_uint);
type Task = unsafe extern "C" fn(*mut c_void);

impl OpenMp {
    /// None where libtorch was built without, or with another.
    #[allow(unsafe_code)]
    pub(crate) fn of_libtorch() -> Option<OpenMp> {
        static PARALLEL: OnceLock<Option<Parallel>> = OnceLock::new();
        let find = || {
            let process = libloading::os::unix::Library::this();
            // SAFETY: This is the symbol's type in GCC's and LLVM's libraries, which stay loaded as
            // libtorch does.
            unsafe { process.get::<Parallel>(b"GOMP_parallel\0") }.ok().map(|it| *it)
        };
        PARALLEL.get_or_init(find).map(|parallel| OpenMp { parallel })
    }
}

impl Team for OpenMp {
    fn threads(&self) -> usize {
        usize::try_from(tch::get_num_threads()).unwrap_or(1)
    }

    #[allow(unsafe_code)]
    fn run(&self, threads: usize, job: &(dyn Fn() + Sync)) {
        struct Call<'a> {
            job: &'a (dyn Fn() + Sync),
            failed: AtomicBool,
        }

        /// # Safety
        /// The argument is a [`Call`].
        unsafe extern "C" fn call(argument: *mut c_void) {
            // SAFETY: The caller's promise; shared, as several threads are here.
            let call = unsafe { &*argument.cast::<Call<'_>>() };
            if catch_unwind(AssertUnwindSafe(call.job)).is_err() {
                call.failed.store(true, Ordering::Relaxed);
            }
        }

        let mut it = Call { job, failed: AtomicBool::new(false) };
        let argument: *mut Call<'_> = &mut it;
        let threads = c_uint::try_from(threads).unwrap_or(1);
        // SAFETY: The function gets its argument, which lives until all threads have returned.
        unsafe { (self.parallel)(call, argument.cast(), threads, 0) };
        assert!(!it.failed.load(Ordering::Relaxed), "a job panicked");
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, sync::Mutex, thread};

    use super::*;

    #[test]
    fn every_thread_does_the_job_and_a_panic_comes_back() {
        let team = OpenMp::of_libtorch().expect("libtorch has GCC's");
        let seen = Mutex::new(HashSet::new());
        team.run(3, &|| {
            seen.lock().expect("no panic").insert(thread::current().id());
        });
        assert_eq!(seen.lock().expect("no panic").len(), 3);
        let failed = catch_unwind(|| team.run(2, &|| panic!("on purpose")));
        assert!(failed.is_err());
        team.run(2, &|| ());
    }
}
