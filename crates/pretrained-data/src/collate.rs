use crate::{Example, IGNORED};

/// Examples side by side, as rows of equal length. All fields are in row-major order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// Examples.
    pub rows: usize,
    /// Tokens in each row, padding included.
    pub columns: usize,
    /// Token ids.
    pub input_ids: Vec<u32>,
    /// 1 for tokens, 0 for padding.
    pub attention_mask: Vec<u8>,
    /// Token ids where the loss is taken, [`IGNORED`] elsewhere.
    pub labels: Vec<i32>,
}

/// Fills examples up on the right to the longest of them, or to the next multiple of `multiple_of`.
pub fn pad(examples: &[Example<'_>], pad_token_id: u32, multiple_of: usize) -> Batch {
    let longest = examples.iter().map(|it| it.input_ids.len()).max().unwrap_or(0);
    let columns = longest.next_multiple_of(multiple_of.max(1));
    let mut batch = Batch { rows: examples.len(), columns, ..Batch::default() };
    for example in examples {
        let ids = &example.input_ids;
        let padding = columns - ids.len();
        batch.input_ids.extend_from_slice(ids);
        batch.input_ids.extend(std::iter::repeat_n(pad_token_id, padding));
        batch.attention_mask.extend(std::iter::repeat_n(1, ids.len()));
        batch.attention_mask.extend(std::iter::repeat_n(0, padding));
        match &example.labels {
            Some(labels) => batch.labels.extend_from_slice(labels),
            None => batch.labels.extend(ids.iter().map(|it| i32::try_from(*it).unwrap_or(IGNORED))),
        }
        batch.labels.extend(std::iter::repeat_n(IGNORED, padding));
    }
    batch
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
