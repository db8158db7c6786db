//! Hostile and broken directories, by the numbers of `docs/safetensors.md`: 16 to 20, and the bad
//! input that a mistaken path gives.

use std::{
    fs::{self, File},
    os::unix::fs::symlink,
    path::Path,
};

use super::{LLAMA, SHARDS, chain, temp, write_index, write_sharded, write_weights};
use crate::{Artifact, INDEX, MODEL, Warning};

/// Opens a directory that cannot be opened, and checks the whole chain of the error. `DIR` stands
/// for the directory.
#[track_caller]
fn check_refused(dir: &Path, expected: &str) {
    let error = Artifact::open(dir).expect_err("should be refused");
    let message = chain(&error);
    let dir = dir.display().to_string();
    assert_eq!(message.replace(&dir, "DIR"), expected);
}

/// A model whose index sends tensor `b` to `shard`.
fn indexed_in(dir: &Path, shard: &str) {
    write_sharded(dir);
    write_index(&dir.join(INDEX), &[("a", SHARDS[0]), ("b", shard)]);
}

fn warnings(dir: &Path) -> Vec<String> {
    let artifact = Artifact::open(dir).expect("opens with warnings");
    artifact.warnings().iter().map(Warning::to_string).collect()
}

#[test]
fn case_16_shard_names_that_are_paths() {
    for (shard, shown) in [
        ("../model.safetensors", r#""../model.safetensors""#),
        ("/etc/passwd", r#""/etc/passwd""#),
        ("C:model.safetensors", r#""C:model.safetensors""#),
        ("..\\model.safetensors", r#""..\\model.safetensors""#),
        ("sub/model.safetensors", r#""sub/model.safetensors""#),
        ("..", r#""..""#),
        ("", r#""""#),
    ] {
        let temp = temp();
        indexed_in(temp.path(), shard);
        let expected = format!("DIR/{INDEX}: index names {shown}, which is not a plain file name");
        check_refused(temp.path(), &expected);
    }
}

#[test]
fn case_16_shard_is_a_link_out_of_the_directory() {
    let (temp, outside) = (temp(), temp());
    let target = outside.path().canonicalize().expect("real path").join("secret.safetensors");
    write_weights(&target, &[("b", &[2, 2])]);
    indexed_in(temp.path(), "b.safetensors");
    symlink(&target, temp.path().join("b.safetensors")).expect("link");
    let target = target.display();
    let expected = format!(
        "DIR/b.safetensors: refused: this link leaves the model directory, to {target}; put the \
         file itself there"
    );
    check_refused(temp.path(), &expected);
}

#[test]
fn case_16_link_within_the_directory_is_fine() {
    let temp = temp();
    indexed_in(temp.path(), "b.safetensors");
    fs::copy(temp.path().join(SHARDS[1]), temp.path().join("real")).expect("copy");
    symlink("real", temp.path().join("b.safetensors")).expect("link");
    Artifact::open(temp.path()).expect("open");
}

#[test]
fn case_16_shard_is_a_fifo_a_device_or_a_directory() {
    let refused = "refused: this is a directory, a pipe or a device, not a file";
    let temp = temp();
    indexed_in(temp.path(), "fifo");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, temp.path().join("fifo"), fifo, mode, 0).expect("mkfifo");
    check_refused(temp.path(), &format!("DIR/fifo: {refused}"));

    indexed_in(temp.path(), "dir");
    fs::create_dir(temp.path().join("dir")).expect("mkdir");
    check_refused(temp.path(), &format!("DIR/dir: {refused}"));

    indexed_in(temp.path(), "zero");
    symlink("/dev/zero", temp.path().join("zero")).expect("link");
    let expected = "DIR/zero: refused: this link leaves the model directory, to /dev/zero; put \
                    the file itself there";
    check_refused(temp.path(), expected);
}

#[test]
fn case_16_config_and_index_are_held_to_the_same() {
    let temp = temp();
    write_sharded(temp.path());
    fs::rename(temp.path().join("config.json"), temp.path().join("real.json")).expect("rename");
    symlink("/dev/zero", temp.path().join("config.json")).expect("link");
    let expected = "DIR/config.json: refused: this link leaves the model directory, to /dev/zero; \
                    put the file itself there";
    check_refused(temp.path(), expected);
}

#[test]
fn case_16_tokenizer_files_are_held_to_the_same() {
    for name in ["tokenizer.json", "additional_chat_templates/tool_use.jinja"] {
        let (temp, outside) = (temp(), temp());
        write_weights(&temp.path().join("model.safetensors"), &[("b", &[2, 2])]);
        fs::write(temp.path().join("config.json"), "{}").expect("config");
        let secret = outside.path().canonicalize().expect("real path").join("secret");
        fs::write(&secret, "secret").expect("secret");
        let link = temp.path().join(name);
        fs::create_dir_all(link.parent().expect("a parent")).expect("mkdir");
        symlink(&secret, &link).expect("link");
        let dest = outside.path().join("converted");
        let options = crate::ConvertOptions::default();
        let error =
            crate::convert(temp.path(), &dest, &options, |_, _| {}).expect_err("a link out");
        let expected = format!("{}: refused: this link leaves the model directory", link.display());
        assert!(error.to_string().starts_with(&expected), "{error}");
        assert!(!dest.exists());
    }
}

#[test]
fn case_17_shard_is_missing() {
    let temp = temp();
    write_sharded(temp.path());
    fs::remove_file(temp.path().join(SHARDS[1])).expect("remove");
    let expected = format!(
        "DIR/{}: this file is missing, and {INDEX} names it; download it, or save the model again",
        SHARDS[1]
    );
    check_refused(temp.path(), &expected);
}

#[test]
fn case_17_extra_shard_is_reported() {
    let temp = temp();
    write_sharded(temp.path());
    write_weights(&temp.path().join("model-00003-of-00003.safetensors"), &[("c", &[1])]);
    let expected = format!(
        "model-00003-of-00003.safetensors is not read, since {INDEX} comes first; remove the \
         stale one"
    );
    assert_eq!(warnings(temp.path()), [expected]);
}

#[test]
fn case_17_shard_of_another_model() {
    let temp = temp();
    write_sharded(temp.path());
    write_weights(&temp.path().join(SHARDS[1]), &[("other", &[2])]);
    let expected = format!(
        "DIR/{INDEX}: tensor `b` should be in {}, and is in no shard; the shards are of another \
         model, or damaged",
        SHARDS[1]
    );
    check_refused(temp.path(), &expected);
}

#[test]
fn case_18_tensor_in_two_shards() {
    let temp = temp();
    write_sharded(temp.path());
    write_weights(&temp.path().join(SHARDS[1]), &[("a", &[4]), ("b", &[2, 2])]);
    let expected = format!(
        "DIR/{INDEX}: tensor `a` is both in {} and in {}; the shards are of different saves",
        SHARDS[0], SHARDS[1]
    );
    check_refused(temp.path(), &expected);
}

#[test]
fn case_18_index_sends_a_tensor_to_the_wrong_shard() {
    let temp = temp();
    write_sharded(temp.path());
    write_index(&temp.path().join(INDEX), &[("a", SHARDS[1]), ("b", SHARDS[1]), ("a2", SHARDS[0])]);
    let expected = format!(
        "DIR/{INDEX}: tensor `a2` should be in {}, and is in no shard; the shards are of another \
         model, or damaged",
        SHARDS[0]
    );
    check_refused(temp.path(), &expected);

    write_index(&temp.path().join(INDEX), &[("a", SHARDS[1]), ("b", SHARDS[0])]);
    let expected = [
        format!("{INDEX} says that tensor `a` is in {}, it is in {}", SHARDS[1], SHARDS[0]),
        format!("{INDEX} says that tensor `b` is in {}, it is in {}", SHARDS[0], SHARDS[1]),
    ];
    assert_eq!(warnings(temp.path()), expected);
}

#[test]
fn case_18_tensor_that_the_index_does_not_name() {
    let temp = temp();
    write_sharded(temp.path());
    write_weights(&temp.path().join(SHARDS[1]), &[("b", &[2, 2]), ("c", &[1])]);
    let expected = format!("{INDEX} does not name tensor `c`, which is in {}", SHARDS[1]);
    assert_eq!(warnings(temp.path()), [expected]);
}

#[test]
fn case_19_total_size_lies() {
    let temp = temp();
    write_sharded(temp.path());
    let index = fs::read_to_string(temp.path().join(INDEX)).expect("read");
    let index = index.replace(r#""metadata": {}"#, r#""metadata": {"total_size": 99999999999}"#);
    fs::write(temp.path().join(INDEX), index).expect("write");
    let expected = format!("{INDEX} says that all tensors take 99999999999 bytes, they take 32");
    assert_eq!(warnings(temp.path()), [expected]);
}

/// What is read is what was opened, even if another file is put under the name meanwhile.
#[test]
fn case_20_shard_is_replaced_after_it_was_opened() {
    let temp = temp();
    write_sharded(temp.path());
    let artifact = Artifact::open(temp.path()).expect("open");
    let before = artifact.weights().read_tensor("b").expect("read");
    let other = temp.path().join("other");
    fs::write(&other, "short").expect("write");
    fs::rename(&other, temp.path().join(SHARDS[1])).expect("rename");
    assert_eq!(artifact.weights().read_tensor("b").expect("read"), before);
}

#[test]
fn case_20_shard_is_cut_short_after_it_was_opened() {
    let temp = temp();
    write_sharded(temp.path());
    let artifact = Artifact::open(temp.path()).expect("open");
    let file = File::options().write(true).open(temp.path().join(SHARDS[1])).expect("open");
    file.set_len(80).expect("cut");
    let error = artifact.weights().read_tensor("b").expect_err("cut short");
    assert!(error.to_string().contains(SHARDS[1]), "{error}");
}

#[test]
fn the_single_file_comes_first_and_the_stale_shards_are_reported() {
    let temp = temp();
    write_sharded(temp.path());
    write_weights(&temp.path().join(MODEL), &[("c", &[1])]);
    let artifact = Artifact::open(temp.path()).expect("open");
    assert_eq!(artifact.weights().names().collect::<Vec<_>>(), ["c"]);
    let expected = [SHARDS[0], SHARDS[1], INDEX]
        .map(|it| format!("{it} is not read, since {MODEL} comes first; remove the stale one"));
    assert_eq!(warnings(temp.path()), expected);
}

#[test]
fn mistaken_paths_say_what_to_do() {
    let temp = temp();
    let dir = temp.path();
    check_refused(&dir.join("nowhere/at/all"), "DIR: there is no such file or directory");

    let no_config = "DIR: there is no config.json in this directory, so it is not a model \
                     directory; pass one that `save_pretrained` wrote";
    check_refused(dir, no_config);

    fs::write(dir.join("config.json"), "{\"model_type\": ").expect("write");
    let error = Artifact::open(dir).expect_err("broken JSON").to_string();
    assert_eq!(error, dir.join("config.json").display().to_string());

    fs::write(dir.join("config.json"), LLAMA).expect("write");
    let no_weights = "DIR: there are no weights in this directory: no model.safetensors, no \
                      pytorch_model.bin; download them, or save the model again";
    check_refused(dir, no_weights);

    write_weights(&dir.join(MODEL), &[("a", &[4])]);
    let bytes = fs::read(dir.join(MODEL)).expect("read");
    fs::write(dir.join(MODEL), &bytes[..bytes.len() - 1]).expect("write");
    check_refused(
        dir,
        "DIR/model.safetensors: 15 bytes of data, where tensors take 16: the file is cut short",
    );
    check_refused(&dir.join(MODEL), "DIR: this is a file, and a directory is needed");
}

#[test]
fn a_config_can_name_its_weights_but_not_outside() {
    let temp = temp();
    let dir = temp.path();
    write_weights(&dir.join("mine.safetensors"), &[("a", &[4])]);
    let config = r#"{"model_type": "llama", "transformers_weights": "mine.safetensors"}"#;
    fs::write(dir.join("config.json"), config).expect("write");
    assert_eq!(Artifact::open(dir).expect("open").weights().len(), 1);

    fs::write(dir.join("config.json"), config.replace("mine", "../mine")).expect("write");
    check_refused(
        dir,
        "DIR/../mine.safetensors: refused: a file of a model must be named by a plain file name",
    );
}
