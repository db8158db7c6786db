#![no_main]
//! Any bytes as an archive.

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use pretrained_pickle::PickleFile;

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = PickleFile::from_bytes(bytes.to_vec(), Path::new("x")) else { return };
    let is_whole = file.verify().is_ok();
    let Ok(named) = file.named_tensors() else { return };
    let mut total = 0;
    for (_, tensor) in &named.tensors {
        total += tensor.byte_len().expect("checked");
        let checksum = file.checksum(tensor);
        match file.read(tensor) {
            Ok(bytes) => {
                assert_eq!(Some(bytes.len()), tensor.byte_len());
                if let Some(checksum) = checksum {
                    let (first, second) = bytes.split_at(bytes.len() / 2);
                    checksum.add(first.len(), second);
                    checksum.add(0, first);
                    checksum.check().expect("it was read, so it is whole");
                }
                if let Some(location) = file.location(tensor) {
                    assert_eq!(location.len, bytes.len());
                }
            }
            Err(_) => assert!(!is_whole || tensor.byte_len() > Some(64 << 20)),
        }
        if total > 8 << 20 {
            break;
        }
    }
});
