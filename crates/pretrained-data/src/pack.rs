use crate::{Dataset, Example, IGNORED};

/// Short examples put together, so that rows are of nearly the same length and little is padding.
///
/// The first label of each example but the first of a row is [`IGNORED`]: nothing is predicted from
/// one example into the next. Attention does see over that boundary, as in TRL without flash
/// attention: a token can look at the examples before its own in the row, and positions count on.
#[derive(Debug)]
pub struct Packed<D> {
    dataset: D,
    block_size: usize,
    rows: Vec<Vec<usize>>,
}

impl<D: Dataset> Packed<D> {
    /// Rows of at most `block_size` tokens, by [`pack`]. No example is cut: a longer one is a row of
    /// its own.
    pub fn new(dataset: D, block_size: usize) -> Packed<D> {
        let lengths: Vec<usize> = (0..dataset.len()).map(|it| dataset.example_len(it)).collect();
        Packed { rows: pack(&lengths, block_size), dataset, block_size }
    }
}

impl<D: Dataset> Dataset for Packed<D> {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn example(&self, i: usize) -> Example<'_> {
        let (mut ids, mut labels): (Vec<u32>, Vec<i32>) = Default::default();
        for &it in &self.rows[i] {
            let example = self.dataset.example(it);
            let from = labels.len();
            ids.extend_from_slice(&example.input_ids);
            match &example.labels {
                Some(it) => labels.extend_from_slice(it),
                None => labels.extend(example.input_ids.iter().map(|it| label(*it))),
            }
            if let Some(first) = labels.get_mut(from).filter(|_| from > 0) {
                *first = IGNORED;
            }
        }
        Example { input_ids: ids.into(), labels: Some(labels.into()) }
    }

    fn example_len(&self, i: usize) -> usize {
        self.rows[i].iter().map(|it| self.dataset.example_len(*it)).sum()
    }

    fn fingerprint(&self) -> String {
        format!("{}-packed-{}", self.dataset.fingerprint(), self.block_size)
    }
}

/// Puts examples of these lengths together into rows of at most `block_size` tokens, wasting
/// little: best fit, longest first. Longer examples are alone in their row.
///
/// The result lists the examples of each row, and is the same for the same lengths.
pub fn pack(lengths: &[usize], block_size: usize) -> Vec<Vec<usize>> {
    let mut by_length: Vec<usize> = (0..lengths.len()).collect();
    by_length.sort_by_key(|it| std::cmp::Reverse(lengths[*it]));

    let mut rows: Vec<Vec<usize>> = Vec::new();
    // Rows by the room that is left in them.
    let mut room: std::collections::BTreeMap<usize, Vec<usize>> = std::collections::BTreeMap::new();
    for example in by_length {
        let length = lengths[example];
        let fitting = room.range_mut(length..).next();
        let (left, row) = match fitting.and_then(|(left, rows)| Some((*left, rows.pop()?))) {
            Some((left, row)) => {
                if room.get(&left).is_some_and(Vec::is_empty) {
                    room.remove(&left);
                }
                rows[row].push(example);
                (left, row)
            }
            None => {
                rows.push(vec![example]);
                (block_size.max(length), rows.len() - 1)
            }
        };
        room.entry(left - length).or_default().push(row);
    }
    rows
}

fn label(id: u32) -> i32 {
    // No vocabulary is as large; a model refuses the id itself.
    i32::try_from(id).unwrap_or(IGNORED)
}
