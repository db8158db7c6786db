//! Small steps on the CPU in one pass, where libtorch takes one for each operator: of a few rows, as in
//! writing a token, starting an operator takes longer than what it does; of many, going through memory
//! so often does. Results are those of the operators, to the rounding of sums.

use pretrained_kernels::{Element, Gain, bf16};
use tch::{Device, Kind, Tensor};

use crate::product::{are_plain, numbers, numbers_mut};

/// Root mean square normalization; none where libtorch is to do it.
pub(crate) fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64, when: Gain) -> Option<Tensor> {
    if x.numel() > MOST || !are_plain(&[x, weight]) {
        return None;
    }
    match x.kind() {
        Kind::Float => normalized::<f32>(x, weight, eps, when),
        Kind::BFloat16 => normalized::<bf16>(x, weight, eps, when),
        _ => None,
    }
}

fn normalized<T: Element>(x: &Tensor, weight: &Tensor, eps: f64, when: Gain) -> Option<Tensor> {
    let (x, weight) = (x.contiguous(), weight.contiguous());
    let y = Tensor::empty(x.size(), (x.kind(), Device::Cpu));
    let out = numbers_mut::<T>(&y)?;
    pretrained_kernels::rms_norm(numbers(&x)?, numbers(&weight)?, eps as f32, when, out).ok()?;
    Some(y)
}

/// The rotation of heads, (B, H, T, D), that lie in memory as (B, T, H, D), by the angles of their
/// positions, (T, D) or (B, 1, T, D); none where libtorch is to do it.
pub(crate) fn rotate(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Option<Tensor> {
    let x = x.transpose(1, 2);
    if x.numel() > MOST || !x.is_contiguous() || !are_plain(&[&x, cos, sin]) {
        return None;
    }
    let y = match x.kind() {
        Kind::Float => rotated::<f32>(&x, cos, sin),
        Kind::BFloat16 => rotated::<bf16>(&x, cos, sin),
        _ => None,
    };
    Some(y?.transpose(1, 2))
}

fn rotated<T: Element>(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Option<Tensor> {
    let (b, t, _, d) = x.size4().ok()?;
    let [cos, sin] = [cos, sin].map(Tensor::contiguous);
    let y = Tensor::empty(x.size(), (x.kind(), Device::Cpu));
    let (x, out) = (numbers::<T>(x)?, numbers_mut::<T>(&y)?);
    let (cos, sin) = (numbers(&cos)?, numbers(&sin)?);
    let [b, t, d] = [b, t, d].map(|it| usize::try_from(it).unwrap_or_default());
    if x.is_empty() || (cos.len() != t * d && cos.len() != b * t * d) || sin.len() != cos.len() {
        return None;
    }
    // All rows have the same positions, or each its own.
    let rows = x.chunks_exact(x.len() / b).zip(out.chunks_exact_mut(x.len() / b));
    let angles = cos.chunks_exact(t * d).zip(sin.chunks_exact(t * d)).cycle();
    for ((x, y), angles) in rows.zip(angles) {
        pretrained_kernels::rotate(x, angles, d, y).ok()?;
    }
    Some(y)
}

/// Beyond so many numbers, one thread takes longer than libtorch with all.
const MOST: usize = 1 << 21;

#[cfg(test)]
mod tests {
    use super::*;

    const CPU: Device = Device::Cpu;

    #[test]
    fn rotations_are_those_of_libtorch() {
        tch::manual_seed(7);
        let _guard = tch::no_grad_guard();
        for kind in [Kind::Float, Kind::BFloat16] {
            for (t, n_angles) in [(1, 1), (1, 3), (5, 1), (5, 3)] {
                let x = Tensor::randn([3, t, 4, 8], (kind, CPU)).transpose(1, 2);
                let cos = Tensor::randn([n_angles, 1, t, 8], (kind, CPU));
                let sin = Tensor::randn([n_angles, 1, t, 8], (kind, CPU));
                let halves = x.chunk(2, -1);
                let turned = Tensor::cat(&[halves[1].neg(), halves[0].shallow_clone()], -1);
                let expected = &x * &cos + turned * &sin;
                assert_eq!(rotate(&x, &cos, &sin), Some(expected), "{kind:?}, {n_angles}");
            }
        }
        let x = Tensor::randn([1, 4, 2, 8], (Kind::Float, CPU));
        assert_eq!(rotate(&x, &x.get(0).get(0), &x.get(0).get(0)), None, "not as it is projected");
        let x = x.transpose(1, 2).contiguous().transpose(1, 2);
        assert_eq!(rotate(&x, &x.get(0), &x.get(0)), None, "angles of as many positions");
    }

    #[test]
    fn norms_are_those_of_libtorch() {
        tch::manual_seed(7);
        let _guard = tch::no_grad_guard();
        for (kind, tolerance) in [(Kind::Float, 1e-6), (Kind::BFloat16, 1e-2)] {
            let x = Tensor::randn([2, 3, 40], (kind, CPU));
            let weight = Tensor::randn([40], (kind, CPU));
            let wide = x.to_kind(Kind::Float);
            let scale = (wide.square().mean_dim(-1, true, Kind::Float) + 1e-5).rsqrt();
            for (when, expected) in [
                (Gain::AfterRounding, (&wide * &scale).to_kind(kind) * &weight),
                (
                    Gain::BeforeRounding,
                    (&wide * &scale * weight.to_kind(Kind::Float)).to_kind(kind),
                ),
                (
                    Gain::PlusOne,
                    (&wide * &scale * (weight.to_kind(Kind::Float) + 1.0)).to_kind(kind),
                ),
            ] {
                let ours = rms_norm(&x, &weight, 1e-5, when).expect("done here");
                let off =
                    ((ours - &expected).abs() / (expected.abs() + 1.0)).max().double_value(&[]);
                assert!(off <= tolerance, "{kind:?}, {when:?}: {off}");
            }
        }
    }

    #[test]
    fn what_is_remembered_goes_through_libtorch() {
        let x = Tensor::randn([1, 16], (Kind::Float, CPU));
        let weight = Tensor::randn([16], (Kind::Float, CPU)).set_requires_grad(true);
        assert_eq!(rms_norm(&x, &weight, 1e-5, Gain::PlusOne), None);
        let halves = x.to_kind(Kind::Half);
        assert_eq!(rms_norm(&halves, &halves.get(0), 1e-5, Gain::PlusOne), None);
    }
}
