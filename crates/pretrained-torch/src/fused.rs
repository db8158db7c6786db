//! Small steps on the CPU in one pass, where libtorch takes one for each operator: of a few rows, as in
//! writing a token, starting an operator takes longer than what it does. Results are those of the
//! operators, to the rounding of sums.

use pretrained_kernels::{Element, Gain, MAX_ROWS, bf16};
use tch::{Device, Kind, Tensor};

use crate::product::{are_plain, n_rows, numbers, numbers_mut};

/// Root mean square normalization; none where libtorch is to do it.
pub(crate) fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64, when: Gain) -> Option<Tensor> {
    // Heads are rows of their own.
    if n_rows(x) > HEADS * MAX_ROWS || !are_plain(&[x, weight]) {
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

/// The rotation of the heads of one position in each row, (B, H, 1, D), by angles of (1, D) or
/// (B, 1, 1, D); none where libtorch is to do it.
pub(crate) fn rotate(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Option<Tensor> {
    let (b, _, t, d) = x.size4().ok()?;
    let n_angles = cos.numel() as i64 / d.max(1);
    if t != 1 || b > MAX_ROWS as i64 || (n_angles != 1 && n_angles != b) {
        return None;
    }
    if !are_plain(&[x, cos, sin]) {
        return None;
    }
    match x.kind() {
        Kind::Float => rotated::<f32>(x, cos, sin),
        Kind::BFloat16 => rotated::<bf16>(x, cos, sin),
        _ => None,
    }
}

fn rotated<T: Element>(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Option<Tensor> {
    let [x, cos, sin] = [x, cos, sin].map(Tensor::contiguous);
    let y = Tensor::empty(x.size(), (x.kind(), Device::Cpu));
    let n = usize::try_from(*x.size().last()?).ok()?;
    let (angles, out) = ((numbers(&cos)?, numbers(&sin)?), numbers_mut::<T>(&y)?);
    pretrained_kernels::rotate(numbers(&x)?, angles, n, out).ok()?;
    Some(y)
}

/// What few models have more heads than.
const HEADS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    const CPU: Device = Device::Cpu;

    #[test]
    fn rotations_are_those_of_libtorch() {
        tch::manual_seed(7);
        let _guard = tch::no_grad_guard();
        for kind in [Kind::Float, Kind::BFloat16] {
            for n_angles in [1, 3] {
                let x = Tensor::randn([3, 4, 1, 8], (kind, CPU));
                let cos = Tensor::randn([n_angles, 1, 1, 8], (kind, CPU));
                let sin = Tensor::randn([n_angles, 1, 1, 8], (kind, CPU));
                let halves = x.chunk(2, -1);
                let turned = Tensor::cat(&[halves[1].neg(), halves[0].shallow_clone()], -1);
                let expected = &x * &cos + turned * &sin;
                assert_eq!(rotate(&x, &cos, &sin), Some(expected), "{kind:?}, {n_angles}");
            }
        }
        let x = Tensor::randn([1, 4, 2, 8], (Kind::Float, CPU));
        assert_eq!(rotate(&x, &x.get(0).get(0), &x.get(0).get(0)), None);
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
