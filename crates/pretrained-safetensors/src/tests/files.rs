//! What can go wrong with a file while it is opened and read.

use std::{
    fs::{self, File},
    io,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use rustix::fs::{CWD, FileType, Mode};

use crate::{Error, FormatError, Header, Strictness, TensorFile, pieces, tests::file};

const HEADER: &str = r#"{"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#;

/// A file with the tensor `w`, and this in it.
fn with(data: [u8; 4]) -> Vec<u8> {
    let mut bytes = file(HEADER, 0);
    bytes.extend(data);
    bytes
}

fn read_w(file: &TensorFile) -> Result<Vec<u8>, Error> {
    file.read_tensor("w").map(|it| it.expect("there"))
}

#[track_caller]
fn check_not_a_file(path: &Path) {
    for opened in [TensorFile::open(path), TensorFile::read(path)] {
        let error = opened.expect_err("no regular file");
        assert!(matches!(&error, Error::NotAFile { path: found } if found == path), "{error}");
    }
}

#[test]
fn case_3_header_of_99_megabytes() {
    let text = "x".repeat(99_000_000);
    let bytes = file(&format!(r#"{{"__metadata__":{{"a":"{text}"}}}}"#), 0);
    let start = Instant::now();
    let header = Header::parse(&bytes, bytes.len() as u64).expect("under the limit");
    assert_eq!(header.metadata()["a"].len(), text.len());
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[test]
fn case_16_pipes_devices_and_directories() {
    let dir = tempfile::tempdir().expect("temp dir");
    check_not_a_file(dir.path());
    let handle = File::open(dir.path()).expect("open");
    let opened = TensorFile::from_file(handle, dir.path(), Strictness::Strict);
    assert!(matches!(opened, Err(Error::NotAFile { .. })));
    check_not_a_file(Path::new("/dev/zero"));
    let pipe = dir.path().join("pipe");
    let mode = Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, mode, 0).expect("make a pipe");
    let start = Instant::now();
    check_not_a_file(&pipe);
    assert!(start.elapsed() < Duration::from_secs(10), "waited for a writer");
    let missing = TensorFile::open(&dir.path().join("missing")).expect_err("not there");
    let Error::Io(missing) = missing else { panic!("{missing}") };
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
}

#[test]
fn case_20_replaced_after_it_was_opened() {
    let dir = tempfile::tempdir().expect("temp dir");
    let (path, other) = (dir.path().join("a"), dir.path().join("b"));
    fs::write(&path, with([1; 4])).expect("write");
    fs::write(&other, with([2; 4])).expect("write");
    let opened = TensorFile::open(&path).expect("valid");
    fs::rename(&other, &path).expect("rename");
    assert_eq!(read_w(&opened).expect("readable"), [1; 4]);
    let read = opened.into_memory().expect("readable");
    assert_eq!(read_w(&read).expect("in memory"), [1; 4]);
}

#[test]
fn case_31_cut_short_after_it_was_opened() {
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join("a");
    fs::write(&path, with([1; 4])).expect("write");
    let opened = TensorFile::open(&path).expect("valid");
    let len = with([1; 4]).len() as u64;
    let writer = File::options().write(true).open(&path).expect("open");
    writer.set_len(len - 2).expect("cut short");
    let error = read_w(&opened).expect_err("cut short");
    let Error::Io(error) = error else { panic!("{error}") };
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    let error = opened.into_memory().expect_err("cut short");
    assert!(matches!(error, Error::Io(it) if it.kind() == io::ErrorKind::UnexpectedEof));
}

#[test]
#[allow(unsafe_code)]
fn case_31_cut_short_before_it_is_mapped() {
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join("a");
    let bytes = with([1; 4]);
    fs::write(&path, &bytes).expect("write");
    let opened = TensorFile::open(&path).expect("valid");
    let writer = File::options().write(true).open(&path).expect("open");
    writer.set_len(bytes.len() as u64 - 2).expect("cut short");
    // SAFETY: Nobody changes the file from here on.
    let error = unsafe { opened.into_map() }.expect_err("cut short");
    let Error::Format { source, .. } = error else { panic!("{error}") };
    let needed = bytes.len() as u64;
    assert_eq!(source, FormatError::Truncated { len: needed - 2, needed });
}

#[test]
fn case_32_shorter_than_the_header_says() {
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join("a");
    let bytes = with([1; 4]);
    fs::write(&path, &bytes[..bytes.len() - 1]).expect("write");
    let Err(Error::Format { source, .. }) = TensorFile::open(&path) else { panic!("opened") };
    assert_eq!(source, FormatError::MissingData { covered: 4, len: 3 });
}

#[test]
fn case_33_overwritten_in_place_after_it_was_read() {
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join("a");
    fs::write(&path, with([1; 4])).expect("write");
    let read = TensorFile::read(&path).expect("valid");
    fs::write(&path, with([2; 4])).expect("write");
    assert_eq!(read.tensor("w").map(|it| it.data()), Some([1; 4].as_slice()));
}

#[test]
fn case_34_interrupted_and_short_reads_are_resumed() {
    let expected: Vec<u8> = (0..pieces::PIECE_LEN * 2 + 5).map(|i| (i % 251) as u8).collect();
    let calls = AtomicUsize::new(0);
    let read_at = |buffer: &mut [u8], at: u64| {
        if calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let len = buffer.len().min(100_003);
        buffer[..len].copy_from_slice(&expected[at as usize..at as usize + len]);
        Ok(len)
    };
    let mut buffer = vec![0; expected.len()];
    pieces::read(read_at, &mut buffer, 0).expect("resumed");
    assert!(buffer == expected);
}

#[test]
fn case_34_errors_and_ends_are_reported() {
    let mut buffer = vec![0; pieces::PIECE_LEN + 1];
    let eio = |_: &mut [u8], _| Err(io::Error::from_raw_os_error(5));
    let error = pieces::read(eio, &mut buffer, 0).expect_err("EIO");
    assert_eq!(error.raw_os_error(), Some(5));
    let error = pieces::read(|_, _| Ok(0), &mut buffer[..3], 7).expect_err("the end");
    assert_eq!(error.to_string(), "the file was cut short at 7 while it was read");
}
