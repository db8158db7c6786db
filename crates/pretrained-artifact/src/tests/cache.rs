use std::{
    ffi::OsString,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use super::{LLAMA, temp, write_weights};
use crate::{
    Artifact,
    cache::{cache_dir_of, find_snapshot},
};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A cache with one repository whose files are links to blobs, one of them in the shared store.
fn write_cache(cache: &Path) {
    let repository = cache.join("models--org--name");
    let snapshot = repository.join("snapshots").join(COMMIT);
    for dir in
        [&snapshot, &repository.join("blobs"), &repository.join("refs"), &cache.join("blobs/ab")]
    {
        fs::create_dir_all(dir).expect("mkdir");
    }
    fs::write(repository.join("refs/main"), format!("{COMMIT}\n")).expect("write");
    fs::write(repository.join("blobs/c0ffee"), LLAMA).expect("write");
    symlink("../../blobs/c0ffee", snapshot.join("config.json")).expect("link");
    write_weights(&cache.join("blobs/ab/beef"), &[("a", &[4])]);
    symlink("../../blobs/ab/beef", repository.join("blobs/beef")).expect("link");
    symlink("../../blobs/beef", snapshot.join("model.safetensors")).expect("link");
}

#[test]
fn links_of_a_snapshot_to_its_blobs_are_followed() {
    let temp = temp();
    write_cache(temp.path());
    let snapshot = find_snapshot(temp.path(), "org/name", "main").expect("read").expect("found");
    assert!(snapshot.ends_with(COMMIT));
    assert_eq!(Artifact::open(&snapshot).expect("open").weights().len(), 1);
    let by_commit = find_snapshot(temp.path(), "org/name", COMMIT).expect("read");
    assert_eq!(by_commit, Some(snapshot));
}

#[test]
fn links_of_a_snapshot_to_elsewhere_are_not() {
    let temp = temp();
    write_cache(temp.path());
    let snapshot = temp.path().join("models--org--name/snapshots").join(COMMIT);
    fs::remove_file(snapshot.join("config.json")).expect("remove");
    fs::write(temp.path().join("secret.json"), LLAMA).expect("write");
    symlink("../../../secret.json", snapshot.join("config.json")).expect("link");
    let error = Artifact::open(&snapshot).expect_err("refused").to_string();
    assert!(error.contains("this link leaves the model directory"), "{error}");
}

#[test]
fn what_is_not_cached_is_not_found() {
    let temp = temp();
    write_cache(temp.path());
    for (name, revision) in [
        ("org/other", "main"),
        ("ORG/name", "main"),
        ("org/name", "v1"),
        ("org/name", "../refs/main"),
        ("org/name", "/etc"),
        ("org/name", "ffffffffffffffffffffffffffffffffffffffff"),
    ] {
        let found = find_snapshot(temp.path(), name, revision).expect("read");
        assert_eq!(found, None, "{name}@{revision}");
    }
    fs::write(temp.path().join("models--org--name/refs/evil"), "../../../..").expect("write");
    assert_eq!(find_snapshot(temp.path(), "org/name", "evil").expect("read"), None);
}

/// Environments, and where each says that the cache is.
const ENVIRONMENTS: &[(&[(&str, &str)], &str)] = &[
    (&[], "/home/u/.cache/huggingface/hub"),
    (&[("XDG_CACHE_HOME", "/xdg")], "/xdg/huggingface/hub"),
    (&[("XDG_CACHE_HOME", "/xdg"), ("HF_HOME", "/hf")], "/hf/hub"),
    (&[("HF_HOME", "~/hf")], "/home/u/hf/hub"),
    (&[("HF_HOME", "/hf"), ("HUGGINGFACE_HUB_CACHE", "/old")], "/old"),
    (&[("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HUB_CACHE", "/new")], "/new"),
    (&[("HF_HUB_CACHE", "~/new")], "/home/u/new"),
    (&[("HF_HUB_CACHE", "$HOME/new"), ("A", "b")], "/home/u/new"),
    (&[("HF_HOME", "/x/${A}y/$A/$B/${C/$"), ("A", "b")], "/x/by/b/$B/${C/$/hub"),
];

#[test]
fn the_cache_is_where_the_environment_says() {
    for (variables, expected) in ENVIRONMENTS {
        let var = |name: &str| {
            let found = variables.iter().chain(&[("HOME", "/home/u")]).find(|it| it.0 == name);
            found.map(|it| OsString::from(it.1))
        };
        assert_eq!(cache_dir_of(var), Some(PathBuf::from(expected)), "{variables:?}");
    }
}

/// What `huggingface_hub` itself says, about the environments above and about a cache.
#[test]
fn lookups_are_those_of_huggingface_hub() {
    let Some(python) = std::env::var_os("PRETRAINED_PYTHON") else {
        eprintln!("not compared: PRETRAINED_PYTHON is not set; `cargo xtask test` sets it");
        return;
    };
    let run = |variables: &[(&str, &str)], code: &str, arguments: &[&str]| {
        let output = Command::new(&python)
            .env_clear()
            .env("HOME", "/home/u")
            .envs(variables.iter().copied())
            .args(["-c", code])
            .args(arguments)
            .output()
            .expect("run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
    };
    for (variables, expected) in ENVIRONMENTS {
        let code = "from huggingface_hub import constants; print(constants.HF_HUB_CACHE)";
        assert_eq!(run(variables, code, &[]), *expected, "{variables:?}");
    }

    let temp = temp();
    write_cache(temp.path());
    let refs = temp.path().join("models--org--name/refs");
    // As it writes it. A person's editor ends the line, which we forgive.
    fs::write(refs.join("main"), COMMIT).expect("write");
    fs::create_dir(refs.join("pr")).expect("mkdir");
    fs::write(refs.join("pr/1"), COMMIT).expect("write");
    fs::write(refs.join("gone"), "f".repeat(40)).expect("write");
    let code = "\
import sys
from huggingface_hub import snapshot_download
for name, revision in zip(sys.argv[2::2], sys.argv[3::2]):
    try:
        print(snapshot_download(name, revision=revision, cache_dir=sys.argv[1], local_files_only=True))
    except Exception:
        print('none')
";
    let cases = [
        ("org/name", "main"),
        ("org/name", COMMIT),
        ("org/name", "pr/1"),
        ("org/name", "gone"),
        ("org/name", "v1"),
        ("org/other", "main"),
    ];
    let cache = temp.path().to_str().expect("UTF-8");
    let arguments: Vec<&str> =
        [cache].into_iter().chain(cases.iter().flat_map(|it| [it.0, it.1])).collect();
    let theirs = run(&[("HF_HUB_OFFLINE", "1")], code, &arguments);
    for ((name, revision), theirs) in cases.iter().zip(theirs.lines()) {
        let ours = find_snapshot(temp.path(), name, revision).expect("read");
        let ours = ours.map_or("none".to_owned(), |it| it.display().to_string());
        assert_eq!(ours, theirs, "{name}@{revision}");
    }
    assert_eq!(theirs.lines().count(), cases.len());
}
