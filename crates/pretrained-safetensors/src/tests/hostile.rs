use crate::{
    Dtype, FormatError, Header, Index, Strictness, TensorFile,
    tests::{file, raw_file},
};

#[track_caller]
fn check(bytes: &[u8], expected: FormatError) {
    assert_eq!(Header::parse(bytes, bytes.len() as u64), Err(expected));
}

/// Refused strictly; read, and reported, as the reference reads it.
#[track_caller]
fn check_tolerated(bytes: &[u8], expected: FormatError) {
    assert!(expected.is_tolerable() || matches!(expected, FormatError::Overflow { .. }));
    check(bytes, expected.clone());
    let header = Header::parse_with(bytes, bytes.len() as u64, Strictness::Compat);
    let header = header.expect("the reference accepts it");
    assert_eq!(header.tolerated(), [expected]);
    safetensors::SafeTensors::deserialize(bytes).expect("the reference accepts it");
}

/// Refused however it is read, and by the reference.
#[track_caller]
fn check_refused(bytes: &[u8], expected: FormatError) {
    assert!(!expected.is_tolerable(), "{expected}");
    check(bytes, expected.clone());
    let compat = Header::parse_with(bytes, bytes.len() as u64, Strictness::Compat);
    assert_eq!(compat, Err(expected));
    safetensors::SafeTensors::deserialize(bytes).expect_err("the reference refuses it");
}

fn json(message: &str) -> FormatError {
    FormatError::Json(message.to_owned())
}

fn entry(name: &str, dtype: &str, shape: &str, offsets: &str) -> String {
    format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}"#)
}

fn one(name: &str, dtype: &str, shape: &str, offsets: &str) -> String {
    format!("{{{}}}", entry(name, dtype, shape, offsets))
}

fn w() -> String {
    "w".to_owned()
}

#[test]
fn case_1_file_under_8_bytes() {
    for len in 0..8 {
        check_refused(&vec![0; len], FormatError::Truncated { len: len as u64, needed: 8 });
    }
}

#[test]
fn case_2_header_length_beyond_the_file() {
    let mut bytes = file("{}", 0);
    bytes[0] = 9;
    check_refused(&bytes, FormatError::Truncated { len: 16, needed: 17 });
    for len in [u64::MAX, u64::MAX - 7, u64::MAX - 8, 1 << 63] {
        bytes[..8].copy_from_slice(&len.to_le_bytes());
        check_refused(&bytes, FormatError::HeaderTooLarge(len));
    }
}

#[test]
fn case_3_header_over_the_cap() {
    let mut bytes = file("{}", 0);
    bytes[..8].copy_from_slice(&100_000_001u64.to_le_bytes());
    check_refused(&bytes, FormatError::HeaderTooLarge(100_000_001));
}

#[test]
fn case_4_header_start_and_encoding() {
    check_refused(&raw_file(b"{\"\xff\":1}", 0), FormatError::NotUtf8(2));
    check_refused(&raw_file(b"\xef\xbb\xbf{}   ", 0), FormatError::HeaderStart(0xef));
    check_refused(&raw_file(b"{}\0\0\0\0\0\0", 0), FormatError::HeaderPadding(0));
    check_tolerated(&raw_file(b" {}     ", 0), FormatError::HeaderStart(b' '));
    check_tolerated(&raw_file(b"{}     \n", 0), FormatError::HeaderPadding(b'\n'));
}

#[test]
fn case_5_not_a_json_map() {
    check_refused(&raw_file(b"", 0), json("EOF while parsing a value at line 1 column 0"));
    check_refused(&file("[]", 0), FormatError::HeaderStart(b'['));
    check_refused(&file("{", 0), json("EOF while parsing an object at line 1 column 8"));
    check_refused(&file("{} {}", 0), json("trailing characters at line 1 column 4"));
    let deep = format!("{{\"w\":{}", "[".repeat(100_000));
    check_refused(
        &file(&deep, 0),
        json(
            "invalid type: sequence, expected a map with dtype, shape and data_offsets at line 1 column 5",
        ),
    );
    let deep = format!("{{\"w\":{{\"x\":{}{}}}}}", "[".repeat(200), "]".repeat(200));
    let bytes = file(&deep, 0);
    check(&bytes, FormatError::UnknownField { tensor: w(), field: "x".to_owned() });
    let compat = Header::parse_with(&bytes, bytes.len() as u64, Strictness::Compat);
    assert_eq!(compat, Err(json("recursion limit exceeded at line 1 column 136")));
}

#[test]
fn case_6_duplicate_tensors() {
    let twice = |a: String, b: String| file(&format!("{{{a},{b}}}"), 8);
    let w = FormatError::DuplicateTensor(w());
    let first = entry("w", "F32", "[2]", "[0,8]");
    check_tolerated(&twice(first.clone(), first.clone()), w.clone());
    check_tolerated(&twice(first.clone(), entry("w", "U8", "[8]", "[0,8]")), w.clone());
    check_tolerated(&twice(first, entry("\\u0077", "U8", "[8]", "[0,8]")), w);
}

#[test]
fn case_7_metadata() {
    let a = FormatError::DuplicateMetadata("a".to_owned());
    check_tolerated(&file(r#"{"__metadata__":{"a":"1","a":"2"}}"#, 0), a);
    let twice = FormatError::DuplicateMetadata("__metadata__".to_owned());
    check_refused(&file(r#"{"__metadata__":{},"__metadata__":{}}"#, 0), twice);
    check_tolerated(&file(r#"{"__metadata__":null}"#, 0), FormatError::NullMetadata);
    check_refused(
        &file(r#"{"__metadata__":{"a":1}}"#, 0),
        json("invalid type: integer `1`, expected a string at line 1 column 22"),
    );
    let unsorted = file(r#"{"__metadata__":{"b":"1","a":"2"}}"#, 0);
    let unsorted = TensorFile::from_bytes(unsorted).expect("order means nothing");
    let keys: Vec<_> = unsorted.header().metadata().keys().collect();
    assert_eq!(keys, ["a", "b"]);
}

#[test]
fn case_8_offsets_that_do_not_tile() {
    let two = |b: &str| format!("{{{},{b}}}", entry("w", "U8", "[4]", "[0,4]"));
    let b = || "b".to_owned();
    let overlap = two(&entry("b", "U8", "[4]", "[2,6]"));
    check_refused(&file(&overlap, 6), FormatError::Overlap { tensor: b(), start: 2, end: 4 });
    let hole = two(&entry("b", "U8", "[4]", "[5,9]"));
    check_refused(&file(&hole, 9), FormatError::Hole { tensor: b(), start: 5, end: 4 });
    let late = one("w", "U8", "[4]", "[4,8]");
    check_refused(&file(&late, 8), FormatError::Hole { tensor: w(), start: 4, end: 0 });
    let reversed = one("w", "U8", "[4]", "[4,0]");
    check_refused(&file(&reversed, 4), FormatError::Reversed { tensor: w(), start: 4, end: 0 });
    let whole = one("w", "U8", "[4]", "[0,4]");
    check_refused(&file(&whole, 3), FormatError::MissingData { covered: 4, len: 3 });
    let mut polyglot = file(&whole, 4);
    polyglot.extend(b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    check_refused(&polyglot, FormatError::TrailingData { covered: 4, len: 26 });
    let mut polyglot = file("{}", 0);
    polyglot.extend(b"<html><script>alert(1)</script>");
    check_refused(&polyglot, FormatError::TrailingData { covered: 0, len: 31 });
    let missing = r#"{"w":{"dtype":"U8","shape":[4]}}"#;
    let missing_field = FormatError::MissingField { tensor: w(), field: "data_offsets" };
    check_refused(&file(missing, 4), missing_field);
    let twice = r#"{"w":{"dtype":"U8","dtype":"I8","shape":[4],"data_offsets":[0,4]}}"#;
    check_refused(&file(twice, 4), FormatError::DuplicateField { tensor: w(), field: "dtype" });
    let unknown = r#"{"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"x":[{}]}}"#;
    let field = FormatError::UnknownField { tensor: w(), field: "x".to_owned() };
    check_tolerated(&file(unknown, 4), field);
}

#[test]
fn case_9_shapes_that_overflow() {
    let overflow = |shape: &[usize]| FormatError::Overflow {
        tensor: w(),
        dtype: Dtype::U8,
        shape: shape.to_vec(),
    };
    let with = |shape: &str| file(&one("w", "U8", shape, "[0,0]"), 0);
    let max = usize::MAX;
    check_refused(&with("[4294967296,4294967296]"), overflow(&[1 << 32, 1 << 32]));
    check_refused(&with("[2305843009213693952]"), overflow(&[1 << 61]));
    check_refused(&with("[18446744073709551615,18446744073709551615,0]"), overflow(&[max, max, 0]));
    check_tolerated(
        &with("[0,18446744073709551615,18446744073709551615]"),
        overflow(&[0, max, max]),
    );
    let many = format!("[{}0]", "1,".repeat(99_999));
    check_tolerated(&with(&many), FormatError::TooManyDims { tensor: w(), dims: 100_000 });
    check_refused(
        &with("[18446744073709551616]"),
        json(
            "invalid type: floating point `1.8446744073709552e+19`, expected usize at line 1 column 48",
        ),
    );
    check_refused(
        &with("[-1]"),
        json("invalid value: integer `-1`, expected usize at line 1 column 30"),
    );
}

#[test]
fn case_10_size_that_does_not_match() {
    let bytes = file(&one("w", "F32", "[2]", "[0,4]"), 4);
    let (dtype, shape) = (Dtype::F32, vec![2]);
    check_refused(&bytes, FormatError::Size { tensor: w(), dtype, shape, bytes: 4 });
}

#[test]
fn case_11_packed_elements_that_end_within_a_byte() {
    for (dtype, bad, good) in [(Dtype::F4, 3, 4), (Dtype::F6_E2M3, 3, 4), (Dtype::F6_E3M2, 2, 4)] {
        let with = |count: usize| {
            let len = count * dtype.bits() / 8;
            file(&one("w", dtype.name(), &format!("[{count}]"), &format!("[0,{len}]")), len)
        };
        let shape = vec![bad];
        check_refused(&with(bad), FormatError::PartialByte { tensor: w(), dtype, shape });
        TensorFile::from_bytes(with(good)).expect("whole bytes");
    }
}

#[test]
fn case_12_unknown_dtype_is_named_and_the_rest_is_read() {
    let header = format!(
        "{{{},{}}}",
        entry("w", "F128", "[1]", "[0,16]"),
        entry("b", "U8", "[1]", "[16,17]")
    );
    let bytes = file(&header, 17);
    let unknown = FormatError::UnknownDtype { tensor: w(), dtype: "F128".to_owned() };
    check(&bytes, unknown.clone());
    let compat = TensorFile::from_bytes_with(bytes, Strictness::Compat).expect("b can be read");
    assert_eq!(compat.header().tolerated(), [unknown]);
    assert_eq!(compat.tensor("w"), None);
    assert_eq!(compat.tensor("b").map(|it| it.data().len()), Some(1));
}

#[test]
fn case_13_misaligned_data() {
    let header = one("w", "F32", "[1]", "[0,4]");
    check_tolerated(&raw_file(header.as_bytes(), 4), FormatError::HeaderAlignment(54));
    let header =
        format!("{{{},{}}}", entry("b", "U8", "[1]", "[0,1]"), entry("w", "F32", "[1]", "[1,5]"));
    let misaligned = FormatError::Misaligned { tensor: w(), dtype: Dtype::F32, start: 1 };
    check_tolerated(&file(&header, 5), misaligned);
}

#[test]
fn case_14_names() {
    let long = "x".repeat(1 << 20);
    for (name, json, reason) in [
        ("", "", "it is empty"),
        ("a\0", "a\\u0000", "it has a control character"),
        ("a\nb", "a\\nb", "it has a control character"),
        ("\u{202e}w", "\u{202e}w", "it has a control character"),
        ("../w", "../w", "it is a path upwards"),
        ("/etc/passwd", "/etc/passwd", "it is a path"),
        ("..\\w", "..\\\\w", "it is a path"),
        (&long[..4096], &long, "it is too long"),
    ] {
        let expected = FormatError::TensorName { name: name.to_owned(), reason };
        check_tolerated(&file(&one(json, "U8", "[]", "[0,1]"), 1), expected);
    }
    for name in ["w", "model.layers.0.w", "bert/encoder/w:0", "ä 😀", "a..b", "%2e%2e"] {
        let bytes = file(&one(name, "U8", "[]", "[0,1]"), 1);
        assert!(TensorFile::from_bytes(bytes).is_ok(), "{name}");
    }
}

#[test]
fn case_15_many_tensors_take_time_in_proportion() {
    let header = |count: usize| {
        let entries =
            (0..count).map(|i| entry(&format!("w{i}"), "U8", "[1]", &format!("[{i},{}]", i + 1)));
        format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
    };
    let slow = std::env::var_os("RUN_SLOW_TESTS").is_some();
    let count = if slow { 1_000_000 } else { 100_000 };
    let bytes = file(&header(count), count);
    // Quadratic time would take hours.
    let header = Header::parse(&bytes, bytes.len() as u64).expect("valid, if long");
    assert_eq!(header.tensors().len(), count);
}

#[test]
fn case_16_index_that_names_other_places() {
    for name in ["../x", "/etc/passwd", "C:\\x", "c:x", "a\\b", "sub/x", "", "..", "x\0"] {
        let json = serde_json::json!({"metadata": {}, "weight_map": {"w": name}}).to_string();
        assert_eq!(Index::parse(&json), Err(FormatError::FileName(name.to_owned())));
    }
}

#[test]
fn case_18_index_with_a_tensor_in_two_shards() {
    let json = r#"{"metadata":{},"weight_map":{"w":"a.safetensors","w":"b.safetensors"}}"#;
    assert_eq!(Index::parse(json), Err(FormatError::DuplicateTensor(w())));
}

#[test]
fn case_19_index_with_a_total_that_is_none() {
    for total in ["-1", "1.5", "\"7\"", "1e300"] {
        let json = format!(r#"{{"metadata":{{"total_size":{total}}},"weight_map":{{}}}}"#);
        assert!(matches!(Index::parse(&json), Err(FormatError::Json(_))), "{total}");
    }
}

#[test]
fn every_truncation_is_an_error() {
    let bytes = file(&one("w", "F32", "[1]", "[0,4]"), 4);
    assert!(TensorFile::from_bytes(bytes.clone()).is_ok());
    for len in 0..bytes.len() {
        assert!(TensorFile::from_bytes(bytes[..len].to_vec()).is_err(), "{len}");
    }
}

#[test]
fn case_12_messages_are_short_whatever_a_file_calls_things() {
    let (tensor, dtype) = ("w".repeat(1 << 20), "x".repeat(1 << 20));
    let error = FormatError::UnknownDtype { tensor, dtype }.to_string();
    assert!(error.len() < 500 && error.contains("www…` is of unknown dtype \"xxx"), "{error}");
}
