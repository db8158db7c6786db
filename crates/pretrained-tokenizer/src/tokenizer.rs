//! The tokenizer itself.

use std::path::Path;

use rayon::prelude::*;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::{
    DecodeStream, Error, Side, SpecialTokens, TokenizerFiles, bundle,
    chat::ChatTemplates,
    guard::guarded,
    load::{self, Class, Settings},
    pieces::{self, Pieces, Seen},
};

/// A tokenizer, as its files describe it.
///
/// Nothing that is done with it changes it: padding and truncation are asked for in each call,
/// whatever the files were saved with.
pub struct AutoTokenizer {
    files: TokenizerFiles,
    inner: tokenizers::Tokenizer,
    pieces: Option<Pieces>,
    settings: Settings,
    templates: ChatTemplates,
}

impl AutoTokenizer {
    /// Opens the tokenizer of a model directory.
    ///
    /// # Errors
    ///
    /// [`Error::File`] where there is no such directory, [`Error::Missing`] where it holds no
    /// tokenizer; [`Error::Foreign`] for a file that is not opened, as for
    /// [`TokenizerFiles::read`]; [`Error::Invalid`] for one that cannot be what it says, or that
    /// names a class that is not known here.
    pub fn from_pretrained(dir: impl AsRef<Path>) -> Result<AutoTokenizer, Error> {
        let dir = dir.as_ref();
        let files = TokenizerFiles::read(dir)?;
        if files.is_empty() {
            // A directory that is not there is another mistake than one without a tokenizer.
            std::fs::metadata(dir).map_err(|e| pretrained_fs::Error::new("open", dir, e))?;
            return Err(Error::Missing { dir: dir.to_owned() });
        }
        let config = bundle::read_model_config(dir)?;
        AutoTokenizer::new(files, &config).map_err(|e| e.within(dir))
    }

    /// Makes a tokenizer of files that are already in memory, for no model in particular.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] where none of the files holds a vocabulary; [`Error::Invalid`], as for
    /// [`AutoTokenizer::from_pretrained`].
    pub fn from_files(files: TokenizerFiles) -> Result<AutoTokenizer, Error> {
        AutoTokenizer::new(files, &Map::new())
    }

    fn new(files: TokenizerFiles, config: &Map<String, Value>) -> Result<AutoTokenizer, Error> {
        // What the crate trips over that was not checked for is the fault of a file.
        let (inner, settings) = guarded(|| load::load(&files, config))
            .map_err(|reason| Error::invalid(bundle::TOKENIZER, reason))??;
        let templates = ChatTemplates::read(&files, &settings.config)?;
        let pieces = guarded(|| Pieces::of(&inner)).unwrap_or_default();
        Ok(AutoTokenizer { files, inner, pieces, settings, templates })
    }

    /// Writes the tokenizer's files into `dir`, replacing the tokenizer there as a whole.
    ///
    /// They are the bytes that were read. Only where the class was told by a config.json that is
    /// not in `dir` does tokenizer_config.json name it from now on, as transformers would.
    ///
    /// # Errors
    ///
    /// As for [`TokenizerFiles::save`]; and [`Error::Foreign`] where `dir` has a config.json that
    /// is not opened.
    pub fn save_pretrained(&self, dir: impl AsRef<Path>) -> Result<(), Error> {
        let dir = dir.as_ref();
        let Settings { class, config, .. } = &self.settings;
        let there = bundle::read_model_config(dir)?;
        let tokenizer_json = self.files.get(bundle::TOKENIZER);
        if Class::resolve(&there, config, tokenizer_json).as_ref() == Ok(class) {
            return self.files.save(dir);
        }
        // The name that all versions of transformers have for it.
        let name = if *class == Class::AsIs { "PreTrainedTokenizerFast" } else { class.name() };
        let read = self.files.get(bundle::CONFIG).unwrap_or_default();
        let json = with_class(read, config, name)?;
        let mut files = self.files.clone();
        files.insert(bundle::CONFIG, json);
        files.save(dir)
    }

    /// The files this tokenizer was made of.
    pub fn files(&self) -> &TokenizerFiles {
        &self.files
    }

    /// The ids of a text, with the special tokens of the post-processor around it if wanted.
    ///
    /// # Errors
    ///
    /// [`Error::Text`] where the tokenizer that the files describe trips over the text: a regular
    /// expression that gives up, for one.
    pub fn encode(&self, text: &str, add_special_tokens: bool) -> Result<Vec<u32>, Error> {
        self.encode_seen(text, add_special_tokens, &mut Seen::default())
    }

    /// The ids of many texts, on all cores.
    ///
    /// # Errors
    ///
    /// As for [`AutoTokenizer::encode`], of whichever text was the first.
    pub fn encode_batch<S: AsRef<str> + Sync>(
        &self,
        texts: &[S],
        add_special_tokens: bool,
    ) -> Result<Vec<Vec<u32>>, Error> {
        texts
            .par_iter()
            .with_min_len(pieces::part(texts.len()))
            .map_init(Seen::default, |seen, text| {
                self.encode_seen(text.as_ref(), add_special_tokens, seen)
            })
            .collect()
    }

    fn encode_seen(
        &self,
        text: &str,
        add_special_tokens: bool,
        seen: &mut Seen,
    ) -> Result<Vec<u32>, Error> {
        let encoded = guarded(|| match &self.pieces {
            Some(pieces) => pieces.encode(&self.inner, text, add_special_tokens, seen),
            None => {
                let encoding = self.inner.encode_fast(text, add_special_tokens)?;
                Ok(encoding.get_ids().to_vec())
            }
        });
        encoded.map_err(Error::text)?.map_err(Error::text)
    }

    /// The text of ids. Ids outside the vocabulary are left out.
    ///
    /// # Errors
    ///
    /// [`Error::Text`] where the files describe a decoder that trips over the ids.
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String, Error> {
        let text = self.decode_as_is(ids, skip_special_tokens)?;
        Ok(if self.settings.clean_up { clean_up(&text) } else { text })
    }

    /// The text of ids before it is cleaned up.
    pub(crate) fn decode_as_is(
        &self,
        ids: &[u32],
        skip_special_tokens: bool,
    ) -> Result<String, Error> {
        // Some decoders subtract one from the number of tokens before they look whether there are any.
        let is_shown = |id: &u32| {
            let token = self.inner.id_to_token(*id);
            let added = self.inner.get_added_vocabulary();
            token.is_some_and(|it| !(skip_special_tokens && added.is_special_token(&it)))
        };
        if !ids.iter().any(is_shown) {
            return Ok(String::new());
        }
        guarded(|| self.inner.decode(ids, skip_special_tokens))
            .map_err(Error::text)?
            .map_err(Error::text)
    }

    /// Decodes ids one at a time, for output that appears while it is generated.
    pub fn decode_stream(&self, skip_special_tokens: bool) -> DecodeStream<'_> {
        DecodeStream::new(self, skip_special_tokens)
    }

    /// The class of transformers that this tokenizer is one of, such as `Qwen2Tokenizer`;
    /// `TokenizersBackend` if tokenizer.json is the whole tokenizer.
    pub fn tokenizer_class(&self) -> &'static str {
        self.settings.class.name()
    }

    /// How many tokens there are, the added ones included.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The id of a token, spelled as in the vocabulary.
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// How the vocabulary spells a token.
    pub fn id_to_token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The special tokens that have a role.
    pub fn special_tokens(&self) -> &SpecialTokens {
        &self.settings.special
    }

    /// The id of the token that begins a sequence.
    pub fn bos_token_id(&self) -> Option<u32> {
        self.token_to_id(self.settings.special.bos.as_deref()?)
    }

    /// The id of the token that ends a sequence.
    pub fn eos_token_id(&self) -> Option<u32> {
        self.token_to_id(self.settings.special.eos.as_deref()?)
    }

    /// The id of the token that fills short sequences.
    pub fn pad_token_id(&self) -> Option<u32> {
        self.token_to_id(self.settings.special.pad.as_deref()?)
    }

    /// The id of the token that stands for unknown text.
    pub fn unk_token_id(&self) -> Option<u32> {
        self.token_to_id(self.settings.special.unk.as_deref()?)
    }

    /// The longest sequence the model was made for, if the files say so.
    pub fn model_max_length(&self) -> Option<u64> {
        self.settings.model_max_length
    }

    /// The end at which short sequences are filled, unless a call says otherwise.
    pub fn padding_side(&self) -> Side {
        self.settings.padding_side
    }

    /// The end at which long sequences are cut, unless a call says otherwise.
    pub fn truncation_side(&self) -> Side {
        self.settings.truncation_side
    }

    /// Whether the files hold a chat template.
    pub fn has_chat_template(&self) -> bool {
        !self.templates.is_empty()
    }

    pub(crate) fn inner(&self) -> &tokenizers::Tokenizer {
        &self.inner
    }

    pub(crate) fn pieces(&self) -> Option<&Pieces> {
        self.pieces.as_ref()
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn chat_templates(&self) -> &ChatTemplates {
        &self.templates
    }

    /// Encodes with offsets in characters, without special tokens around.
    pub(crate) fn encode_chars(&self, text: &str) -> Result<tokenizers::Encoding, Error> {
        guarded(|| self.inner.encode_char_offsets(text, false))
            .map_err(Error::text)?
            .map_err(Error::text)
    }
}

impl std::fmt::Debug for AutoTokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AutoTokenizer")
            .field("files", &self.files.names().collect::<Vec<_>>())
            .field("vocab_size", &self.vocab_size())
            .field("special_tokens", &self.settings.special)
            .finish_non_exhaustive()
    }
}

/// tokenizer_config.json, naming a class.
fn with_class(read: &[u8], config: &Map<String, Value>, name: &str) -> Result<Vec<u8>, Error> {
    let is_lossless = read.is_empty() || serde_json::from_slice::<IgnoredAny>(read).is_ok();
    if let Some(open) = read.trim_ascii_end().strip_suffix(b"}")
        && !is_lossless
    {
        // What only Python reads is kept as it is. Of two equal keys the last one counts.
        let class = format!(",\n  \"tokenizer_class\": \"{name}\"\n}}\n");
        return Ok([open.trim_ascii_end(), class.as_bytes()].concat());
    }
    let mut config = config.clone();
    config.insert("tokenizer_class".to_owned(), Value::from(name));
    let mut json = serde_json::to_vec_pretty(&config).map_err(Error::text)?;
    json.push(b'\n');
    Ok(json)
}

/// Takes away the spaces that WordPiece leaves before punctuation.
pub(crate) fn clean_up(text: &str) -> String {
    const RULES: [(&str, &str); 10] = [
        (" .", "."),
        (" ?", "?"),
        (" !", "!"),
        (" ,", ","),
        (" ' ", "'"),
        (" n't", "n't"),
        (" 'm", "'m"),
        (" 's", "'s"),
        (" 've", "'ve"),
        (" 're", "'re"),
    ];
    RULES.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}
