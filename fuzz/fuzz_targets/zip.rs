#![no_main]
//! Any bytes as an archive.

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use pretrained_pickle::PickleFile;

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = PickleFile::from_bytes(bytes.to_vec(), Path::new("x")) else { return };
    let _ = file.verify();
    for (_, tensor) in file.tensors() {
        let Ok(bytes) = file.read(tensor) else { continue };
        assert_eq!(Some(bytes.len()), tensor.byte_len());
        if let Some(location) = file.location(tensor) {
            assert_eq!(location.len, bytes.len());
        }
    }
});
