//! Files become the examples that `train` learns from and is evaluated on.

use std::{
    env,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use anyhow::bail;
use pretrained::{
    data::{self, DataOptions, Dataset, JsonlDataset, Packed, Progress, TextDataset},
    fs::with_causes,
    tokenizer::AutoTokenizer,
};

use crate::{interrupt::Interrupt, output, progress::Bar, sources};

#[derive(Debug, clap::Args)]
pub(crate) struct DatasetOptions {
    /// Put short examples of --data together in rows of --block-size tokens, so that little is padding
    #[arg(long)]
    packing: bool,
    /// Where tokenized files are kept for the next run; default: `pretrained` in the user's cache
    #[arg(long, value_name = "DIR")]
    data_cache_dir: Option<PathBuf>,
}

/// Opens the datasets of one run.
pub(crate) struct Datasets<'a> {
    tokenizer: &'a AutoTokenizer,
    interrupt: &'a Interrupt,
    options: DataOptions,
    is_packed: bool,
    has_bar: bool,
}

impl DatasetOptions {
    pub(crate) fn datasets<'a>(
        &self,
        tokenizer: &'a AutoTokenizer,
        interrupt: &'a Interrupt,
        block_size: usize,
        has_bar: bool,
    ) -> Datasets<'a> {
        let given = self.data_cache_dir.clone();
        let cache_dir = given.or_else(user_cache_dir);
        if cache_dir.is_none() {
            not_kept("neither XDG_CACHE_HOME nor HOME is set");
        }
        let options = DataOptions { cache_dir, ..DataOptions::new(block_size) };
        Datasets { tokenizer, interrupt, options, is_packed: self.packing, has_bar }
    }
}

impl Datasets<'_> {
    /// What is learned from.
    pub(crate) fn train(
        &mut self,
        text: &[PathBuf],
        data: &[PathBuf],
    ) -> anyhow::Result<Option<Box<dyn Dataset>>> {
        if self.is_packed && !text.is_empty() {
            bail!("--packing is for --data: text is cut into full blocks as it is");
        }
        let block_size = self.options.block_size;
        Ok(match self.open(text, data)? {
            Some(dataset) if self.is_packed => Some(Box::new(Packed::new(dataset, block_size))),
            dataset => dataset,
        })
    }

    /// What is evaluated on. Never packed: each example is read as it would be alone.
    pub(crate) fn eval(
        &mut self,
        text: &[PathBuf],
        data: &[PathBuf],
    ) -> anyhow::Result<Option<Box<dyn Dataset>>> {
        self.open(text, data)
    }

    fn open(
        &mut self,
        text: &[PathBuf],
        data: &[PathBuf],
    ) -> anyhow::Result<Option<Box<dyn Dataset>>> {
        sources::files(text);
        sources::files(data);
        let tokenizer = self.tokenizer;
        Ok(match (text, data) {
            ([], []) => None,
            (text, []) => Some(Box::new(self.tokenized(|options, show| {
                TextDataset::from_files_with(text, tokenizer, options, show)
            })?)),
            (_, data) => {
                let dataset = self.tokenized(|options, show| {
                    JsonlDataset::from_files_with(data, tokenizer, options, show)
                })?;
                let truncation = dataset.truncation();
                if !truncation.is_nothing() {
                    let first = data.first().map_or(Path::new(""), PathBuf::as_path).display();
                    let others = if data.len() > 1 { " and others" } else { "" };
                    output::note(format_args!("warning: {first}{others}: {truncation}"));
                }
                Some(Box::new(dataset))
            }
        })
    }

    /// With the cache, or without it from where on it fails.
    fn tokenized<D>(
        &mut self,
        read: impl Fn(
            &DataOptions,
            &mut dyn FnMut(Progress) -> ControlFlow<()>,
        ) -> Result<D, data::Error>,
    ) -> anyhow::Result<D> {
        let watched = |options: &DataOptions| {
            let bar = self.has_bar.then(|| Bar::bytes("tokenize"));
            let res = read(options, &mut |it: Progress| {
                if let Some(bar) = &bar {
                    bar.set(it.bytes, it.total_bytes);
                }
                match self.interrupt.signal() {
                    Some(_) => ControlFlow::Break(()),
                    None => ControlFlow::Continue(()),
                }
            });
            if let Some(bar) = bar {
                bar.finish();
            }
            res
        };
        match watched(&self.options) {
            Err(data::Error::Cache(e)) => {
                not_kept(&with_causes(&e));
                self.options.cache_dir = None;
                Ok(watched(&self.options)?)
            }
            res => Ok(res?),
        }
    }
}

fn not_kept(why: &str) {
    output::note(format_args!(
        "warning: tokenized in memory, and again by the next run: {why}; --data-cache-dir names another place"
    ));
}

/// Where tokenized files are kept, unless the command is told otherwise.
pub(crate) fn user_cache_dir() -> Option<PathBuf> {
    default_cache_dir(|name| Some(env::var_os(name)?.into()))
}

/// Where programs keep what can be made again.
fn default_cache_dir(var: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    // What is empty or relative is to be ignored, by the XDG Base Directory Specification.
    let absolute = |name: &str| var(name).filter(|it| it.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    Some(cache?.join("pretrained"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(xdg: Option<&str>, home: Option<&str>, expected: Option<&str>) {
        let dir = default_cache_dir(|name| match name {
            "XDG_CACHE_HOME" => xdg.map(PathBuf::from),
            _ => home.map(PathBuf::from),
        });
        assert_eq!(dir, expected.map(PathBuf::from));
    }

    #[test]
    fn the_cache_is_where_the_user_keeps_his_caches() {
        check(Some("/xdg"), Some("/home/u"), Some("/xdg/pretrained"));
        check(None, Some("/home/u"), Some("/home/u/.cache/pretrained"));
        check(Some(""), Some("/home/u"), Some("/home/u/.cache/pretrained"));
        check(Some("here"), Some("/home/u"), Some("/home/u/.cache/pretrained"));
        check(None, None, None);
        check(Some(""), Some(""), None);
    }
}
