//! Measures what `tests/python/tokenizer_bench.py` measures in Python; one JSON object a line.

use std::{
    error::Error,
    fs,
    io::Write,
    time::{Duration, Instant},
};

use pretrained_tokenizer::{AutoTokenizer, ChatOptions};
use serde_json::{Value, json};

/// `bench encode DIR TEXTS.json | load DIR | render DIR CHAT.json`
fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, what, dir, rest @ ..] = args.as_slice() else {
        return Err("bench encode|load|render DIR [FILE]".into());
    };
    let input: Value = match rest {
        [file] => serde_json::from_slice(&fs::read(file)?)?,
        _ => Value::Null,
    };
    let tokenizer = AutoTokenizer::from_pretrained(dir)?;
    let best = match what.as_str() {
        "encode" => {
            let texts: Vec<String> = serde_json::from_value(input)?;
            best(|| Ok(tokenizer.encode_batch(&texts, true)?.len()))?
        }
        "load" => best(|| Ok(AutoTokenizer::from_pretrained(dir)?.vocab_size()))?,
        "render" => {
            let messages: Vec<Value> = serde_json::from_value(input["messages"].clone())?;
            let options = ChatOptions {
                chat_template: input["template"].as_str().map(str::to_owned),
                tools: input["tools"].as_array().cloned(),
                ..ChatOptions::default()
            };
            best(|| {
                let mut len = 0;
                for _ in 0..RENDERS {
                    len += tokenizer.apply_chat_template(&messages, &options)?.len();
                }
                Ok(len)
            })? / RENDERS
        }
        other => return Err(format!("unknown benchmark {other:?}").into()),
    };
    writeln!(std::io::stdout(), "{}", json!({ "seconds": best.as_secs_f64() }))?;
    Ok(())
}

/// The shortest of several runs.
fn best(
    mut run: impl FnMut() -> Result<usize, Box<dyn Error>>,
) -> Result<Duration, Box<dyn Error>> {
    let mut best = Duration::MAX;
    for _ in 0..RUNS {
        let start = Instant::now();
        std::hint::black_box(run()?);
        best = best.min(start.elapsed());
    }
    Ok(best)
}

const RUNS: usize = 7;
const RENDERS: u32 = 50;
