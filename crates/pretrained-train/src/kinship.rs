use crate::Difference;

/// How a checkpoint is related to the run that is to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kinship {
    /// All that it recorded of its run is as it is now.
    Same,
    /// This is not.
    Differs(Vec<Difference>),
    /// It recorded nothing: Hugging Face's Trainer wrote it.
    Unknown,
}

impl Kinship {
    /// Why a checkpoint is passed over for an older one that is the run's own.
    pub(crate) fn reason(&self) -> String {
        let Kinship::Differs(differences) = self else {
            return "it is newer than the newest that is surely of this run".to_owned();
        };
        let shown: Vec<String> =
            differences.iter().take(N_SHOWN).map(ToString::to_string).collect();
        let more = match differences.len().saturating_sub(N_SHOWN) {
            0 => String::new(),
            n => format!(", and {n} more"),
        };
        format!("it is of another run, an older one is of this: {}{more}", shown.join(", "))
    }
}

/// In which order checkpoints are tried, by what they are to the run: newest first, the newest of
/// them whole.
///
/// A run goes on from the newest, even where something has changed since, unless an older one shows
/// that it is the run's own and what is newer is not.
pub(crate) fn order(newest_first: &[Kinship]) -> Vec<usize> {
    let is_same = |i: &usize| newest_first[*i] == Kinship::Same;
    let mut order = Vec::new();
    if let Some(Kinship::Differs(_)) = newest_first.first() {
        order.extend((1..newest_first.len()).filter(is_same));
    }
    order.push(0);
    order
}

/// The configuration of another model differs in everything.
const N_SHOWN: usize = 3;
