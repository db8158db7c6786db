//! Threads that stay awake for as long as work keeps coming.
//!
//! A token is some two hundred products of 10 to 500 µs with short pauses in between; to wake a
//! thread takes as long as a small one. So helpers look out for the next job for a moment before
//! they sleep.

use std::{
    hint,
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
    sync::{
        Condvar, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// What every thread that takes part calls, once. It divides what there is to do by itself.
type Job<'a> = &'a (dyn Fn() + Sync);

/// Calls `job` on this thread and, at the same time, on up to `threads - 1` others. Those come late,
/// or not at all: another caller may have them.
///
/// Panics if the job does, on any thread.
pub(crate) fn run(threads: usize, job: Job<'_>) {
    static POOL: OnceLock<&'static Pool> = OnceLock::new();
    if threads < 2 {
        return job();
    }
    POOL.get_or_init(Pool::start).run(threads - 1, job);
}

struct Pool {
    helpers: usize,
    /// Held by the caller whose job it is.
    owner: Mutex<()>,
    /// The [`State`] of the job.
    state: AtomicU64,
    /// Where the job is, while its state is open.
    job: AtomicPtr<Job<'static>>,
    failed: AtomicBool,
    /// How many helpers sleep, or are about to.
    sleepers: AtomicUsize,
    bed: Mutex<()>,
    alarm: Condvar,
}

/// A job's number, whether it may be joined, by how many helpers, and how many have joined it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct State(u64);

impl State {
    const OPEN: u64 = 1 << 31;

    fn open(epoch: u32, limit: usize) -> State {
        let limit = limit.min(0x7fff) as u64;
        State(u64::from(epoch) << 32 | State::OPEN | limit << 16)
    }

    fn epoch(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn is_open(self) -> bool {
        self.0 & State::OPEN != 0
    }

    fn limit(self) -> usize {
        (self.0 >> 16 & 0x7fff) as usize
    }

    fn joined(self) -> u64 {
        self.0 & 0xffff
    }
}

impl Pool {
    /// Starts a helper for every core but one; they live as long as the process.
    fn start() -> &'static Pool {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let pool: &'static Pool = Box::leak(Box::new(Pool {
            helpers: cores - 1,
            owner: Mutex::new(()),
            state: AtomicU64::new(0),
            job: AtomicPtr::new(ptr::null_mut()),
            failed: AtomicBool::new(false),
            sleepers: AtomicUsize::new(0),
            bed: Mutex::new(()),
            alarm: Condvar::new(),
        }));
        for index in 0..pool.helpers {
            let builder = thread::Builder::new().name("pretrained-kernels".to_owned());
            // Without it the others do its part.
            let _ = builder.spawn(move || pool.help(index));
        }
        pool
    }

    fn run(&self, limit: usize, job: Job<'_>) {
        let owner = match self.owner.try_lock() {
            _ if self.helpers == 0 => return job(),
            Ok(owner) => owner,
            Err(TryLockError::Poisoned(owner)) => owner.into_inner(),
            Err(TryLockError::WouldBlock) => return job(),
        };
        let opened = Opened::new(self, owner, limit, &job);
        job();
        drop(opened);
    }

    fn state(&self) -> State {
        State(self.state.load(Ordering::SeqCst))
    }

    fn help(&self, index: usize) -> ! {
        let mut seen = 0;
        loop {
            let state = self.wait(seen);
            if state.is_open() && index < state.limit() && !self.join(state) {
                continue; // Another helper joined in between.
            }
            seen = state.epoch();
        }
    }

    /// Does its part of the job, if it is still in this state.
    #[allow(unsafe_code)]
    fn join(&self, state: State) -> bool {
        let (from, to) = (state.0, state.0 + 1);
        if self.state.compare_exchange(from, to, Ordering::SeqCst, Ordering::Relaxed).is_err() {
            return false;
        }
        // SAFETY: The job was open, so `Opened` exists, has stored a pointer to a job that outlives
        // it, and stays until this helper has left.
        let job = unsafe { *self.job.load(Ordering::Relaxed) };
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        self.state.fetch_sub(1, Ordering::SeqCst);
        true
    }

    /// Waits for a job other than the one that was seen.
    fn wait(&self, seen: u32) -> State {
        let start = Instant::now();
        loop {
            for _ in 0..LOOKS {
                let state = self.state();
                if state.epoch() != seen {
                    return state;
                }
                hint::spin_loop();
            }
            if start.elapsed() > AWAKE {
                break;
            }
            // Somebody else may need the core.
            thread::yield_now();
        }
        // Counted before it looks again, so that a caller who counts no sleeper is seen.
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        let mut bed = lock(&self.bed);
        while self.state().epoch() == seen {
            bed = self.alarm.wait(bed).unwrap_or_else(PoisonError::into_inner);
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        self.state()
    }
}

/// A job that helpers may join. Waits, when dropped, until none is in it.
struct Opened<'a> {
    pool: &'a Pool,
    _owner: MutexGuard<'a, ()>,
}

impl<'a> Opened<'a> {
    fn new(pool: &'a Pool, owner: MutexGuard<'a, ()>, limit: usize, job: &'a Job<'a>) -> Self {
        let job: *const Job<'a> = job;
        pool.job.store(job.cast_mut().cast(), Ordering::Relaxed);
        let opened = Opened { pool, _owner: owner };
        let epoch = pool.state().epoch().wrapping_add(1);
        pool.state.store(State::open(epoch, limit).0, Ordering::SeqCst);
        if pool.sleepers.load(Ordering::SeqCst) > 0 {
            drop(lock(&pool.bed));
            pool.alarm.notify_all();
        }
        opened
    }
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        self.pool.state.fetch_and(!State::OPEN, Ordering::SeqCst);
        let mut looks = 0u32;
        while self.pool.state().joined() > 0 {
            looks = looks.wrapping_add(1);
            if looks.is_multiple_of(LOOKS) {
                thread::yield_now(); // The helper may be waiting for this core.
            }
            hint::spin_loop();
        }
        let failed = self.pool.failed.swap(false, Ordering::Relaxed);
        if failed && !thread::panicking() {
            panic!("a job panicked on another thread");
        }
    }
}

fn lock(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long a helper looks out for the next job: longer than the pauses within a token, shorter than
/// anybody notices.
const AWAKE: Duration = Duration::from_micros(500);
/// How often it looks before it lets others have the core.
const LOOKS: u32 = 256;

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread,
        time::Duration,
    };

    use super::*;

    #[test]
    fn a_job_is_done_by_everybody_who_comes_and_by_nobody_after() {
        for round in 0..2000 {
            let (left, done) = (AtomicUsize::new(50), AtomicUsize::new(0));
            run(8, &|| {
                let take = |n: usize| n.checked_sub(1);
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
            assert_eq!(done.into_inner(), 50, "round {round}");
            if round % 500 == 0 {
                thread::sleep(AWAKE * 4); // Helpers go to sleep, and are woken.
            }
        }
    }

    #[test]
    fn two_threads_are_enough_to_do_two_things_at_once() {
        // A pool of its own: the shared one may have a job of another test, and then nobody comes.
        let pool = Pool::start();
        let here = AtomicUsize::new(0);
        let both = || pool.helpers == 0 || here.load(Ordering::SeqCst) == 2;
        let start = Instant::now();
        pool.run(1, &|| {
            here.fetch_add(1, Ordering::SeqCst);
            while !both() && start.elapsed() < Duration::from_secs(60) {
                thread::sleep(Duration::from_millis(1));
            }
        });
        assert!(both(), "{} of 2 came", here.into_inner());
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_works_on() {
        for _ in 0..20 {
            assert!(catch_unwind(|| run(2, &|| panic!("on purpose"))).is_err());
        }
        let helper_only = || {
            let main = thread::current().id();
            run(4, &|| assert_eq!(thread::current().id(), main, "on purpose"));
        };
        let _ = catch_unwind(helper_only);
        a_job_is_done_by_everybody_who_comes_and_by_nobody_after();
    }

    #[test]
    fn callers_at_once_all_get_their_work_done() {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(a_job_is_done_by_everybody_who_comes_and_by_nobody_after);
            }
        });
    }
}
