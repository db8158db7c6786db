//! Training a byte-level BPE tokenizer from text files.

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tokenizers::{
    AddedToken, Model, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Trainer,
    models::bpe::{BPE, BpeTrainer},
    pre_tokenizers::byte_level::ByteLevel,
};

use crate::{
    AutoTokenizer, Error, SpecialTokens, TokenizerFiles,
    bundle::{CHAT_TEMPLATE, CONFIG, TOKENIZER},
    guard::guarded,
};

/// Trains a byte-level BPE tokenizer: every text can be encoded, and decodes to itself.
///
/// The same files and settings give the same bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenizerTrainer {
    /// How many tokens to make, special tokens and the 256 bytes included. Fewer come out when
    /// the text has fewer pairs to merge.
    pub vocab_size: usize,
    /// How often a pair must occur to become a token.
    pub min_frequency: u64,
    /// The special tokens; they get the first ids, each once, in the order of the struct.
    pub special_tokens: SpecialTokens,
    /// The longest sequence the model will be made for.
    pub model_max_length: Option<u64>,
    /// A chat template to save with the tokenizer.
    pub chat_template: Option<String>,
}

impl Default for TokenizerTrainer {
    fn default() -> TokenizerTrainer {
        let end = || Some("<|endoftext|>".to_owned());
        TokenizerTrainer {
            vocab_size: 32_000,
            min_frequency: 2,
            special_tokens: SpecialTokens { bos: end(), eos: end(), ..SpecialTokens::default() },
            model_max_length: None,
            chat_template: None,
        }
    }
}

/// How far training has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// So many of so many bytes of text are counted.
    Counting {
        /// Bytes counted so far.
        done: u64,
        /// Bytes of all files.
        total: u64,
    },
    /// Pairs are being merged into tokens: said at the beginning, about once a second, and at the
    /// end. How many there are is known only then.
    Merging {
        /// Tokens made: none before the end.
        done: u64,
        /// Tokens asked for; at the end, those that were made.
        total: u64,
    },
}

impl TokenizerTrainer {
    /// Trains on text files. `progress` is called now and then, from this thread.
    ///
    /// # Errors
    ///
    /// [`Error::Training`] for a vocabulary that is too small for the special tokens and the 256
    /// bytes, or larger than 2^22; for a special token that is empty, and files without text.
    /// [`Error::File`] where one cannot be read, [`Error::Invalid`] where it is no regular file or
    /// not UTF-8.
    pub fn train_files(
        &self,
        files: &[PathBuf],
        mut progress: impl FnMut(Progress) + Send,
    ) -> Result<AutoTokenizer, Error> {
        let special = self.special()?;
        let total = total_len(files)?;
        let byte_level = ByteLevel::new(false, true, true);
        let mut trainer = BpeTrainer::builder()
            .show_progress(false)
            .vocab_size(self.vocab_size)
            .min_frequency(self.min_frequency)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect::<HashSet<char>>())
            .special_tokens(special.clone())
            .build();

        let mut failure = None;
        let lines = files.iter().flat_map(Lines::open).map_while(|line| match line {
            Ok(line) => Some(line),
            Err(e) => {
                failure = Some(e);
                None
            }
        });
        let mut done = 0;
        let lines = lines.inspect(|line| {
            done += line.len() as u64;
            progress(Progress::Counting { done, total });
        });
        trainer
            .feed(lines, |line| {
                let mut text = PreTokenizedString::from(line);
                byte_level.pre_tokenize(&mut text)?;
                let splits = text.get_splits(OffsetReferential::Normalized, OffsetType::None);
                Ok(splits.into_iter().map(|(word, ..)| word.to_owned()).collect())
            })
            .map_err(Error::training)?;
        if let Some(failure) = failure {
            return Err(failure);
        }
        let bpe = merge(&trainer, || {
            progress(Progress::Merging { done: 0, total: self.vocab_size as u64 });
        })?;
        let made = bpe.get_vocab_size() as u64;
        progress(Progress::Merging { done: made, total: made });
        self.finish(bpe, special)
    }

    fn finish(&self, bpe: BPE, special: Vec<AddedToken>) -> Result<AutoTokenizer, Error> {
        let mut tokenizer = tokenizers::Tokenizer::new(bpe);
        tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
        tokenizer.with_decoder(Some(ByteLevel::new(false, true, true)));
        tokenizer.add_special_tokens(special).map_err(Error::training)?;
        let json = tokenizer.to_string(true).map_err(Error::training)?;
        let mut files = TokenizerFiles::default();
        files.insert(TOKENIZER, json.into_bytes());
        files.insert(CONFIG, self.config());
        if let Some(template) = &self.chat_template {
            files.insert(CHAT_TEMPLATE, template.clone().into_bytes());
        }
        AutoTokenizer::from_files(files)
    }

    fn special(&self) -> Result<Vec<AddedToken>, Error> {
        let named = self.special_tokens.named().map(|(_, token)| token);
        let mut tokens: Vec<AddedToken> = Vec::new();
        for token in named.chain(self.special_tokens.extra.iter().map(String::as_str)) {
            if token.is_empty() {
                return Err(Error::training("a special token is empty"));
            }
            if tokens.iter().all(|it| it.content != token) {
                tokens.push(AddedToken::from(token, true));
            }
        }
        if self.vocab_size > MAX_VOCABULARY {
            return Err(Error::training(format!(
                "a vocabulary of {} is too large: {MAX_VOCABULARY} tokens at most",
                self.vocab_size
            )));
        }
        let least = tokens.len() + BYTES;
        if self.vocab_size < least {
            return Err(Error::training(format!(
                "a vocabulary of {} is too small: {} special tokens and {BYTES} bytes need {least}",
                self.vocab_size,
                tokens.len()
            )));
        }
        Ok(tokens)
    }

    /// As transformers writes it: sorted keys, two spaces, a newline at the end.
    fn config(&self) -> Vec<u8> {
        let special = &self.special_tokens;
        // The class that transformers opens as it is, whatever the model's type.
        let mut config = BTreeMap::from([
            ("clean_up_tokenization_spaces", json!(false)),
            ("tokenizer_class", json!("PreTrainedTokenizerFast")),
        ]);
        config.extend(special.named().map(|(role, token)| (role, json!(token))));
        if !special.extra.is_empty() {
            config.insert("extra_special_tokens", json!(special.extra));
        }
        if let Some(length) = self.model_max_length {
            config.insert("model_max_length", Value::from(length));
        }
        let mut json = serde_json::to_vec_pretty(&config).expect("strings and numbers only");
        json.push(b'\n');
        json
    }
}

/// The lines of a file, with their ends, as Python's tokenizers reads them.
struct Lines {
    path: PathBuf,
    file: Result<BufReader<File>, Option<Error>>,
    number: u64,
}

impl Lines {
    fn open(path: &PathBuf) -> Lines {
        let file = File::open(path)
            .map(|file| BufReader::with_capacity(1 << 20, file))
            .map_err(|e| Some(pretrained_fs::Error::new("open", path, e).into()));
        Lines { path: path.clone(), file, number: 0 }
    }
}

impl Iterator for Lines {
    type Item = Result<String, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let file = match &mut self.file {
            Ok(file) => file,
            Err(e) => return e.take().map(Err),
        };
        self.number += 1;
        let mut line = Vec::new();
        match file.read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => Some(String::from_utf8(line).map_err(|_| {
                Error::invalid(&self.path, format!("line {} is not UTF-8", self.number))
            })),
            Err(e) => Some(Err(pretrained_fs::Error::new("read", &self.path, e).into())),
        }
    }
}

/// Trains on what the trainer was fed. The crate counts its merges for a terminal only, so all that
/// can be said meanwhile is that it works.
fn merge(trainer: &BpeTrainer, mut alive: impl FnMut()) -> Result<BPE, Error> {
    thread::scope(|scope| {
        let (done, finished) = mpsc::channel::<()>();
        let training = scope.spawn(move || {
            // Dropped when it is done, or has panicked.
            let _done = done;
            let mut bpe = BPE::default();
            guarded(|| trainer.train(&mut bpe).map(|_| bpe))
        });
        alive();
        while finished.recv_timeout(BETWEEN_SIGNS) == Err(RecvTimeoutError::Timeout) {
            alive();
        }
        match training.join() {
            Ok(Ok(trained)) => trained.map_err(Error::training),
            Ok(Err(panic)) => Err(Error::training(panic)),
            // A panic that is not caught is none.
            Err(_) => Err(Error::training("the trainer did not come back")),
        }
    })
}

fn total_len(files: &[PathBuf]) -> Result<u64, Error> {
    let len = |path: &Path| {
        let metadata = path.metadata().map_err(|e| pretrained_fs::Error::new("open", path, e))?;
        if !metadata.is_file() {
            return Err(Error::invalid(path, "not a regular file"));
        }
        Ok(metadata.len())
    };
    let total = files.iter().try_fold(0u64, |sum, path| Ok::<_, Error>(sum + len(path)?))?;
    if total == 0 {
        return Err(Error::training("there is no text in the files"));
    }
    Ok(total)
}

const BYTES: usize = 256;

/// Room for it is taken before the first text is read. A dozen times the largest published vocabulary.
const MAX_VOCABULARY: usize = 1 << 22;

const BETWEEN_SIGNS: Duration = Duration::from_secs(1);
