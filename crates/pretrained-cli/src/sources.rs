//! What a command reads, and which files those are for who asks with `--verbose`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::bail;
use pretrained::{
    artifact::{self, AutoConfig, CONFIG, GENERATION_CONFIG, OpenOptions},
    tokenizer::TokenizerFiles,
    torch::{self, AutoModelForCausalLM, Device},
};

use crate::output::{self, bytes};

/// The place of a model whose weights are read.
pub(crate) fn weights(path: &Path) -> anyhow::Result<PathBuf> {
    weights_with(path, &OpenOptions::default())
}

/// As [`weights`], where it is said which weights they are.
pub(crate) fn weights_with(path: &Path, options: &OpenOptions) -> anyhow::Result<PathBuf> {
    let path = artifact::resolve(path)?;
    if output::is_verbose() {
        tell_weights(&path, options);
    }
    Ok(path)
}

/// The directory of a model whose tokenizer is read, and its weights later.
pub(crate) fn model(path: &Path) -> anyhow::Result<PathBuf> {
    // What is no model at all says so, rather than that it has no tokenizer.
    AutoConfig::from_pretrained(path)?;
    tokenizer(path)
}

/// The model in a directory, which predicts the next token.
pub(crate) fn language_model(path: &Path, device: Device) -> anyhow::Result<AutoModelForCausalLM> {
    weights(path)?;
    match AutoModelForCausalLM::from_pretrained(path, device) {
        Err(torch::Error::NoCausalLm(model_type)) => bail!(
            "{}: `{model_type}` models do not predict the next token; `pretrained embed` runs them",
            path.display()
        ),
        res => Ok(res?),
    }
}

/// The directory of a tokenizer that is read.
pub(crate) fn tokenizer(path: &Path) -> anyhow::Result<PathBuf> {
    let path = artifact::resolve(path)?;
    if output::is_verbose() && path.is_dir() {
        // What cannot be read is for the command to report, here and below.
        let files = TokenizerFiles::read(&path).unwrap_or_default();
        files.names().for_each(|it| tell(&path.join(it)));
    }
    Ok(path)
}

/// A file that is read as it is named.
pub(crate) fn file(path: &Path) -> &Path {
    if output::is_verbose() {
        tell(path);
    }
    path
}

/// Files that are read as they are named.
pub(crate) fn files(paths: &[PathBuf]) -> &[PathBuf] {
    paths.iter().for_each(|it| {
        file(it);
    });
    paths
}

fn tell_weights(path: &Path, options: &OpenOptions) {
    if !path.is_dir() {
        return tell(path);
    }
    let configs = [CONFIG, GENERATION_CONFIG].map(|it| path.join(it));
    configs.iter().filter(|it| it.exists()).for_each(|it| tell(it));
    if let Ok(found) = artifact::inspect(path, options) {
        found.files.iter().for_each(|it| tell(&path.join(&it.name)));
    }
}

fn tell(path: &Path) {
    let size = fs::metadata(path).map(|it| format!(", {}", bytes(it.len()))).unwrap_or_default();
    output::detail(format_args!("reads {}{size}", path.display()));
}
