//! Mutated headers, read by this crate and by the reference.
//!
//! What is accepted strictly, the reference accepts, with the same meaning. Where it accepts more, or
//! fewer, the difference is on the list in `docs/safetensors.md`. A million headers when
//! `RUN_SLOW_TESTS` is set.

use std::{collections::BTreeSet, env, fmt::Write as _, fs, path::Path};

use pretrained_safetensors::{Dtype, FormatError, Header, Strictness};
use safetensors::SafeTensors;

/// What the reference accepts, and we refuse strictly. [`COMPAT`] is refused in any case.
const STRICT: [&str; 12] = [
    "DuplicateMetadata",
    "DuplicateTensor",
    "HeaderAlignment",
    "HeaderPadding",
    "HeaderStart",
    "Json",
    "Misaligned",
    "NullMetadata",
    "Overflow",
    "TensorName",
    "TooManyDims",
    "UnknownField",
];
/// What the reference accepts, and we refuse even when compatible: an entry or a dtype spelled in a
/// way that only serde's derive understands.
const COMPAT: [&str; 1] = ["Json"];
/// What the reference refuses, and we accept when compatible.
const MORE: [&str; 1] = ["UnknownDtype"];

#[test]
fn mutated_headers_mean_the_same_to_the_reference() {
    let slow = env::var_os("RUN_SLOW_TESTS").is_some();
    let count = if slow { 1_000_000 } else { 20_000 };
    let mut seen = Seen::default();
    for seed in 0..count {
        let file = Random(seed).file();
        compare(seed, &file, &mut seen);
    }
    eprintln!(
        "{count} headers, {} accepted by both; differences: {:?}",
        seen.accepted, seen.strict
    );
    assert!(seen.accepted > count / 20, "too few headers are valid to mean anything");
    // A difference that no longer shows does not belong on the list.
    assert_eq!(seen.strict.iter().map(String::as_str).collect::<Vec<_>>(), STRICT);
    assert_eq!(seen.compat.iter().map(String::as_str).collect::<Vec<_>>(), COMPAT);
    assert_eq!(seen.more.iter().map(String::as_str).collect::<Vec<_>>(), MORE);
}

#[test]
fn the_list_of_differences_is_in_the_documentation() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/safetensors.md");
    let document = fs::read_to_string(path).expect("readable");
    for difference in STRICT.iter().chain(&COMPAT).chain(&MORE) {
        assert!(document.contains(&format!("`{difference}`")), "{difference} is not documented");
    }
}

#[derive(Default)]
struct Seen {
    accepted: u64,
    strict: BTreeSet<String>,
    compat: BTreeSet<String>,
    more: BTreeSet<String>,
}

fn compare(seed: u64, file: &[u8], seen: &mut Seen) {
    let what = || format!("seed {seed}: {}", String::from_utf8_lossy(file));
    let strict = Header::parse(file, file.len() as u64);
    let compat = Header::parse_with(file, file.len() as u64, Strictness::Compat);
    let upstream = SafeTensors::read_metadata(file);
    match (&strict, &upstream) {
        (Ok(header), Ok(upstream)) => {
            seen.accepted += 1;
            assert_same(header, upstream, &what);
            assert_eq!(Some(header), compat.as_ref().ok(), "{}", what());
        }
        (Ok(_), Err(e)) => panic!("accepted strictly, but: {e}\n{}", what()),
        (Err(e), Ok(_)) => {
            seen.strict.insert(listed(e, &STRICT, &what));
        }
        (Err(_), Err(_)) => {}
    }
    match (&compat, &upstream) {
        (Ok(header), Ok(upstream)) => assert_same(header, upstream, &what),
        (Ok(header), Err(_)) => {
            let unknown = |it: &&FormatError| matches!(it, FormatError::UnknownDtype { .. });
            let reason = header.tolerated().iter().find(unknown);
            let reason = reason.unwrap_or_else(|| panic!("accepted as compatible: {}", what()));
            seen.more.insert(listed(reason, &MORE, &what));
        }
        (Err(e), Ok(_)) => {
            seen.compat.insert(listed(e, &COMPAT, &what));
        }
        (Err(_), Err(_)) => {}
    }
}

/// The name of an error's variant, if it is on the list.
fn listed(error: &FormatError, list: &[&str], what: &impl Fn() -> String) -> String {
    let text = format!("{error:?}");
    let name = text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    assert!(list.contains(&name), "unlisted difference: {text}\n{}", what());
    if let FormatError::Json(message) = error {
        let spelled = message.contains("expected a map with dtype, shape and data_offsets")
            || message.contains("invalid type: map, expected a string");
        assert!(spelled, "unlisted difference: {text}\n{}", what());
    }
    name.to_owned()
}

fn assert_same(
    header: &Header,
    (json_len, upstream): &(usize, safetensors::tensor::Metadata),
    what: &impl Fn() -> String,
) {
    assert_eq!(header.data_start(), json_len + 8, "{}", what());
    assert_eq!(header.data_len(), upstream.data_len(), "{}", what());
    assert_eq!(header.tensors().len(), upstream.tensors().len(), "{}", what());
    for (name, info) in header.tensors() {
        let theirs = upstream.info(name).unwrap_or_else(|| panic!("{name}: {}", what()));
        assert_eq!(safetensors::Dtype::from(info.dtype), theirs.dtype, "{name}: {}", what());
        assert_eq!(info.shape, theirs.shape, "{name}: {}", what());
        let (start, end) = theirs.data_offsets;
        assert_eq!(info.range, start..end, "{name}: {}", what());
    }
    let theirs = upstream.metadata().iter().flatten();
    let theirs = theirs.map(|(key, value)| (key.clone(), value.clone()));
    assert_eq!(*header.metadata(), theirs.collect(), "{}", what());
}

/// SplitMix64: the same files for the same seed, everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    /// A file that is valid but for some mutations.
    fn file(&mut self) -> Vec<u8> {
        let (json, mut data_len) = self.header();
        let mut json = json.into_bytes();
        let mutations = [0, 0, 1, 1, 2, 4][self.below(6)];
        for _ in 0..mutations {
            self.mutate(&mut json);
        }
        if !self.one_in(30) {
            json.resize(json.len().next_multiple_of(8), b' ');
        }
        if self.one_in(30) {
            data_len = (data_len + self.below(9)).saturating_sub(4);
        }
        let mut header_len = json.len() as u64;
        if self.one_in(100) {
            header_len = [0, 7, header_len + 8, 100_000_001, u64::MAX][self.below(5)];
        }
        let mut file = header_len.to_le_bytes().to_vec();
        file.extend(json);
        file.resize(file.len() + data_len, 0);
        file
    }

    fn header(&mut self) -> (String, usize) {
        let mut entries = Vec::new();
        if self.one_in(2) {
            entries.push(self.metadata());
        }
        let mut start = 0;
        for i in 0..self.below(5) {
            let dtype = Dtype::ALL[self.below(Dtype::ALL.len())];
            let shape: Vec<usize> = (0..self.below(4)).map(|_| self.below(5)).collect();
            let Some(len) = dtype.byte_len(&shape) else { continue };
            let shape = self.shape(&shape, len);
            let name = if self.one_in(12) { self.odd_name() } else { format!("w{i}") };
            let dtype = if self.one_in(60) { "F128" } else { dtype.name() };
            let end = start + len;
            let entry = self.entry(&name, dtype, &shape, start, end);
            if self.one_in(40) {
                entries.push(entry.clone());
            }
            entries.push(entry);
            start = end;
        }
        if self.one_in(3) {
            let (i, j) = (self.below(entries.len() + 1), self.below(entries.len() + 1));
            if i < entries.len() && j < entries.len() {
                entries.swap(i, j);
            }
        }
        (format!("{{{}}}", entries.join(",")), start)
    }

    fn metadata(&mut self) -> String {
        let forms = [
            r#"{"format":"pt"}"#,
            r#"{"format":"pt","a":"ä\n"}"#,
            r#"{}"#,
            r#"null"#,
            r#"{"a":"1","a":"2"}"#,
            r#"{"a":1}"#,
            r#"[]"#,
        ];
        let common = if self.one_in(3) { forms.len() } else { 3 };
        format!(r#""__metadata__":{}"#, self.pick(&forms[..common]))
    }

    fn odd_name(&mut self) -> String {
        let names = [
            "",
            "a/b",
            "../w",
            "/w",
            "a\\\\b",
            "w\\u0000",
            "\\u0077",
            "\u{202e}w",
            "ä",
            "😀",
            "w 0",
        ];
        self.pick(&names).to_owned()
    }

    fn shape(&mut self, shape: &[usize], len: usize) -> String {
        let mut text = String::from("[");
        for (i, dim) in shape.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(text, "{comma}{dim}").expect("writing to a string");
        }
        let comma = if shape.is_empty() { "" } else { "," };
        if self.one_in(80) {
            text.push_str(comma);
            text.push_str(&"1,".repeat(70));
            text.push('1');
        } else if len == 0 && self.one_in(8) {
            text.push_str(comma);
            text.push_str("18446744073709551615,18446744073709551615");
        }
        text.push(']');
        text
    }

    fn entry(&mut self, name: &str, dtype: &str, shape: &str, start: usize, end: usize) -> String {
        let dtype = format!("\"{dtype}\"");
        if self.one_in(100) {
            return format!(r#""{name}":[{dtype},{shape},[{start},{end}]]"#);
        }
        let dtype = if self.one_in(100) { format!("{{{dtype}:null}}") } else { dtype };
        let mut fields = vec![
            format!(r#""dtype":{dtype}"#),
            format!(r#""shape":{shape}"#),
            format!(r#""data_offsets":[{start},{end}]"#),
        ];
        if self.one_in(30) {
            let values = ["1", "null", "[[],{}]", "\"x\"", "1e400", "-0", "{\"a\":[true]}"];
            let unknown = format!(r#""x":{}"#, self.pick(&values));
            let at = self.below(fields.len() + 1);
            fields.insert(at, unknown);
        }
        if self.one_in(100) {
            fields.push(fields[self.below(3)].clone());
        }
        if self.one_in(100) {
            fields.remove(self.below(3));
        }
        if self.one_in(4) {
            let (i, j) = (self.below(fields.len()), self.below(fields.len()));
            fields.swap(i, j);
        }
        let space = if self.one_in(10) { " " } else { "" };
        format!("\"{name}\":{space}{{{}}}", fields.join(","))
    }

    fn mutate(&mut self, json: &mut Vec<u8>) {
        let tokens = [
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "\\",
            "0",
            "1",
            "-",
            "4294967296",
            "1.0",
            "1e2",
            "18446744073709551615",
            "18446744073709551616",
            "9223372036854775807",
            "null",
            "true",
            " ",
            "\n",
            "\t",
            "\r",
            "\0",
            "\u{feff}",
            "\\u0000",
            "\\ud800",
            "F32",
            "BF16",
            "I128",
            "\"__metadata__\":{}",
            "\"shape\":[]",
            "dtype",
            "é",
            "\u{202e}",
        ];
        let at = self.below(json.len() + 1);
        match self.below(8) {
            0 if at < json.len() => json[at] ^= 1 << self.below(8),
            1 if at < json.len() => json[at] = self.next() as u8,
            2 => {
                let end = (at + self.below(12)).min(json.len());
                json.drain(at..end);
            }
            3 => {
                let end = (at + self.below(40)).min(json.len());
                let copy = json[at..end].to_vec();
                let to = self.below(json.len() + 1);
                json.splice(to..to, copy);
            }
            4 => {
                let padding = self.pick(&[" ", "\n", "\t ", "\r\n"]).as_bytes();
                let to = if self.one_in(2) { 0 } else { json.len() };
                json.splice(to..to, padding.iter().copied());
            }
            5 => {
                // A number becomes another one.
                let digit = |it: &u8| it.is_ascii_digit();
                let start = json[at..].iter().position(digit).map(|it| at + it);
                let Some(start) = start else { return };
                let len = json[start..].iter().take_while(|it| digit(it)).count();
                let number = self.pick(&tokens[8..17]).as_bytes();
                json.splice(start..start + len, number.iter().copied());
            }
            _ => {
                let token = self.pick(&tokens).as_bytes();
                json.splice(at..at, token.iter().copied());
            }
        }
    }
}
