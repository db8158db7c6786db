use std::{fs, io, path::Path};

use super::{content_of, latest, lay_out_hf, names, save, scratch, steps};
use crate::{Checkpoints, Damage, Error, Latest, Manifest, Reason, Retention, SaveError, verify};

#[test]
fn a_failed_save_leaves_no_trace() {
    let dir = scratch();
    let run = Checkpoints::open(dir.path()).expect("open");
    save(&run, 1);
    let fail = |dir: &Path| {
        fs::write(dir.join("x"), "2")?;
        Err(io::Error::other("disk full"))
    };
    let error = run.save(2, fail).expect_err("should fail");
    assert_eq!(error.to_string(), "write checkpoint 2");
    assert_eq!(latest(&run), Some(1));
    assert_eq!(names(dir.path()), ["checkpoint-1"]);
}

#[test]
fn open_sweeps_and_rotation_keeps_the_newest() {
    let dir = scratch();
    fs::create_dir(dir.path().join(".pretrained-staged-checkpoint-9.0-0-1")).expect("leftover");
    let run = Checkpoints::open(dir.path()).expect("open");
    for step in [1, 2, 10] {
        save(&run, step);
    }
    let rotated = run.rotate(&Retention::save_total_limit(Some(1), None)).expect("rotate");
    assert_eq!(rotated.removed.iter().map(|it| it.step).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(latest(&run), Some(10));
    drop(run);
    assert_eq!(fs::read_dir(dir.path()).expect("list").count(), 1);
}

#[test]
fn the_manifest_names_every_file() {
    let dir = scratch();
    let run = Checkpoints::open(dir.path()).expect("open");
    let write = |dir: &Path| {
        fs::create_dir(dir.join("inner"))?;
        fs::write(dir.join("inner/a"), "1")?;
        fs::write(dir.join("b"), "")
    };
    let saved = run.save(7, write).expect("save");
    let path = saved.checkpoint.path.join("manifest.json");
    let hash = |bytes: &[u8]| blake3::hash(bytes).to_hex().to_string();
    let expected = format!(
        r#"{{
  "format": 1,
  "step": 7,
  "files": {{
    "b": {{
      "size": 0,
      "blake3": "{}"
    }},
    "inner/a": {{
      "size": 1,
      "blake3": "{}"
    }}
  }}
}}
"#,
        hash(b""),
        hash(b"1")
    );
    assert_eq!(fs::read_to_string(path).expect("read"), expected);
    let report = verify(&saved.checkpoint.path).expect("verify");
    assert!(report.is_whole() && report.has_manifest);
    assert_eq!((report.files, report.bytes), (2, 1));
}

#[test]
fn the_same_step_again() {
    let dir = scratch();
    let run = Checkpoints::open(dir.path()).expect("open");
    save(&run, 3);
    let mut is_asked = false;
    let again = run.save(3, |_| {
        is_asked = true;
        Ok::<(), io::Error>(())
    });
    let error = again.expect_err("history is not overwritten");
    assert!(!is_asked, "the writer is not even started");
    let path = dir.path().join("checkpoint-3");
    let expected = format!(
        "{} exists already: resume the run, choose another output directory, or move it away",
        path.display()
    );
    assert_eq!(error.to_string(), expected);
    assert!(matches!(error, SaveError::Exists { step: 3, .. }));
    assert_eq!(fs::read_to_string(path.join("weights")).expect("read"), content_of(3));
}

/// A run that fell back from a damaged checkpoint comes to its step again.
#[test]
fn a_damaged_one_of_the_same_step_is_set_aside() {
    let dir = scratch();
    let run = Checkpoints::open(dir.path()).expect("open");
    for i in ["set-aside-checkpoint-3", "set-aside-checkpoint-3-2", "set-aside-checkpoint-3-3"] {
        let _ = run.save(3, |dir| super::fill(dir, 3));
        fs::write(dir.path().join("checkpoint-3/weights"), "torn").expect("write");
        let saved = save(&run, 3);
        assert_eq!(saved.set_aside, Some(dir.path().join(i)));
        assert_eq!(latest(&run), Some(3));
    }
    assert_eq!(fs::read(dir.path().join("set-aside-checkpoint-3/weights")).expect("read"), b"torn");
}

#[test]
fn a_run_opened_for_reading() {
    let dir = scratch();
    let run = Checkpoints::open(dir.path()).expect("open");
    save(&run, 3);
    let reading = Checkpoints::read(dir.path()).expect("beside the trainer");
    assert_eq!(latest(&reading), Some(3));
    let error = reading.rotate(&Retention::default()).expect_err("read only");
    assert!(matches!(error, Error::ReadOnly { .. }));
    reading.save(4, |_| Ok::<(), io::Error>(())).expect_err("read only");
    let error = Checkpoints::read(&dir.path().join("no")).expect_err("not there");
    assert_eq!(error.to_string(), format!("list {}", dir.path().join("no").display()));
}

#[test]
fn opening_a_file_as_a_run() {
    let dir = scratch();
    let path = dir.path().join("file");
    fs::write(&path, "").expect("write");
    let error = Checkpoints::open(&path).expect_err("a file").to_string();
    assert_eq!(error, format!("create {} (a file is there; choose another path)", path.display()));
}

#[test]
fn the_callers_own_check_counts() {
    let dir = scratch();
    let run = Checkpoints::open(dir.path()).expect("open");
    for step in [1, 2, 3] {
        save(&run, step);
    }
    let check = |it: &crate::Checkpoint| match it.step < 3 {
        true => Ok(()),
        false => Err("it is from another model".to_owned()),
    };
    let Latest { checkpoint, passed_over } = run.latest_that(check).expect("latest");
    assert_eq!(checkpoint.map(|it| it.step), Some(2));
    assert_eq!(passed_over[0].reason, Reason::Refused("it is from another model".to_owned()));
}

#[test]
fn hugging_faces_checkpoints_count() {
    let dir = scratch();
    lay_out_hf(dir.path(), 500);
    let run = Checkpoints::open(dir.path()).expect("open");
    assert_eq!(latest(&run), Some(500));
    save(&run, 600);
    run.rotate(&Retention::save_total_limit(Some(1), None)).expect("rotate");
    assert_eq!(steps(&run), [600]);
}

#[test]
fn unfinished_hugging_face_checkpoints_do_not() {
    #[track_caller]
    fn check(spoil: fn(&Path), expected: &str) {
        let dir = scratch();
        let checkpoint = lay_out_hf(dir.path(), 500);
        spoil(&checkpoint);
        let run = Checkpoints::read(dir.path()).expect("open");
        let latest = run.latest().expect("latest");
        assert_eq!(latest.checkpoint, None);
        assert_eq!(latest.passed_over[0].reason.to_string(), expected);
    }
    check(
        |it| fs::remove_file(it.join("trainer_state.json")).expect("remove"),
        "it was not finished: it has no manifest.json, and trainer_state.json is missing",
    );
    check(
        |it| fs::write(it.join("trainer_state.json"), r#"{"global_step": 5"#).expect("write"),
        "it was not finished: it has no manifest.json, and trainer_state.json is damaged: EOF \
         while parsing an object at line 1 column 17",
    );
    check(
        |it| fs::write(it.join("model.safetensors"), "").expect("write"),
        "it was not finished: model.safetensors is empty",
    );
    check(
        |it| fs::write(it.join("checkpoint-is-incomplete.txt"), "x").expect("write"),
        "it was not finished: it holds checkpoint-is-incomplete.txt",
    );
    check(
        |it| fs::write(it.join(".pretrained-incomplete"), "").expect("write"),
        "it was not finished: it holds .pretrained-incomplete",
    );
    check(
        |it| fs::write(it.join("trainer_state.json"), r#"{"global_step": 400}"#).expect("write"),
        "it is named as step 500, but was saved at step 400",
    );
}

#[test]
fn manifests_that_lie() {
    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(Manifest::parse(text).expect_err("lies").to_string(), expected);
    }
    let named = |name: &str| {
        format!(r#"{{"format":1,"step":1,"files":{{{name:?}:{{"size":1,"blake3":"00"}}}}}}"#)
    };
    for name in ["../x", "/etc/passwd", "a/../b", "", "a//b", "./a", "a/.", "manifest.json"] {
        let expected =
            format!("manifest.json names {name:?}, which is not a file inside the checkpoint");
        check(&named(name), &expected);
    }
    assert!(Manifest::parse(&named("inner/a")).is_ok());
    check(
        r#"{"format":2,"step":1,"files":{}}"#,
        "manifest.json has format 2, this version reads 1",
    );
    let record = r#"{"size":1,"blake3":"00"}"#;
    check(
        &format!(r#"{{"format":1,"step":1,"files":{{"a":{record},"a":{record}}}}}"#),
        r#"manifest.json is damaged: "a" is named twice at line 1 column 88"#,
    );
    check(
        r#"{"format":1,"step":-1,"files":{}}"#,
        "manifest.json is damaged: invalid value: integer `-1`, expected u64 at line 1 column 21",
    );
}

#[test]
fn files_that_came_later_do_no_harm() {
    let dir = scratch();
    let run = Checkpoints::open(dir.path()).expect("open");
    let saved = save(&run, 1);
    fs::write(saved.checkpoint.path.join("notes"), "mine").expect("write");
    let report = verify(&saved.checkpoint.path).expect("verify");
    assert_eq!(report.unlisted, ["notes"]);
    assert!(report.is_whole());
    assert_eq!(latest(&run), Some(1));
}

#[test]
fn a_renamed_checkpoint_is_not_another_step() {
    let dir = scratch();
    let run = Checkpoints::open(dir.path()).expect("open");
    save(&run, 1);
    fs::rename(dir.path().join("checkpoint-1"), dir.path().join("checkpoint-2")).expect("rename");
    let latest = run.latest().expect("latest");
    let expected = Reason::Damaged(vec![Damage::Step { named: 2, saved: 1 }]);
    assert_eq!(latest.passed_over[0].reason, expected);
}

#[test]
fn files_of_all_lengths_have_blake3s_own_hash() {
    let dir = scratch();
    let path = dir.path().join("x");
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|it| (it % 251) as u8).collect();
    let piece = 512 << 10;
    for len in
        [0, 1, 1024, 1025, piece - 1, piece, piece + 1, 2 * piece, 3 * piece + 7, bytes.len()]
    {
        fs::write(&path, &bytes[..len]).expect("write");
        let expected = blake3::hash(&bytes[..len]).to_hex().to_string();
        assert_eq!(crate::hash::hash(&path).expect("hash"), (len as u64, expected), "{len} bytes");
    }
}
