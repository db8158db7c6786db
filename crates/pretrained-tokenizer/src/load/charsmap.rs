//! The character map of SentencePiece: a `u32`, the length of a trie in bytes, then the trie, then text.
//!
//! The crate that reads it allocates as much as that length says, before it looks whether so much is there.

use serde_json::Value;

/// Refuses a map that is shorter than its trie.
pub(crate) fn check(map: &[u8]) -> Result<(), String> {
    let head = map.first_chunk().ok_or("precompiled_charsmap: it is cut off")?;
    check_len(*head, map.len())
}

/// Refuses such a map in any of the stages of a `normalizer`, where it is spelled in base 64.
pub(crate) fn check_stages(stages: &Value) -> Result<(), String> {
    match stages {
        Value::Array(stages) => stages.iter().try_for_each(check_stages),
        Value::Object(fields) => fields.iter().try_for_each(|(key, value)| match value {
            Value::String(map) if key == "precompiled_charsmap" => check_base64(map),
            value => check_stages(value),
        }),
        _ => Ok(()),
    }
}

fn check_base64(map: &str) -> Result<(), String> {
    // Six characters of six bits hold the four bytes. What is no base 64, the reader refuses itself.
    let Some(characters) = map.as_bytes().first_chunk::<6>() else { return Ok(()) };
    let mut bits = 0u64;
    for character in characters {
        let digit = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Ok(()),
        };
        bits = bits << 6 | u64::from(digit);
    }
    let [.., a, b, c, d] = ((bits >> 4) as u32).to_be_bytes();
    check_len([a, b, c, d], map.len() / 4 * 3)
}

fn check_len(head: [u8; 4], len: usize) -> Result<(), String> {
    let trie = u32::from_le_bytes(head) as usize;
    if trie > len.saturating_sub(head.len()) {
        return Err(format!("precompiled_charsmap: a trie of {trie} bytes in a map of {len}"));
    }
    Ok(())
}
