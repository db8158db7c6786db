#![no_main]
//! Any bytes as the pickle of a file in the form before PyTorch 1.6, which has it bare.

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use pretrained_pickle::PickleFile;

const BEFORE: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}X\x0d\0\0\0little_endian\x88s.";

fuzz_target!(|bytes: &[u8]| {
    let whole = [BEFORE, bytes].concat();
    let len = whole.len() as u64;
    let Ok(file) = PickleFile::from_bytes(whole, Path::new("x")) else { return };
    file.verify().expect("there are no checksums");
    let Ok(named) = file.named_tensors() else { return };
    let mut total = 0;
    for (name, tensor) in &named.tensors {
        assert!((1..=4096).contains(&name.len()));
        total += tensor.byte_len().expect("checked") as u64;
        let Ok(bytes) = file.read(tensor) else { continue };
        assert_eq!(Some(bytes.len()), tensor.byte_len());
        // Reading in parts is as good; a few of them are enough where there are many.
        let part = tensor.dtype.bits() / 8 * (bytes.len() / 64).max(3);
        let mut parts = vec![0; bytes.len()];
        for (i, piece) in parts.chunks_mut(part).enumerate() {
            file.read_range(tensor, i * part, piece).expect("readable as a whole");
        }
        assert_eq!(parts, bytes);
        if total > 8 << 20 {
            break;
        }
    }
    assert!(total <= len * 32 + (64 << 20));
    assert!(named.aliases().iter().all(|it| it.len() > 1));
});
