use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use crate::{
    Array, Key, Tensor, Value,
    global::{storage_class, torch_name},
    opcode::*,
    zip_writer::ZipWriter,
};

/// Writes a value as `torch.save` would, such that `torch.load(weights_only=True)` reads it.
///
/// `stem` is the name of the file without its extension, as PyTorch has it inside. `data` is asked
/// for the bytes of each storage once, in order of the storages' numbers: it gets the first tensor
/// that views the storage. The same value gives the same bytes.
///
/// NumPy arrays are written as PyTorch's Trainer writes them: to load those, `torch.load` has to
/// be told to allow them, which the Trainer does.
///
/// # Errors
///
/// Whatever `data` or `out` fails with; [`InvalidInput`](std::io::ErrorKind::InvalidInput) for what
/// the file cannot hold: a tensor that does not fill its storage in C order, two that do not agree
/// about their storage, a storage of another length than its tensor, a shape that overflows, a dtype
/// that PyTorch lacks, a [`Key::Other`], an integer of over 255 bytes, a text of over 4 GiB.
pub fn write<B: AsRef<[u8]>>(
    out: impl Write,
    stem: &str,
    value: &Value,
    mut data: impl FnMut(&Tensor) -> io::Result<B>,
) -> io::Result<()> {
    let mut encoder = Encoder { out: vec![PROTO, 2], storages: BTreeMap::new() };
    encoder.value(value)?;
    encoder.out.push(STOP);
    let mut zip = ZipWriter::new(out);
    let member = |name: &str| format!("{stem}/{name}");
    zip.member(&member("data.pkl"), &encoder.out)?;
    zip.member(&member(".format_version"), b"1")?;
    zip.member(&member(".storage_alignment"), b"64")?;
    zip.member(&member("byteorder"), b"little")?;
    for (storage, tensor) in &encoder.storages {
        let bytes = data(tensor)?;
        if tensor.byte_len() != Some(bytes.as_ref().len()) {
            return Err(invalid("a storage has another length than its tensor"));
        }
        zip.member(&member(&format!("data/{storage}")), bytes.as_ref())?;
    }
    zip.member(&member("version"), b"3\n")?;
    let id = format!("{:040}", crate::checksum::checksum(&encoder.out));
    zip.member(&member(".data/serialization_id"), id.as_bytes())?;
    zip.finish()
}

struct Encoder<'a> {
    out: Vec<u8>,
    storages: BTreeMap<usize, &'a Tensor>,
}

impl<'a> Encoder<'a> {
    fn value(&mut self, value: &'a Value) -> io::Result<()> {
        match value {
            Value::None => self.out.push(NULL),
            Value::Bool(true) => self.out.push(NEWTRUE),
            Value::Bool(false) => self.out.push(NEWFALSE),
            Value::Int(it) => self.int(*it),
            Value::Long(it) => self.long(it)?,
            Value::Float(it) => {
                self.out.push(BINFLOAT);
                self.out.extend(it.to_be_bytes());
            }
            Value::Str(it) => self.text(it)?,
            Value::Bytes(it) => self.bytes(it)?,
            Value::List(items) => {
                self.out.extend([EMPTY_LIST, MARK]);
                self.values(items)?;
                self.out.push(APPENDS);
            }
            Value::Tuple(items) => {
                self.out.push(MARK);
                self.values(items)?;
                self.out.push(TUPLE);
            }
            Value::Set(items) => {
                self.global("__builtin__", "set");
                self.out.extend([EMPTY_LIST, MARK]);
                self.values(items)?;
                self.out.extend([APPENDS, TUPLE1, REDUCE]);
            }
            Value::Dict(entries) => {
                self.out.extend([EMPTY_DICT, MARK]);
                for (key, value) in entries {
                    match key {
                        Key::Int(it) => self.int(*it),
                        Key::Str(it) => self.text(it)?,
                        Key::Other(_) => return Err(invalid("a key is no integer and no string")),
                    }
                    self.value(value)?;
                }
                self.out.push(SETITEMS);
            }
            Value::Tensor(it) => self.tensor(it)?,
            Value::Array(it) => self.array(it)?,
            Value::Dtype(name) => self.global("torch", name),
        }
        Ok(())
    }

    fn values(&mut self, values: &'a [Value]) -> io::Result<()> {
        values.iter().try_for_each(|it| self.value(it))
    }

    fn tensor(&mut self, tensor: &'a Tensor) -> io::Result<()> {
        if tensor.offset != 0 || !tensor.is_contiguous() {
            return Err(invalid("a tensor does not fill its storage in C order"));
        }
        let first = *self.storages.entry(tensor.storage).or_insert(tensor);
        if first.dtype != tensor.dtype || first.byte_len() != tensor.byte_len() {
            return Err(invalid("two tensors do not agree about their storage"));
        }
        let class = storage_class(tensor.dtype);
        let name = torch_name(tensor.dtype).ok_or_else(|| invalid("PyTorch lacks a dtype"))?;
        let len = tensor.byte_len().ok_or_else(|| invalid("a tensor has no length in bytes"))?;
        // What has no storage class is counted in bytes.
        let count = if class.is_some() { len / (tensor.dtype.bits() / 8) } else { len };
        self.global(
            "torch._utils",
            if class.is_some() { "_rebuild_tensor_v2" } else { "_rebuild_tensor_v3" },
        );
        self.out.extend([MARK, MARK]);
        self.text("storage")?;
        match class {
            Some(class) => self.global("torch", class),
            None => self.global("torch.storage", "UntypedStorage"),
        }
        self.text(&tensor.storage.to_string())?;
        self.text("cpu")?;
        self.int(count as i64);
        self.out.extend([TUPLE, BINPERSID]);
        self.int(0);
        for sizes in [&tensor.shape, &tensor.strides] {
            self.out.push(MARK);
            sizes.iter().for_each(|it| self.int(*it as i64));
            self.out.push(TUPLE);
        }
        self.out.push(NEWFALSE);
        self.global("collections", "OrderedDict");
        self.out.extend([EMPTY_TUPLE, REDUCE]);
        if class.is_none() {
            self.global("torch", name);
        }
        self.out.extend([TUPLE, REDUCE]);
        Ok(())
    }

    fn array(&mut self, array: &'a Array) -> io::Result<()> {
        let (order, dtype) = array.dtype.split_at_checked(1).ok_or_else(|| invalid("no dtype"))?;
        self.global("numpy._core.multiarray", "_reconstruct");
        self.out.push(MARK);
        self.global("numpy", "ndarray");
        self.int(0);
        self.out.push(TUPLE1);
        self.bytes(b"b")?;
        self.out.extend([TUPLE, REDUCE, MARK]);
        self.int(1);
        self.out.push(MARK);
        array.shape.iter().for_each(|it| self.int(*it as i64));
        self.out.push(TUPLE);
        self.global("numpy", "dtype");
        self.out.push(MARK);
        self.text(dtype)?;
        self.out.extend([NEWFALSE, NEWTRUE, TUPLE, REDUCE, MARK]);
        self.int(3);
        self.text(order)?;
        self.out.extend([NULL, NULL, NULL]);
        [-1, -1, 0].iter().for_each(|it| self.int(*it));
        self.out.extend([TUPLE, BUILD]);
        self.out.push(if array.fortran_order { NEWTRUE } else { NEWFALSE });
        self.bytes(&array.data)?;
        self.out.extend([TUPLE, BUILD]);
        Ok(())
    }

    fn int(&mut self, int: i64) {
        if let Ok(it) = u8::try_from(int) {
            self.out.extend([BININT1, it]);
        } else if let Ok(it) = i32::try_from(int) {
            self.out.push(BININT);
            self.out.extend(it.to_le_bytes());
        } else {
            self.out.extend([LONG1, 8]);
            self.out.extend(int.to_le_bytes());
        }
    }

    fn long(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Longer ones have another opcode, which `weights_only` does not know.
        let len = u8::try_from(bytes.len()).map_err(|_| invalid("an integer is too long"))?;
        self.out.extend([LONG1, len]);
        self.out.extend(bytes);
        Ok(())
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        let len = u32::try_from(text.len()).map_err(|_| invalid("a string is too long"))?;
        self.out.push(BINUNICODE);
        self.out.extend(len.to_le_bytes());
        self.out.extend(text.as_bytes());
        Ok(())
    }

    /// Protocol 2 has no bytes.
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.global("_codecs", "encode");
        self.text(&bytes.iter().map(|it| char::from(*it)).collect::<String>())?;
        self.text("latin1")?;
        self.out.extend([TUPLE2, REDUCE]);
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) {
        self.out.push(GLOBAL);
        self.out.extend(format!("{module}\n{name}\n").as_bytes());
    }
}

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
