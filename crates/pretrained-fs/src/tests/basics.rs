use std::{
    ffi::OsStr,
    fs,
    io::Write,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use super::{is_model_file, lay_out, leftovers, read, scratch, stage_file, stage_set, state_of};
use crate::{
    NewFile, StagedDir, StagedFile, StagedSet, create_dir_all, journal, recover, write_new,
};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("metadata").permissions().mode() & 0o777
}

/// What this process' umask makes of a plain file and a plain directory.
fn usual_modes(dir: &Path) -> (u32, u32) {
    fs::write(dir.join("plain"), "").expect("write");
    fs::create_dir(dir.join("plain-dir")).expect("create");
    (mode(&dir.join("plain")), mode(&dir.join("plain-dir")))
}

#[test]
fn modes_are_what_the_umask_asks_for() {
    let dir = scratch();
    let (file, directory) = usual_modes(dir.path());
    stage_file(&dir.path().join("a")).expect("save");
    assert_eq!(mode(&dir.path().join("a")), file);
    let staged = StagedDir::create(&dir.path().join("b")).expect("create");
    write_new(&staged.path().join("c"), b"").expect("write");
    staged.publish().expect("publish");
    assert_eq!(mode(&dir.path().join("b")), directory);
    assert_eq!(mode(&dir.path().join("b/c")), file);
}

#[test]
fn a_replaced_file_keeps_its_mode_and_so_does_a_directory() {
    let dir = scratch();
    lay_out(dir.path(), &[("model/config.json", "1"), ("model/weights-1", "1")]);
    let set_mode = |name: &str, mode| {
        fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(mode))
            .expect("chmod");
    };
    set_mode("model/config.json", 0o640);
    set_mode("model", 0o750);
    stage_set(dir.path(), &[("config.json", "2"), ("weights-2", "2")]).expect("save");
    assert_eq!(mode(&dir.path().join("model/config.json")), 0o640);
    assert_eq!(mode(&dir.path().join("model")), 0o750);
    lay_out(dir.path(), &[("file", "1")]);
    set_mode("file", 0o604);
    stage_file(&dir.path().join("file")).expect("save");
    assert_eq!(mode(&dir.path().join("file")), 0o604);
}

#[test]
fn dropped_and_nothing_happened() {
    let dir = scratch();
    lay_out(dir.path(), &[("file", "old"), ("model/config.json", "old")]);
    let mut file = StagedFile::create(&dir.path().join("file")).expect("create");
    file.write_all(b"new").expect("write");
    drop(file);
    let staged = StagedSet::create(&dir.path().join("model"), is_model_file).expect("create");
    write_new(&staged.path().join("config.json"), b"new").expect("write");
    drop(staged);
    drop(StagedDir::create(&dir.path().join("other")).expect("create"));
    let expected = [("file", "old"), ("model/config.json", "old")];
    assert_eq!(read(dir.path()), state_of(&expected));
    assert_eq!(leftovers(dir.path()), Vec::<PathBuf>::new());
}

#[test]
fn case_37_a_link_at_the_destination_is_replaced_and_its_target_stays() {
    let dir = scratch();
    lay_out(dir.path(), &[("target", "old")]);
    symlink("target", dir.path().join("file")).expect("link");
    symlink("nowhere", dir.path().join("dangling")).expect("link");
    stage_file(&dir.path().join("file")).expect("save");
    stage_file(&dir.path().join("dangling")).expect("save");
    let expected = [("target", "old"), ("file", "new content"), ("dangling", "new content")];
    assert_eq!(read(dir.path()), state_of(&expected));
}

#[test]
fn a_set_through_a_link_to_the_directory() {
    let dir = scratch();
    lay_out(dir.path(), &[("real/config.json", "old"), ("real/weights-1", "old")]);
    symlink("real", dir.path().join("model")).expect("link");
    stage_set(dir.path(), &[("config.json", "new"), ("weights-2", "new")]).expect("save");
    assert!(dir.path().join("model").is_symlink());
    drop(recover(&dir.path().join("model")).expect("opens"));
    let expected = [("real/config.json", "new"), ("real/weights-2", "new")];
    fs::remove_file(dir.path().join("model")).expect("remove");
    assert_eq!(read(dir.path()), state_of(&expected));
}

#[test]
fn case_37_destinations_that_cannot_be() {
    let dir = scratch();
    lay_out(dir.path(), &[("file", "x"), ("full/x", "x")]);
    symlink("nowhere", dir.path().join("dangling")).expect("link");
    let at = |name: &str| dir.path().join(name);
    let shown = |name: &str| at(name).display().to_string();
    let new_dir = |name: &str| StagedDir::create(&at(name)).expect_err("cannot be").to_string();
    let new_set = |name: &str| {
        StagedSet::create(&at(name), is_model_file).expect_err("cannot be").to_string()
    };
    let path = shown("file");
    assert_eq!(new_dir("file"), format!("create {path} (a file is there; choose another path)"));
    assert_eq!(new_set("file"), format!("save into {path} (a file is there; choose another path)"));
    let path = shown("full");
    let expected = format!("create {path} (the directory is not empty; choose another path)");
    assert_eq!(new_dir("full"), expected);
    let expected = format!("create {} (a file is there; choose another path)", shown("file"));
    assert_eq!(new_dir("file/sub/model"), expected);
    assert_eq!(new_set("file/sub/model"), expected);
    let path = shown("dangling");
    let advice = "it is a symbolic link to nothing; remove it or choose another path";
    assert_eq!(new_dir("dangling"), format!("resolve {path} ({advice})"));
    assert_eq!(new_set("dangling"), format!("resolve {path} ({advice})"));
    let error = StagedFile::create(&at("full")).expect_err("is a directory").to_string();
    assert_eq!(error, format!("replace {}", shown("full")));
    assert_eq!(leftovers(dir.path()), Vec::<PathBuf>::new());
}

#[test]
fn case_37_a_directory_that_may_not_be_written_to() {
    let dir = scratch();
    lay_out(dir.path(), &[("model/config.json", "old")]);
    fs::set_permissions(dir.path().join("model"), fs::Permissions::from_mode(0o555))
        .expect("chmod");
    if write_new(&dir.path().join("model/probe"), b"").is_ok() {
        // The superuser may write anywhere.
        return;
    }
    let error = stage_set(dir.path(), &[("config.json", "new")]).expect_err("read-only");
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    drop(recover(&dir.path().join("model")).expect("recover"));
}

#[test]
fn names_as_long_as_names_may_be() {
    let dir = scratch();
    let name = "n".repeat(255);
    stage_file(&dir.path().join(&name)).expect("save");
    assert_eq!(read(dir.path()), state_of(&[(&name, "new content")]));
}

#[test]
fn an_empty_directory_is_as_good_as_none() {
    let dir = scratch();
    fs::create_dir(dir.path().join("model")).expect("create");
    stage_set(dir.path(), &[("config.json", "1"), ("weights-1", "1")]).expect("save");
    fs::create_dir(dir.path().join("other")).expect("create");
    StagedDir::create(&dir.path().join("other")).expect("create").publish().expect("publish");
    let expected = [("model/config.json", "1"), ("model/weights-1", "1")];
    let mut expected = state_of(&expected);
    expected.insert("other/".to_owned(), String::new());
    assert_eq!(read(dir.path()), expected);
}

#[test]
fn an_exchange_changes_all_at_once_and_a_journal_keeps_the_directory() {
    let dir = scratch();
    lay_out(dir.path(), &[("model/config.json", "1"), ("model/weights-1", "1")]);
    let inode = || fs::metadata(dir.path().join("model")).expect("metadata").ino();
    let first = inode();
    stage_set(dir.path(), &[("config.json", "2"), ("weights-1", "2")]).expect("save");
    let second = inode();
    assert_ne!(first, second);
    fs::create_dir(dir.path().join("model/runs")).expect("create");
    stage_set(dir.path(), &[("config.json", "3"), ("weights-1", "3")]).expect("save");
    assert_eq!(inode(), second);
}

#[test]
fn a_file_that_does_not_change_is_not_touched() {
    let dir = scratch();
    lay_out(dir.path(), &[("model/config.json", "1"), ("model/weights-1", "1")]);
    let inode = |name: &str| fs::metadata(dir.path().join(name)).expect("metadata").ino();
    let before = (inode("model"), inode("model/config.json"));
    stage_set(dir.path(), &[("config.json", "1"), ("weights-1", "2")]).expect("save");
    assert_eq!((inode("model"), inode("model/config.json")), before);
    stage_set(dir.path(), &[("config.json", "1"), ("weights-1", "2")]).expect("save");
    assert_eq!(leftovers(dir.path()), Vec::<PathBuf>::new());
}

#[test]
fn only_the_sets_own_files_can_be_staged() {
    let dir = scratch();
    lay_out(dir.path(), &[("model/notes", "mine")]);
    for name in ["notes", "runs/x", "weights-\n"] {
        let staged = StagedSet::create(&dir.path().join("model"), is_model_file).expect("create");
        lay_out(staged.path(), &[(name, "new")]);
        let error = staged.publish().expect_err("not the set's");
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{error}");
    }
    assert_eq!(read(dir.path()), state_of(&[("model/notes", "mine")]));
    assert_eq!(leftovers(dir.path()), Vec::<PathBuf>::new());
}

/// A set's name that is a directory of the user's is never removed.
#[test]
fn a_directory_in_the_way_of_a_set() {
    let dir = scratch();
    lay_out(dir.path(), &[("model/config.json", "old"), ("model/weights-1/x", "mine")]);
    let error = stage_set(dir.path(), &[("config.json", "new"), ("weights-1", "new")]);
    assert_eq!(error.expect_err("in the way").kind(), std::io::ErrorKind::IsADirectory);
    stage_set(dir.path(), &[("config.json", "new"), ("weights-2", "new")]).expect("save");
    let expected =
        [("model/config.json", "new"), ("model/weights-1/x", "mine"), ("model/weights-2", "new")];
    assert_eq!(read(dir.path()), state_of(&expected));
}

/// A downloaded directory may hold anything, our own names included.
#[test]
fn a_crafted_journal_reaches_nothing_outside() {
    let plain = journal::Plan::parse("pretrained-set 1\nplace a\nremove b\ngate a\nend\n");
    assert!(plain.is_some());
    for hostile in ["../x", "/etc/x", "a/b", "..", ".", "", ".pretrained-set"] {
        for verb in ["place", "remove", "gate"] {
            let text = format!("pretrained-set 1\n{verb} {hostile}\nend\n");
            assert_eq!(journal::Plan::parse(&text), None, "{verb} {hostile:?}");
        }
    }
    for broken in ["", "pretrained-set 2\nend\n", "pretrained-set 1\nplace a\n", "end\n"] {
        assert_eq!(journal::Plan::parse(broken), None, "{broken:?}");
    }
    let dir = scratch();
    lay_out(dir.path(), &[("model/config.json", "x"), ("model/.pretrained-set/x", "")]);
    let error = recover(&dir.path().join("model")).expect_err("no plan");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    symlink("/", dir.path().join("model/link")).expect("link");
    fs::remove_dir_all(dir.path().join("model/.pretrained-set")).expect("remove");
    symlink("/", dir.path().join("model/.pretrained-set")).expect("link");
    let error = recover(&dir.path().join("model")).expect_err("a link to elsewhere");
    assert!(error.to_string().ends_with("(it is not ours; remove it)"), "{error}");
}

#[test]
fn case_16_a_set_whose_directory_is_a_link_out_is_refused() {
    for name in [".pretrained-old", ".pretrained-new"] {
        let dir = scratch();
        lay_out(dir.path(), &[("victim/key", "secret"), ("model/config.json", "x")]);
        let model = dir.path().join("model");
        symlink(name, model.join(".pretrained-set")).expect("link");
        symlink("../victim", model.join(name)).expect("link");
        symlink(".pretrained-set/key", model.join("key")).expect("link");
        let error = recover(&model).expect_err("a link to elsewhere");
        assert!(error.to_string().ends_with("(it is not ours; remove it)"), "{error}");
        assert_eq!(fs::read(dir.path().join("victim/key")).expect("still there"), b"secret");
        assert!(model.join("key").is_symlink());
    }
}

#[test]
fn foreign_files_changed_by_others_during_an_exchange() {
    use crate::faults::{Answer, Op, watch};
    let dir = scratch();
    lay_out(
        dir.path(),
        &[
            ("model/config.json", "old"),
            ("model/weights-1", "old"),
            ("model/a", "1"),
            ("model/b", "1"),
        ],
    );
    let model = dir.path().join("model");
    let others = model.clone();
    let watching = watch(dir.path(), move |call| {
        if call.op == Op::Exchange {
            fs::write(others.join("new"), "2").expect("write");
            fs::write(others.join("a.tmp"), "2").expect("write");
            fs::rename(others.join("a.tmp"), others.join("a")).expect("rename");
            fs::remove_file(others.join("b")).expect("remove");
        }
        Answer::Proceed
    });
    stage_set(dir.path(), &[("config.json", "new"), ("weights-1", "new")]).expect("save");
    drop(watching);
    let expected = [
        ("model/config.json", "new"),
        ("model/weights-1", "new"),
        ("model/a", "2"),
        ("model/new", "2"),
    ];
    assert_eq!(read(dir.path()), state_of(&expected));
}

#[test]
fn pieces_of_a_file_from_many_threads() {
    let dir = scratch();
    let file = NewFile::create(&dir.path().join("x")).expect("create");
    file.allocate(4000).expect("allocate");
    std::thread::scope(|scope| {
        for i in 0..4_u8 {
            let file = &file;
            scope.spawn(move || {
                file.write_all_at(&[i; 1000], 1000 * u64::from(i)).expect("write");
            });
        }
    });
    let bytes = fs::read(dir.path().join("x")).expect("read");
    assert!(bytes.chunks(1000).zip(0..4).all(|(it, i)| it == [i; 1000]));
    let error = NewFile::create(&dir.path().join("x")).expect_err("exists");
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
}

#[test]
fn relative_paths_and_paths_without_a_name() {
    let dir = scratch();
    create_dir_all(&dir.path().join("a/b/../c")).expect("create");
    assert!(dir.path().join("a/c").is_dir());
    // Nothing is written: only the name is looked at.
    let name = crate::name_of(&crate::absolute(Path::new(".")).expect("resolve")).expect("name");
    assert_ne!(name, OsStr::new("."));
}

/// A descriptor that was open while a file was written hears of all that went wrong with it.
#[test]
fn a_staged_file_is_synced_through_the_descriptor_that_wrote_it() {
    use crate::faults::{Answer, Op, watch};
    let dir = scratch();
    let staged = StagedDir::create(&dir.path().join("model")).expect("create");
    write_new(&staged.path().join("a"), b"1").expect("write");
    let _watching = watch(staged.path(), |call| match call.op {
        // Only the directory itself may still be opened.
        Op::Open if call.path.ends_with("a") => Answer::Fail(5),
        _ => Answer::Proceed,
    });
    staged.publish().expect("publish");
}
