use std::path::Path;

use pretrained_config::{self as config, Architecture, Config};
use tch::{Kind, Tensor};

use crate::{
    Device, Error, LoadOptions, LoadReport, ParamMap,
    auto::architecture,
    guard::guarded,
    load::{load, open},
    models::bert::Bert,
    params::build,
};

/// A network without a head: what it makes of a text is of use by itself.
///
/// `AutoModel` of transformers. Of the architectures here that is BERT; those that predict the next
/// token are [`AutoModelForCausalLM`](crate::AutoModelForCausalLM).
#[derive(Debug)]
pub struct AutoModel {
    config: Config,
    network: Bert,
    vocab_size: i64,
    type_vocab_size: i64,
    positions: i64,
    hidden_size: i64,
    params: ParamMap,
    /// Names in the order of Hugging Face's `named_parameters()`.
    order: Vec<String>,
    report: LoadReport,
    device: Device,
}

/// What a model is told besides its tokens, as transformers calls it. The default: all tokens are
/// text, of one segment.
#[derive(Debug, Default)]
pub struct ModelInputs<'a> {
    /// (B, T), Int64: 1 for text, 0 for padding.
    pub attention_mask: Option<&'a Tensor>,
    /// (B, T), Int64: which segment a token belongs to.
    pub token_type_ids: Option<&'a Tensor>,
    /// Whether the hidden states of every layer come out, too.
    pub output_hidden_states: bool,
}

/// What a model makes of its tokens, as transformers calls it.
#[derive(Debug)]
pub struct ModelOutput {
    /// (B, T, C).
    pub last_hidden_state: Tensor,
    /// (B, C); `None` if the weights have no pooler.
    pub pooler_output: Option<Tensor>,
    /// The embeddings and what each layer made of them, (B, T, C) each, if asked for.
    pub hidden_states: Vec<Tensor>,
}

impl AutoModel {
    /// Loads a pretrained model. Heads that the weights have besides are left where they are.
    ///
    /// # Errors
    ///
    /// As [`AutoModelForCausalLM::from_pretrained`](crate::AutoModelForCausalLM::from_pretrained), but
    /// it is [`Error::NoEncoder`] if its architecture predicts the next token, and [`Error::Option`] if
    /// its configuration makes a decoder of it.
    pub fn from_pretrained(dir: impl AsRef<Path>, device: Device) -> Result<AutoModel, Error> {
        AutoModel::from_pretrained_with(dir, &LoadOptions { device, ..LoadOptions::default() })
    }

    /// Loads a pretrained model as told.
    ///
    /// # Errors
    ///
    /// As [`from_pretrained`](AutoModel::from_pretrained), but for what the options let pass.
    pub fn from_pretrained_with(
        dir: impl AsRef<Path>,
        options: &LoadOptions,
    ) -> Result<AutoModel, Error> {
        let artifact = open(dir.as_ref(), options)?;
        let c = bert(architecture(&artifact)?)?;
        // Models that were trained to fill in words have none, and a fresh one says nothing.
        let pooler = artifact.weights().names().any(|it| it.ends_with("pooler.dense.weight"));
        let (plan, params, report) = load(&artifact, options, |p| Bert::new(p, &c, pooler))?;
        let network =
            build(&params, &report.untied, options.device.into(), |p| Bert::new(p, &c, pooler))?;
        Ok(AutoModel {
            config: artifact.config().clone(),
            network,
            vocab_size: c.vocab_size,
            type_vocab_size: c.type_vocab_size,
            positions: c.max_position_embeddings,
            hidden_size: c.hidden_size,
            params,
            order: plan.params.into_iter().map(|it| it.name).collect(),
            report,
            device: options.device,
        })
    }

    /// Runs the model over tokens, (B, T), Int64.
    ///
    /// # Errors
    ///
    /// [`Error::Tokens`] if the tokens are not (B, T) of Int64; [`Error::TokenId`] if one is not in
    /// the vocabulary; [`Error::TooLong`] if there are more than the model can see;
    /// [`Error::Input`] if one of the other inputs does not fit them; [`Error::Torch`] if libtorch
    /// fails.
    pub fn forward(&self, tokens: &Tensor, inputs: &ModelInputs<'_>) -> Result<ModelOutput, Error> {
        self.check(tokens, inputs)?;
        guarded(|| {
            let device = self.device.into();
            let tokens = tokens.to_device(device);
            let types = match inputs.token_type_ids {
                Some(types) => types.to_device(device),
                None => tokens.zeros_like(),
            };
            let visible = inputs.attention_mask.map(|mask| {
                mask.to_device(device).to_kind(Kind::Bool).unsqueeze(1).unsqueeze(1) // (B, 1, 1, T)
            });
            let mut hidden_states = Vec::new();
            let keep = |state: &Tensor| {
                if inputs.output_hidden_states {
                    hidden_states.push(state.shallow_clone());
                }
            };
            let last_hidden_state =
                self.network.hidden_states(&tokens, &types, visible.as_ref(), keep);
            let pooler_output = self.network.pool(&last_hidden_state);
            ModelOutput { last_hidden_state, pooler_output, hidden_states }
        })
    }

    /// The configuration the model was made from.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The parameters, which the network shares.
    pub fn params(&self) -> &ParamMap {
        &self.params
    }

    /// The parameters' names in the order of Hugging Face's `named_parameters()`.
    pub fn param_names(&self) -> &[String] {
        &self.order
    }

    /// How many numbers the model has learned.
    pub fn num_parameters(&self) -> u64 {
        self.params.values().map(|it| it.numel() as u64).sum()
    }

    /// How the weights and the network matched when they were loaded.
    pub fn load_report(&self) -> &LoadReport {
        &self.report
    }

    /// Where the parameters are.
    pub fn device(&self) -> Device {
        self.device
    }

    /// What the parameters are.
    pub fn kind(&self) -> Kind {
        self.params.values().next().map_or(Kind::Float, Tensor::kind)
    }

    /// How many tokens the model can see.
    pub fn max_positions(&self) -> usize {
        self.positions as usize
    }

    /// How long the vectors of [`ModelOutput`] are.
    pub fn hidden_size(&self) -> usize {
        self.hidden_size as usize
    }

    fn check(&self, tokens: &Tensor, inputs: &ModelInputs<'_>) -> Result<(), Error> {
        check_ids(tokens, self.vocab_size)?;
        let (needed, positions) = (tokens.size()[1] as usize, self.max_positions());
        if needed > positions {
            return Err(Error::TooLong { needed, positions });
        }
        let named = [
            ("attention_mask", inputs.attention_mask, 2),
            ("token_type_ids", inputs.token_type_ids, self.type_vocab_size),
        ];
        for (name, given, n) in named {
            let Some(given) = given else { continue };
            let fits = given.size() == tokens.size() && given.kind() == Kind::Int64;
            if !fits || check_ids(given, n).is_err() {
                let value = format!("{:?}, {:?}", given.kind(), given.size());
                return Err(Error::Input { name, value, tokens: tokens.size(), n });
            }
        }
        Ok(())
    }
}

/// Refuses what libtorch would throw at, or, on a GPU, spoil the process with.
pub(crate) fn check_ids(tokens: &Tensor, vocab_size: i64) -> Result<(), Error> {
    if tokens.dim() != 2 || tokens.numel() == 0 || tokens.kind() != Kind::Int64 {
        return Err(Error::Tokens { shape: tokens.size(), kind: tokens.kind() });
    }
    for id in [tokens.min(), tokens.max()].map(|it| it.int64_value(&[])) {
        if !(0..vocab_size).contains(&id) {
            let first = tokens.flatten(0, 1).eq(id).to_kind(Kind::Int64).argmax(0, false);
            let position = first.int64_value(&[]) as usize;
            return Err(Error::TokenId { id, position, vocab_size });
        }
    }
    Ok(())
}

fn bert(architecture: Architecture) -> Result<config::Bert, Error> {
    let c = match architecture {
        Architecture::Bert(c) => c,
        other => return Err(Error::NoEncoder(other.model_type())),
    };
    let asked = [("is_decoder", c.is_decoder), ("add_cross_attention", c.add_cross_attention)];
    match asked.into_iter().find(|(_, is_set)| *is_set) {
        Some((option, _)) => {
            let expected = "an encoder, whose tokens see all others, has it false";
            Err(Error::Option { option, value: "true".to_owned(), expected })
        }
        None => Ok(c),
    }
}
