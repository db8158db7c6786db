use crate::{
    Element, Error, Team,
    parts::{Job, run_parts},
};

/// Which numbers are dropped: a function of a seed and a number's place, so that nothing need be
/// kept until the gradient is asked for. <https://jmlr.org/papers/v15/srivastava14a.html>.
///
/// It is the same on every machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    keys: [u32; 2],
    /// A number is dropped if what its place becomes is less.
    below: u32,
    /// What the others are multiplied by.
    scale: f32,
}

impl Dropout {
    /// Drops this part of all numbers, from 0 to 1.
    pub fn new(part: f64, seed: u64) -> Dropout {
        let part = part.clamp(0.0, 1.0);
        // A part of 1 leaves one of 2^32, times zero.
        let scale = if part < 1.0 { (1.0 / (1.0 - part)) as f32 } else { 0.0 };
        let keys = [seed as u32, (seed >> 32) as u32];
        Dropout { keys, below: (part * 2f64.powi(32)) as u32, scale }
    }

    /// What the number at a place is multiplied by.
    #[inline(always)]
    pub(crate) fn factor(&self, place: u32) -> f32 {
        // Multiplications and shifts that spread each bit over all, with the keys between.
        let mut x = (place ^ self.keys[0]).wrapping_mul(0x9E37_79B9);
        x = (x ^ (x >> 16)).wrapping_add(self.keys[1]).wrapping_mul(0x21F0_AAAD);
        x = (x ^ (x >> 15)).wrapping_mul(0xD35A_2D97);
        x ^= x >> 15;
        if x < self.below { 0.0 } else { self.scale }
    }

    /// Writes what is left of `x` to `y`. A number's place is its index.
    ///
    /// # Errors
    ///
    /// [`Error::Output`] if `y` is not as long as `x`.
    pub fn drop<A: Element, B: Element>(
        &self,
        x: &[A],
        y: &mut [B],
        team: &impl Team,
    ) -> Result<(), Error> {
        check(x.len(), y.len())?;
        let parts = x.chunks(PART).zip(y.chunks_mut(PART)).enumerate();
        run_parts(parts, &Drop(self), team);
        Ok(())
    }

    /// Writes `residual` plus what is left of `x` to `y`.
    ///
    /// # Errors
    ///
    /// [`Error::Output`] if `x` or `residual` is not as long as `y`.
    pub fn drop_add<A: Element, B: Element>(
        &self,
        x: &[A],
        residual: &[B],
        y: &mut [B],
        team: &impl Team,
    ) -> Result<(), Error> {
        check(x.len(), y.len())?;
        check(residual.len(), y.len())?;
        let parts = x.chunks(PART).zip(residual.chunks(PART)).zip(y.chunks_mut(PART)).enumerate();
        run_parts(parts, &DropAdd(self), team);
        Ok(())
    }
}

struct Drop<'a>(&'a Dropout);

impl<A: Element, B: Element> Job<(usize, (&[A], &mut [B]))> for Drop<'_> {
    #[inline(always)]
    fn run(&self, (part, (x, y)): (usize, (&[A], &mut [B])), _: bool) {
        let first = (part * PART) as u32;
        for i in 0..y.len().min(x.len()) {
            y[i] = B::from_f32(x[i].to_f32() * self.0.factor(first.wrapping_add(i as u32)));
        }
    }
}

struct DropAdd<'a>(&'a Dropout);

type Sums<'a, A, B> = (usize, ((&'a [A], &'a [B]), &'a mut [B]));

impl<'p, A: Element, B: Element> Job<Sums<'p, A, B>> for DropAdd<'_> {
    #[inline(always)]
    fn run(&self, (part, ((x, residual), y)): Sums<'p, A, B>, _: bool) {
        let first = (part * PART) as u32;
        for i in 0..y.len().min(x.len()).min(residual.len()) {
            let left = x[i].to_f32() * self.0.factor(first.wrapping_add(i as u32));
            y[i] = B::from_f32(residual[i].to_f32() + left);
        }
    }
}

fn check(found: usize, expected: usize) -> Result<(), Error> {
    match found == expected {
        true => Ok(()),
        false => Err(Error::Output { what: "the output", found, expected }),
    }
}

/// How many numbers a thread takes at once.
const PART: usize = 1 << 14;

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;
    use crate::Alone;

    fn kept(part: f64, seed: u64, n: usize) -> Vec<bool> {
        let mut y = vec![0.0f32; n];
        Dropout::new(part, seed).drop(&vec![1.0f32; n], &mut y, &Alone).expect("as long");
        let scale = (1.0 / (1.0 - part)) as f32;
        assert!(y.iter().all(|&it| it == 0.0 || it == scale));
        y.iter().map(|&it| it != 0.0).collect()
    }

    /// Of counts of a million, five standard deviations are at most 2,500.
    #[test]
    fn as_many_are_dropped_as_asked_wherever_and_beside_whatever() {
        const N: usize = 1_000_000;
        let n = |it: &mut dyn Iterator<Item = bool>| it.filter(|&it| it).count() as f64;
        for part in [0.1, 0.5, 0.9] {
            let keep = 1.0 - part;
            for seed in [0, 1, 2, 0x1234_5678_9ABC_DEF0] {
                let it = kept(part, seed, N);
                assert!((n(&mut it.iter().copied()) - keep * N as f64).abs() < 2500.0);
                // Neighbours, rows of a power of two, and other seeds have nothing to do with each other.
                for apart in [1, 2, 16, 256, 1024, 65_536] {
                    let both = n(&mut it.iter().zip(&it[apart..]).map(|(a, b)| *a && *b));
                    let expected = keep * keep * (N - apart) as f64;
                    assert!((both - expected).abs() < 4000.0, "{part}, {seed}, {apart}: {both}");
                }
                for other in [seed ^ 1, seed ^ (1 << 32), seed.wrapping_add(1 << 33)] {
                    let other = kept(part, other, N);
                    let both = n(&mut it.iter().zip(&other).map(|(a, b)| *a && *b));
                    assert!((both - keep * keep * N as f64).abs() < 4000.0);
                }
            }
        }
    }

    #[test]
    fn all_or_nothing() {
        assert!(kept(0.0, 7, 1000).iter().all(|it| *it));
        let mut y = [1.0f32; 1000];
        Dropout::new(1.0, 7).drop(&[1.0f32; 1000], &mut y, &Alone).expect("as long");
        assert_eq!(y, [0.0; 1000]);
    }

    #[test]
    fn a_residual_is_added_and_a_gradient_drops_the_same() {
        let n = 3 * PART / 2;
        let x: Vec<bf16> = (0..n).map(|i| bf16::from_f32(i as f32 / 64.0)).collect();
        let residual = vec![0.25f32; n];
        let dropout = Dropout::new(0.3, 99);
        let (mut left, mut y) = (vec![0.0f32; n], vec![0.0f32; n]);
        dropout.drop(&x, &mut left, &Alone).expect("as long");
        dropout.drop_add(&x, &residual, &mut y, &Alone).expect("as long");
        assert!(left.iter().zip(&y).all(|(left, y)| left + 0.25 == *y));
        assert!(dropout.drop(&x, &mut left[1..], &Alone).is_err());
        assert!(dropout.drop_add(&x, &residual[1..], &mut y, &Alone).is_err());
    }
}
