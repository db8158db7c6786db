use crate::{family::Field, json::Value, schema::FromValue};

/// The function between the two halves of a feed-forward layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// x·Φ(x), with the error function: <https://arxiv.org/abs/1606.08415> (`gelu`, `gelu_python`).
    Gelu,
    /// Its approximation with a hyperbolic tangent, written out as
    /// x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³))) (`gelu_new`, `gelu_python_tanh`, `gelu_accurate`).
    GeluNew,
    /// The same, as PyTorch's own operator (`gelu_pytorch_tanh`): other last bits.
    GeluPytorchTanh,
    /// The same, written out as x/2·(1 + tanh(0.7978845608·x·(1 + 0.044715·x²))) (`gelu_fast`).
    GeluFast,
    /// x·σ(1.702·x) (`quick_gelu`).
    QuickGelu,
    /// max(x, 0) (`relu`).
    Relu,
    /// max(x, 0)² (`relu2`).
    Relu2,
    /// σ(x) (`sigmoid`).
    Sigmoid,
    /// x·σ(x): <https://arxiv.org/abs/1702.03118> (`silu`, `swish`).
    Silu,
    /// tanh(x) (`tanh`).
    Tanh,
}

impl FromValue for Activation {
    fn from_value(value: &Value, _: &Field) -> Option<Activation> {
        Some(match value.as_str()? {
            "gelu" | "gelu_python" => Activation::Gelu,
            "gelu_new" | "gelu_python_tanh" | "gelu_accurate" => Activation::GeluNew,
            "gelu_pytorch_tanh" => Activation::GeluPytorchTanh,
            "gelu_fast" => Activation::GeluFast,
            "quick_gelu" => Activation::QuickGelu,
            "relu" => Activation::Relu,
            "relu2" => Activation::Relu2,
            "sigmoid" => Activation::Sigmoid,
            "silu" | "swish" => Activation::Silu,
            "tanh" => Activation::Tanh,
            _ => return None,
        })
    }

    fn expected(_: &Field) -> String {
        "one of gelu, gelu_new, gelu_pytorch_tanh, gelu_fast, quick_gelu, relu, relu2, sigmoid, \
         silu and tanh"
            .to_owned()
    }
}
