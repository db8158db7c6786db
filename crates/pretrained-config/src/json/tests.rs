use proptest::prelude::*;

use super::{Dialect, MAX_DEPTH, MAX_DIGITS, MAX_LEN, Object, Value, parse, to_json, to_line};

/// What Python writes after reading the value, in one line.
fn line(json: &str) -> String {
    to_line(&parse(json).expect("JSON"))
}

fn message(json: &str) -> String {
    parse(json).expect_err("not JSON").to_string()
}

#[test]
fn numbers_keep_their_type_and_value() {
    let check = |json: &str, expected: &str| assert_eq!(line(json), expected, "{json}");
    check("1", "1");
    check("-0", "0");
    check("1.0", "1.0");
    check("1e0", "1.0");
    check("-0.0", "-0.0");
    check("0.0001", "0.0001");
    check("0.00001", "1e-05");
    check("1e-6", "1e-06");
    check("1.5E+300", "1.5e+300");
    check("1e15", "1000000000000000.0");
    check("1e16", "1e+16");
    check("123456789.125", "123456789.125");
    check("0.1", "0.1");
    check("5e-324", "5e-324");
    check("1e-400", "0.0");
    check("1e400", "Infinity");
    check("-Infinity", "-Infinity");
    check("NaN", "NaN");
    check("9223372036854775807", "9223372036854775807");
    check("-9223372036854775809", "-9223372036854775809");
    check("123456789012345678901234567890", "123456789012345678901234567890");
}

#[test]
fn text_is_written_in_ascii() {
    assert_eq!(line("\"ä☃😀\u{7f}\\u0001\\/\""), r#""\u00e4\u2603\ud83d\ude00\u007f\u0001/""#);
    assert_eq!(line(r#""\"\\\b\f\n\r\t""#), r#""\"\\\b\f\n\r\t""#);
}

#[test]
fn the_last_of_equal_keys_counts_in_the_place_of_the_first() {
    let value = parse(r#"{"a": 1, "b": 2, "a": 3}"#).expect("JSON");
    let object = value.as_object().expect("an object");
    let entries: Vec<_> = object.iter().map(|(key, it)| (key, it.as_i64())).collect();
    assert_eq!(entries, [("a", Some(3)), ("b", Some(2))]);
}

#[test]
fn what_is_not_json_is_an_error_with_its_place() {
    let check = |json: &str, expected: &str| assert_eq!(message(json), expected, "{json}");
    check("", "line 1, column 1: the document ends where a value should be");
    check("{\n  \"a\": 1,\n}", "line 3, column 1: expected a key in double quotes");
    check("[1 2]", "line 1, column 4: expected `,` or `]`");
    check("{\"a\" 1}", "line 1, column 6: expected `:`");
    check("{} {}", "line 1, column 4: more text follows the value");
    check("01", "line 1, column 2: more text follows the value");
    check("1.", "line 1, column 2: more text follows the value");
    check("-", "line 1, column 2: expected a digit");
    check("tru", "line 1, column 1: expected a value");
    check("\"a\nb\"", "line 1, column 3: a control character in a string");
    check("\"a", "line 1, column 3: the document ends in a string");
    check(r#""\x""#, "line 1, column 3: an unknown escape in a string");
    check(r#""\u12g4""#, "line 1, column 4: expected four hexadecimal digits");
    check(r#"{"\ud800": 1}"#, "line 1, column 10: half a surrogate pair in a key");
    check("\u{feff}{}", "line 1, column 1: expected a value");
}

#[test]
fn ten_thousand_open_brackets_are_an_error_and_no_stack_overflow() {
    let expected = format!("column {}: lists and objects nest deeper than 128", MAX_DEPTH + 2);
    for open in ["[", "{\"a\":"] {
        assert!(message(&open.repeat(10_000)).ends_with("lists and objects nest deeper than 128"));
    }
    assert!(message(&"[".repeat(10_000)).ends_with(&expected));
    assert!(parse(&format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH))).is_ok());
}

#[test]
fn a_document_too_long_is_an_error() {
    let expected = "line 1, column 1: the document is longer than 16 MiB";
    assert_eq!(message(&" ".repeat(MAX_LEN + 1)), expected);
}

#[test]
fn an_integer_too_long_is_an_error() {
    assert!(parse(&"9".repeat(MAX_DIGITS)).is_ok());
    let digits = "9".repeat(MAX_DIGITS + 1);
    assert_eq!(message(&digits), "line 1, column 4302: an integer has more than 4300 digits");
}

#[test]
fn a_million_keys_are_read_in_linear_time() {
    let keys: Vec<String> = (0..300_000).map(|i| format!("\"{}\":0", i % 200_000)).collect();
    let value = parse(&format!("{{{}}}", keys.join(","))).expect("JSON");
    assert_eq!(value.as_object().expect("an object").len(), 200_000);
}

#[test]
fn labels_are_sorted_by_number_in_a_config_only() {
    let Value::Object(object) = parse(r#"{"id2label": {"10": "b", "9": "a"}}"#).expect("JSON")
    else {
        panic!("an object");
    };
    let nine_first = |json: &str| json.find("\"9\"") < json.find("\"10\"");
    assert!(nine_first(&to_json(&object, Dialect::Config)));
    assert!(!nine_first(&to_json(&object, Dialect::Plain)));
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        "-?[1-9][0-9]{18,40}".prop_map(|digits| Value::Int(super::Int::from_digits(&digits))),
        any::<f64>()
            .prop_filter("NaN is not equal to itself", |it| !it.is_nan())
            .prop_map(Value::from),
        any::<String>().prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        let entries = prop::collection::vec((any::<String>(), inner.clone()), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(Value::Array),
            entries.prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back_the_same(value in value()) {
        let object = Object::from_iter([("value".to_owned(), value)]);
        let json = to_json(&object, Dialect::Plain);
        prop_assert_eq!(parse(&json), Ok(Value::Object(object)));
    }

    #[test]
    fn any_text_is_a_value_or_an_error(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn text_that_looks_like_json_is_a_value_or_an_error(text in "[\\[\\]{}\",:0-9.eE+\\-\\\\unaltrfsINy ]{0,60}") {
        if let Ok(Value::Object(object)) = parse(&text) {
            let json = to_json(&object, Dialect::Plain);
            let again = parse(&json).expect("JSON");
            prop_assert_eq!(to_json(again.as_object().expect("an object"), Dialect::Plain), json);
        }
    }
}
