//! Finds a network's parameters in a model directory's weights.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
};

use pretrained_artifact::{Artifact, OpenOptions, Strictness, Weights};
use tch::{Device, Kind};

use crate::{
    Error, ParamMap, kinds,
    params::{self, ParamSpec, Params, Plan, Source},
    random::seeded,
    weights::Reader,
};

/// How to load a model.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadOptions {
    /// Where to put the parameters.
    pub device: crate::Device,
    /// What to turn the parameters into. `None`: what the configuration says they are, else what
    /// the file has.
    pub dtype: Option<Kind>,
    /// Whether missing, unexpected and falsely tied tensors are an error. If not, they are in the
    /// [`LoadReport`], and what is missing is fresh.
    pub strict: bool,
    /// Whether parameters of another shape are made fresh instead of being an error.
    pub ignore_mismatched_sizes: bool,
    /// Whether files may be mapped rather than read. They never are on network file systems.
    pub map: bool,
    /// Whether to read files that break the safetensors format as the reference lets them. Such
    /// files are not mapped.
    pub file_strictness: Strictness,
}

impl Default for LoadOptions {
    fn default() -> LoadOptions {
        let (strict, map) = (true, true);
        LoadOptions {
            device: crate::Device::Cpu,
            dtype: None,
            strict,
            ignore_mismatched_sizes: false,
            map,
            file_strictness: Strictness::Strict,
        }
    }
}

/// What was found, and what was not, when weights were matched with a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Parameters that the weights do not have.
    pub missing: Vec<String>,
    /// Tensors that the network does not have.
    pub unexpected: Vec<String>,
    /// Tensors of a head, which a network without one has no use for. That is as it should be.
    pub headless: Vec<String>,
    /// Parameters that have another shape in the weights.
    pub mismatched: Vec<Mismatch>,
    /// Names in the weights, and the parameters they were taken for.
    pub renamed: Vec<(String, String)>,
    /// Second names of tensors, and the names that they are stored under.
    pub tied: Vec<(String, String)>,
    /// Second names that the configuration ties, and whose tensors differ in the weights.
    pub untied: Vec<String>,
}

/// A parameter that has another shape in the weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Its name.
    pub name: String,
    /// Its shape in the weights.
    pub found: Vec<usize>,
    /// The shape that the configuration asks for.
    pub expected: Vec<i64>,
}

/// Where each parameter of a network is.
#[derive(Debug)]
pub(crate) struct Matching {
    pub(crate) report: LoadReport,
    /// In the plan's order; none for what is missing.
    sources: Vec<Option<Source>>,
}

impl Matching {
    /// Parameters, and where they are in the weights.
    pub(crate) fn pairs<'a>(
        &'a self,
        plan: &'a Plan,
    ) -> impl Iterator<Item = (&'a ParamSpec, &'a Source)> {
        let pairs = plan.params.iter().zip(&self.sources);
        pairs.filter_map(|(spec, source)| Some((spec, source.as_ref()?)))
    }
}

impl LoadReport {
    /// Whether every parameter was found, and nothing else.
    pub fn is_exact(&self) -> bool {
        let LoadReport { missing, unexpected, mismatched, untied, .. } = self;
        missing.is_empty() && unexpected.is_empty() && mismatched.is_empty() && untied.is_empty()
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut findings = Vec::new();
        let mut list = |what: &str, names: Vec<String>| {
            if !names.is_empty() {
                let shown = names.iter().take(SHOWN).cloned().collect::<Vec<String>>().join(", ");
                let more = match names.len().saturating_sub(SHOWN) {
                    0 => String::new(),
                    n => format!(" and {n} more"),
                };
                findings.push(format!("{what}: {shown}{more}"));
            }
        };
        list("the weights lack", self.missing.clone());
        list("the model has no use for", self.unexpected.clone());
        list("shapes do not fit", self.mismatched.iter().map(Mismatch::to_string).collect());
        list("tied by the configuration, but different", self.untied.clone());
        if findings.is_empty() {
            return f.write_str("every parameter was found");
        }
        f.write_str(&findings.join("; "))
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mismatch { name, found, expected } = self;
        write!(f, "{name} is {found:?}, the configuration asks for {expected:?}")
    }
}

/// Opens a model directory as told.
pub(crate) fn open(dir: &Path, options: &LoadOptions) -> Result<Artifact, Error> {
    let open = OpenOptions { strictness: options.file_strictness, ..OpenOptions::default() };
    Ok(Artifact::open_with(dir, &open)?)
}

/// Finds a network's parameters in a model directory, and reads them as told.
pub(crate) fn load<M>(
    artifact: &Artifact,
    options: &LoadOptions,
    network: impl Fn(&Params<'_>) -> Result<M, Error>,
) -> Result<(Plan, ParamMap, LoadReport), Error> {
    let mut plan = params::plan(&[], &network)?;
    let mut matching = match_names(&plan, artifact.weights())?;
    let untied = matching.report.untied.clone();
    if !untied.is_empty() {
        plan = params::plan(&untied, &network)?;
        matching = match_names(&plan, artifact.weights())?;
        matching.report.untied = untied;
    }
    let report = &matching.report;
    let misfit = !report.mismatched.is_empty() && !options.ignore_mismatched_sizes;
    if misfit || (options.strict && !report.is_exact()) {
        let (dir, report) = (artifact.dir().to_owned(), Box::new(matching.report));
        return Err(Error::Weights { dir, report });
    }

    let kind = match options.dtype {
        Some(kind) => kind,
        None => kinds::auto(artifact.config(), artifact.weights())?,
    };
    let map = options.map && options.file_strictness == Strictness::Strict;
    let reader = Reader::new(artifact.weights(), map);
    let params = read(&plan, &matching, &reader, kind, options.device.into())?;
    Ok((plan, params, matching.report))
}

/// Matches a network's parameters with the weights, by the rules of transformers' own loading:
/// names as they are, then with or without the base model's prefix, then as they were once called.
pub(crate) fn match_names(plan: &Plan, weights: &Weights) -> Result<Matching, Error> {
    let names: BTreeSet<&str> = weights.names().collect();
    let under =
        |name: &str| { candidates(name, &plan.base) }.find(|it| names.contains(it.as_str()));
    let find = |name: &str| {
        let whole = under(name).map(|name| Source { name, part: None });
        let others = || plan.others.get(name).into_iter().flatten();
        whole.or_else(|| {
            others().find_map(|it| Some(Source { name: under(&it.name)?, part: it.part }))
        })
    };
    let find_whole = |name: &str| find(name).filter(|it| it.part.is_none()).map(|it| it.name);

    let mut report = LoadReport::default();
    let mut used = BTreeSet::new();
    for name in &plan.skipped {
        used.extend(find_whole(name));
    }
    // A tied tensor may be stored under its second name only.
    let mut second_names = BTreeMap::new();
    for (alias, source) in &plan.ties {
        let found = find_whole(alias);
        match (find_whole(source), &found) {
            (Some(a), Some(b)) if !same(weights, &a, b)? => report.untied.push(alias.clone()),
            (None, Some(b)) => {
                second_names.insert(source.clone(), b.clone());
                report.tied.push((alias.clone(), source.clone()));
            }
            _ => report.tied.push((alias.clone(), source.clone())),
        }
        used.extend(found);
    }

    let mut sources = Vec::new();
    for spec in &plan.params {
        let second = || {
            let name = second_names.get(&spec.name)?.clone();
            Some(Source { name, part: None })
        };
        let Some(source) = find(&spec.name).or_else(second) else {
            report.missing.push(spec.name.clone());
            sources.push(None);
            continue;
        };
        let (found, expected) = (shape(weights, &source.name), spec.shape_in(&source));
        if found.iter().map(|&it| it as i64).ne(expected.iter().copied()) {
            report.mismatched.push(Mismatch { name: spec.name.clone(), found, expected });
        }
        if source.name != spec.name {
            report.renamed.push((source.name.clone(), spec.name.clone()));
        }
        used.insert(source.name.clone());
        sources.push(Some(source));
    }

    let unused = names.iter().filter(|it| !used.contains(**it) && !is_buffer(it));
    let has_base = plan.is_headless && names.iter().any(|it| it.starts_with(&plan.base));
    let is_of_head = |name: &String| has_base && !name.starts_with(&plan.base);
    (report.headless, report.unexpected) = unused.map(|it| (*it).to_owned()).partition(is_of_head);
    Ok(Matching { report, sources })
}

/// Reads what was matched; makes fresh what is missing or has another shape.
fn read(
    plan: &Plan,
    matching: &Matching,
    reader: &Reader<'_>,
    kind: Kind,
    device: Device,
) -> Result<ParamMap, Error> {
    let mismatched: BTreeSet<&str> =
        matching.report.mismatched.iter().map(|it| it.name.as_str()).collect();
    let stored = matching.pairs(plan).filter(|(it, _)| !mismatched.contains(it.name.as_str()));
    let stored: Vec<(&ParamSpec, &Source)> = stored.collect();
    let mut params = ParamMap::new();
    match device {
        Device::Cuda(_) => {
            let tensors = reader.tensors_on(&stored, device)?;
            for ((spec, _), tensor) in stored.into_iter().zip(tensors) {
                // There, where it takes no time.
                params.insert(spec.name.clone(), tensor.f_to_kind(kind)?);
            }
        }
        _ => {
            for (spec, source) in stored {
                let tensor = reader.tensor(spec, source)?.f_to_kind(kind)?.f_to_device(device)?;
                params.insert(spec.name.clone(), tensor);
            }
        }
    }
    for spec in &plan.params {
        if !params.contains_key(&spec.name) {
            // The same fresh tensor in every process that loads these weights.
            params.insert(spec.name.clone(), seeded(0, || spec.init(kind, device))?);
        }
    }
    Ok(params)
}

/// The names under which files may have a parameter.
fn candidates(name: &str, base: &str) -> impl Iterator<Item = String> {
    let other = match name.strip_prefix(base) {
        _ if base.is_empty() => None,
        Some(stripped) => Some(stripped.to_owned()),
        None => Some(format!("{base}{name}")),
    };
    let legacy = |name: &str| {
        let gamma = name.strip_suffix("LayerNorm.weight").map(|it| format!("{it}LayerNorm.gamma"));
        gamma
            .or_else(|| name.strip_suffix("LayerNorm.bias").map(|it| format!("{it}LayerNorm.beta")))
    };
    let old = [legacy(name), other.as_deref().and_then(legacy)];
    [Some(name.to_owned()), other].into_iter().chain(old).flatten()
}

/// Whether a tensor is a constant that older files store and nobody reads.
fn is_buffer(name: &str) -> bool {
    name.ends_with("rotary_emb.inv_freq")
        || name == "position_ids"
        || name.ends_with(".position_ids")
}

fn shape(weights: &Weights, name: &str) -> Vec<usize> {
    weights.info(name).map(|it| it.shape.to_vec()).unwrap_or_default()
}

fn same(weights: &Weights, a: &str, b: &str) -> Result<bool, Error> {
    let bytes = |name| weights.read_tensor(name);
    Ok(weights.info(a) == weights.info(b) && bytes(a)? == bytes(b)?)
}

/// How many names a message spells out.
const SHOWN: usize = 3;
