use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Result;
use pretrained::{
    artifact::{self, AutoConfig, CONFIG, NonFinite, OpenOptions, Verification, VerifyOptions},
    checkpoint::{self, Checkpoints, MANIFEST, Report},
    config,
    torch::{self, AutoModelForCausalLM, Device},
    train::TrainerState,
};
use serde_json::{Value, json};

use crate::{
    output::{self, bytes, count, one_line},
    runs, sources,
    terminal::{Stream, Tone, toned},
    weights_options,
};

/// Check that a file of weights, a model directory, a checkpoint or a whole run is undamaged.
///
/// Where a checkpoint has a manifest, every byte is compared with it; elsewhere it is checked that
/// all files are there and agree with each other. Exit code 0: whole; 1: damaged, or not readable.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pretrained verify llama-3.2-1b
  pretrained verify runs/notes --values
  pretrained verify runs/notes/checkpoint-600 --json")]
pub(crate) struct Args {
    /// A .safetensors or .bin file, a model directory, org/name or org/name@revision from the
    /// Hugging Face cache, a checkpoint, or the directory of a run.
    path: PathBuf,
    /// Also read every value, and name the tensors that have NaN or infinite ones.
    #[arg(long)]
    values: bool,
    #[command(flatten)]
    weights: weights_options::Options,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// One directory or file, and all that is known of it.
struct Verified {
    structure: Verification,
    /// For a checkpoint.
    content: Option<Report>,
    /// What is damaged, by either.
    problems: Vec<String>,
    /// Why the shapes were not compared with the configuration, if they were not.
    not_compared: Option<String>,
}

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let open = args.weights.open();
    let path = sources::weights_with(&args.path, &open)?;
    let OpenOptions { variant, strictness } = open;
    let options = VerifyOptions { variant, values: args.values, strictness };
    let mut targets = Vec::new();
    if runs::is_run(&path) {
        let checkpoints = Checkpoints::read(&path)?.list()?;
        targets.extend(checkpoints.into_iter().map(|it| it.path));
        // A run that has come to its end has the finished model beside its checkpoints.
        if path.join(CONFIG).exists() {
            targets.push(path.clone());
        }
    } else {
        targets.push(path.clone());
    }
    let verified = targets.iter().map(|it| verify(it, &options)).collect::<Result<Vec<_>>>()?;

    let is_whole = verified.iter().all(|it| it.problems.is_empty());
    if args.json {
        output::or_closed(output::print_json(&json!({
            "path": path,
            "whole": is_whole,
            "targets": verified.iter().map(Verified::to_json).collect::<Vec<Value>>(),
        })))?;
    } else {
        for it in &verified {
            output::or_closed(output::print(it.to_text()))?;
            for warning in &it.structure.warnings {
                output::note(format_args!("warning: {warning}"));
            }
            if let Some(reason) = &it.not_compared {
                output::note(format_args!(
                    "note: shapes and names were not compared with config.json: {reason}"
                ));
            }
        }
    }
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn verify(path: &Path, options: &VerifyOptions) -> Result<Verified> {
    output::detail(format_args!("checks {}", path.display()));
    let structure = artifact::verify(path, options)?;
    let is_checkpoint = [MANIFEST, TrainerState::FILE].iter().any(|it| path.join(it).exists());
    let content = is_checkpoint.then(|| checkpoint::verify(path)).transpose()?;
    let damage = content.iter().flat_map(|it| &it.damage);
    let mut problems: Vec<String> = damage.map(|it| format!("{}: {it}", path.display())).collect();
    problems.extend(structure.problems.iter().cloned());
    let mut not_compared = None;
    if problems.is_empty() && path.join(CONFIG).exists() && options.variant.is_none() {
        match misfit(path) {
            Misfit::None => (),
            Misfit::Damage(problem) => problems.push(problem),
            Misfit::Unknown(reason) => not_compared = Some(reason),
        }
    }
    Ok(Verified { structure, content, problems, not_compared })
}

/// Whether the weights are those of the network that the configuration describes.
enum Misfit {
    None,
    Damage(String),
    /// There is no telling, for this reason.
    Unknown(String),
}

/// Nothing is read for it: on the CPU weights stay in their files until they are used.
fn misfit(path: &Path) -> Misfit {
    let Err(error) = AutoModelForCausalLM::from_pretrained(path, Device::Cpu) else {
        return Misfit::None;
    };
    let config = AutoConfig::from_pretrained(path).ok();
    let architectures = config.as_ref().and_then(|it| it.get("architectures"));
    let architecture = architectures.and_then(|it| it.as_array()?.first()?.as_str());
    let is_causal_lm =
        architecture.is_none_or(|it| it.ends_with("ForCausalLM") || it.ends_with("LMHeadModel"));
    let unknown = match &error {
        torch::Error::NoCausalLm(model_type) => {
            format!("`{model_type}` models are not loaded by this command")
        }
        torch::Error::Artifact(artifact::Error::Config { source, .. })
        | torch::Error::Config(source)
            if matches!(
                source,
                config::Error::UnsupportedModelType(_) | config::Error::NoModelType
            ) =>
        {
            source.to_string()
        }
        torch::Error::Weights { report, .. } if report.mismatched.is_empty() => {
            let is_expert = |it: &String| it.contains(".experts.");
            match architecture {
                Some(architecture) if !is_causal_lm => {
                    format!("the head of a {} is not known", one_line(architecture))
                }
                _ if report.missing.iter().chain(&report.unexpected).all(is_expert) => {
                    "the experts of a layer are stored as one tensor, which is not read yet"
                        .to_owned()
                }
                _ => return Misfit::Damage(format!("{:#}", anyhow::Error::new(error))),
            }
        }
        _ => return Misfit::Damage(format!("{:#}", anyhow::Error::new(error))),
    };
    Misfit::Unknown(unknown)
}

impl Verified {
    fn has_manifest(&self) -> bool {
        self.content.as_ref().is_some_and(|it| it.has_manifest)
    }

    /// What can be done about damage.
    fn way_out(&self) -> &'static str {
        match self.content {
            Some(_) => {
                "to repair: copy the files named above from a backup; --resume passes this checkpoint \
                 over, and goes on from the newest whole one"
            }
            None => {
                "to repair: download or copy the files named above again, or save the model again"
            }
        }
    }

    fn to_json(&self) -> Value {
        let Verification { path, files, tensors, warnings, non_finite, .. } = &self.structure;
        let non_finite = non_finite.iter().map(|NonFinite { tensor, nan, infinite }| {
            json!({"tensor": tensor, "nan": nan, "infinite": infinite})
        });
        let files = files.iter().map(|(name, bytes)| json!({"name": name, "bytes": bytes}));
        json!({
            "path": path,
            "whole": self.problems.is_empty(),
            "manifest": self.has_manifest(),
            "files": files.collect::<Vec<Value>>(),
            "tensors": tensors,
            "problems": self.problems,
            "not_compared": self.not_compared,
            "warnings": warnings.iter().map(ToString::to_string).collect::<Vec<String>>(),
            "non_finite": non_finite.collect::<Vec<Value>>(),
        })
    }

    fn to_text(&self) -> String {
        let path = one_line(&self.structure.path.display().to_string());
        let mut text = String::new();
        if self.problems.is_empty() {
            let size = self.structure.files.iter().map(|it| it.1).sum();
            let tensors = count(self.structure.tensors as u64);
            let how = match self.has_manifest() {
                true => "every byte as it was saved",
                false => "structure only, there is no manifest to compare the bytes with",
            };
            let whole = toned(Stream::Out, Tone::Good, "whole");
            text += &format!("{path}: {whole}, {tensors} tensors, {} ({how})\n", bytes(size));
        } else {
            text += &format!("{path}: {}\n", toned(Stream::Out, Tone::Bad, "damaged"));
            for problem in &self.problems {
                text += &format!("  {}\n", one_line(problem));
            }
            text += &format!("  {}\n", self.way_out());
        }
        for NonFinite { tensor, nan, infinite } in &self.structure.non_finite {
            let tensor = one_line(tensor);
            let (nan, infinite) = (count(*nan), count(*infinite));
            text += &format!("  {tensor} has {nan} values that are NaN, {infinite} infinite\n");
        }
        text
    }
}
