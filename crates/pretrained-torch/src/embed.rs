//! Sentence embeddings: one vector for each text.

use std::{cmp::Reverse, path::Path};

use pretrained_artifact::CONFIG;
use pretrained_fs::{ForeignDir, ForeignError};
use pretrained_tokenizer::{AutoTokenizer, EncodeOptions, OffsetUnit, Truncation};
use serde_json::Value;
use tch::{Device, Kind, Tensor};

use crate::{AutoModel, Error, ModelInputs};

/// What one vector is made of, out of those of a text's tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pooling {
    /// Their mean.
    #[default]
    Mean,
    /// The first, `[CLS]`.
    Cls,
    /// The largest number of each channel.
    Max,
}

/// How texts become vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbedOptions {
    /// What the tokens' vectors become.
    pub pooling: Pooling,
    /// Whether vectors are of length 1, so that their products are cosines.
    pub normalize: bool,
    /// How many texts are run at once.
    pub batch_size: usize,
    /// Longer texts are cut to so many tokens, special ones included. The model's and the
    /// tokenizer's limits hold, too.
    pub max_length: Option<usize>,
}

impl Default for EmbedOptions {
    fn default() -> EmbedOptions {
        EmbedOptions {
            pooling: Pooling::default(),
            normalize: true,
            batch_size: 32,
            max_length: None,
        }
    }
}

impl EmbedOptions {
    /// What a directory of sentence-transformers says about itself (`modules.json` and what it
    /// names); the defaults for a directory that says nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] if it has modules, or a mode, that are not done here; [`Error::Settings`] if
    /// one of the files is no JSON; [`Error::Artifact`] if one cannot be read, or is not opened, as a
    /// link out of the directory.
    pub fn from_pretrained(dir: impl AsRef<Path>) -> Result<EmbedOptions, Error> {
        let dir = ForeignDir::new(dir.as_ref()).map_err(foreign)?;
        let mut options = EmbedOptions::default();
        let Some(modules) = read(&dir, MODULES)? else { return Ok(options) };
        options.normalize = false;
        for module in modules.as_array().into_iter().flatten() {
            let path = module["path"].as_str().unwrap_or_default();
            let file = |name: &str| match path {
                "" => name.to_owned(),
                path => format!("{path}/{name}"),
            };
            match module["type"].as_str().unwrap_or_default().rsplit('.').next() {
                Some("Transformer") => {
                    let settings = read(&dir, &file(TRANSFORMER))?.unwrap_or_default();
                    let limit = settings["max_seq_length"].as_u64();
                    options.max_length = limit.and_then(|it| usize::try_from(it).ok());
                    if settings["do_lower_case"] == true {
                        return Err(unsupported("do_lower_case", "true".to_owned()));
                    }
                }
                Some("Pooling") => {
                    let settings = read(&dir, &file(CONFIG))?.unwrap_or_default();
                    options.pooling = Pooling::of(&settings)?;
                }
                Some("Normalize") => options.normalize = true,
                _ => return Err(unsupported(MODULES, module["type"].to_string())),
            }
        }
        Ok(options)
    }
}

impl Pooling {
    /// By the switches of sentence-transformers, of which one is on.
    fn of(settings: &Value) -> Result<Pooling, Error> {
        let switches = settings.as_object().into_iter().flatten();
        let on = switches.filter(|(key, on)| key.starts_with("pooling_mode_") && **on == true);
        let mut modes: Vec<&str> = on.map(|(key, _)| key.as_str()).collect();
        modes.extend(settings["pooling_mode"].as_str());
        match modes[..] {
            [] | ["pooling_mode_mean_tokens" | "mean"] => Ok(Pooling::Mean),
            ["pooling_mode_cls_token" | "cls"] => Ok(Pooling::Cls),
            ["pooling_mode_max_tokens" | "max"] => Ok(Pooling::Max),
            _ => Err(unsupported("pooling_mode", modes.join(", "))),
        }
    }

    /// Of hidden states, (B, T, C), and what is text of them, (B, T): (B, C), Float.
    fn pool(self, hidden: &Tensor, mask: &Tensor) -> Tensor {
        let hidden = hidden.to_kind(Kind::Float);
        let mask = mask.unsqueeze(-1); // (B, T, 1)
        match self {
            Pooling::Mean => {
                let n = mask.sum_dim_intlist(1, false, Kind::Float); // (B, 1)
                (hidden * mask).sum_dim_intlist(1, false, Kind::Float) / n
            }
            Pooling::Cls => hidden.select(1, 0),
            Pooling::Max => hidden.masked_fill(&mask.eq(0), f64::NEG_INFINITY).amax(1, false),
        }
    }
}

/// Vectors of texts.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    /// N, C.
    pub shape: [usize; 2],
    /// In C order.
    pub values: Vec<f32>,
}

/// One vector for each text, in their order. The values are f32 whatever the model computes in.
///
/// # Errors
///
/// [`Error::Option`] if `batch_size` is 0; [`Error::Tokenizer`] if a text cannot be encoded, or
/// `max_length` has no room for the special tokens; [`Error::EmptyPrompt`] if a text has no token;
/// [`Error::TokenId`] if it has one that the model does not know; [`Error::Torch`] if libtorch fails.
pub fn embed<S: AsRef<str>>(
    model: &AutoModel,
    tokenizer: &AutoTokenizer,
    texts: &[S],
    options: &EmbedOptions,
) -> Result<Embeddings, Error> {
    if options.batch_size == 0 {
        let (option, value) = ("batch_size", "0".to_owned());
        return Err(Error::Option { option, value, expected: "at least 1" });
    }
    let limit = tokenizer.model_max_length().and_then(|it| usize::try_from(it).ok());
    let limits = [options.max_length, limit].into_iter().flatten();
    let encode = EncodeOptions {
        truncation: Truncation::LongestFirst,
        max_length: Some(limits.fold(model.max_positions(), usize::min)),
        offsets: OffsetUnit::None,
        ..EncodeOptions::default()
    };
    let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
    let encodings = tokenizer.encode_with(&texts, &encode)?;
    if encodings.iter().any(|it| it.input_ids.is_empty()) {
        return Err(Error::EmptyPrompt);
    }

    let _guard = tch::no_grad_guard();
    let n_embd = model.hidden_size();
    let mut values = vec![0.0; texts.len() * n_embd];
    // Those of about one length together: little is padded.
    let mut order: Vec<usize> = (0..encodings.len()).collect();
    order.sort_by_key(|&at| Reverse(encodings[at].input_ids.len()));
    for batch in order.chunks(options.batch_size) {
        let width = encodings[batch[0]].input_ids.len();
        // What is padded is not looked at, whatever it is.
        let rows = |of: fn(&pretrained_tokenizer::Encoding) -> &[u32]| {
            let mut rows = vec![0i64; batch.len() * width];
            for (row, &at) in rows.chunks_mut(width).zip(batch) {
                row.iter_mut().zip(of(&encodings[at])).for_each(|(to, &from)| *to = from.into());
            }
            Tensor::from_slice(&rows).view([batch.len() as i64, width as i64])
        };
        let (ids, mask) = (rows(|it| &it.input_ids), rows(|it| &it.attention_mask));
        let types = rows(|it| &it.token_type_ids);
        let inputs = ModelInputs {
            attention_mask: Some(&mask),
            token_type_ids: Some(&types),
            output_hidden_states: false,
        };
        let hidden = model.forward(&ids, &inputs)?.last_hidden_state;
        let mut vectors = options.pooling.pool(&hidden, &mask.to_device(hidden.device()));
        if options.normalize {
            let norm = vectors.norm_scalaropt_dim(2.0, [-1i64], true);
            vectors /= norm.clamp_min(1e-12);
        }
        let vectors = Vec::<f32>::try_from(vectors.to_device(Device::Cpu).flatten(0, -1))?;
        for (vector, &at) in vectors.chunks(n_embd).zip(batch) {
            values[at * n_embd..][..n_embd].copy_from_slice(vector);
        }
    }
    Ok(Embeddings { shape: [texts.len(), n_embd], values })
}

fn read(dir: &ForeignDir, name: &str) -> Result<Option<Value>, Error> {
    let Some(bytes) = dir.read(name, MAX_BYTES).map_err(foreign)? else { return Ok(None) };
    let path = dir.path().join(name);
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|e| Error::Settings { path, reason: e.to_string() })
}

fn foreign(error: ForeignError) -> Error {
    pretrained_artifact::Error::from(error).into()
}

fn unsupported(option: &'static str, value: String) -> Error {
    let expected = "transformer, pooling (mean, cls or max) and normalization are supported";
    Error::Option { option, value, expected }
}

const MODULES: &str = "modules.json";
const TRANSFORMER: &str = "sentence_bert_config.json";
/// Far more than such a file says.
const MAX_BYTES: u64 = 1 << 20;
