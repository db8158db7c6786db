use thiserror::Error;

use crate::{
    Element,
    cpu::Cpu,
    dot::{Dots, Rows},
    output::Output,
    share::Share,
};

/// Weights, `n_out` rows of `n_in` numbers.
///
/// Invariant: there are `n_out * n_in` weights, and at least one.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a, T> {
    weights: &'a [T],
    n_out: usize,
    n_in: usize,
}

/// Sizes that do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The matrix is empty or has other than its number of weights.
    #[error("{found} weights are no matrix of {n_out} rows of {n_in}; give as many, at least one")]
    Matrix {
        /// How many rows.
        n_out: usize,
        /// How many numbers in each.
        n_in: usize,
        /// How many weights there are.
        found: usize,
    },
    /// What is multiplied is not made of rows as long as the matrix's.
    #[error(
        "{found} numbers are no rows of {n_in}; give whole rows, and to multiply 1 to {MAX_ROWS} of them"
    )]
    Input {
        /// How long a row is.
        n_in: usize,
        /// How many numbers there are.
        found: usize,
    },
    /// The bias or the output has another size.
    #[error("{what} has room for {found} numbers where the product has {expected}")]
    Output {
        /// Which.
        what: &'static str,
        /// How many numbers it has.
        found: usize,
        /// How many it should have.
        expected: usize,
    },
}

impl<'a, T> Matrix<'a, T> {
    /// Weights in row-major order.
    ///
    /// # Errors
    ///
    /// [`Error::Matrix`] if there are no weights, or other than `n_out * n_in`.
    pub fn new(weights: &'a [T], n_out: usize, n_in: usize) -> Result<Matrix<'a, T>, Error> {
        if weights.is_empty() || n_out.checked_mul(n_in) != Some(weights.len()) {
            return Err(Error::Matrix { n_out, n_in, found: weights.len() });
        }
        Ok(Matrix { weights, n_out, n_in })
    }
}

/// Threads that do one thing together.
///
/// They are the caller's, because two sets of threads that look out for work would take each other's
/// cores: a library that computes with threads of its own should lend them.
pub trait Team: Sync {
    /// How many there are, the one that calls included.
    fn threads(&self) -> usize;

    /// Calls the job on the calling thread and, at the same time, on up to `threads - 1` others, and
    /// returns when all are done. The job divides what there is to do by itself: others may come
    /// late, or not at all.
    fn run(&self, threads: usize, job: &(dyn Fn() + Sync));
}

/// The calling thread alone.
#[derive(Debug, Clone, Copy)]
pub struct Alone;

impl Team for Alone {
    fn threads(&self) -> usize {
        1
    }

    fn run(&self, _: usize, job: &(dyn Fn() + Sync)) {
        job();
    }
}

/// `y = x Wᵀ + b`: each row of `x`, of which there are up to [`MAX_ROWS`], times each row of the
/// matrix. Reads the matrix once, with all threads of the team that are worth calling.
///
/// # Errors
///
/// [`Error::Input`] if `x` is not one to [`MAX_ROWS`] whole rows; [`Error::Output`] if the bias is
/// not one row of the product, or `y` not as many as `x` has.
pub fn multiply<T: Element>(
    matrix: Matrix<'_, T>,
    x: &[T],
    bias: Option<&[T]>,
    y: &mut [T],
    team: &impl Team,
) -> Result<(), Error> {
    multiply_on(Cpu::best(), matrix, x, bias, y, team)
}

pub(crate) fn multiply_on<T: Element>(
    cpu: Cpu,
    matrix: Matrix<'_, T>,
    x: &[T],
    bias: Option<&[T]>,
    y: &mut [T],
    team: &impl Team,
) -> Result<(), Error> {
    match cpu {
        #[cfg(target_arch = "x86_64")]
        // Its products of pairs save what turns them into f32, and take twice as long.
        Cpu::Avx512Bf16(cpu) if x.len() <= 2 * matrix.n_in => {
            multiply_by(cpu, matrix, x, bias, y, team)
        }
        #[cfg(target_arch = "x86_64")]
        Cpu::Avx512Bf16(cpu) => multiply_by(cpu.foundation(), matrix, x, bias, y, team),
        #[cfg(target_arch = "x86_64")]
        Cpu::Avx512(cpu) => multiply_by(cpu, matrix, x, bias, y, team),
        #[cfg(target_arch = "x86_64")]
        Cpu::Avx2(cpu) => multiply_by(cpu, matrix, x, bias, y, team),
        Cpu::Plain(cpu) => multiply_by(cpu, matrix, x, bias, y, team),
    }
}

#[allow(unsafe_code)]
fn multiply_by<S: Dots, T: Element>(
    cpu: S,
    Matrix { weights, n_out, n_in }: Matrix<'_, T>,
    x: &[T],
    bias: Option<&[T]>,
    y: &mut [T],
    team: &impl Team,
) -> Result<(), Error> {
    let n_rows = x.len() / n_in;
    if !x.len().is_multiple_of(n_in) || !(1..=MAX_ROWS).contains(&n_rows) {
        return Err(Error::Input { n_in, found: x.len() });
    }
    let check = |what, found, expected| match found == expected {
        true => Ok(()),
        false => Err(Error::Output { what, found, expected }),
    };
    check("the bias", bias.map_or(n_out, <[T]>::len), n_out)?;
    check("the output", y.len(), n_rows * n_out)?;

    let x: Rows<T, S> = Rows::new(x, n_in);
    let y = Output::new(y);
    let share = Share::new(n_out, n_in * size_of::<T>(), team.threads());
    let job = || {
        let mut sums = [0.0; BLOCK * MAX_ROWS];
        while let Some(mut rows) = share.take() {
            while !rows.is_empty() {
                let block = rows.start..rows.end.min(rows.start + BLOCK);
                rows.start = block.end;
                let sums = &mut sums[..block.len() * n_rows];
                cpu.dots(&weights[block.start * n_in..block.end * n_in], &x, sums);
                for (i, sums) in block.zip(sums.chunks_exact(n_rows)) {
                    let bias = bias.map_or(0.0, |it| it[i].to_f32());
                    for (row, sum) in sums.iter().enumerate() {
                        // SAFETY: `share` gives each row of weights, and with it these places, once.
                        unsafe { y.set(row * n_out + i, T::from_f32(sum + bias)) };
                    }
                }
            }
        }
    };
    match share.threads() {
        1 => job(),
        threads => team.run(threads, &job),
    }
    Ok(())
}

/// How many rows can be multiplied in one pass over the matrix.
pub const MAX_ROWS: usize = 8;
/// How many rows of weights are multiplied before their sums are rounded and written.
const BLOCK: usize = 32;
