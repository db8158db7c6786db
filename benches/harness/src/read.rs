//! The limit: reading as fast as this machine's cores can.

use std::{hint::black_box, thread};

/// Reads every byte once, each thread its part.
pub fn read<T: Sync>(numbers: &[T], threads: usize) {
    let part = numbers.len().div_ceil(threads);
    thread::scope(|scope| {
        for part in numbers.chunks(part) {
            scope.spawn(|| black_box(sum(part)));
        }
    });
}

fn sum<T>(numbers: &[T]) -> u64 {
    // SAFETY: Any initialized numbers are bytes, and f32 and bf16, which have no padding, are all that comes.
    let bytes =
        unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), size_of_val(numbers)) };
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: Just asked.
        return unsafe { sum_avx2(bytes) };
    }
    sum_plain(bytes)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn sum_avx2(bytes: &[u8]) -> u64 {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    let mut lanes = [0u64; 16];
    for piece in bytes.as_chunks::<128>().0 {
        // SAFETY: A prefetch may ask for memory that does not exist. (Newer compilers know.)
        #[allow(unused_unsafe)]
        unsafe {
            let ahead = piece.as_ptr().wrapping_add(AHEAD).cast();
            _mm_prefetch::<_MM_HINT_T0>(ahead);
            _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add(64));
        }
        for (lane, word) in lanes.iter_mut().zip(piece.as_chunks().0) {
            *lane ^= u64::from_le_bytes(*word);
        }
    }
    lanes.into_iter().fold(0, |a, b| a ^ b)
}

fn sum_plain(bytes: &[u8]) -> u64 {
    bytes.as_chunks().0.iter().fold(0, |sum, word| sum ^ u64::from_le_bytes(*word))
}

#[cfg(target_arch = "x86_64")]
const AHEAD: usize = 2048;
