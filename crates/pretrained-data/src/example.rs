use std::borrow::Cow;

/// The label of a position on which no loss is taken.
pub const IGNORED: i32 = -100;

/// One training example.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Example<'a> {
    /// The token ids.
    pub input_ids: Cow<'a, [u32]>,
    /// For each token its id, or [`IGNORED`] where no loss is taken on predicting it. `None`: the
    /// loss is taken on all of them.
    pub labels: Option<Cow<'a, [i32]>>,
}

/// Examples by number.
pub trait Dataset: Send + Sync {
    /// How many there are.
    fn len(&self) -> usize;

    /// Example `i`, where `i` is less than [`len`](Dataset::len).
    fn example(&self, i: usize) -> Example<'_>;

    /// The tokens in example `i`, for batches of like length.
    fn example_len(&self, i: usize) -> usize {
        self.example(i).input_ids.len()
    }

    /// Identifies the content: the same files and tokenizer give the same fingerprint. A run that
    /// is resumed on other data is told apart by it.
    fn fingerprint(&self) -> String;

    /// Whether there is no example at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<D: Dataset + ?Sized> Dataset for Box<D> {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn example(&self, i: usize) -> Example<'_> {
        (**self).example(i)
    }

    fn example_len(&self, i: usize) -> usize {
        (**self).example_len(i)
    }

    fn fingerprint(&self) -> String {
        (**self).fingerprint()
    }
}

/// Examples that a program has made itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InMemory(pub Vec<Example<'static>>);

impl Dataset for InMemory {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn example(&self, i: usize) -> Example<'_> {
        let Example { input_ids, labels } = &self.0[i];
        let labels = labels.as_ref().map(|it| Cow::Borrowed(it.as_ref()));
        Example { input_ids: Cow::Borrowed(input_ids), labels }
    }

    fn fingerprint(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for Example { input_ids, labels } in &self.0 {
            hasher.update(&(input_ids.len() as u64).to_le_bytes());
            for id in input_ids.iter() {
                hasher.update(&id.to_le_bytes());
            }
            for label in labels.iter().flat_map(|it| it.iter()) {
                hasher.update(&label.to_le_bytes());
            }
            hasher.update(&[u8::MAX]);
        }
        hasher.finalize().to_hex().to_string()
    }
}
