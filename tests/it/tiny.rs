//! A tiny run of the `pretrained` command, with no Python: text, a tokenizer, a configuration, and how to train.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::command::{pretrained, succeeds};
use crate::python::root;

/// What every run here starts from. Made once; nobody changes it.
pub(crate) struct Tiny {
    dir: TempDir,
}

impl Tiny {
    pub(crate) fn get() -> &'static Tiny {
        static TINY: OnceLock<Tiny> = OnceLock::new();
        TINY.get_or_init(|| {
            let tiny = Tiny { dir: tempfile::tempdir().expect("a scratch directory") };
            let mut text = fs::read_to_string(root().join("docs/ARCHITECTURE.md"))
                .expect("the docs are there");
            // A constant amount, so that the length of a run does not change with the docs.
            text.truncate(text.floor_char_boundary(6000));
            fs::write(tiny.text(), text).expect("the text is written");
            fs::write(tiny.config(), CONFIG).expect("the configuration is written");
            let mut train = pretrained(["train-tokenizer", "--vocab-size", "300", "--text"]);
            succeeds(train.arg(tiny.text()).arg("--out").arg(tiny.tokenizer()));
            tiny
        })
    }

    pub(crate) fn text(&self) -> PathBuf {
        self.dir.path().join("text.txt")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("config.json")
    }

    pub(crate) fn tokenizer(&self) -> PathBuf {
        self.dir.path().join("tokenizer")
    }

    /// `pretrained train` of `steps` steps with a checkpoint every `save_steps`, into `run`.
    pub(crate) fn train(&self, run: &Path, steps: u64, save_steps: u64) -> Command {
        let mut command = pretrained(["train", "--output-dir"]);
        command
            .arg(run)
            .arg("--config")
            .arg(self.config())
            .arg("--tokenizer")
            .arg(self.tokenizer());
        command.arg("--text").arg(self.text());
        command.args(["--max-steps", &steps.to_string(), "--save-steps", &save_steps.to_string()]);
        command.args([
            "--block-size",
            "16",
            "--per-device-train-batch-size",
            "4",
            "--gradient-accumulation-steps",
            "2",
        ]);
        command.args([
            "--logging-steps",
            "3",
            "--learning-rate",
            "1e-3",
            "--warmup-steps",
            "5",
            "--save-total-limit",
            "2",
        ]);
        command
    }

    /// A model directory that was trained for a moment. Made once; copy it before changing it.
    pub(crate) fn model(&self) -> PathBuf {
        static MODEL: OnceLock<PathBuf> = OnceLock::new();
        let made = MODEL.get_or_init(|| {
            let (run, model) = (self.dir.path().join("run"), self.dir.path().join("model"));
            succeeds(&mut self.train(&run, 2, 2));
            succeeds(pretrained(["convert"]).arg(run.join("checkpoint-2")).arg(&model));
            model
        });
        made.clone()
    }
}

const CONFIG: &str = r#"{
  "architectures": ["LlamaForCausalLM"],
  "model_type": "llama",
  "vocab_size": 300,
  "hidden_size": 32,
  "intermediate_size": 48,
  "num_hidden_layers": 2,
  "num_attention_heads": 4,
  "num_key_value_heads": 2,
  "max_position_embeddings": 32,
  "attention_dropout": 0.1,
  "tie_word_embeddings": false
}
"#;
