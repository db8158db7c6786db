//! Attacks on the archive: 24 of the list.

use std::path::Path;

use crate::{Error, FormatError, PickleFile, zip::*, zip_writer::ZipWriter};

const PICKLE: &[u8] = b"\x80\x02N.";

fn archive() -> Vec<u8> {
    with(&[("x/data.pkl", PICKLE), ("x/version", b"3\n")])
}

fn with(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut zip = ZipWriter::new(&mut out);
    for (name, data) in members {
        zip.member(name, data).expect("writing to memory");
    }
    zip.finish().expect("writing to memory");
    out
}

/// The position of the n-th record with a signature.
fn find(bytes: &[u8], signature: u32, n: usize) -> usize {
    let signature = signature.to_le_bytes();
    let mut found = (0..bytes.len() - 4).filter(|it| bytes[*it..].starts_with(&signature));
    found.nth(n).expect("there")
}

#[track_caller]
fn check(bytes: Vec<u8>, expected: FormatError) {
    match PickleFile::from_bytes(bytes, Path::new("x.bin")) {
        Err(Error::Format { source, .. }) => assert_eq!(source, expected),
        other => panic!("{other:?}"),
    }
}

/// Overwrites two bytes of the n-th record with a signature.
#[track_caller]
fn check_patched(signature: u32, n: usize, field: usize, value: u16, expected: FormatError) {
    let mut bytes = archive();
    let at = find(&bytes, signature, n) + field;
    bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
    check(bytes, expected);
}

fn member(problem: &'static str) -> FormatError {
    FormatError::Member { member: "x/data.pkl".to_owned(), problem }
}

#[test]
fn case_24_the_archive_as_it_should_be() {
    let file = PickleFile::from_bytes(archive(), Path::new("x.bin")).expect("valid");
    assert_eq!(file.names().count(), 0);
}

#[test]
fn case_24_compressed_members_are_no_bombs() {
    let compressed = member("it is compressed: PyTorch stores");
    check_patched(CENTRAL, 0, 10, 8, compressed);
    check_patched(LOCAL, 0, 8, 8, member("the directory has other flags for it"));
    check_patched(CENTRAL, 0, 24, 5000, member("it is stored in another length than its own"));
}

#[test]
fn case_24_overlapping_members_are_no_bombs() {
    let mut bytes = archive();
    let start = find(&bytes, CENTRAL, 1) + 42;
    bytes[start..start + 4].fill(0);
    let expected =
        FormatError::Member { member: "x/version".to_owned(), problem: "it overlaps another one" };
    check(bytes, expected);
}

#[test]
fn case_24_two_directories() {
    // A second archive in front of the first, and behind it.
    let twice = [archive(), archive()].concat();
    check(twice, FormatError::Archive("its zip64 locator points elsewhere"));
    let mut bytes = archive();
    let end = bytes.len();
    bytes[end - 2] = 1;
    bytes.push(b'x');
    let no_end = "it does not end with its end record: cut short, or something appended";
    check(bytes, FormatError::Archive(no_end));
    check([archive(), b"<html>".to_vec()].concat(), FormatError::Archive(no_end));
}

#[test]
fn case_24_bytes_that_belong_to_no_member() {
    // A whole archive in front of the members, with the directory made to fit.
    let (mut bytes, before) = (archive(), archive());
    let moved = before.len() as u32;
    for n in 0..2 {
        let start = find(&bytes, CENTRAL, n) + 42;
        let old = u32::from_le_bytes(bytes[start..start + 4].try_into().expect("four"));
        bytes[start..start + 4].copy_from_slice(&(old + moved).to_le_bytes());
    }
    let (wide, locator, end) =
        (find(&bytes, WIDE_END, 0), find(&bytes, LOCATOR, 0), find(&bytes, END, 0));
    let old = u64::from_le_bytes(bytes[wide + 48..wide + 56].try_into().expect("eight"));
    bytes[wide + 48..wide + 56].copy_from_slice(&(old + u64::from(moved)).to_le_bytes());
    bytes[end + 16..end + 20].copy_from_slice(&(old as u32 + moved).to_le_bytes());
    let old = u64::from_le_bytes(bytes[locator + 8..locator + 16].try_into().expect("eight"));
    bytes[locator + 8..locator + 16].copy_from_slice(&(old + u64::from(moved)).to_le_bytes());
    check([before, bytes].concat(), member("bytes that belong to no member stand before it"));

    // The directory without its last entry: the member is there and in no list.
    let mut bytes = archive();
    let (last, wide) = (find(&bytes, CENTRAL, 1), find(&bytes, WIDE_END, 0));
    bytes.drain(last..wide);
    let removed = (wide - last) as u64;
    let (wide, locator, end) =
        (find(&bytes, WIDE_END, 0), find(&bytes, LOCATOR, 0), find(&bytes, END, 0));
    for at in [wide + 24, wide + 32, end + 8, end + 10] {
        bytes[at] = 1;
    }
    for at in [wide + 40, locator + 8] {
        let old = u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight"));
        bytes[at..at + 8].copy_from_slice(&(old - removed).to_le_bytes());
    }
    let old = u32::from_le_bytes(bytes[end + 12..end + 16].try_into().expect("four"));
    bytes[end + 12..end + 16].copy_from_slice(&(old - removed as u32).to_le_bytes());
    let problem = "bytes that belong to no member stand before its directory";
    check(bytes, FormatError::Archive(problem));
}

#[test]
fn case_24_two_directories_at_the_top() {
    let problem = "it is in another directory than the pickle";
    check(
        with(&[("x/data.pkl", PICKLE), ("y/data.pkl", PICKLE)]),
        FormatError::Member { member: "y/data.pkl".to_owned(), problem },
    );
    let problem = "it is a TorchScript program, not data: save the model's state_dict()";
    check(
        with(&[("x/data.pkl", PICKLE), ("x/constants.pkl", PICKLE)]),
        FormatError::Archive(problem),
    );
}

/// Our own writer pads with an extra field: it is made into another one.
#[test]
fn case_24_extra_fields_that_say_it_otherwise() {
    let extra = |id: [u8; 2]| {
        let mut bytes = archive();
        let at = find(&bytes, LOCAL, 0) + 30 + "x/data.pkl".len();
        assert_eq!(&bytes[at..at + 2], b"FB");
        bytes[at..at + 2].copy_from_slice(&id);
        // Two fields out of the one: the first of four bytes.
        let len = u16::from_le_bytes([bytes[at + 2], bytes[at + 3]]);
        bytes[at + 2..at + 4].copy_from_slice(&4u16.to_le_bytes());
        bytes[at + 8..at + 10].copy_from_slice(&id);
        bytes[at + 10..at + 12].copy_from_slice(&(len - 8).to_le_bytes());
        bytes
    };
    check(extra([0x75, 0x70]), member("its extra field has a second name"));
    check(extra([1, 0]), member("its zip64 field is there twice"));
}

#[test]
fn case_24_names_that_differ_or_lead_elsewhere() {
    let mut bytes = archive();
    let name = find(&bytes, LOCAL, 0) + 30;
    bytes[name] = b'y';
    check(bytes, member("the directory has another name for it"));
    for name in [
        "../data.pkl",
        "/x/data.pkl",
        "x/../data.pkl",
        "x\\data.pkl",
        "x//data.pkl",
        "C:/data.pkl",
        "",
        "x/\0",
    ] {
        let problem = "its name is no plain path";
        check(with(&[(name, PICKLE)]), FormatError::Member { member: name.to_owned(), problem });
    }
    check(
        with(&[("x/data.pkl", PICKLE), ("x/data.pkl", PICKLE)]),
        member("its name is there twice"),
    );
    check(with(&[("x/other", b"")]), FormatError::MissingMember("data.pkl".to_owned()));
}

#[test]
fn case_24_lengths_and_checksums_that_differ() {
    let differs = member("the directory has another length or checksum for it");
    check_patched(LOCAL, 0, 22, 3, differs.clone());
    check_patched(LOCAL, 0, 14, 1, differs.clone());
    check_patched(CENTRAL, 0, 16, 1, differs);
    let mut bytes = archive();
    let data = find(&bytes, LOCAL, 0) + 64;
    assert_eq!(bytes[data + 2], b'N');
    bytes[data + 2] = b')';
    check(bytes, member("its checksum is not that of its bytes"));
}

#[test]
fn case_24_flags() {
    check_patched(CENTRAL, 0, 8, 1, member("it is encrypted"));
    check_patched(CENTRAL, 0, 8, 1 << 6, member("it has flags that PyTorch does not set"));
    check_patched(LOCAL, 0, 6, 1, member("the directory has other flags for it"));
    // Sizes behind the data, where there are none.
    let mut bytes = archive();
    for at in [find(&bytes, CENTRAL, 0) + 8, find(&bytes, LOCAL, 0) + 6] {
        bytes[at..at + 2].copy_from_slice(&(1u16 << 3).to_le_bytes());
    }
    check(bytes, member("the directory has another length or checksum for it"));
}

#[test]
fn case_24_zip64_lies() {
    let differ = FormatError::Archive("its two end records differ");
    check_patched(END, 0, 10, 7, FormatError::Archive("it has several volumes"));
    check_patched(WIDE_END, 0, 24, 7, differ.clone());
    check_patched(WIDE_END, 0, 40, 7, differ.clone());
    check_patched(WIDE_END, 0, 48, 7, differ);
    let elsewhere = FormatError::Archive("its zip64 locator points elsewhere");
    check_patched(LOCATOR, 0, 8, 7, elsewhere.clone());
    check_patched(LOCATOR, 0, 12, 0xffff, elsewhere);
    let no_end = FormatError::Archive("its zip64 end record is not one");
    check_patched(WIDE_END, 0, 0, 0, no_end.clone());
    check_patched(WIDE_END, 0, 16, 9, no_end);
    // A directory that would be longer than the file.
    let mut bytes = archive();
    let (wide, end) = (find(&bytes, WIDE_END, 0), find(&bytes, END, 0));
    bytes[wide + 40..wide + 48].copy_from_slice(&u64::MAX.to_le_bytes());
    bytes[end + 12..end + 16].copy_from_slice(&u32::MAX.to_le_bytes());
    check(bytes, FormatError::Archive("its directory is not where its end record says"));
    // A member that says its length stands elsewhere, where nothing stands.
    let mut bytes = archive();
    let central = find(&bytes, CENTRAL, 0);
    bytes[central + 24..central + 28].copy_from_slice(&u32::MAX.to_le_bytes());
    check(bytes, member("it is stored in another length than its own"));
    // Another number of members.
    let mut bytes = archive();
    for at in [wide + 24, wide + 32, end + 8, end + 10] {
        bytes[at] = 1;
    }
    check(bytes, FormatError::Archive("its directory has another number of members"));
}

#[test]
fn case_24_volumes_and_cuts() {
    check_patched(END, 0, 4, 1, FormatError::Archive("it has several volumes"));
    check_patched(CENTRAL, 0, 34, 1, member("it is stored in another length than its own"));
    check_patched(CENTRAL, 0, 28, 0xffff, FormatError::Archive("its directory is cut short"));
    let problem = "it reaches into the directory";
    let reaches = FormatError::Member { member: "x/version".to_owned(), problem };
    check_patched(CENTRAL, 1, 42, 0xffff, reaches);
    let bytes = archive();
    for len in 0..bytes.len() {
        let cut = PickleFile::from_bytes(bytes[..len].to_vec(), Path::new("x.bin"));
        assert!(cut.is_err(), "{len}");
    }
}
