use crate::{Element, Error};

/// When a normalized number is rounded, and what it is multiplied by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gain {
    /// Rounded, multiplied, rounded.
    AfterRounding,
    /// Multiplied, rounded.
    BeforeRounding,
    /// Multiplied by one more, rounded.
    PlusOne,
}

/// Divides each row, as long as the gain, by the root of the mean of its squares, and multiplies it by
/// the gain: <https://arxiv.org/abs/1910.07467>.
///
/// # Errors
///
/// [`Error::Input`] if the gain is empty or `x` no whole rows; [`Error::Output`] if `y` is not as
/// long as `x`.
pub fn rms_norm<T: Element>(
    x: &[T],
    gain: &[T],
    eps: f32,
    when: Gain,
    y: &mut [T],
) -> Result<(), Error> {
    let n = gain.len();
    check(x, n, y)?;
    for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
        let scale = (sum_of_squares(x) / n as f32 + eps).sqrt().recip();
        let normal = x.iter().map(|it| it.to_f32() * scale);
        for ((y, x), gain) in y.iter_mut().zip(normal).zip(gain) {
            let gain = gain.to_f32();
            *y = T::from_f32(match when {
                Gain::AfterRounding => T::from_f32(x).to_f32() * gain,
                Gain::BeforeRounding => x * gain,
                Gain::PlusOne => x * (gain + 1.0),
            });
        }
    }
    Ok(())
}

/// Rotates the pairs (i, i + n/2) of each row, n numbers, as a whole number of rows after another do
/// by the same angles: of `cos` and `sin`, (rows, n). Every step is rounded.
///
/// <https://arxiv.org/abs/2104.09864>, with the halves of a row as the parts of its numbers.
///
/// # Errors
///
/// [`Error::Input`] if `n` is 0 or odd, if `x`, `cos` or `sin` is no whole rows of it, or if the
/// rows of `x` cannot be shared evenly among those of the angles; [`Error::Output`] if `y` is not
/// as long as `x`.
pub fn rotate<T: Element>(
    x: &[T],
    (cos, sin): (&[T], &[T]),
    n: usize,
    y: &mut [T],
) -> Result<(), Error> {
    check(x, n, y)?;
    let n_angles = cos.len() / n.max(1);
    let is_even = n.is_multiple_of(2) && n_angles > 0 && cos.len() == n_angles * n;
    if !is_even || sin.len() != cos.len() || !x.len().is_multiple_of(cos.len()) {
        return Err(Error::Input { n_in: n, found: cos.len() });
    }
    // At least one, as there may be no rows at all.
    let group = (x.len() / n_angles).max(1);
    let round = |it: f32| T::from_f32(it).to_f32();
    for (i, (x, y)) in x.chunks_exact(group).zip(y.chunks_exact_mut(group)).enumerate() {
        let (cos, sin) = (&cos[i * n..][..n], &sin[i * n..][..n]);
        for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
            let (first, second) = x.split_at(n / 2);
            for j in 0..n / 2 {
                let (a, b) = (first[j].to_f32(), second[j].to_f32());
                let turned = |c: T, s: T, x: f32, other: f32| {
                    T::from_f32(round(x * c.to_f32()) + round(other * s.to_f32()))
                };
                y[j] = turned(cos[j], sin[j], a, -b);
                y[n / 2 + j] = turned(cos[n / 2 + j], sin[n / 2 + j], b, a);
            }
        }
    }
    Ok(())
}

/// Several sums at once, so that an addition need not wait for the one before.
fn sum_of_squares<T: Element>(x: &[T]) -> f32 {
    let (lanes, rest) = x.as_chunks::<16>();
    let mut sums = [0.0_f32; 16];
    for lanes in lanes {
        for (sum, x) in sums.iter_mut().zip(lanes) {
            let x = x.to_f32();
            *sum += x * x;
        }
    }
    sums.iter().sum::<f32>() + rest.iter().map(|it| it.to_f32() * it.to_f32()).sum::<f32>()
}

/// Refuses what is not made of whole rows.
fn check<T>(x: &[T], n_in: usize, y: &[T]) -> Result<(), Error> {
    if n_in == 0 || !x.len().is_multiple_of(n_in) {
        return Err(Error::Input { n_in, found: x.len() });
    }
    match y.len() == x.len() {
        true => Ok(()),
        false => Err(Error::Output { what: "the output", found: y.len(), expected: x.len() }),
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;

    fn numbers<T: Element>(n: usize) -> Vec<T> {
        (0..n).map(|i| T::from_f32(((i * 37 % 101) as f32 - 50.0) / 17.0)).collect()
    }

    #[test]
    fn rows_are_normalized_and_multiplied() {
        let (x, gain) = (numbers::<f32>(3 * 21), numbers::<f32>(21));
        let mut y = vec![0.0; x.len()];
        rms_norm(&x, &gain, 1e-5, Gain::PlusOne, &mut y).expect("rows");
        for (x, y) in x.chunks(21).zip(y.chunks(21)) {
            let mean = x.iter().map(|it| f64::from(*it).powi(2)).sum::<f64>() / 21.0;
            for ((x, y), gain) in x.iter().zip(y).zip(&gain) {
                let expected = f64::from(*x) / (mean + 1e-5).sqrt() * (f64::from(*gain) + 1.0);
                assert!((f64::from(*y) - expected).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn a_gain_before_or_after_rounding_differs() {
        let (x, gain) = (numbers::<bf16>(64), numbers::<bf16>(64));
        let norm = |when| {
            let mut y = vec![bf16::ZERO; 64];
            rms_norm(&x, &gain, 1e-5, when, &mut y).expect("a row");
            y
        };
        assert_ne!(norm(Gain::AfterRounding), norm(Gain::BeforeRounding));
    }

    #[test]
    fn pairs_are_rotated_by_their_rows_angles() {
        let (x, angles) = (numbers::<f32>(4 * 6), numbers::<f32>(2 * 6));
        let (cos, sin): (Vec<f32>, Vec<f32>) = angles.iter().map(|it| (it.cos(), it.sin())).unzip();
        let mut y = vec![0.0; x.len()];
        rotate(&x, (&cos, &sin), 6, &mut y).expect("rows");
        for (row, (x, y)) in x.chunks(6).zip(y.chunks(6)).enumerate() {
            for j in 0..6 {
                let angle = row / 2 * 6 + j;
                let other = if j < 3 { -x[j + 3] } else { x[j - 3] };
                assert_eq!(y[j], x[j] * cos[angle] + other * sin[angle]);
            }
        }
    }

    #[test]
    fn no_rows_are_turned_into_none() {
        let (none, gain) = ([0.0f32; 0], [1.0]);
        rms_norm(&none, &gain, 1e-5, Gain::PlusOne, &mut []).expect("no rows");
        rotate(&none, (&[1.0; 6], &[0.0; 6]), 6, &mut []).expect("no rows");
    }

    #[test]
    fn sizes_that_do_not_fit_are_errors() {
        let (x, mut y) = (numbers::<f32>(12), vec![0.0; 12]);
        assert!(rms_norm(&x, &[], 0.0, Gain::PlusOne, &mut y).is_err());
        assert!(rms_norm(&x, &x[..5], 0.0, Gain::PlusOne, &mut y).is_err());
        assert!(rms_norm(&x, &x[..6], 0.0, Gain::PlusOne, &mut y[..6]).is_err());
        for (n_cos, n_sin, n) in
            [(6, 5, 6), (5, 5, 6), (0, 0, 6), (5, 5, 5), (24, 24, 6), (6, 6, 0)]
        {
            let (cos, sin) = (vec![1.0; n_cos], vec![0.0; n_sin]);
            assert!(rotate(&x, (&cos, &sin), n, &mut y).is_err(), "{n_cos}, {n_sin}, {n}");
        }
    }
}
