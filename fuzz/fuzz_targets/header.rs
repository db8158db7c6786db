#![no_main]
//! Any bytes as a safetensors file. What is accepted, the reference accepts with the same meaning.

use libfuzzer_sys::fuzz_target;
use pretrained_safetensors::{Strictness, TensorFile};
use safetensors::SafeTensors;

fuzz_target!(|bytes: &[u8]| {
    let compat = TensorFile::from_bytes_with(bytes.to_vec(), Strictness::Compat);
    let Ok(file) = TensorFile::from_bytes(bytes.to_vec()) else { return };
    let compat = compat.expect("strictly accepted");
    assert_eq!(compat.header(), file.header());
    let upstream = SafeTensors::deserialize(bytes).expect("strictly accepted");
    assert_eq!(upstream.len(), file.header().tensors().len());
    for (name, view) in upstream.iter() {
        let ours = file.tensor(name).expect("as many");
        assert_eq!(safetensors::Dtype::from(ours.dtype()), view.dtype());
        assert_eq!(ours.shape(), view.shape());
        assert_eq!(ours.data(), view.data());
    }
});
