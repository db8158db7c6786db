//! `cargo xtask demo`: the main job from nothing to generated text, with a SIGKILL in the middle.
//!
//! Everything is done by the real command `pretrained` in processes of its own; this file only starts them, kills one
//! of them, and compares what two of them left.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::{self, cargo, spelled};
use crate::{libtorch, workspace};

pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let text = text_files(arguments)?;
    libtorch::ensure()?;
    process::run(&mut cargo(["build", "--release", "-p", "pretrained-cli"]))?;
    let demo = Demo::prepare(text)?;

    heading("A tokenizer and a configuration");
    demo.train_tokenizer()?;
    demo.write_config()?;

    heading(&format!(
        "A run, killed with SIGKILL in the middle (a checkpoint every {SAVE_STEPS} steps, the last 2 kept)"
    ));
    let killed_at = demo.train_until_killed()?;
    demo.list_checkpoints()?;

    heading("The same run, resumed");
    run_shortened(demo.train(&demo.run).arg("--resume"))?;

    heading("The same run without a break, to compare");
    run_shortened(&mut demo.train(&demo.unbroken))?;

    heading("The finished model, loaded by a new process");
    process::run(demo.pretrained(["verify"]).arg(&demo.run))?;
    let mut generate = demo.pretrained(["generate"]);
    generate.arg(&demo.run).args(["--prompt", PROMPT, "--max-new-tokens", "80"]);
    process::run(generate.args([
        "--do-sample",
        "--temperature",
        "0.7",
        "--top-k",
        "40",
        "--seed",
        "1",
    ]))?;

    demo.report(killed_at)
}

/// Where the demo's files are, and the text that it trains on. The directory of a finished run is a model directory.
struct Demo {
    text: Vec<PathBuf>,
    program: PathBuf,
    tokenizer: PathBuf,
    config: PathBuf,
    run: PathBuf,
    unbroken: PathBuf,
}

impl Demo {
    fn prepare(text: Vec<PathBuf>) -> Result<Demo> {
        let dir = workspace::target_dir().join("demo");
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(|| format!("remove {}", dir.display()))?;
        }
        fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
        Ok(Demo {
            text,
            program: workspace::target_dir().join("release/pretrained"),
            tokenizer: dir.join("tokenizer"),
            config: dir.join("config.json"),
            run: dir.join("run"),
            unbroken: dir.join("unbroken"),
        })
    }

    fn pretrained<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        command
    }

    fn train_tokenizer(&self) -> Result<()> {
        let mut command = self.pretrained(["train-tokenizer", "--vocab-size"]);
        command
            .arg(VOCAB_SIZE.to_string())
            .arg("--out")
            .arg(&self.tokenizer)
            .arg("--text")
            .args(&self.text);
        run_shortened(&mut command)
    }

    /// A Llama of 1.4 million parameters.
    fn write_config(&self) -> Result<()> {
        let config = CONFIG.replace("VOCAB_SIZE", &VOCAB_SIZE.to_string());
        fs::write(&self.config, config).with_context(|| format!("write {}", self.config.display()))
    }

    fn train(&self, output_dir: &Path) -> Command {
        let mut command = self.pretrained(["train", "--output-dir"]);
        command
            .arg(output_dir)
            .arg("--config")
            .arg(&self.config)
            .arg("--tokenizer")
            .arg(&self.tokenizer);
        let arguments = [
            ("--max-steps", STEPS),
            ("--save-steps", SAVE_STEPS),
            ("--save-total-limit", 2),
            ("--logging-steps", 10),
            ("--per-device-train-batch-size", 8),
            ("--block-size", 128),
            ("--warmup-steps", 20),
        ];
        for (name, value) in arguments {
            command.arg(name).arg(value.to_string());
        }
        command.args(["--learning-rate", "3e-3", "--text"]).args(&self.text);
        command
    }

    /// Lets the run save its second checkpoint, go on for a moment, and die. The step of that checkpoint.
    fn train_until_killed(&self) -> Result<u64> {
        let mut command = self.train(&self.run);
        announce_shortened(&command);
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("start {}", spelled(&command)))?;
        let mut child = Killed(child);
        let started = Instant::now();
        let second = self.run.join(format!("checkpoint-{}", 2 * SAVE_STEPS));
        while !second.exists() {
            if let Some(status) = child.0.try_wait().context("wait for the run")? {
                bail!("the run ended before it could be killed ({status})");
            }
            if started.elapsed() > PATIENCE {
                bail!("no {} after {} minutes", second.display(), PATIENCE.as_secs() / 60);
            }
            thread::sleep(Duration::from_millis(20));
        }
        // Into the steps that no checkpoint holds yet.
        thread::sleep(Duration::from_millis(700));
        child.0.kill().context("kill the run")?;
        let status = child.0.wait().context("wait for the killed run")?;
        eprintln!("\nkilled: {status}");
        if status.success() {
            bail!("the run was over before it could be killed; give it more text");
        }
        Ok(2 * SAVE_STEPS)
    }

    fn list_checkpoints(&self) -> Result<()> {
        process::run(self.pretrained(["checkpoints", "list"]).arg(&self.run))
    }

    fn report(&self, killed_at: u64) -> Result<()> {
        heading("What happened");
        let last = format!("checkpoint-{STEPS}");
        let (first, latest) = losses(&self.run.join(&last).join("trainer_state.json"))?;
        println!(
            "loss            {:.4} at step {}, {:.4} at step {}",
            first.1, first.0, latest.1, latest.0
        );
        println!("killed after    step {killed_at} of {STEPS} was saved, resumed from there");
        println!("model           {} (the resumed run)", self.run.display());
        println!("unbroken run    {}", self.unbroken.display());
        println!("tokenizer       {}", self.tokenizer.display());
        println!();

        let mut different = Vec::new();
        for name in ["model.safetensors".to_owned(), format!("{last}/optimizer.safetensors")] {
            let read = |run: &Path| {
                let path = run.join(&name);
                fs::read(&path).with_context(|| format!("read {}", path.display()))
            };
            let (resumed, unbroken) = (read(&self.run)?, read(&self.unbroken)?);
            if resumed == unbroken {
                println!(
                    "{name}: the resumed run equals the unbroken one byte for byte ({} bytes)",
                    resumed.len()
                );
            } else {
                println!("{name}: the resumed run DIFFERS from the unbroken one");
                different.push(name);
            }
        }
        if !different.is_empty() {
            bail!("the resumed run does not equal the unbroken one in {}", different.join(" and "));
        }
        println!(
            "\ntry: {} generate {} --prompt \"let mut\"",
            self.program.display(),
            self.run.display()
        );
        Ok(())
    }
}

/// A process that does not outlive this one's interest in it.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Already dead is as good as killed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The files after `--text`, or this workspace's own sources and docs.
fn text_files(arguments: &[&str]) -> Result<Vec<PathBuf>> {
    match arguments {
        [] => {
            let is_text = |path: &PathBuf| {
                path.extension().is_some_and(|extension| {
                    ["rs", "md", "py", "toml"].iter().any(|known| extension == *known)
                })
            };
            let files = workspace::files()?.into_iter().filter(is_text);
            Ok(files.map(|path| workspace::root().join(path)).collect())
        }
        ["--text", files @ ..] if !files.is_empty() => files
            .iter()
            .map(|file| {
                fs::canonicalize(file).with_context(|| format!("find the text file {file}"))
            })
            .collect(),
        _ => bail!("usage: cargo xtask demo [--text FILE...]"),
    }
}

/// The first and the last (step, loss) of a run's log.
fn losses(trainer_state: &Path) -> Result<((u64, f64), (u64, f64))> {
    let text = fs::read_to_string(trainer_state)
        .with_context(|| format!("read {}", trainer_state.display()))?;
    let state: serde_json::Value = serde_json::from_str(&text)
        .with_context(|| format!("parse {}", trainer_state.display()))?;
    let log = state["log_history"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut losses =
        log.iter().filter_map(|entry| Some((entry["step"].as_u64()?, entry["loss"].as_f64()?)));
    let first = losses
        .next()
        .with_context(|| format!("{} has no loss in its log", trainer_state.display()))?;
    Ok((first, losses.next_back().unwrap_or(first)))
}

/// Runs a command whose file list would fill the screen.
fn run_shortened(command: &mut Command) -> Result<()> {
    announce_shortened(command);
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("start {}", spelled(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", shortened(command));
    }
    Ok(())
}

fn announce_shortened(command: &Command) {
    eprintln!("\n$ {}", shortened(command));
}

/// The command with at most three of the files after `--text`, which come last but for `--resume`.
fn shortened(command: &Command) -> String {
    let spelled = spelled(command);
    let Some((before, files)) = spelled.split_once(" --text ") else { return spelled };
    let (files, after) = match files.strip_suffix(" --resume") {
        Some(files) => (files, " --resume"),
        None => (files, ""),
    };
    let files: Vec<&str> = files.split(' ').collect();
    match files.len() {
        0..=3 => spelled,
        more => format!("{before} --text {} ... ({more} files){after}", files[..3].join(" ")),
    }
}

fn heading(text: &str) {
    println!("\n== {text}");
}

const STEPS: u64 = 300;
const SAVE_STEPS: u64 = 50;
const VOCAB_SIZE: u64 = 2048;
const PROMPT: &str = "/// The ";

/// Longer than the slowest machine needs for two checkpoints.
const PATIENCE: Duration = Duration::from_secs(20 * 60);

const CONFIG: &str = r#"{
  "architectures": ["LlamaForCausalLM"],
  "model_type": "llama",
  "hidden_size": 128,
  "intermediate_size": 384,
  "num_hidden_layers": 4,
  "num_attention_heads": 4,
  "num_key_value_heads": 2,
  "max_position_embeddings": 512,
  "rms_norm_eps": 1e-05,
  "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"},
  "tie_word_embeddings": true,
  "initializer_range": 0.02,
  "hidden_act": "silu",
  "vocab_size": VOCAB_SIZE
}
"#;
