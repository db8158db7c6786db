//! What can go wrong with a file while it is opened and read.

use std::{
    fs::{self, File},
    io,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

use pretrained_fs::faults::{Answer, Call, Op, watch};
use rustix::fs::{CWD, FileType, Mode};

use crate::{Error, FormatError, Strictness, TensorFile, pieces, tests::file};

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
    // Waiting for a writer would take forever.
    check_not_a_file(&pipe);
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

/// Not a test: the process that the next one lets die.
#[test]
#[allow(unsafe_code)]
fn mapped_child() {
    let Some(path) = std::env::var_os(MAPPED) else { return };
    let path = Path::new(&path);
    // SAFETY: What breaks the promise is this process's own, and its end is what is expected.
    let mapped = unsafe { TensorFile::map(path) }.expect("valid");
    let writer = File::options().write(true).open(path).expect("open");
    writer.set_len(4096).expect("cut short");
    let sum: u64 = mapped.tensor("w").expect("there").data().iter().map(|&it| u64::from(it)).sum();
    panic!("still alive: {sum}");
}

/// What the documentation says of it: no zeros, no other file's bytes.
#[test]
fn case_31_cut_short_while_it_is_mapped_ends_the_process_by_sigbus() {
    let dir = tempfile::tempdir().expect("temp dir");
    let (path, _) = long_file(dir.path());
    let child = Command::new(std::env::current_exe().expect("own path"))
        .args(["--exact", "tests::files::mapped_child", "--test-threads=1"])
        .env(MAPPED, &path)
        .output()
        .expect("run");
    let signal = rustix::process::Signal::BUS.as_raw();
    assert_eq!(child.status.signal(), Some(signal), "{}", String::from_utf8_lossy(&child.stdout));
}

const MAPPED: &str = "PRETRAINED_SAFETENSORS_MAPPED";

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

/// What every save of this project does to a file that is in use.
#[test]
#[allow(unsafe_code)]
fn case_33_replaced_while_it_is_mapped() {
    let dir = tempfile::tempdir().expect("temp dir");
    let (path, data) = long_file(dir.path());
    // SAFETY: Nobody changes the file: another takes its name.
    let mapped = unsafe { TensorFile::map(&path) }.expect("valid");
    let mut staged = pretrained_fs::StagedFile::create(&path).expect("staged");
    io::Write::write_all(&mut staged, &with([2; 4])).expect("write");
    staged.publish().expect("publish");
    assert!(mapped.tensor("w").is_some_and(|it| it.data() == data));
    assert_eq!(read_w(&TensorFile::open(&path).expect("valid")).expect("new"), [2; 4]);
}

/// A file with a tensor of several pieces, and what is in it.
fn long_file(dir: &Path) -> (PathBuf, Vec<u8>) {
    let len = pieces::PIECE_LEN * 2 + 5;
    let header = format!(r#"{{"w":{{"dtype":"U8","shape":[{len}],"data_offsets":[0,{len}]}}}}"#);
    let data: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
    let mut bytes = file(&header, 0);
    bytes.extend(&data);
    let path = dir.join("long");
    fs::write(&path, bytes).expect("write");
    (path, data)
}

/// Answers the `nth` read, from 0, and lets the others run.
fn answer_nth(nth: usize, answer: Answer) -> impl Fn(&Call<'_>) -> Answer + Send + Sync {
    let reads = AtomicUsize::new(0);
    move |call| {
        let is_nth = call.op == Op::Read && reads.fetch_add(1, Ordering::Relaxed) == nth;
        if is_nth { answer } else { Answer::Proceed }
    }
}

/// The length, the header, and three pieces.
const READS: usize = 5;

#[test]
fn case_34_interrupted_and_short_reads_are_resumed() {
    let dir = tempfile::tempdir().expect("temp dir");
    let (path, expected) = long_file(dir.path());
    let reads = AtomicUsize::new(0);
    let watch = watch(dir.path(), move |call| match call.op {
        Op::Read if reads.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) => Answer::Fail(EINTR),
        Op::Read => Answer::Short(100_003),
        _ => Answer::Proceed,
    });
    let read = TensorFile::read(&path).expect("resumed");
    assert!(read.tensor("w").is_some_and(|it| it.data() == expected), "read");
    let opened = TensorFile::open(&path).expect("resumed");
    assert!(read_w(&opened).expect("resumed") == expected, "read_tensor");
    let mut part = vec![0; pieces::PIECE_LEN + 1];
    assert!(opened.read_range("w", 7, &mut part).expect("resumed"));
    assert!(part == expected[7..7 + part.len()], "read_range");
    drop(watch);
}

#[test]
fn case_34_an_error_at_every_read() {
    let dir = tempfile::tempdir().expect("temp dir");
    let (path, expected) = long_file(dir.path());
    for nth in 0..=READS {
        let watch = watch(dir.path(), answer_nth(nth, Answer::Fail(EIO)));
        let read = TensorFile::read(&path);
        drop(watch);
        if nth == READS {
            let read = read.expect("no read is left to fail");
            assert!(read.tensor("w").is_some_and(|it| it.data() == expected));
            continue;
        }
        let Err(Error::Io(error)) = read else { panic!("read {nth} failed, and nobody noticed") };
        assert_eq!(error.raw_os_error(), Some(EIO), "read {nth}");
        assert!(error.to_string().contains("long"), "no path: {error}");
    }
}

#[test]
fn case_34_an_end_at_every_read() {
    let dir = tempfile::tempdir().expect("temp dir");
    let (path, _) = long_file(dir.path());
    for nth in 0..READS {
        let watch = watch(dir.path(), answer_nth(nth, Answer::End));
        let read = TensorFile::read(&path);
        drop(watch);
        let Err(Error::Io(error)) = read else { panic!("read {nth} ended, and nobody noticed") };
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "read {nth}");
    }
}

const EINTR: i32 = 4;
const EIO: i32 = 5;
