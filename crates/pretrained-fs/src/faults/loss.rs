//! What may become of what was not synced.

use std::sync::Arc;

/// What becomes of unsynced bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Loss {
    /// They are lost.
    All,
    /// They are there.
    Nothing,
    /// The length is there, the bytes are not.
    Bytes,
    /// The first half is there.
    Half,
    /// One of these for each file, by this number.
    Mixed(u64),
}

impl Loss {
    /// What the file with this number holds after a crash.
    pub(crate) fn of(self, node: u64, durable: &Arc<[u8]>, current: &Arc<[u8]>) -> Arc<[u8]> {
        if durable == current {
            return Arc::clone(current);
        }
        match self {
            Loss::All => Arc::clone(durable),
            Loss::Nothing => Arc::clone(current),
            Loss::Bytes => vec![0; current.len()].into(),
            Loss::Half => current[..current.len() / 2].into(),
            Loss::Mixed(n) => {
                let all = [Loss::All, Loss::Nothing, Loss::Bytes, Loss::Half];
                let pick = scramble(n ^ (node << 8)) as usize % all.len();
                all[pick].of(node, durable, current)
            }
        }
    }
}

/// Which of `n` things to keep: all ways for few, a choice of ways for many.
pub(crate) fn subsets(n: usize) -> Vec<Vec<bool>> {
    if n <= 7 {
        return (0..1_u64 << n).map(|bits| (0..n).map(|i| bits >> i & 1 == 1).collect()).collect();
    }
    let mut res = Vec::new();
    for k in 0..=n {
        res.push((0..n).map(|i| i < k).collect());
        res.push((0..n).map(|i| i == k).collect());
        res.push((0..n).map(|i| i != k).collect());
    }
    for sample in 0..24 {
        res.push((0..n).map(|i| scramble((sample << 32) + i as u64) & 1 == 1).collect());
    }
    res
}

/// The finalizer of SplitMix64.
fn scramble(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
