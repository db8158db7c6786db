//! Casts, beside torch's: see `tests/python/torch_casts.py`.

use std::{path::Path, process::Command};

use pretrained_safetensors::{Dtype, TensorFile, cast};

#[test]
fn casts_are_those_of_torch() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let Some(python) = std::env::var_os("PRETRAINED_PYTHON") else {
        eprintln!("not compared: PRETRAINED_PYTHON is not set; `cargo xtask test` sets it");
        return;
    };
    let dir = tempfile::tempdir().expect("temp dir");
    let script = root.join("tests/python/torch_casts.py");
    let output = Command::new(python).arg(script).arg(dir.path()).output().expect("run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let file = TensorFile::read(&dir.path().join("casts.safetensors")).expect("just written");
    let floats = [Dtype::F16, Dtype::BF16, Dtype::F32, Dtype::F64];
    let small =
        [Dtype::F8_E5M2, Dtype::F8_E4M3, Dtype::F8_E5M2FNUZ, Dtype::F8_E4M3FNUZ, Dtype::F8_E8M0];
    for from in floats.into_iter().chain(small) {
        let numbers = file.tensor(from.name()).expect("written");
        for to in floats {
            let expected = file.tensor(&format!("{from}-{to}")).expect("written");
            let found = cast(numbers.data(), from, to).expect("floats");
            assert_eq!(found.len(), expected.data().len());
            let size = to.bits() / 8;
            let elements = found.chunks(size).zip(expected.data().chunks(size));
            for (i, (found, expected)) in elements.enumerate() {
                // Which of the many NaNs it is differs between torch's own ways to cast.
                let same = found == expected || (is_nan(to, found) && is_nan(to, expected));
                assert!(same, "{from} to {to}, number {i}: {found:x?}, torch has {expected:x?}");
            }
        }
    }
}

fn is_nan(dtype: Dtype, bytes: &[u8]) -> bool {
    let wide = cast(bytes, dtype, Dtype::F64).expect("floats");
    wide.first_chunk().is_some_and(|it| f64::from_le_bytes(*it).is_nan())
}
