use tch::{Kind, Tensor};

use super::Update;

/// Adafactor, <https://arxiv.org/abs/1804.04235>, with a learning rate that is given and no first
/// moment, as Hugging Face's Trainer uses it.
#[derive(Debug)]
pub(super) struct Adafactor;

impl Adafactor {
    /// Second moments: of rows and columns where there are such, else of each element.
    pub(super) fn init(param: &Tensor) -> Vec<(&'static str, Tensor)> {
        let size = param.size();
        let zeros = |size: &[i64]| Tensor::zeros(size, (Kind::Float, param.device()));
        match size.as_slice() {
            [rest @ .., rows, columns] => vec![
                ("exp_avg_sq_row", zeros(&[rest, &[*rows]].concat())),
                ("exp_avg_sq_col", zeros(&[rest, &[*columns]].concat())),
            ],
            size => vec![("exp_avg_sq", zeros(size))],
        }
    }

    pub(super) fn step(&self, mut it: Update<'_>) {
        let grad = it.grad.to_kind(Kind::Float);
        let beta2 = 1.0 - ((it.step + 1) as f64).powf(DECAY_RATE);
        let square = grad.square() + EPS;
        let average = |which: &str, new: &Tensor| {
            let mut average = (it.state)(which);
            let next = &average * beta2 + new * (1.0 - beta2);
            average.copy_(&next);
            next
        };
        let scale = if grad.dim() >= 2 {
            let float = Kind::Float;
            let row = average("exp_avg_sq_row", &square.mean_dim(-1, false, float));
            let column = average("exp_avg_sq_col", &square.mean_dim(-2, false, float));
            let row = (&row / row.mean_dim(-1, true, float)).rsqrt().unsqueeze(-1);
            row * column.unsqueeze(-2).rsqrt()
        } else {
            average("exp_avg_sq", &square).rsqrt()
        };
        let update = scale * grad;
        let update = &update / (rms(&update) / CLIP_THRESHOLD).clamp_min(1.0);
        let param = it.param.to_kind(Kind::Float);
        let param = &param - &param * (it.weight_decay * it.learning_rate);
        it.param.copy_(&(param - update * it.learning_rate));
    }
}

fn rms(x: &Tensor) -> Tensor {
    x.norm() / (x.numel() as f64).sqrt()
}

const DECAY_RATE: f64 = -0.8;
const EPS: f64 = 1e-30;
const CLIP_THRESHOLD: f64 = 1.0;
