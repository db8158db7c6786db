//! Parameters that training leaves as they are.

use std::collections::BTreeSet;

use tch::Tensor;

use crate::AutoModelForCausalLM;

impl AutoModelForCausalLM {
    /// Chooses the parameters that training leaves as they are, by the names that they have in files, such as
    /// `model.embed_tokens.weight`; `requires_grad = False` of PyTorch. What was chosen before is forgotten.
    ///
    /// They have no state in the optimizer. In checkpoints they have files of their own, which are on the disk
    /// twice however many checkpoints there are. Whoever does change one, in place, finds it changed in the
    /// next checkpoint; what goes through [`Tensor::data`] is not noticed.
    pub fn freeze(&mut self, is_frozen: impl Fn(&str) -> bool) {
        self.frozen = self.param_names().iter().filter(|it| is_frozen(it)).cloned().collect();
    }

    /// The names of the parameters that training leaves as they are.
    pub fn frozen(&self) -> &BTreeSet<String> {
        &self.frozen
    }

    /// The same in few words: the largest parts of the network of which everything is frozen, such as
    /// `model.layers.0`.
    pub fn frozen_parts(&self) -> Vec<&str> {
        parts(self.param_names(), &self.frozen)
    }

    /// Those that training changes, in the order of [`param_names`](AutoModelForCausalLM::param_names).
    pub(crate) fn trained(&self) -> impl Iterator<Item = (&String, &Tensor)> {
        let names = self.param_names().iter().filter(|it| !self.frozen.contains(*it));
        names.filter_map(|it| self.params().get_key_value(it))
    }
}

fn parts<'a>(names: &'a [String], frozen: &BTreeSet<String>) -> Vec<&'a str> {
    let trained: Vec<&String> = names.iter().filter(|it| !frozen.contains(*it)).collect();
    let mut parts: Vec<&str> = Vec::new();
    for name in names.iter().filter(|it| frozen.contains(*it)) {
        let ends = name.match_indices('.').map(|(i, _)| i);
        let is_frozen = |end: &usize| trained.iter().all(|it| !it.starts_with(&name[..=*end]));
        let part = ends.clone().find(is_frozen).map_or(name.as_str(), |end| &name[..end]);
        if parts.last() != Some(&part) {
            parts.push(part);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_as_large_as_they_can_be() {
        let names = [
            "model.embed.weight",
            "model.layers.1.up",
            "model.layers.1.down",
            "model.layers.10.up",
            "head",
        ];
        let names = names.map(str::to_owned);
        let check = |frozen: &[usize], expected: &[&str]| {
            let frozen = frozen.iter().map(|i| names[*i].clone()).collect();
            assert_eq!(parts(&names, &frozen), expected);
        };
        check(&[], &[]);
        check(&[0], &["model.embed"]);
        check(&[1], &["model.layers.1.up"]);
        check(&[1, 2], &["model.layers.1"]);
        check(&[1, 2, 3], &["model.layers"]);
        check(&[0, 1, 2, 4], &["model.embed", "model.layers.1", "head"]);
        check(&[0, 1, 2, 3], &["model"]);
    }
}
