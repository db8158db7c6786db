use pretrained_safetensors::Dtype;

/// What a pickle holds, as data. Objects that were shared are repeated, tensors' storages are not.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // The names are Python's.
pub enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// An integer beyond 64 bits: two's complement, little-endian.
    Long(Vec<u8>),
    Float(f64),
    Str(String),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Tuple(Vec<Value>),
    Set(Vec<Value>),
    /// In order of insertion.
    Dict(Vec<(Key, Value)>),
    Tensor(Tensor),
    Array(Array),
    /// A `torch.dtype`, such as `float32`.
    Dtype(String),
}

/// A dictionary's key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // The names are Python's.
pub enum Key {
    Int(i64),
    Str(String),
    /// Any other that can be a key: written out.
    Other(String),
}

/// A tensor: a view of a storage. Its bytes are elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tensor {
    /// Number of the storage. Tensors with the same number share their memory.
    pub storage: usize,
    /// Element type.
    pub dtype: Dtype,
    /// Dimensions, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// Distance, in elements, between neighbours in each dimension.
    pub strides: Vec<usize>,
    /// Position of the first element in the storage, in elements.
    pub offset: usize,
}

/// A NumPy array: in a random generator's state, for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Array {
    /// NumPy's spelling, such as `<u4`.
    pub dtype: String,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Whether the innermost dimension is the first.
    pub fortran_order: bool,
    /// The elements' bytes, in the order and byte order that the fields above say.
    pub data: Vec<u8>,
}

impl Value {
    /// The value of a string key, if this is a dictionary that has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let entries = self.as_dict()?;
        entries.iter().find(|(it, _)| matches!(it, Key::Str(it) if it == key)).map(|(_, it)| it)
    }

    /// The entries, if this is a dictionary.
    pub fn as_dict(&self) -> Option<&[(Key, Value)]> {
        match self {
            Value::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    /// The elements, if this is a list or a tuple.
    pub fn as_sequence(&self) -> Option<&[Value]> {
        match self {
            Value::List(items) | Value::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The number, if this is an integer that fits.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(it) => Some(*it),
            _ => None,
        }
    }

    /// The number, if this is a float or an integer.
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Value::Float(it) => Some(*it),
            Value::Int(it) => Some(*it as f64),
            _ => None,
        }
    }

    /// The text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(it) => Some(it),
            _ => None,
        }
    }

    /// The tensor, if this is one.
    pub fn as_tensor(&self) -> Option<&Tensor> {
        match self {
            Value::Tensor(it) => Some(it),
            _ => None,
        }
    }
}

impl Tensor {
    /// A tensor that fills its storage, in C order.
    pub fn contiguous(storage: usize, dtype: Dtype, shape: Vec<usize>) -> Tensor {
        let strides = contiguous_strides(&shape);
        Tensor { storage, dtype, shape, strides, offset: 0 }
    }

    /// Whether the elements lie next to each other, in C order.
    pub fn is_contiguous(&self) -> bool {
        let mut expected = 1usize;
        for (&dim, &stride) in self.shape.iter().zip(&self.strides).rev() {
            // The stride of a dimension of one element is never used.
            if dim > 1 && stride != expected {
                return self.shape.contains(&0);
            }
            expected = expected.saturating_mul(dim);
        }
        true
    }

    /// Bytes that the elements take, each counted once for every place it has in the shape.
    pub fn byte_len(&self) -> Option<usize> {
        self.dtype.byte_len(&self.shape)
    }
}

impl Tensor {
    /// Where in the storage, in bytes, the last element ends; 0 if there is none. `None` if there
    /// is no such place.
    pub(crate) fn end(&self) -> Option<usize> {
        if self.shape.len() != self.strides.len() || self.dtype.bits() < 8 {
            return None;
        }
        if self.shape.contains(&0) {
            return Some(0);
        }
        let mut last = self.offset;
        for (&dim, &stride) in self.shape.iter().zip(&self.strides) {
            last = last.checked_add((dim - 1).checked_mul(stride)?)?;
        }
        last.checked_add(1)?.checked_mul(self.dtype.bits() / 8)
    }
}

fn contiguous_strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; shape.len()];
    for i in (1..shape.len()).rev() {
        // As PyTorch has it, and so that an empty tensor's strides do not vanish.
        strides[i - 1] = strides[i].saturating_mul(shape[i].max(1));
    }
    strides
}
