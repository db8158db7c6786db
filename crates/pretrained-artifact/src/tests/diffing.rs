use std::{fs, path::Path};

use pretrained_safetensors::{Dtype, Layout, Metadata, TensorSpec};

use super::{LLAMA, layouts::layout_dir, save_ab, temp, write_sharded, write_weights};
use crate::{ConfigChange, ConvertOptions, Difference, FileChange, OpenOptions, convert, diff};

fn difference(a: &Path, b: &Path) -> Difference {
    diff(a, b, &OpenOptions::default(), |_, _| ()).expect("two that can be compared")
}

/// Writes a file of tensors with these values.
fn write(path: &Path, tensors: &[(&str, &[f32])]) {
    let spec =
        |name: &str, len| TensorSpec { name: name.to_owned(), dtype: Dtype::F32, shape: vec![len] };
    let specs = tensors.iter().map(|(name, values)| spec(name, values.len())).collect();
    let layout = Layout::new(specs, &Metadata::new()).expect("valid specs");
    let values = |name: &str| {
        let values = tensors.iter().find(|it| it.0 == name).expect("one of these").1;
        values.iter().flat_map(|it| it.to_le_bytes()).collect::<Vec<u8>>()
    };
    let mut out = Vec::new();
    layout.write_to(&mut out, |it| Ok(values(&it.name))).expect("writing to memory");
    fs::write(path, out).expect("write weights");
}

#[test]
fn one_model_has_the_same_tensors_in_any_layout() {
    let single = layout_dir("single");
    for layout in ["single", "sharded", "pickled", "pickled-sharded"] {
        let found = difference(&single, &layout_dir(layout));
        assert_eq!(
            (found.same, found.values.len(), found.mismatched.len()),
            (12, 0, 0),
            "{layout}"
        );
        assert!(found.only_a.is_empty() && found.only_b.is_empty(), "{layout}");
    }
    assert!(difference(&single, &single).is_none());
    let bf16 = difference(&single, &layout_dir("bf16"));
    assert_eq!((bf16.mismatched.len(), bf16.dtypes.len(), bf16.same), (0, 12, 0));
    assert_eq!((bf16.dtypes[0].tensor.dtype, bf16.dtypes[0].dtype_b), (Dtype::F32, Dtype::BF16));
}

#[test]
fn a_conversion_is_told_from_another_model() {
    let dir = temp();
    let [model, half, other] =
        ["a", "b", "c"].map(|it| dir.path().join(it).with_extension("safetensors"));
    // More than one piece, with a rest.
    let mut values: Vec<f32> = (0..100_001).map(|i| (i as f32).sin()).collect();
    write(&model, &[("exact", &[0.5, -2.0]), ("long", &values), ("other.shape", &[1.0])]);
    *values.last_mut().expect("some") += 2.0;
    write(&other, &[("exact", &[0.5, -2.0]), ("long", &values), ("other.shape", &[1.0, 1.0])]);
    let options = ConvertOptions { dtype: Some(Dtype::BF16), ..ConvertOptions::default() };
    convert(&model, &half, &options, |_, _| ()).expect("converted");

    let found = difference(&model, &half);
    assert!(!found.is_none() && found.mismatched.is_empty(), "another type is a difference");
    let [long, exact, _] = &found.dtypes[..] else { panic!("three of a shape: {found:?}") };
    assert_eq!((&*long.tensor.name, long.elements, long.not_numbers), ("long", 100_001, 0));
    assert!(long.differing > 90_000 && long.is_equal_converted(), "{long:?}");
    assert_eq!((long.differing_as_a, long.differing_as_b), (Some(long.differing), Some(0)));
    // Half of a unit in the last of eight places, below one.
    assert!(long.max_abs.is_some_and(|it| it > 0.0 && it <= 2f64.powi(-9)), "{long:?}");
    assert_eq!((&*exact.tensor.name, exact.differing, exact.max_abs), ("exact", 0, Some(0.0)));
    let back = difference(&half, &model);
    assert_eq!((back.dtypes[0].differing_as_a, back.dtypes[0].max_abs), (Some(0), long.max_abs));

    let found = difference(&other, &half);
    let (long, shape) = (&found.dtypes[0], &found.mismatched[0]);
    assert_eq!((long.differing_as_b, long.is_equal_converted()), (Some(1), false));
    assert!(long.max_abs.is_some_and(|it| (it - 2.0).abs() < 0.01), "{long:?}");
    assert_eq!((shape.0.dtype, shape.1.dtype), (Dtype::F32, Dtype::BF16), "not comparable");
    for _ in 0..8 {
        assert_eq!(difference(&other, &half), found, "to the last bit of the mean");
    }
}

#[test]
fn tensors_are_told_by_name_shape_and_value() {
    let dir = temp();
    let (a, b) = (dir.path().join("a.safetensors"), dir.path().join("b.safetensors"));
    let nan = f32::NAN;
    write(
        &a,
        &[
            ("layers.10.w", &[1.0, 2.0]),
            ("layers.2.w", &[1.0, 2.0]),
            ("gone", &[0.0]),
            ("same", &[nan]),
            ("nan", &[nan, 1.0]),
            ("shape", &[1.0]),
            ("large", &[5.0; 4]),
        ],
    );
    write(
        &b,
        &[
            ("layers.10.w", &[1.5, 2.0]),
            ("layers.2.w", &[1.0, 2.5]),
            ("come", &[0.0]),
            ("same", &[nan]),
            ("nan", &[0.0, 1.0]),
            ("shape", &[1.0, 1.0]),
            ("large", &[5.0, 5.0, 6.0, 3.0]),
        ],
    );
    let found = difference(&a, &b);
    assert!(!found.is_none() && !found.are_models);
    let names = |specs: &[TensorSpec]| specs.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&found.only_a), ["gone"]);
    assert_eq!(names(&found.only_b), ["come"]);
    assert_eq!(found.mismatched[0].0.shape, [1]);
    assert_eq!(found.mismatched[0].1.shape, [2]);
    assert_eq!(found.same, 1);
    let values: Vec<_> = found
        .values
        .iter()
        .map(|it| (&*it.tensor.name, it.elements, it.differing, it.not_numbers, it.max_abs))
        .collect();
    let expected = [
        ("nan", 2, 1, 1, Some(0.0)),
        ("large", 4, 2, 0, Some(2.0)),
        ("layers.2.w", 2, 1, 0, Some(0.5)),
        ("layers.10.w", 2, 1, 0, Some(0.5)),
    ];
    assert_eq!(values, expected);
    assert_eq!(found.values[1].mean_abs, Some(0.75));
    assert_eq!(found.values[0].mean_abs, Some(0.0), "of the one element that is a number");
}

/// The last element of a tensor that is read in several pieces, and as many times as asked.
#[test]
fn a_long_tensor_is_compared_to_its_end_and_always_alike() {
    let dir = temp();
    let (a, b) = (dir.path().join("a.safetensors"), dir.path().join("b.safetensors"));
    let mut values: Vec<f32> = (0..500_000).map(|i| i as f32 * 0.1).collect();
    write(&a, &[("long", &values)]);
    values.iter_mut().step_by(3).for_each(|it| *it += 0.3);
    *values.last_mut().expect("some") += 1000.0;
    write(&b, &[("long", &values)]);
    let total = std::sync::Mutex::new(0);
    let found = diff(&a, &b, &OpenOptions::default(), |done, of| {
        assert_eq!(of, 2_000_000);
        let mut total = total.lock().expect("no panic");
        *total = done.max(*total);
    })
    .expect("two files");
    assert_eq!(total.into_inner().expect("no panic"), 2_000_000);
    assert_eq!(found.values[0].differing, 500_000_u64.div_ceil(3) + 1);
    assert_eq!(found.values[0].max_abs, Some(1000.0));
    for _ in 0..8 {
        assert_eq!(difference(&a, &b), found, "to the last bit of the mean");
    }
}

#[test]
fn configurations_are_compared_key_by_key() {
    let dir = temp();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    for it in [&a, &b] {
        fs::create_dir(it).expect("a directory is made");
        write_weights(&it.join("model.safetensors"), &[("w", &[2])]);
    }
    let write = |to: &Path, config: &str| fs::write(to, config).expect("a file is written");
    write(
        &a.join("config.json"),
        r#"{"model_type": "llama", "n": 1, "eps": NaN, "rope": {"factor": 2.0, "type": "x"}, "old": [1]}"#,
    );
    write(
        &b.join("config.json"),
        r#"{"rope": {"type": "x", "factor": 4.0}, "model_type": "llama", "n": 1.0, "eps": NaN, "new": {}}"#,
    );
    write(&b.join("generation_config.json"), r#"{"top_k": 50}"#);
    write(&a.join("tokenizer.json"), "{}");
    write(&b.join("tokenizer.json"), "{ }");
    write(&b.join("merges.txt"), "");
    let found = difference(&a, &b);
    assert!(found.are_models && found.values.is_empty());
    let change = |file, key: &str, a: Option<&str>, b: Option<&str>| {
        let (a, b) = (a.map(str::to_owned), b.map(str::to_owned));
        ConfigChange { file, key: key.to_owned(), a, b }
    };
    let expected = [
        change("config.json", "n", Some("1"), Some("1.0")),
        change("config.json", "new", None, Some("{}")),
        change("config.json", "old", Some("[ 1 ]"), None),
        change("config.json", "rope.factor", Some("2.0"), Some("4.0")),
        change("generation_config.json", "top_k", None, Some("50")),
    ];
    assert_eq!(found.configs, expected);
    let file = |name: &str, a, b| FileChange { name: name.to_owned(), a, b };
    let expected = [file("merges.txt", None, Some(0)), file("tokenizer.json", Some(2), Some(3))];
    assert_eq!(found.tokenizer_files, expected);
    assert_eq!(difference(&b, &a).configs.len(), 5, "either way round");
}

#[test]
fn a_file_is_compared_with_the_weights_of_a_directory() {
    let dir = temp();
    let (sharded, saved) = (dir.path().join("sharded"), dir.path().join("saved"));
    fs::create_dir(&sharded).expect("a directory is made");
    write_sharded(&sharded);
    save_ab(&saved, 0, u64::MAX).expect("saved");
    assert!(difference(&saved.join("model.safetensors"), &sharded).is_none());
    fs::write(sharded.join("config.json"), LLAMA).expect("written");
    let found = difference(&saved, &sharded);
    assert!(!found.configs.is_empty() && found.same == 2, "{found:?}");
}
