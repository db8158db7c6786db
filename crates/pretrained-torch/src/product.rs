//! Products with weights on the CPU, where libtorch's are not the fastest.
//!
//! Writing a token is products of a few rows, and libtorch reads weights for them at a third to a half
//! of what memory delivers: `pretrained-kernels` reads them once, on libtorch's threads. And where the
//! CPU has no instructions for bf16, libtorch multiplies many rows of it at a quarter of the speed of
//! f32. libtorch stays the reference, and does everything else: gradients, autocast, other devices
//! and types.

use pretrained_kernels::{Element, MAX_ROWS, Matrix, bf16, multiply};
use tch::{Device, Kind, Tensor};

use crate::{autograd::is_remembered, openmp::OpenMp, ops};

/// `y = x Wᵀ + b` of `x` (.., C) and `weight` (F, C).
pub(crate) fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
    let all: Vec<&Tensor> = [x, weight].into_iter().chain(bias).collect();
    if !are_plain(&all) {
        return x.linear(weight, bias);
    }
    let n_rows = x.numel() / x.size().last().map_or(1, |&it| it.max(1) as usize);
    let product = match x.kind() {
        Kind::Float if n_rows <= MAX_ROWS => product::<f32>(x, weight, bias),
        Kind::BFloat16 if n_rows <= MAX_ROWS => product::<bf16>(x, weight, bias),
        // Making the weights longer pays from some dozens of rows on.
        Kind::BFloat16 if n_rows >= 32 && !multiplies_bf16() => {
            let [x, weight] = [x, weight].map(|it| it.to_kind(Kind::Float));
            let bias = bias.map(|it| it.to_kind(Kind::Float));
            Some(x.linear(&weight, bias.as_ref()).to_kind(Kind::BFloat16))
        }
        _ => None,
    };
    product.unwrap_or_else(|| x.linear(weight, bias))
}

/// Whether these are numbers on the CPU of one kind, of which nothing is remembered for a gradient and
/// which nobody casts.
pub(crate) fn are_plain(all: &[&Tensor]) -> bool {
    let kind = all.first().map(|it| it.kind());
    let is_plain = |it: &&Tensor| Some(it.kind()) == kind && it.device() == Device::Cpu;
    all.iter().all(is_plain) && !ops::autocast_is_enabled() && !is_remembered(all)
}

/// Whether the CPU has instructions for products in bf16.
pub(crate) fn multiplies_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    return true;
}

/// The product, of tensors on the CPU whose numbers are `T`s, one behind the other; none if sizes
/// do not go together.
fn product<T: Element>(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Option<Tensor> {
    let (f, c) = weight.size2().ok()?;
    if x.size().last() != Some(&c) || x.numel() == 0 || !weight.is_contiguous() {
        return None;
    }
    let x = x.contiguous();
    let mut size = x.size();
    *size.last_mut()? = f;
    let y = Tensor::zeros(size, (x.kind(), Device::Cpu));

    let matrix = Matrix::new(numbers::<T>(weight)?, f as usize, c as usize).ok()?;
    let bias = bias.map(Tensor::contiguous);
    let bias = match &bias {
        Some(bias) => Some(numbers(bias)?),
        None => None,
    };
    multiply(matrix, numbers(&x)?, bias, numbers_mut(&y)?, &OpenMp::of_libtorch()?).ok()?;
    Some(y)
}

/// The numbers of a tensor on the CPU that has them one behind the other, and whose kind is `T`.
#[allow(unsafe_code)]
pub(crate) fn numbers<T: Element>(tensor: &Tensor) -> Option<&[T]> {
    let start: *const T = tensor.data_ptr().cast();
    // A file may have been mapped to anywhere.
    if start.is_null() || !start.is_aligned() {
        return None;
    }
    // SAFETY: There are as many numbers, of this type, at an address that is theirs; they live as long as
    // the tensor, and whoever writes a model's weights has the model to itself.
    Some(unsafe { std::slice::from_raw_parts(start, tensor.numel()) })
}

/// The same of a tensor that nobody else has.
#[allow(unsafe_code)]
#[expect(clippy::mut_from_ref, reason = "tensors are handles, which are never borrowed mutably")]
pub(crate) fn numbers_mut<T: Element>(tensor: &Tensor) -> Option<&mut [T]> {
    let start: *mut T = tensor.data_ptr().cast();
    if start.is_null() || !start.is_aligned() {
        return None;
    }
    // SAFETY: As above; and the caller has just made it.
    Some(unsafe { std::slice::from_raw_parts_mut(start, tensor.numel()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPU: Device = Device::Cpu;

    #[test]
    fn products_are_those_of_libtorch() {
        tch::manual_seed(7);
        for (kind, tolerance) in [(Kind::Float, 1e-5), (Kind::BFloat16, 1e-2)] {
            for rows in [1, 2, 7, 8, 9, 40] {
                let _guard = tch::no_grad_guard();
                let x = Tensor::randn([rows, 1, 96], (kind, CPU));
                let weight = Tensor::randn([40, 96], (kind, CPU)) / 10.0;
                let bias = Tensor::randn([40], (kind, CPU));
                for bias in [None, Some(&bias)] {
                    let ours = linear(&x, &weight, bias);
                    let theirs = x.linear(&weight, bias);
                    assert_eq!((ours.size(), ours.kind()), (theirs.size(), kind));
                    let off = (ours - &theirs).abs() / (theirs.abs() + 1.0);
                    let off = f64::try_from(off.max()).expect("a number");
                    assert!(off <= tolerance, "{kind:?}, {rows} rows: {off}");
                }
            }
        }
    }

    #[test]
    fn what_the_kernels_do_not_know_goes_through_libtorch() {
        tch::manual_seed(7);
        let x = Tensor::randn([1, 16], (Kind::Float, CPU));
        let weight = Tensor::randn([4, 16], (Kind::Float, CPU)).set_requires_grad(true);
        assert!(linear(&x, &weight, None).requires_grad());

        let _guard = tch::no_grad_guard();
        ops::autocast(true, CPU, || {
            assert_eq!(linear(&x, &weight, None).kind(), Kind::BFloat16);
        });
        let turned = Tensor::randn([16, 4], (Kind::Float, CPU)).tr();
        assert_eq!(linear(&x, &turned, None), x.linear::<Tensor>(&turned, None));
        let halves = linear(&x.to_kind(Kind::Half), &weight.to_kind(Kind::Half), None);
        assert_eq!(halves.kind(), Kind::Half);
        let none = linear(&x.narrow(0, 0, 0), &weight, None);
        assert_eq!(none.size(), [0, 4]);
    }
}
