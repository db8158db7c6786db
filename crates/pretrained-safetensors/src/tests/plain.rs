//! The shortcut beside the general parser.

use proptest::prelude::*;

use crate::{
    Strictness,
    header::Findings,
    plain,
    raw::{Entries, parse_any},
};

/// The shortcut either says the same, or nothing. `true` if it says something.
#[track_caller]
fn check(json: &str) -> bool {
    let mut findings = Findings::new(Strictness::Strict);
    let general = parse_any(json, &mut findings);
    match plain::parse(json) {
        Some(plain) => {
            assert_eq!(Ok(plain), general, "{json}");
            true
        }
        None => false,
    }
}

#[test]
fn what_writers_write_is_plain() {
    for json in [
        "{}",
        "{ }  ",
        r#"{"__metadata__":{}}"#,
        r#"{"__metadata__":{"format":"pt","a":""},"w":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}    "#,
        r#"{"w": {"dtype": "BF16", "shape": [2, 0, 9999999999999999999], "data_offsets": [0, 0]}, "__metadata__": {"format": "pt"}}"#,
        "{\n\t\"a/ä 😀\" : {\"data_offsets\":[ 0 , 10 ],\r\n\"shape\":[ 10 ],\"dtype\":\"U8\"}\n}\n",
    ] {
        assert!(check(json), "{json}");
    }
}

#[test]
fn anything_else_is_left_to_the_general_parser() {
    for json in [
        "",
        "{",
        "[]",
        "{}{}",
        "{},",
        r#"{"w":1}"#,
        r#"{"__metadata__":null}"#,
        r#"{"__metadata__":{"a":"1","a":"1"}}"#,
        r#"{"__metadata__":{},"__metadata__":{}}"#,
        r#"{"__metadata__":{"a":"\n"}}"#,
        r#"{"":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}"#,
        r#"{"../w":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}"#,
        r#"{"\u0077":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}"#,
        r#"{"w":{"dtype":"F128","shape":[],"data_offsets":[0,16]}}"#,
        r#"{"w":{"dtype":"U8","shape":[01],"data_offsets":[0,1]}}"#,
        r#"{"w":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}"#,
        r#"{"w":{"dtype":"U8","shape":[1e0],"data_offsets":[0,1]}}"#,
        r#"{"w":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}"#,
        r#"{"w":{"dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,1]}}"#,
        r#"{"w":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,1]}}"#,
        r#"{"w":{"dtype":"U8","shape":[1,],"data_offsets":[0,1]}}"#,
        r#"{"w":{"dtype":"U8","shape":[,1],"data_offsets":[0,1]}}"#,
        r#"{"w":{"dtype":"U8","shape":[1 1],"data_offsets":[0,1]}}"#,
        r#"{"w":{"dtype":"U8","shape":[],"data_offsets":[0]}}"#,
        r#"{"w":{"dtype":"U8","shape":[],"data_offsets":[0,1,2]}}"#,
        r#"{"w":{"dtype":"U8","shape":[],"data_offsets":[0,1],}}"#,
        r#"{"w":{"dtype":"U8","shape":[],"data_offsets":[0,1]},}"#,
        r#"{"w":{"dtype":"U8","shape":[]}}"#,
        r#"{"w":{"dtype":"U8","dtype":"U8","shape":[],"data_offsets":[0,1]}}"#,
        r#"{"w":{"dtype":"U8","x":1,"shape":[],"data_offsets":[0,1]}}"#,
        "{\"w\u{b}\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}",
        "{\"a\nb\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}",
        "{\u{a0}}",
    ] {
        assert!(!check(json), "{json}");
    }
}

#[test]
fn every_cut_of_a_plain_header() {
    let json =
        r#"{"__metadata__":{"a":"ä"},"w":{"dtype":"F32","shape":[1,20],"data_offsets":[0,80]}}"#;
    for len in (0..json.len()).filter(|len| json.is_char_boundary(*len)) {
        assert!(!check(&json[..len]), "{len}");
    }
    assert!(check(json));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn tokens_in_any_order(tokens in proptest::collection::vec(proptest::sample::select(vec![
        "{", "}", "[", "]", ",", ":", "\"w\"", "\"dtype\"", "\"shape\"", "\"data_offsets\"", "\"U8\"", "0", "1", "00", "-0",
        " ", "\\", "\"", "\"__metadata__\"", "{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}", "\"w\":",
    ]), 0..12)) {
        check(&tokens.concat());
    }
}

#[test]
fn metadata_and_tensors_keep_the_order_of_the_header() {
    let json = r#"{"b":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[],"data_offsets":[1,2]}}"#;
    let Entries { tensors, .. } = plain::parse(json).expect("plain");
    let names: Vec<&str> = tensors.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["b", "a"]);
}
