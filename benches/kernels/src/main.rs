//! How near the products of `pretrained-kernels` come to what memory delivers.
//!
//! `cargo xtask bench kernels`. The limit and the products take turns over the same weights, which are much more than
//! the caches hold, so that a slow moment of the machine is everybody's. Ratios are the medians of each turn's.

use std::{hint::black_box, thread, time::Instant};

use anyhow::{Context, Result};
use bench_harness::read;
use pretrained_kernels::{Element, Matrix, Team, bf16, multiply};

/// What a network of half a billion parameters multiplies with, (out, in): the shapes of Qwen2-0.5B.
const SHAPES: [(&str, usize, usize); 4] =
    [("k_proj", 128, 896), ("q_proj", 896, 896), ("up_proj", 4864, 896), ("down_proj", 896, 4864)];
const HEAD: (&str, usize, usize) = ("lm_head", 151_936, 896);
const BYTES: usize = 544 << 20;
const ROUNDS: usize = 9;

/// Rayon's threads, which take longer to come than libtorch's.
struct Rayon;

impl Team for Rayon {
    fn threads(&self) -> usize {
        rayon::current_num_threads()
    }

    fn run(&self, _: usize, job: &(dyn Fn() + Sync)) {
        rayon::broadcast(|_| job());
    }
}

fn main() -> Result<()> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    println!("{threads} threads, {} MiB of weights", BYTES >> 20);
    table::<bf16>("bf16", threads)?;
    table::<f32>("f32", threads)
}

fn table<T: Element>(dtype: &str, threads: usize) -> Result<()> {
    let weights = vec![T::from_f32(0.5); BYTES / size_of::<T>()];
    println!("\n{dtype:4}  {:10} {:>4}   GB/s   limit  ratio   each", "weights", "rows");
    for (name, n_out, n_in) in SHAPES.into_iter().chain([HEAD]) {
        for n_rows in [1, 2, 4, 8] {
            let x = vec![T::from_f32(0.25); n_rows * n_in];
            let mut y = vec![T::from_f32(0.0); n_rows * n_out];
            let size = n_out * n_in;
            let n = (weights.len() / size).min(SHORT / (size * size_of::<T>()) + 1);
            let mut turns = Vec::new();
            for _ in 0..=ROUNDS {
                let used = &weights[..n * size];
                let bytes = size_of_val(used) as f64;
                let start = Instant::now();
                read(black_box(used), threads);
                let limit = bytes / start.elapsed().as_secs_f64();
                let start = Instant::now();
                for weights in used.chunks_exact(size) {
                    multiply(Matrix::new(weights, n_out, n_in)?, &x, None, &mut y, &Rayon)?;
                }
                let seconds = start.elapsed().as_secs_f64();
                black_box(&y);
                turns.push((bytes / seconds / limit, bytes / seconds, limit, seconds / n as f64));
            }
            // The first turn fetches pages and wakes threads.
            let mut turns = turns.split_off(1);
            turns.sort_by(|a, b| a.0.total_cmp(&b.0));
            let (ratio, ours, limit, each) = *turns.get(turns.len() / 2).context("a turn")?;
            println!(
                "{dtype:4}  {name:10} {n_rows:4}  {:5.1}   {:5.1}   {ratio:4.2}   {:6.1} µs",
                ours / 1e9,
                limit / 1e9,
                each * 1e6
            );
        }
    }
    Ok(())
}

/// How much is multiplied in a turn: more than any cache has, no more than a moment of memory's time.
const SHORT: usize = 256 << 20;
