use crate::{
    Error, ParamMap,
    save::{Bytes, specs},
};

/// Identifies parameters: equal names, types, shapes and bytes give the same fingerprint, on
/// whatever device they are.
///
/// # Errors
///
/// [`Error::Kind`] if one is of a kind that files do not have; [`Error::Torch`] if it cannot be
/// copied from its device.
pub fn fingerprint(params: &ParamMap) -> Result<String, Error> {
    let names: Vec<String> = params.keys().cloned().collect();
    let bytes = Bytes::new(params);
    let mut hasher = blake3::Hasher::new();
    for spec in specs(params, &names)? {
        let head = format!("{:?} {:?} {:?}\n", spec.name, spec.dtype, spec.shape);
        hasher.update(head.as_bytes());
        let bytes = bytes.of(&spec).map_err(|e| Error::Torch(e.to_string()))?;
        hasher.update_rayon(&bytes);
    }
    Ok(hasher.finalize().to_hex().to_string())
}
