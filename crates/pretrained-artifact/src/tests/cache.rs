use std::{fs, os::unix::fs::symlink, path::Path};

use super::{LLAMA, temp, write_weights};
use crate::{Artifact, cache::find_snapshot};

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
