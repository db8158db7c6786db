use pretrained_safetensors::Dtype;

use crate::{FormatError, error::quotable};

/// A name that stands for data. There is no other way to name anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Global {
    /// `collections.OrderedDict` and the like, made from nothing or from pairs.
    Dict,
    /// A set, from a list.
    Set,
    /// `torch.Size` and `tuple`, from a sequence.
    Tuple,
    List,
    Bytearray,
    /// `_codecs.encode(text, "latin1")`, which is how protocol 2 has bytes.
    Encode,
    RebuildTensor,
    RebuildTensorV2,
    RebuildTensorV3,
    /// A parameter is its tensor.
    RebuildParameter,
    /// A storage class; `None` for one that is counted in bytes.
    Storage(Option<Dtype>),
    TorchDtype(&'static str, Option<Dtype>),
    NumpyReconstruct,
    NumpyArray,
    NumpyDtype,
    NumpyScalar,
}

impl Global {
    pub(crate) fn find(module: &str, name: &str) -> Result<Global, FormatError> {
        let refused = || FormatError::Global { module: quotable(module), name: quotable(name) };
        Ok(match (module, name) {
            ("collections", "OrderedDict" | "Counter") => Global::Dict,
            ("builtins" | "__builtin__", "dict") => Global::Dict,
            ("builtins" | "__builtin__", "set" | "frozenset") => Global::Set,
            ("builtins" | "__builtin__", "list") => Global::List,
            ("builtins" | "__builtin__", "tuple") | ("torch", "Size") => Global::Tuple,
            ("builtins" | "__builtin__", "bytearray") => Global::Bytearray,
            ("_codecs", "encode") => Global::Encode,
            ("torch._utils", "_rebuild_tensor") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensorV2,
            ("torch._utils", "_rebuild_tensor_v3") => Global::RebuildTensorV3,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                Global::RebuildParameter
            }
            ("torch" | "torch.storage", "UntypedStorage") => Global::Storage(None),
            ("torch", _) if name.ends_with("Storage") => {
                Global::Storage(Some(storage_dtype(name).ok_or_else(refused)?))
            }
            ("torch", _) => torch_dtype(name).ok_or_else(refused)?,
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => {
                Global::NumpyReconstruct
            }
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Global::NumpyScalar,
            ("numpy", "ndarray") => Global::NumpyArray,
            ("numpy", "dtype") => Global::NumpyDtype,
            _ => return Err(refused()),
        })
    }
}

/// The storage class that PyTorch has for a dtype; `None` for one that is counted in bytes.
pub(crate) fn storage_class(dtype: Dtype) -> Option<&'static str> {
    STORAGES.iter().find(|(it, _)| *it == dtype).map(|(_, name)| *name)
}

/// PyTorch's name of a dtype.
pub(crate) fn torch_name(dtype: Dtype) -> Option<&'static str> {
    TORCH_DTYPES.iter().find(|(_, it)| *it == Some(dtype)).map(|(name, _)| *name)
}

fn storage_dtype(name: &str) -> Option<Dtype> {
    STORAGES.iter().find(|(_, it)| *it == name).map(|(dtype, _)| *dtype)
}

fn torch_dtype(name: &str) -> Option<Global> {
    let found = TORCH_DTYPES.iter().find(|(it, _)| *it == name);
    found.map(|&(name, dtype)| Global::TorchDtype(name, dtype))
}

const STORAGES: &[(Dtype, &str)] = &[
    (Dtype::BOOL, "BoolStorage"),
    (Dtype::U8, "ByteStorage"),
    (Dtype::I8, "CharStorage"),
    (Dtype::I16, "ShortStorage"),
    (Dtype::F16, "HalfStorage"),
    (Dtype::BF16, "BFloat16Storage"),
    (Dtype::I32, "IntStorage"),
    (Dtype::F32, "FloatStorage"),
    (Dtype::C64, "ComplexFloatStorage"),
    (Dtype::F64, "DoubleStorage"),
    (Dtype::I64, "LongStorage"),
];

const TORCH_DTYPES: &[(&str, Option<Dtype>)] = &[
    ("bool", Some(Dtype::BOOL)),
    ("uint8", Some(Dtype::U8)),
    ("int8", Some(Dtype::I8)),
    ("float8_e5m2", Some(Dtype::F8_E5M2)),
    ("float8_e4m3fn", Some(Dtype::F8_E4M3)),
    ("float8_e8m0fnu", Some(Dtype::F8_E8M0)),
    ("float8_e4m3fnuz", Some(Dtype::F8_E4M3FNUZ)),
    ("float8_e5m2fnuz", Some(Dtype::F8_E5M2FNUZ)),
    ("int16", Some(Dtype::I16)),
    ("uint16", Some(Dtype::U16)),
    ("float16", Some(Dtype::F16)),
    ("bfloat16", Some(Dtype::BF16)),
    ("int32", Some(Dtype::I32)),
    ("uint32", Some(Dtype::U32)),
    ("float32", Some(Dtype::F32)),
    ("complex64", Some(Dtype::C64)),
    ("float64", Some(Dtype::F64)),
    ("int64", Some(Dtype::I64)),
    ("uint64", Some(Dtype::U64)),
    ("complex128", None),
];
