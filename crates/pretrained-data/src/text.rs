use std::{ops::ControlFlow, path::PathBuf};

use pretrained_tokenizer::AutoTokenizer;

use crate::{
    DataOptions, Dataset, Error, Example, Progress,
    cache::{Watcher, key, tokenized},
    source::Source,
    store::{Builder, Store},
};

/// Plain text, tokenized file by file, joined, and cut into blocks of equal length.
pub struct TextDataset {
    store: Store,
    block_size: usize,
    len: usize,
    fingerprint: String,
}

impl TextDataset {
    /// Blocks of `block_size` tokens. What is left after the last whole block is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::TooLittle`] where there is no whole block, or `block_size` is under 2;
    /// [`Error::File`] where a file cannot be read, [`Error::Content`] where it is no regular one
    /// or not UTF-8; [`Error::Tokenizer`] where its text cannot be tokenized.
    pub fn from_files(
        files: &[PathBuf],
        tokenizer: &AutoTokenizer,
        block_size: usize,
    ) -> Result<TextDataset, Error> {
        TextDataset::from_files_with(files, tokenizer, &DataOptions::new(block_size), |_| {
            ControlFlow::Continue(())
        })
    }

    /// The same with every token in a block: the last one may be shorter.
    ///
    /// # Errors
    ///
    /// As for [`TextDataset::from_files`]; but two tokens are enough.
    pub fn whole_from_files(
        files: &[PathBuf],
        tokenizer: &AutoTokenizer,
        block_size: usize,
    ) -> Result<TextDataset, Error> {
        let options = DataOptions { keep_tail: true, ..DataOptions::new(block_size) };
        TextDataset::from_files_with(files, tokenizer, &options, |_| ControlFlow::Continue(()))
    }

    /// The same with all options, and watched by who may end it with [`ControlFlow::Break`].
    ///
    /// # Errors
    ///
    /// As for [`TextDataset::from_files`]; and [`Error::Cache`] where the cache cannot be read or
    /// written; [`Error::Stopped`] where it was ended.
    pub fn from_files_with(
        files: &[PathBuf],
        tokenizer: &AutoTokenizer,
        options: &DataOptions,
        mut on_progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<TextDataset, Error> {
        let DataOptions { block_size, keep_tail, cache_dir } = options;
        let too_little = |reason: String| Err(Error::TooLittle { reason });
        if *block_size < 2 {
            return too_little("block_size must be at least 2".to_owned());
        }
        let watcher = &mut Watcher::new(files, &mut on_progress)?;
        let key = key(files, tokenizer, "text", watcher)?;
        let store = tokenized(&key, cache_dir.as_deref(), watcher, |builder, watcher| {
            tokenize(files, tokenizer, builder, watcher)
        })?;

        let n_tokens = store.n_tokens();
        let n_blocks = n_tokens / block_size;
        // A block of one token has nothing to predict.
        let has_tail = *keep_tail && n_tokens % block_size >= 2;
        let len = n_blocks + usize::from(has_tail);
        if len == 0 {
            let names: Vec<String> = files.iter().map(|it| it.display().to_string()).collect();
            let names = names.join(", ");
            let needed = if *keep_tail { 2 } else { *block_size };
            return too_little(match n_tokens {
                0 => format!("{names}: no text"),
                n => format!(
                    "{names}: {n} tokens, a block needs {needed}: give more text or lower block_size"
                ),
            });
        }
        let fingerprint = format!("{key}-{block_size}{}", if *keep_tail { "+" } else { "" });
        Ok(TextDataset { store, block_size: *block_size, len, fingerprint })
    }

    /// All tokens of the files, those that are in no block included.
    pub fn n_tokens(&self) -> usize {
        self.store.n_tokens()
    }
}

impl Dataset for TextDataset {
    fn len(&self) -> usize {
        self.len
    }

    fn example(&self, i: usize) -> Example<'_> {
        let from = i * self.block_size;
        let to = (from + self.block_size).min(self.store.n_tokens());
        Example { input_ids: self.store.input_ids(from, to), labels: None }
    }

    fn example_len(&self, i: usize) -> usize {
        self.block_size.min(self.store.n_tokens() - i * self.block_size)
    }

    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }
}

/// Tokenizes each file as one text, in pieces on all cores.
fn tokenize(
    files: &[PathBuf],
    tokenizer: &AutoTokenizer,
    builder: &mut Builder,
    watcher: &mut Watcher<'_>,
) -> Result<(), Error> {
    let mut bytes_before = 0;
    for path in files {
        let failed = |source| Error::Tokenizer { path: path.clone(), source };
        let around = Around::new(tokenizer).map_err(failed)?;
        let mut source = Source::open(path)?;
        let is_boundary = |text: &str, cut: usize| is_boundary(tokenizer, text, cut);

        let mut is_first = true;
        loop {
            let mut pieces = Vec::with_capacity(PIECES);
            while pieces.len() < PIECES {
                match source.piece(PIECE, is_boundary)? {
                    Some(it) => pieces.push(it),
                    None => break,
                }
            }
            if pieces.is_empty() {
                break;
            }
            if std::mem::take(&mut is_first) {
                builder.tokens(&around.before)?;
            }
            for ids in tokenizer.encode_batch(&pieces, false).map_err(failed)? {
                builder.tokens(&ids)?;
            }
            watcher.tell(bytes_before + source.n_read(), builder.n_tokens())?;
        }
        if !is_first {
            builder.tokens(&around.after)?;
        }
        bytes_before += source.n_read();
    }
    Ok(())
}

/// The special tokens that the tokenizer puts around a text.
struct Around {
    before: Vec<u32>,
    after: Vec<u32>,
}

impl Around {
    fn new(tokenizer: &AutoTokenizer) -> Result<Around, pretrained_tokenizer::Error> {
        let bare = tokenizer.encode(SAMPLE, false)?;
        let whole = tokenizer.encode(SAMPLE, true)?;
        let at = whole.windows(bare.len().max(1)).position(|it| it == bare).unwrap_or(0);
        let after = (at + bare.len()).min(whole.len());
        Ok(Around { before: whole[..at].to_vec(), after: whole[after..].to_vec() })
    }
}

/// Whether the text before `cut` and the text after it can be tokenized apart. Tokens reach a few
/// words far, so that this is seen from the text around the cut.
fn is_boundary(tokenizer: &AutoTokenizer, text: &str, cut: usize) -> bool {
    let (before, after) = text.split_at(cut);
    let ends_line = before.strip_suffix('\n').and_then(|it| it.chars().next_back());
    let is_inside_space = ends_line.is_none_or(char::is_whitespace)
        || after.chars().next().is_none_or(char::is_whitespace);
    if is_inside_space {
        return false;
    }
    let from = before.floor_char_boundary(before.len().saturating_sub(WINDOW));
    let to = after.floor_char_boundary(WINDOW);
    let (before, after) = (&before[from..], &after[..to]);
    let encode = |text: &str| tokenizer.encode(text, false);
    match (encode(before), encode(after), encode(&format!("{before}{after}"))) {
        (Ok(before), Ok(after), Ok(whole)) => [before, after].concat() == whole,
        _ => false,
    }
}

/// Small enough that memory is bounded, large enough that cores are busy.
const PIECE: usize = 24 << 10;
const PIECES: usize = 256;
const WINDOW: usize = 128;
const SAMPLE: &str = "a";
