use std::fs;

use pretrained_safetensors::Dtype;

use super::{SHARDS, layouts::layout_dir, listing, temp, write_sharded, write_weights};
use crate::{
    Format, Inspection, NonFinite, OpenOptions, Verification, VerifyOptions, inspect, verify,
};

fn look(layout: &str) -> Inspection {
    inspect(layout_dir(layout), &OpenOptions::default()).expect("inspect")
}

#[track_caller]
fn check_whole(path: impl AsRef<std::path::Path>) -> Verification {
    let verification = verify(path, &VerifyOptions::default()).expect("something to look at");
    assert_eq!(verification.problems, [] as [&str; 0]);
    verification
}

fn problems(dir: &std::path::Path) -> Vec<String> {
    let verification = verify(dir, &VerifyOptions::default()).expect("something to look at");
    let dir = dir.display().to_string();
    verification.problems.iter().map(|it| it.replace(&dir, "DIR")).collect()
}

#[test]
fn parameters_are_counted_once() {
    // As transformers' `num_parameters()` counts them.
    for (layout, parameters) in
        [("single", 888), ("sharded", 888), ("tied", 696), ("pickled", 888), ("pickled-tied", 696)]
    {
        let inspection = look(layout);
        assert_eq!(inspection.parameters, parameters, "{layout}");
        assert_eq!(inspection.model.and_then(|it| it.model_type).as_deref(), Some("llama"));
    }
}

#[test]
fn tied_names_are_found() {
    let llama = ["model.embed_tokens.weight", "lm_head.weight"];
    let gpt2 = ["transformer.wte.weight", "lm_head.weight"];
    assert_eq!(look("tied").tied, [llama]);
    assert_eq!(look("pickled-tied").tied, [llama]);
    assert_eq!(look("tied-gpt2").tied, [gpt2]);
    assert_eq!(look("pickled-tied-gpt2").tied, [gpt2]);
    assert!(look("single").tied.is_empty());
}

#[test]
fn bytes_are_summed_per_dtype() {
    let inspection = look("mixed");
    let sums: Vec<(Dtype, usize, u64, u64)> =
        inspection.dtypes.iter().map(|(d, it)| (*d, it.tensors, it.elements, it.bytes)).collect();
    assert_eq!(sums, [(Dtype::BF16, 9, 864, 1728), (Dtype::F32, 3, 24, 96)]);
    assert_eq!(inspection.bytes(), 1824);
}

#[test]
fn a_single_file_can_be_inspected() {
    let path = layout_dir("pickled-legacy").join("pytorch_model.bin");
    let inspection = inspect(&path, &OpenOptions::default()).expect("inspect");
    assert_eq!(inspection.model, None);
    assert_eq!(inspection.files[0].format, Format::Pickle);
    assert_eq!(inspection.parameters, 888);
    assert_eq!(check_whole(&path).tensors, 12);
}

#[test]
fn every_layout_is_whole() {
    for layout in listing(&layout_dir("")) {
        let variant = layout.starts_with("variant").then(|| "fp16".to_owned());
        let options = VerifyOptions { variant, values: true, ..VerifyOptions::default() };
        let verification = verify(layout_dir(&layout), &options).expect("something to look at");
        assert_eq!(verification.problems, [] as [&str; 0], "{layout}");
        assert_eq!(verification.non_finite, []);
    }
}

#[test]
fn every_damaged_file_is_named() {
    let temp = temp();
    let dir = temp.path();
    write_sharded(dir);
    fs::write(dir.join("tokenizer.json"), "{").expect("write");
    fs::write(dir.join("generation_config.json"), "[]").expect("write");
    let bytes = fs::read(dir.join(SHARDS[0])).expect("read");
    fs::write(dir.join(SHARDS[0]), &bytes[..bytes.len() - 8]).expect("write");
    fs::remove_file(dir.join(SHARDS[1])).expect("remove");
    let expected = [
        "DIR/generation_config.json: not a JSON object".to_owned(),
        "DIR/tokenizer.json: not JSON: EOF while parsing an object at line 1 column 1".to_owned(),
        format!("DIR/{}: 8 bytes of data, where tensors take 16: the file is cut short", SHARDS[0]),
        format!(
            "DIR/{}: this file is missing, and model.safetensors.index.json names it; download \
             it, or save the model again",
            SHARDS[1]
        ),
    ];
    assert_eq!(problems(dir), expected);
}

#[test]
fn what_cannot_be_looked_at_is_not_called_damaged() {
    let temp = temp();
    let path = temp.path().join("model.safetensors");
    write_weights(&path, &[("a", &[4])]);
    let fails = |path: &std::path::Path| {
        verify(path, &VerifyOptions::default()).expect_err("not known").to_string()
    };
    assert!(fails(temp.path()).contains("there is no config.json"), "{}", fails(temp.path()));
    assert!(fails(std::path::Path::new("/dev/null")).ends_with("a pipe or a device, not a file"));
    // A pickle of a whole object.
    let object = temp.path().join("object.bin");
    fs::write(&object, b"\x80\x02cmy.module\nNet\n.").expect("write");
    assert!(fails(&object).contains("object.bin"));
    let damaged = temp.path().join("damaged.bin");
    fs::write(&damaged, b"\x80\x02]").expect("write");
    assert_eq!(problems(&damaged).len(), 1);
}

#[test]
fn a_flipped_bit_in_a_pickle_is_found() {
    let temp = temp();
    let path = temp.path().join("pytorch_model.bin");
    let mut bytes = fs::read(layout_dir("pickled").join("pytorch_model.bin")).expect("read");
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&path, bytes).expect("write");
    let verification = verify(&path, &VerifyOptions::default()).expect("something to look at");
    assert_eq!(verification.problems.len(), 1, "{:?}", verification.problems);
}

#[test]
fn values_that_are_not_finite_are_counted() {
    let temp = temp();
    let path = temp.path().join("x.safetensors");
    write_weights(&path, &[("a", &[4]), ("b", &[2])]);
    let mut bytes = fs::read(&path).expect("read");
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    bytes[end - 8..end - 4].copy_from_slice(&f32::NEG_INFINITY.to_le_bytes());
    fs::write(&path, bytes).expect("write");
    let options = VerifyOptions { values: true, ..VerifyOptions::default() };
    let verification = verify(&path, &options).expect("something to look at");
    assert!(verification.is_whole());
    let expected = NonFinite { tensor: "b".to_owned(), nan: 1, infinite: 1 };
    assert_eq!(verification.non_finite, [expected]);
}
