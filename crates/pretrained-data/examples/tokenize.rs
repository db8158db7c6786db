//! Tokenizes text files and says how fast: `tokenize TOKENIZER_DIR FILE…`

use std::{env, ops::ControlFlow, path::PathBuf, time::Instant};

use pretrained_data::{DataOptions, Dataset, TextDataset};
use pretrained_tokenizer::AutoTokenizer;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let dir = arguments.next().ok_or("usage: tokenize TOKENIZER_DIR FILE…")?;
    let files: Vec<PathBuf> = arguments.collect();
    let tokenizer = AutoTokenizer::from_pretrained(&dir)?;

    let start = Instant::now();
    let mut bytes = 0;
    let options = DataOptions::new(1024);
    let dataset = TextDataset::from_files_with(&files, &tokenizer, &options, |progress| {
        bytes = progress.bytes;
        ControlFlow::Continue(())
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let (blocks, tokens) = (dataset.len(), dataset.n_tokens());
    eprintln!("{blocks} blocks, {tokens} tokens, {:.1} MB/s", bytes as f64 / 1e6 / seconds);
    Ok(())
}
