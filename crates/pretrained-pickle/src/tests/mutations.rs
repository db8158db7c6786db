//! Damaged files never panic, hang, or give other tensors than they name: random changes to files that torch wrote.

use std::{fs, path::Path};

use proptest::{collection::vec, prelude::*};

use crate::{PickleFile, source::Source, zip, zip_writer::ZipWriter};

fn fixtures() -> Vec<Vec<u8>> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut paths: Vec<_> =
        fs::read_dir(data).expect("there").flatten().map(|it| it.path()).collect();
    paths.retain(|it| it.extension().is_some_and(|it| it != "safetensors"));
    paths.sort();
    paths.iter().map(|it| fs::read(it).expect("readable")).collect()
}

/// Reads everything there is. What is read as a whole and in parts is the same.
fn read_all(bytes: Vec<u8>) {
    let Ok(file) = PickleFile::from_bytes(bytes, Path::new("x")) else { return };
    let _ = file.verify();
    let Ok(named) = file.named_tensors() else { return };
    for (_, tensor) in &named.tensors {
        let Ok(bytes) = file.read(tensor) else { continue };
        assert_eq!(Some(bytes.len()), tensor.byte_len());
        let mut parts = vec![0; bytes.len()];
        let part = tensor.dtype.bits() / 8 * 5;
        for (i, piece) in parts.chunks_mut(part).enumerate() {
            file.read_range(tensor, i * part, piece).expect("readable as a whole");
        }
        assert_eq!(parts, bytes);
    }
    for group in named.aliases() {
        assert!(group.len() > 1);
    }
}

/// The archive anew, with its pickle changed.
fn with_pickle_changed(archive: Vec<u8>, change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let source = Source::Bytes(archive);
    let mut out = Vec::new();
    let mut zip = ZipWriter::new(&mut out);
    for (name, member) in zip::members(&source).expect("torch wrote it") {
        let mut bytes = source.read(member.start, member.len as usize).expect("within");
        if name.ends_with("/data.pkl") {
            change(&mut bytes);
        }
        zip.member(&name, &bytes).expect("writing to memory");
    }
    zip.finish().expect("writing to memory");
    out
}

fn cases() -> u32 {
    if std::env::var_os("RUN_SLOW_TESTS").is_some() { 50_000 } else { 500 }
}

#[derive(Debug, Clone)]
enum Change {
    Set(usize, u8),
    Insert(usize, u8),
    Remove(usize),
    Copy(usize, usize, usize),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    // Opcodes more often than other bytes.
    let byte = || {
        prop_oneof![any::<u8>(), prop::sample::select(b"(.]}tuseRQqhj\x85\x86\x94K\x88N0".to_vec())]
    };
    let change = prop_oneof![
        (any::<usize>(), byte()).prop_map(|(at, it)| Change::Set(at, it)),
        (any::<usize>(), byte()).prop_map(|(at, it)| Change::Insert(at, it)),
        any::<usize>().prop_map(Change::Remove),
        (any::<usize>(), any::<usize>(), 1..40usize)
            .prop_map(|(a, b, len)| Change::Copy(a, b, len)),
    ];
    vec(change, 1..6)
}

fn change(bytes: &mut Vec<u8>, changes: &[Change]) {
    for change in changes {
        let len = bytes.len().max(1);
        match *change {
            Change::Set(at, it) if !bytes.is_empty() => bytes[at % len] = it,
            Change::Insert(at, it) => bytes.insert(at % len, it),
            Change::Remove(at) if !bytes.is_empty() => {
                bytes.remove(at % len);
            }
            Change::Copy(from, to, count) => {
                let from = from % len;
                let part = bytes[from.min(bytes.len())..(from + count).min(bytes.len())].to_vec();
                let to = (to % len).min(bytes.len());
                bytes.splice(to..to, part);
            }
            Change::Set(..) | Change::Remove(_) => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn files_that_are_changed(which in any::<prop::sample::Index>(), changes in changes()) {
        let fixtures = fixtures();
        let mut bytes = which.get(&fixtures).clone();
        change(&mut bytes, &changes);
        read_all(bytes);
    }

    /// The checksum is right again after the change, so that it gets to the pickle.
    #[test]
    fn pickles_that_are_changed(which in any::<prop::sample::Index>(), changes in changes()) {
        let zips: Vec<_> = fixtures().into_iter().filter(|it| it.starts_with(b"PK")).collect();
        let bytes = which.get(&zips).clone();
        read_all(with_pickle_changed(bytes, |pickle| change(pickle, &changes)));
    }
}
