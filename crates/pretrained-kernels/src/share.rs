use std::{
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
};

/// Rows that threads take until none is left: large parts first, smaller ones towards the end, so that
/// a thread that came late or lost its core keeps the others waiting no longer than it must.
pub(crate) struct Share {
    n_rows: usize,
    threads: usize,
    /// The smallest part.
    least: usize,
    next: AtomicUsize,
}

impl Share {
    pub(crate) fn new(n_rows: usize, bytes_per_row: usize, threads: usize) -> Share {
        let least = (LEAST_BYTES / bytes_per_row.max(1)).next_multiple_of(4).max(4);
        // Too little to be worth another thread.
        let threads = threads.clamp(1, n_rows.div_ceil(least));
        Share { n_rows, threads, least, next: AtomicUsize::new(0) }
    }

    /// How many threads there is work for.
    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// The next part; nobody else gets a row of it.
    pub(crate) fn take(&self) -> Option<Range<usize>> {
        let end = |start: usize| {
            let left = self.n_rows - start;
            let part = (left / (2 * self.threads)).next_multiple_of(4).max(self.least);
            start + part.min(left)
        };
        let order = Ordering::Relaxed;
        let advance = |start| (start < self.n_rows).then(|| end(start));
        let start = self.next.fetch_update(order, order, advance).ok()?;
        Some(start..end(start))
    }
}

/// What a core reads in about as long as another needs to join in.
const LEAST_BYTES: usize = 32 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_given_once() {
        for n_rows in [1, 2, 3, 4, 5, 31, 128, 896, 151_936] {
            for (bytes, threads) in [(4, 1), (1792, 2), (19_456, 3), (1 << 20, 64)] {
                let share = Share::new(n_rows, bytes, threads);
                let mut next = 0;
                while let Some(rows) = share.take() {
                    assert_eq!(rows.start, next, "{n_rows} rows of {bytes} bytes");
                    assert!(!rows.is_empty(), "{n_rows} rows of {bytes} bytes");
                    next = rows.end;
                }
                assert_eq!(next, n_rows, "{n_rows} rows of {bytes} bytes");
                assert!((1..=threads).contains(&share.threads()), "{n_rows} rows of {bytes} bytes");
            }
        }
    }
}
