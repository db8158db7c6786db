use crate::FormatError;

/// Whether a string names a file directly inside a directory, on any system: no separator, no
/// drive, no `..`, nothing invisible.
///
/// An index comes from the same untrusted place as the weights, and must not reach outside its
/// directory.
pub fn is_plain_name(name: &str) -> bool {
    let forbidden = |c: char| matches!(c, '/' | '\\' | ':') || is_invisible(c);
    !matches!(name, "" | "." | "..") && name.len() <= MAX_FILE_NAME && !name.contains(forbidden)
}

/// The name of one shard, as Hugging Face spells it: `model-00001-of-00005.safetensors` is
/// `shard_name("model", "safetensors", 1, 5)`. Shards are numbered from 1.
pub fn shard_name(stem: &str, extension: &str, number: usize, count: usize) -> String {
    format!("{stem}-{number:05}-of-{count:05}.{extension}")
}

pub(crate) fn check_tensor_name(name: &str) -> Result<(), FormatError> {
    // Nearly every name is made of these, and a file has thousands.
    let is_plain = name.bytes().all(|it| IS_PLAIN[usize::from(it)]);
    if is_plain && !name.starts_with('.') && (1..=MAX_TENSOR_NAME).contains(&name.len()) {
        return Ok(());
    }
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > MAX_TENSOR_NAME {
        "it is too long"
    } else if name.contains(is_invisible) {
        "it has a control character"
    } else if name.starts_with('/') || name.contains('\\') {
        "it is a path"
    } else if name.split('/').any(|it| it == "..") {
        "it is a path upwards"
    } else {
        return Ok(());
    };
    let mut name = name.to_owned();
    name.truncate(name.floor_char_boundary(MAX_TENSOR_NAME));
    Err(FormatError::TensorName { name, reason })
}

/// Controls, and the marks that make text run in the other direction: they let a name look like
/// another one on a screen.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{61c}')
}

/// Bytes that nearly every name is made of.
const IS_PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0u8;
    while byte < 128 {
        plain[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        byte += 1;
    }
    plain
};
const MAX_FILE_NAME: usize = 255;
const MAX_TENSOR_NAME: usize = 4096;
