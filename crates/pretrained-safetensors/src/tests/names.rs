use crate::{Dtype, FormatError, Index, is_plain_name, parse_size, shard_name};

#[test]
fn plain_names_stay_in_their_directory() {
    for name in ["model.safetensors", "model-00001-of-00002.safetensors", "..a", "a..", "ä"] {
        assert!(is_plain_name(name), "{name:?}");
    }
    let long = "x".repeat(256);
    for name in [
        "",
        ".",
        "..",
        "../x",
        "/x",
        "a/b",
        "a/..",
        "a/",
        "\\x",
        "a\\b",
        "C:x",
        "x\0",
        "x\n",
        "\u{202e}x",
        "x/",
        &long,
    ] {
        assert!(!is_plain_name(name), "{name:?}");
    }
}

#[test]
fn sizes_are_read_as_hugging_face_reads_them() {
    assert_eq!(parse_size("5GB"), Ok(5_000_000_000));
    assert_eq!(parse_size("200mb"), Ok(200_000_000));
    assert_eq!(parse_size(" 1.5 KB "), Ok(1500));
    assert_eq!(parse_size("50TB"), Ok(50_000_000_000_000));
    assert_eq!(parse_size("123"), Ok(123));
    for text in ["", "B", "GB", "5GiB", "-1GB", "nanGB", "infGB", "5 gigs", "1e30TB", "5Gé"] {
        assert_eq!(parse_size(text), Err(FormatError::FileSize(text.to_owned())), "{text:?}");
    }
}

#[test]
fn dtypes_are_named_as_the_reference_names_them() {
    for dtype in Dtype::ALL {
        assert_eq!(dtype.name().parse(), Ok(dtype));
        let upstream = safetensors::Dtype::from(dtype);
        assert_eq!(upstream.to_string(), dtype.name());
        assert_eq!(upstream.bitsize(), dtype.bits());
        assert_eq!(Dtype::try_from(upstream), Ok(dtype));
    }
    assert!(Dtype::ALL.is_sorted_by_key(|it| safetensors::Dtype::from(*it)));
    assert_eq!("F128".parse::<Dtype>(), Err(FormatError::DtypeName("F128".to_owned())));
}

#[test]
fn shards_are_named_from_one() {
    let name = shard_name("model", "safetensors", 1, 5);
    assert_eq!(name, "model-00001-of-00005.safetensors");
}

#[test]
fn index_is_written_as_python_writes_it() {
    let json = "{\n  \"metadata\": {\n    \"total_parameters\": 19616,\n    \"total_size\": 78464\n  },\n  \"weight_map\": {\n    \"a.\\u00e4\\ud83d\\ude00\\u007f\\n\": \"m-1.safetensors\",\n    \"b\": \"m-2.safetensors\"\n  }\n}\n";
    let index = Index::parse(json).expect("valid index");
    assert_eq!(index.total_size(), Some(78464));
    assert_eq!(index.total_parameters(), Some(19616));
    assert_eq!(index.to_json(), json);
    let empty = Index::parse(r#"{"metadata": {"total_size": 1e3}, "weight_map": {}}"#);
    let empty = empty.expect("totals were floats once");
    assert_eq!(
        empty.to_json(),
        "{\n  \"metadata\": {\n    \"total_size\": 1000\n  },\n  \"weight_map\": {}\n}\n"
    );
}
