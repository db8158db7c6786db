#![no_main]
//! Any text as an index. What is accepted stays within its directory, and survives being written.

use libfuzzer_sys::fuzz_target;
use pretrained_safetensors::{Index, is_plain_name, parse_size};

fuzz_target!(|text: &str| {
    let _ = parse_size(text);
    let Ok(index) = Index::parse(text) else { return };
    assert!(index.weight_map().values().all(|it| is_plain_name(it)));
    let json = index.to_json();
    assert!(json.is_ascii());
    assert_eq!(Index::parse(&json).as_ref(), Ok(&index));
});
