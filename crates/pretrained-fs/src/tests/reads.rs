//! Reads that fail, are interrupted, take less than asked for, or find the end too early.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use rustix::io::Errno;

use super::scratch;
use crate::{
    Reader,
    faults::{Answer, Op, watch},
    open, read, read_at, read_exact_at,
};

/// Reads a file of "0123456789" in each of the ways there are, while every read is answered like
/// this. All of them must agree.
fn read_all(
    answer: impl Fn(usize) -> Answer + Send + Sync + Clone + 'static,
) -> io::Result<String> {
    let dir = scratch();
    let path = dir.path().join("file");
    fs::write(&path, "0123456789").expect("write");
    type Way = fn(&Path) -> io::Result<Vec<u8>>;
    let ways: [Way; 4] = [
        |path| {
            let mut bytes = Vec::new();
            Reader::new(open(path)?, path).read_to_end(&mut bytes)?;
            Ok(bytes)
        },
        |path| {
            let (file, mut bytes) = (open(path)?, vec![0; 10]);
            let mut len = 0;
            while len < 10 {
                match read(&file, path, &mut bytes[len..])? {
                    0 => break,
                    n => len += n,
                }
            }
            bytes.truncate(len);
            Ok(bytes)
        },
        |path| {
            let (file, mut bytes) = (open(path)?, vec![0; 10]);
            let mut len = 0;
            while len < 10 {
                match read_at(&file, path, &mut bytes[len..], len as u64)? {
                    0 => break,
                    n => len += n,
                }
            }
            bytes.truncate(len);
            Ok(bytes)
        },
        |path| {
            let mut bytes = vec![0; 10];
            match read_exact_at(&open(path)?, &mut bytes, 0) {
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                    let at = e.to_string();
                    let at = at.strip_prefix("the file was cut short at ").expect("says where");
                    let at = at.strip_suffix(" while it was read").expect("says where");
                    bytes.truncate(at.parse().expect("a number"));
                }
                res => res?,
            }
            Ok(bytes)
        },
    ];
    let mut all = Vec::new();
    for way in ways {
        let answer = answer.clone();
        let n = std::sync::atomic::AtomicUsize::new(0);
        let _watch = watch(dir.path(), move |call| match call.op {
            Op::Read => answer(n.fetch_add(1, std::sync::atomic::Ordering::Relaxed)),
            _ => Answer::Proceed,
        });
        all.push(way(&path).map(|it| String::from_utf8(it).expect("digits")));
    }
    let first = all.swap_remove(0);
    let told = |it: &io::Result<String>| it.as_ref().map_err(|e| e.raw_os_error()).cloned();
    assert!(all.iter().all(|it| told(it) == told(&first)), "{first:?}, {all:?}");
    first
}

#[test]
fn case_34_short_reads_are_resumed() {
    for len in [1, 3, 9] {
        assert_eq!(read_all(move |_| Answer::Short(len)).expect("read"), "0123456789");
    }
}

#[test]
fn case_34_interrupted_reads_are_repeated() {
    let eintr = Answer::Fail(Errno::INTR.raw_os_error());
    let answer = move |n: usize| if n.is_multiple_of(2) { eintr } else { Answer::Short(4) };
    assert_eq!(read_all(answer).expect("read"), "0123456789");
}

#[test]
fn case_34_eio_in_any_read_is_an_error() {
    for failing in 0..3 {
        let eio = Answer::Fail(Errno::IO.raw_os_error());
        let answer = move |n| if n == failing { eio } else { Answer::Short(4) };
        let error = read_all(answer).expect_err("EIO");
        assert_eq!(error.raw_os_error(), Some(Errno::IO.raw_os_error()), "read {failing}");
    }
}

#[test]
fn case_34_an_early_end_is_seen_where_it_is() {
    for ending in 0..3 {
        let answer = move |n| if n == ending { Answer::End } else { Answer::Short(4) };
        let expected = &"0123456789"[..4 * ending];
        assert_eq!(read_all(answer).expect("read"), expected, "read {ending}");
    }
}
