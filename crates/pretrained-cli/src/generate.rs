//! `pretrained generate`: continues prompts.

use std::{path::PathBuf, process::ExitCode, time::Instant};

use anyhow::ensure;
use pretrained::{
    tokenizer::AutoTokenizer,
    torch::{
        AutoModelForCausalLM, GenerationOptions, TextContinuation, TextGeneration,
        generate_text_batch,
    },
};
use serde_json::{Value, json};

use crate::{device, generation_options, output, sources};

/// Continue a prompt, printing text as it appears.
#[derive(Debug, clap::Args)]
#[command(after_help = "What is not given comes from the model's generation_config.json; without \
                  --max-new-tokens and a limit there, 20 tokens are made. Several prompts, several texts \
                  of one, and beams are printed when all are done, one after another, with a blank line between two.

Examples:
  pretrained generate model --prompt \"Once upon a time\" --max-new-tokens 100
  pretrained generate model --prompt \"Once upon a time\" --do-sample --temperature 0.8 --top-p 0.9 --seed 1
  pretrained generate model --prompt \"Once\" --prompt \"Never\" --num-beams 4 --num-return-sequences 2 --json")]
pub(crate) struct Args {
    /// Model directory
    model: PathBuf,
    /// Text to continue; may be given several times
    #[arg(long = "prompt", value_name = "TEXT", allow_hyphen_values = true, required = true)]
    prompts: Vec<String>,
    #[command(flatten)]
    options: generation_options::Options,
    /// Look for the likeliest text as a whole, along this many at once
    #[arg(long, value_name = "N")]
    num_beams: Option<usize>,
    /// Continue each prompt to this many texts; needs --do-sample or --num-beams
    #[arg(long, value_name = "N")]
    num_return_sequences: Option<usize>,
    /// Print the new text alone, special tokens included, and nothing else
    #[arg(long)]
    raw: bool,
    /// Print text and ids as JSON, when all is generated
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: device::Options,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let tokenizer = AutoTokenizer::from_pretrained(sources::model(&args.model)?)?;
    let model = sources::language_model(&args.model, args.device.get()?)?;
    let mut options = args.options.over(&model)?;
    options.num_beams = args.num_beams.unwrap_or(options.num_beams);
    options.num_return_sequences =
        args.num_return_sequences.unwrap_or(options.num_return_sequences);

    let start = Instant::now();
    let n_tokens = match args.prompts.as_slice() {
        [prompt] if options.num_beams == 1 && options.num_return_sequences == 1 => {
            one(&args, &model, &tokenizer, prompt, &options)?
        }
        _ => several(&args, &model, &tokenizer, &options)?,
    };
    if !args.json && !args.raw {
        let rate = n_tokens as f64 / start.elapsed().as_secs_f64();
        output::note(format_args!("{n_tokens} tokens, {rate:.1} tokens/s"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints a text as it appears. How many tokens it has.
fn one(
    args: &Args,
    model: &AutoModelForCausalLM,
    tokenizer: &AutoTokenizer,
    prompt: &str,
    options: &GenerationOptions,
) -> anyhow::Result<usize> {
    let prompt_ids = tokenizer.encode(prompt, true)?;
    // Before anything is printed: an option that cannot be taken is an error alone.
    let mut text = TextGeneration::new(model, tokenizer, &prompt_ids, options, !args.raw)?;
    if !args.raw && !args.json {
        output::print(prompt)?;
    }
    for piece in &mut text {
        let piece = piece?;
        if !args.json {
            output::print(output::shown(&piece))?;
        }
    }
    let ids = text.new_tokens();
    if args.json {
        let new_text = tokenizer.decode(ids, !args.raw)?;
        output::print_json(&as_json(prompt, &prompt_ids, &new_text, ids))?;
    } else if !args.raw {
        // A text that is piped on is the model's, to the byte.
        output::print("\n")?;
    }
    Ok(ids.len())
}

/// Prints all texts of all prompts. How many tokens they have.
fn several(
    args: &Args,
    model: &AutoModelForCausalLM,
    tokenizer: &AutoTokenizer,
    options: &GenerationOptions,
) -> anyhow::Result<usize> {
    ensure!(!args.raw || args.json, "--raw prints one text; use --json for several");
    let prompts: Vec<&str> = args.prompts.iter().map(String::as_str).collect();
    let all = generate_text_batch(model, tokenizer, &prompts, options)?;
    let texts =
        || prompts.iter().zip(&all).flat_map(|(it, texts)| texts.iter().map(move |t| (*it, t)));
    if args.json {
        let json = texts().map(|(prompt, it)| {
            let TextContinuation { text, continuation } = it;
            let ids = &continuation.tokens;
            let text = if args.raw { tokenizer.decode(ids, false)? } else { text.clone() };
            let mut value = as_json(prompt, &tokenizer.encode(prompt, true)?, &text, ids);
            if let Some(score) = continuation.score {
                value["score"] = score.into();
            }
            Ok(value)
        });
        output::print_json(&Value::Array(json.collect::<anyhow::Result<Vec<Value>>>()?))?;
    } else {
        let texts: Vec<String> =
            texts().map(|(it, text)| format!("{it}{}\n", output::shown(&text.text))).collect();
        output::print(texts.join("\n"))?;
    }
    Ok(texts().map(|(_, it)| it.continuation.tokens.len()).sum())
}

fn as_json(prompt: &str, prompt_ids: &[u32], text: &str, ids: &[u32]) -> Value {
    json!({"prompt": prompt, "prompt_ids": prompt_ids, "text": text, "ids": ids})
}
