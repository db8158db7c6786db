use std::{fmt, ops::ControlFlow, path::PathBuf};

use pretrained_tokenizer::AutoTokenizer;
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};

use crate::{
    DataOptions, Dataset, Error, Example, Progress,
    cache::{Watcher, key, tokenized},
    record::{Tokens, read},
    source::Source,
    store::{Builder, Counts, Store},
};

/// JSONL files: one example in each line.
///
/// A line is an object with `text`; with `messages`, of which the loss is taken on what the
/// assistant says; with `prompt` and `completion`, of which it is taken on the completion; or with
/// ready `input_ids` and perhaps `labels`.
pub struct JsonlDataset {
    store: Store,
    fingerprint: String,
    truncation: Truncation,
}

/// What cutting long examples to a number of tokens has taken away. Shown as one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truncation {
    /// What they were cut to.
    pub block_size: usize,
    /// How many examples there are.
    pub examples: u64,
    /// How many of them were longer.
    pub cut: u64,
    /// How many have no token left whose prediction is learned.
    pub silent: u64,
}

impl JsonlDataset {
    /// Examples of at most `block_size` tokens: what is longer is cut.
    ///
    /// # Errors
    ///
    /// [`Error::Line`] for the first line that is no example; [`Error::TooLittle`] where no example
    /// has anything to predict, or `block_size` is under 2; [`Error::File`] where a file cannot be
    /// read, [`Error::Content`] where it is no regular one, is not UTF-8, or has a line of more
    /// than 1 GiB.
    pub fn from_files(
        files: &[PathBuf],
        tokenizer: &AutoTokenizer,
        block_size: usize,
    ) -> Result<JsonlDataset, Error> {
        JsonlDataset::from_files_with(files, tokenizer, &DataOptions::new(block_size), |_| {
            ControlFlow::Continue(())
        })
    }

    /// The same with all options, and watched by who may end it with [`ControlFlow::Break`].
    ///
    /// # Errors
    ///
    /// As for [`JsonlDataset::from_files`]; and [`Error::Cache`] where the cache cannot be read or
    /// written; [`Error::Stopped`] where it was ended.
    pub fn from_files_with(
        files: &[PathBuf],
        tokenizer: &AutoTokenizer,
        options: &DataOptions,
        mut on_progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<JsonlDataset, Error> {
        let DataOptions { block_size, cache_dir, .. } = options;
        if *block_size < 2 {
            return Err(Error::TooLittle { reason: "block_size must be at least 2".to_owned() });
        }
        let watcher = &mut Watcher::new(files, &mut on_progress)?;
        let key = key(files, tokenizer, &format!("jsonl {block_size}"), watcher)?;
        let store = tokenized(&key, cache_dir.as_deref(), watcher, |builder, watcher| {
            tokenize(files, tokenizer, *block_size, builder, watcher)
        })?;
        let (examples, Counts { cut, silent }) = (store.n_examples() as u64, store.counts());
        let truncation = Truncation { block_size: *block_size, examples, cut, silent };
        if silent == examples {
            let names: Vec<String> = files.iter().map(|it| it.display().to_string()).collect();
            let what = match (examples, cut) {
                (0, _) => "no examples".to_owned(),
                (_, 0) => "no example has anything to predict: all labels are -100".to_owned(),
                _ => format!("{truncation}: raise block_size"),
            };
            return Err(Error::TooLittle { reason: format!("{}: {what}", names.join(", ")) });
        }
        Ok(JsonlDataset { store, fingerprint: key, truncation })
    }

    /// What was lost by cutting.
    pub fn truncation(&self) -> Truncation {
        self.truncation
    }
}

impl Truncation {
    /// Whether nothing was cut, and every example has something to predict.
    pub fn is_nothing(&self) -> bool {
        self.cut == 0 && self.silent == 0
    }
}

impl fmt::Display for Truncation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Truncation { block_size, examples, cut, silent } = self;
        let (was, has) = (verb(*cut, "was", "were"), verb(*silent, "has", "have"));
        let is = verb(*cut, "is", "are");
        match (cut, silent) {
            (0, _) => write!(f, "{silent} of {examples} examples {has} nothing to predict"),
            _ => {
                write!(f, "{cut} of {examples} examples {was} longer than {block_size} tokens ")?;
                write!(f, "and {is} cut")?;
                match silent {
                    0 => Ok(()),
                    _ => write!(f, "; {silent} {has} nothing left to predict"),
                }
            }
        }
    }
}

fn verb(n: u64, one: &'static str, many: &'static str) -> &'static str {
    if n == 1 { one } else { many }
}

impl Dataset for JsonlDataset {
    fn len(&self) -> usize {
        self.store.n_examples()
    }

    fn example(&self, i: usize) -> Example<'_> {
        let (from, to) = self.store.range(i);
        Example { input_ids: self.store.input_ids(from, to), labels: self.store.labels(from, to) }
    }

    fn example_len(&self, i: usize) -> usize {
        let (from, to) = self.store.range(i);
        to - from
    }

    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }
}

fn tokenize(
    files: &[PathBuf],
    tokenizer: &AutoTokenizer,
    block_size: usize,
    builder: &mut Builder,
    watcher: &mut Watcher<'_>,
) -> Result<(), Error> {
    let mut bytes_before = 0;
    for path in files {
        let mut source = Source::open(path)?;
        let mut n_lines = 0;
        loop {
            let (mut lines, mut n_bytes) = (Vec::new(), 0);
            while n_bytes < GROUP {
                let Some(line) = source.line()? else { break };
                n_bytes += line.len();
                lines.push(line);
            }
            if lines.is_empty() {
                break;
            }
            let examples = lines.par_iter().enumerate().map(|(i, line)| {
                let line_number = n_lines + i as u64 + 1;
                let at = |reason| Error::Line { path: path.clone(), line: line_number, reason };
                match line.trim() {
                    "" => Ok(None),
                    line => read(line, tokenizer).map(Some).map_err(at),
                }
            });
            let examples: Vec<Result<Option<Tokens>, Error>> = examples.collect();
            for example in examples {
                let Some(Tokens { ids, labels }) = example? else { continue };
                builder.example(&ids, &labels, block_size)?;
            }
            n_lines += lines.len() as u64;
            watcher.tell(bytes_before + source.n_read(), builder.n_tokens())?;
        }
        bytes_before += source.n_read();
    }
    Ok(())
}

/// Bytes of lines that are tokenized together.
const GROUP: usize = 4 << 20;
