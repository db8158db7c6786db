use crate::{FormatError, TensorSpec, layout::byte_len};

/// A number of bytes as Hugging Face's `max_shard_size` is written: `"5GB"`, `"200MB"`, `"1.5TB"`
/// or a plain number. Units are decimal, and their case does not matter.
///
/// # Errors
///
/// [`FormatError::FileSize`] for any other text, and for a number that comes to less than 0, or
/// with a unit to more than 2^53 bytes.
pub fn parse_size(text: &str) -> Result<u64, FormatError> {
    let invalid = || FormatError::FileSize(text.to_owned());
    let trimmed = text.trim();
    if let Ok(bytes) = trimmed.parse() {
        return Ok(bytes);
    }
    let unit_start = trimmed.len().checked_sub(2).filter(|&it| trimmed.is_char_boundary(it));
    let (number, unit) = trimmed.split_at(unit_start.ok_or_else(invalid)?);
    let unit = match unit.to_ascii_uppercase().as_str() {
        "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "TB" => 1e12,
        _ => return Err(invalid()),
    };
    let number: f64 = number.trim().parse().map_err(|_| invalid())?;
    let bytes = number * unit;
    // The same rounding as Python's `int(number * unit)`; beyond 2^53 no size is meant.
    if !(0.0..=9_007_199_254_740_992.0).contains(&bytes) {
        return Err(invalid());
    }
    Ok(bytes as u64)
}

/// Cuts tensors into shards, in order: a tensor over the limit gets a shard of its own, any other
/// closes the current shard if it does not fit into it.
pub(crate) fn split(
    specs: Vec<TensorSpec>,
    max_bytes: u64,
) -> Result<Vec<Vec<TensorSpec>>, FormatError> {
    let mut shards = Vec::new();
    let mut current = Vec::new();
    let mut current_bytes = 0;
    for spec in specs {
        let bytes = byte_len(&spec)? as u64;
        if bytes > max_bytes {
            shards.push(vec![spec]);
            continue;
        }
        if bytes > max_bytes - current_bytes {
            shards.push(std::mem::take(&mut current));
            current_bytes = 0;
        }
        current_bytes += bytes;
        current.push(spec);
    }
    if !current.is_empty() || shards.is_empty() {
        shards.push(current);
    }
    Ok(shards)
}
