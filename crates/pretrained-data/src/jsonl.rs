use std::path::PathBuf;

use pretrained_tokenizer::AutoTokenizer;
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};

use crate::{
    DataOptions, Dataset, Error, Example, Progress,
    cache::{key, tokenized},
    record::{Tokens, read},
    source::Source,
    store::{Builder, Store},
};

/// JSONL files: one example in each line.
///
/// A line is an object with `text`; with `messages`, of which the loss is taken on what the
/// assistant says; with `prompt` and `completion`, of which it is taken on the completion; or with
/// ready `input_ids` and perhaps `labels`.
pub struct JsonlDataset {
    store: Store,
    fingerprint: String,
}

impl JsonlDataset {
    /// Examples of at most `block_size` tokens: what is longer is cut.
    pub fn from_files(
        files: &[PathBuf],
        tokenizer: &AutoTokenizer,
        block_size: usize,
    ) -> Result<JsonlDataset, Error> {
        JsonlDataset::from_files_with(files, tokenizer, &DataOptions::new(block_size), |_| ())
    }

    /// The same with all options, and watched.
    pub fn from_files_with(
        files: &[PathBuf],
        tokenizer: &AutoTokenizer,
        options: &DataOptions,
        on_progress: impl FnMut(Progress),
    ) -> Result<JsonlDataset, Error> {
        let DataOptions { block_size, cache_dir, .. } = options;
        if *block_size < 2 {
            return Err(Error::TooLittle { reason: "block_size must be at least 2".to_owned() });
        }
        let key = key(files, tokenizer, &format!("jsonl {block_size}"))?;
        let store = tokenized(files, &key, cache_dir.as_deref(), |builder, total| {
            tokenize(files, tokenizer, *block_size, builder, total, on_progress)
        })?;
        if store.n_examples() == 0 {
            let names: Vec<String> = files.iter().map(|it| it.display().to_string()).collect();
            return Err(Error::TooLittle { reason: format!("{}: no examples", names.join(", ")) });
        }
        Ok(JsonlDataset { store, fingerprint: key })
    }
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
    total_bytes: u64,
    mut on_progress: impl FnMut(Progress),
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
                let Some(Tokens { mut ids, mut labels }) = example? else { continue };
                ids.truncate(block_size);
                labels.truncate(block_size);
                builder.example(&ids, &labels)?;
            }
            n_lines += lines.len() as u64;
            let bytes = bytes_before + source.n_read();
            on_progress(Progress { bytes, total_bytes, tokens: builder.n_tokens() });
        }
        bytes_before += source.n_read();
    }
    Ok(())
}

/// Bytes of lines that are tokenized together.
const GROUP: usize = 4 << 20;
