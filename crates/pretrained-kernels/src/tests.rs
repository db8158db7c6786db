use proptest::prelude::*;

use crate::{
    Alone, Element, Error, MAX_ROWS, Matrix, Team, bf16, cpu::Cpu, multiply, multiply::multiply_on,
};

/// Threads that are started each time.
struct Threads(usize);

impl Team for Threads {
    fn threads(&self) -> usize {
        self.0
    }

    fn run(&self, threads: usize, job: &(dyn Fn() + Sync)) {
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(job);
            }
            job();
        });
    }
}

/// Sizes around every boundary of the loops.
fn sizes() -> impl Strategy<Value = (usize, usize, usize)> {
    (1..=200usize, 1..=150usize, 1..=MAX_ROWS)
}

fn numbers<T: Element>(n: usize, seed: u64) -> Vec<T> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        T::from_f32((state >> 40) as f32 / (1 << 23) as f32 - 1.0)
    };
    (0..n).map(|_| next()).collect()
}

/// Against sums made in f64, within what rounding each product and each partial sum can do.
fn check_sums<T: Element>((n_out, n_in, n_rows): (usize, usize, usize), seed: u64, bias: bool) {
    let weights: Vec<T> = numbers(n_out * n_in, seed);
    let x: Vec<T> = numbers(n_rows * n_in, seed + 1);
    let bias: Option<Vec<T>> = bias.then(|| numbers(n_out, seed + 2));
    let matrix = Matrix::new(&weights, n_out, n_in).expect("a matrix");
    let mut first: Option<Vec<T>> = None;
    for cpu in Cpu::all() {
        for threads in [1, 2, 64] {
            let mut y = vec![T::from_f32(f32::NAN); n_rows * n_out];
            multiply_on(cpu, matrix, &x, bias.as_deref(), &mut y, &Threads(threads))
                .expect("sizes that fit");
            for (j, (x, y)) in x.chunks(n_in).zip(y.chunks(n_out)).enumerate() {
                for (i, row) in weights.chunks(n_in).enumerate() {
                    let bias = bias.as_ref().map_or(0.0, |it| f64::from(it[i].to_f32()));
                    let product = |(w, x): (&T, &T)| f64::from(w.to_f32()) * f64::from(x.to_f32());
                    let exact = row.iter().zip(x).map(product).sum::<f64>() + bias;
                    let size = row.iter().zip(x).map(|it| product(it).abs()).sum::<f64>();
                    let step = f64::from(f32::EPSILON) * (n_in as f64 / 16.0 + 8.0);
                    let rounding = if size_of::<T>() == 2 { exact.abs() / 256.0 } else { 0.0 };
                    let (got, bound) =
                        (f64::from(y[i].to_f32()), step * (size + bias.abs()) + rounding);
                    assert!(
                        (got - exact).abs() <= bound,
                        "{cpu:?}, {threads} threads, ({i}, {j}): {got} for {exact} ± {bound}"
                    );
                }
            }
            if !matches!(cpu, Cpu::Plain(_)) {
                let bits =
                    |it: &[T]| it.iter().map(|it| it.to_f32().to_bits()).collect::<Vec<u32>>();
                let first = first.get_or_insert_with(|| y.clone());
                assert_eq!(bits(first), bits(&y), "{cpu:?} and {threads} threads are as the first");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn f32_sums_are_right(sizes in sizes(), seed in 0..1000u64, bias: bool) {
        check_sums::<f32>(sizes, seed, bias);
    }

    #[test]
    fn bf16_sums_are_right(sizes in sizes(), seed in 0..1000u64, bias: bool) {
        check_sums::<bf16>(sizes, seed, bias);
    }

    #[test]
    fn bf16_rounds_to_nearest_even(bits: u32) {
        let x = f32::from_bits(bits);
        let (ours, reference) = (<bf16 as Element>::from_f32(x), bf16::from_f32(x));
        prop_assert_eq!(ours.is_nan(), reference.is_nan());
        if !x.is_nan() {
            prop_assert_eq!(ours.to_bits(), reference.to_bits());
        }
        prop_assert_eq!(Element::to_f32(reference).to_bits(), u32::from(reference.to_bits()) << 16);
    }
}

#[test]
fn every_row_of_a_batch_is_what_it_is_alone() {
    let (n_out, n_in) = (300, 219);
    let weights: Vec<bf16> = numbers(n_out * n_in, 7);
    let x: Vec<bf16> = numbers(MAX_ROWS * n_in, 8);
    let matrix = Matrix::new(&weights, n_out, n_in).expect("a matrix");
    let product = |x: &[bf16]| {
        let mut y = vec![bf16::ZERO; x.len() / n_in * n_out];
        multiply(matrix, x, None, &mut y, &Threads(2)).expect("sizes that fit");
        y
    };
    let alone: Vec<bf16> = x.chunks(n_in).flat_map(product).collect();
    for n_rows in 1..=MAX_ROWS {
        assert_eq!(product(&x[..n_rows * n_in]), alone[..n_rows * n_out], "{n_rows} rows");
    }
}

#[test]
fn infinity_and_nan_go_where_they_belong() {
    let weights = [1.0f32, f32::NAN, f32::INFINITY, 2.0, f32::MAX, f32::MAX];
    let matrix = Matrix::new(&weights, 3, 2).expect("a matrix");
    let mut y = [0.0; 6];
    multiply(matrix, &[1.0, 2.0, 0.5, -0.5], None, &mut y, &Alone).expect("sizes that fit");
    assert!(y[0].is_nan() && y[3].is_nan(), "{y:?}");
    assert_eq!([y[1], y[2], y[4], y[5]], [f32::INFINITY, f32::INFINITY, f32::INFINITY, 0.0]);
}

#[test]
fn sizes_that_do_not_fit_are_refused_with_their_numbers() {
    let weights = [1.0f32; 6];
    let refused =
        |n_out, n_in| Matrix::new(&weights, n_out, n_in).expect_err("a size that does not fit");
    assert_eq!(refused(2, 2), Error::Matrix { n_out: 2, n_in: 2, found: 6 });
    assert_eq!(refused(usize::MAX, 2), Error::Matrix { n_out: usize::MAX, n_in: 2, found: 6 });
    assert!(Matrix::<f32>::new(&[], 0, 5).is_err(), "an empty one");

    let matrix = Matrix::new(&weights, 2, 3).expect("a matrix");
    let run = |n_x, n_bias, n_y| {
        let (x, bias, mut y) = (vec![1.0; n_x], vec![0.0; n_bias], vec![0.0; n_y]);
        multiply(matrix, &x, Some(&bias), &mut y, &Threads(2))
    };
    assert_eq!(run(3, 2, 2), Ok(()));
    assert_eq!(run(4, 2, 2), Err(Error::Input { n_in: 3, found: 4 }));
    assert_eq!(run(0, 2, 0), Err(Error::Input { n_in: 3, found: 0 }));
    assert_eq!(run(27, 2, 18), Err(Error::Input { n_in: 3, found: 27 }));
    let bias = Error::Output { what: "the bias", found: 3, expected: 2 };
    assert_eq!(run(3, 3, 2), Err(bias));
    let output = Error::Output { what: "the output", found: 2, expected: 4 };
    assert_eq!(run(6, 2, 2), Err(output));
    assert_eq!(output.to_string(), "the output has room for 2 numbers where the product has 4");
}
