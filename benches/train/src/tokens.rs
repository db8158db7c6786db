//! Training data without a pattern.

use pretrained_data::{Example, InMemory};

/// So many texts of 256 tokens of GPT-2's vocabulary.
pub fn texts(n: usize) -> InMemory {
    let text = |row: usize| (0..256).map(|i| ((row * 256 + i) * 7919 % 50_257) as u32).collect();
    let example = |row| Example { input_ids: text(row), labels: None };
    InMemory((0..n).map(example).collect())
}
