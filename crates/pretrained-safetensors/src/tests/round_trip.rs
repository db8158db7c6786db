use std::{collections::HashMap, fs::File, io::Read, path::Path};

use half::bf16;
use proptest::{collection::vec, prelude::*};

use crate::{Dtype, Index, Layout, Metadata, TensorFile, TensorSpec, TensorView, cast, shard_name};

fn spec(name: &str, dtype: Dtype, shape: &[usize]) -> TensorSpec {
    TensorSpec { name: name.to_owned(), dtype, shape: shape.to_vec() }
}

fn pt() -> Metadata {
    Metadata::from([("format".to_owned(), "pt".to_owned())])
}

/// Bytes that differ from tensor to tensor.
fn bytes_of(spec: &TensorSpec) -> Vec<u8> {
    let len = spec.dtype.byte_len(&spec.shape).expect("small");
    let seed = spec.name.bytes().fold(7u8, |a, b| a.wrapping_mul(31).wrapping_add(b));
    (0..len).map(|i| (i as u8).wrapping_mul(13) ^ seed ^ ((i >> 8) as u8)).collect()
}

fn in_memory(layout: &Layout) -> Vec<u8> {
    let mut out = Vec::new();
    layout.write_to(&mut out, |it| Ok(bytes_of(it))).expect("writing to memory");
    assert_eq!(out.len() as u64, layout.file_len());
    out
}

fn contents(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    File::open(path).and_then(|mut it| it.read_to_end(&mut bytes)).expect("readable");
    bytes
}

fn specs() -> impl Strategy<Value = Vec<TensorSpec>> {
    let dtype = proptest::sample::select(Dtype::ALL.to_vec());
    let one = (dtype, vec(0usize..5, 0..4)).prop_map(|(dtype, shape)| (dtype, shape));
    vec(("[a-zé][a-zé_.]{0,11}", one), 0..12).prop_map(|all| {
        let unique: HashMap<String, (Dtype, Vec<usize>)> = all.into_iter().collect();
        let specs =
            unique.into_iter().map(|(name, (dtype, shape))| TensorSpec { name, dtype, shape });
        specs.filter(|it| it.dtype.byte_len(&it.shape).is_some()).collect()
    })
}

proptest! {
    #[test]
    fn what_is_written_is_what_the_reference_writes(specs in specs()) {
        let tensors: Vec<_> = specs.iter().map(|it| (it.clone(), bytes_of(it))).collect();
        let upstream = tensors.iter().map(|(spec, data)| {
            let view = TensorView { dtype: spec.dtype, shape: &spec.shape, data };
            (spec.name.clone(), view)
        });
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let expected = safetensors::serialize(upstream, Some(metadata)).expect("valid tensors");
        let layout = Layout::new(specs, &pt()).expect("valid specs");
        prop_assert_eq!(in_memory(&layout), expected);
    }

    #[test]
    fn what_is_written_is_read_back(specs in specs()) {
        let layout = Layout::new(specs.clone(), &pt()).expect("valid specs");
        let file = TensorFile::from_bytes(in_memory(&layout)).expect("our own file");
        prop_assert_eq!(file.header().metadata(), &pt());
        prop_assert_eq!(file.header().tensors().len(), specs.len());
        for spec in &specs {
            let view = file.tensor(&spec.name).expect("written");
            prop_assert_eq!(view.dtype(), spec.dtype);
            prop_assert_eq!(view.shape(), spec.shape.as_slice());
            prop_assert_eq!(view.data(), bytes_of(spec));
        }
    }

    #[test]
    fn narrow_types_survive_a_cast_and_back(bits in vec(any::<u16>(), 0..3000)) {
        let bytes: Vec<u8> = bits.iter().flat_map(|it| it.to_le_bytes()).collect();
        let nan = |bits: &u16| bf16::from_bits(*bits).is_nan();
        let wide = cast(&bytes, Dtype::BF16, Dtype::F64).expect("floats");
        let back = cast(&wide, Dtype::F64, Dtype::BF16).expect("floats");
        let back = back.as_chunks().0.iter().map(|it| u16::from_le_bytes(*it));
        for (a, b) in bits.iter().zip(back) {
            prop_assert!(*a == b || (nan(a) && nan(&b)), "{:#x} {:#x}", a, b);
        }
    }
}

#[test]
#[allow(unsafe_code)]
fn every_way_of_writing_and_reading_agrees() {
    let dir = tempfile::tempdir().expect("temp dir");
    // One tensor of several pieces, one over the bytes in flight, and some small ones.
    let specs = vec![
        spec("b", Dtype::U8, &[3]),
        spec("a", Dtype::F32, &[3, 1 << 20]),
        spec("scalar", Dtype::F64, &[]),
        spec("none", Dtype::I64, &[4, 0]),
        spec("long", Dtype::BF16, &[33 << 20]),
    ];
    let layout = Layout::new(specs.clone(), &pt()).expect("valid specs");
    let bytes: HashMap<&str, Vec<u8>> =
        specs.iter().map(|it| (it.name.as_str(), bytes_of(it))).collect();
    let mut expected = Vec::new();
    layout.write_to(&mut expected, |it| Ok(&bytes[it.name.as_str()])).expect("write");

    let path = dir.path().join("parallel.safetensors");
    let file = File::create_new(&path).expect("create");
    layout.write_parallel(&file, |it| Ok(&bytes[it.name.as_str()])).expect("write");
    assert!(contents(&path) == expected, "write_parallel");
    let pieces = dir.path().join("pieces.safetensors");
    let file = File::create_new(&pieces).expect("create");
    let fill = |spec: &TensorSpec, offset: usize, piece: &mut [u8]| {
        piece.copy_from_slice(&bytes[spec.name.as_str()][offset..offset + piece.len()]);
        Ok(())
    };
    layout.write_pieces(&file, fill).expect("write");
    assert!(contents(&pieces) == expected, "write_pieces");

    // SAFETY: The file is private to this test.
    let mapped = unsafe { TensorFile::map(&path) }.expect("valid file");
    let read = TensorFile::read(&path).expect("valid file");
    let opened = TensorFile::open(&path).expect("valid file");
    assert_eq!(mapped.header(), opened.header());
    assert!(mapped.tensors().eq(read.tensors()));
    assert_eq!((mapped.tensors().count(), opened.tensors().count()), (specs.len(), 0));
    for spec in &specs {
        let data = bytes[spec.name.as_str()].as_slice();
        let alignment = spec.dtype.alignment();
        for view in [mapped.tensor(&spec.name), read.tensor(&spec.name)] {
            let view = view.expect("there");
            assert!(view.data() == data, "{}", spec.name);
            assert_eq!(view.data().as_ptr() as usize % alignment, 0, "{}", spec.name);
        }
        assert_eq!(opened.tensor(&spec.name), None);
        assert!(opened.read_tensor(&spec.name).expect("readable").as_deref() == Some(data));
    }
    assert_eq!(opened.read_tensor("missing").expect("readable"), None);
    let error = opened.read_into("b", &mut [0; 4]).expect_err("wrong length");
    assert_eq!(error.to_string(), "tensor `b` takes 3 bytes, the buffer has 4");
}

#[test]
fn data_of_the_wrong_length_is_not_written() {
    let layout = Layout::new(vec![spec("w", Dtype::F32, &[2])], &pt()).expect("valid specs");
    let error = layout.write_to(Vec::new(), |_| Ok([0; 7])).expect_err("too short");
    assert_eq!(error.to_string(), "tensor `w`: shape [2] of F32 does not take 7 bytes");
    let dir = tempfile::tempdir().expect("temp dir");
    let file = File::create_new(dir.path().join("x")).expect("create");
    let error = layout.write_parallel(&file, |_| Ok([0; 7])).expect_err("too short");
    assert_eq!(error.to_string(), "tensor `w`: shape [2] of F32 does not take 7 bytes");
}

#[test]
fn shards_are_cut_in_order() {
    let sizes = [4, 4, 20, 3, 8, 1, 11];
    let specs = sizes.iter().enumerate().map(|(i, &len)| spec(&i.to_string(), Dtype::U8, &[len]));
    let shards = Layout::shards(specs.collect(), 10, &pt()).expect("valid specs");
    let names = |it: &Layout| it.tensors().map(|it| it.name.as_str()).collect::<String>();
    let names: Vec<String> = shards.iter().map(names).collect();
    // 2 and 6 are over the limit and stand alone at once; 0 and 1 are closed by 3 only.
    assert_eq!(names, ["2", "01", "3", "6", "45"]);
    let files: Vec<String> =
        (1..=shards.len()).map(|i| shard_name("model", "safetensors", i, shards.len())).collect();
    let index = Index::new(files.iter().map(String::as_str).zip(&shards), Some(51));
    let index = index.expect("each tensor is in one shard");
    assert_eq!(index.total_size(), Some(51));
    assert_eq!(index.weight_map()["6"].len(), files[0].len());
    assert_eq!(Index::parse(&index.to_json()), Ok(index));
}

#[test]
fn casts_round_to_nearest_even() {
    let to = |value: f32, dtype| cast(&value.to_le_bytes(), Dtype::F32, dtype).expect("floats");
    assert_eq!(to(1.0 + 1.0 / 256.0, Dtype::BF16), [0x80, 0x3f]);
    assert_eq!(to(1.0 + 3.0 / 256.0, Dtype::BF16), [0x82, 0x3f]);
    assert_eq!(to(65520.0, Dtype::F16), [0x00, 0x7c]);
    assert_eq!(to(6.0e-8, Dtype::F16), [0x01, 0x00]);
    let error = cast(&[0; 4], Dtype::F32, Dtype::I8).expect_err("not a float");
    assert_eq!(error.to_string(), "no conversion from F32 to I8");
    let error = cast(&[0; 3], Dtype::F32, Dtype::F16).expect_err("ragged");
    assert_eq!(
        error.to_string(),
        "3 bytes are no whole number of F32 elements, or not as many as asked for"
    );
}
