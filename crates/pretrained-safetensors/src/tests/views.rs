//! What is done with bytes that are in memory: `cargo xtask miri` runs these.

use crate::{
    Dtype, Layout, Metadata, Strictness, TensorFile, TensorSpec, TensorView, cast_into, tests::file,
};

/// One tensor of every dtype, of 8 elements, and one that is empty.
fn all_dtypes() -> Vec<u8> {
    let spec =
        |dtype: Dtype| TensorSpec { name: dtype.name().to_owned(), dtype, shape: vec![2, 4] };
    let empty = TensorSpec { name: "empty".to_owned(), dtype: Dtype::F64, shape: vec![3, 0] };
    let specs = Dtype::ALL.into_iter().map(spec).chain([empty]).collect();
    let layout = Layout::new(specs, &Metadata::new()).expect("valid specs");
    let mut bytes = Vec::new();
    let data = |spec: &TensorSpec| {
        let len = spec.dtype.byte_len(&spec.shape).expect("whole bytes");
        Ok((0..len).map(|i| spec.dtype as u8 ^ i as u8).collect::<Vec<u8>>())
    };
    layout.write_to(&mut bytes, data).expect("writing to memory");
    bytes
}

#[test]
fn views_borrow_and_never_overlap() {
    let file = TensorFile::from_bytes(all_dtypes()).expect("just written");
    let mut views: Vec<(&str, TensorView<'_>)> = file.tensors().collect();
    assert_eq!(views.len(), Dtype::ALL.len() + 1);
    views.sort_by_key(|(_, view)| (view.data().as_ptr(), view.data().len()));
    for pair in views.windows(2) {
        let (before, after) = (pair[0].1.data().as_ptr_range(), pair[1].1.data().as_ptr_range());
        assert!(before.end <= after.start, "{} and {}", pair[0].0, pair[1].0);
    }
    for dtype in Dtype::ALL {
        let view = file.tensor(dtype.name()).expect("written");
        let expected: Vec<u8> = (0..dtype.bits()).map(|i| dtype as u8 ^ i as u8).collect();
        assert_eq!((view.dtype(), view.shape(), view.data()), (dtype, &[2, 4][..], &expected[..]));
        let copy = file.read_tensor(dtype.name()).expect("in memory");
        assert_eq!(copy.as_deref(), Some(view.data()));
    }
    assert_eq!(file.tensor("empty").map(|it| it.data().len()), Some(0));
}

#[test]
fn views_pass_into_the_reference_and_back() {
    let file = TensorFile::from_bytes(all_dtypes()).expect("just written");
    for (name, view) in file.tensors() {
        let theirs = safetensors::tensor::TensorView::from(view);
        assert_eq!(theirs.data().as_ptr(), view.data().as_ptr(), "{name} was copied");
        assert_eq!(TensorView::try_from(&theirs), Ok(view), "{name}");
    }
}

#[test]
fn views_of_a_file_that_is_not_aligned() {
    let header = r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}}"#;
    let mut bytes = file(header, 0);
    bytes.extend([9, 1, 2, 3, 4, 5, 6, 7, 8]);
    let file = TensorFile::from_bytes_with(bytes, Strictness::Compat).expect("tolerated");
    let view = file.tensor("b").expect("there");
    assert_eq!(view.data(), [1, 2, 3, 4, 5, 6, 7, 8]);
    // Elements are read byte by byte, wherever they start.
    let mut wide = [0; 16];
    cast_into(view.data(), Dtype::F32, Dtype::F64, &mut wide).expect("floats");
    let number = f64::from(f32::from_le_bytes([1, 2, 3, 4]));
    assert_eq!(wide[..8], number.to_le_bytes());
}

#[test]
fn views_of_parts() {
    let file = TensorFile::from_bytes(all_dtypes()).expect("just written");
    let whole = file.tensor("I64").expect("written").data();
    let mut part = [0; 16];
    assert!(file.read_range("I64", 48, &mut part).expect("within"));
    assert_eq!(part, whole[48..]);
    assert!(file.read_range("I64", 56, &mut part).is_err());
    assert!(file.read_range("I64", usize::MAX, &mut part).is_err());
    assert!(!file.read_range("missing", 0, &mut part).expect("no such tensor"));
}
