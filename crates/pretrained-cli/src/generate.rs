//! `pretrained generate`: continues a prompt.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Instant,
};

use pretrained::{
    tokenizer::AutoTokenizer,
    torch::{AutoModelForCausalLM, GenerationOptions, generate},
};

use crate::{device, output};

/// Continue a prompt, printing text as it appears.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pretrained generate model --prompt \"Once upon a time\" --max-new-tokens 100
  pretrained generate model --prompt \"Once upon a time\" --do-sample --temperature 0.8 --top-p 0.9 --seed 1

What is not given comes from the model's generation_config.json.")]
pub(crate) struct Args {
    /// Model directory
    model: PathBuf,
    /// Text to continue
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    prompt: String,
    /// Stop after this many tokens; default: the model's own limit, or 20
    #[arg(long, value_name = "N")]
    max_new_tokens: Option<usize>,
    /// Draw tokens at random instead of taking the most likely one
    #[arg(long)]
    do_sample: bool,
    /// Below 1 closer to the most likely tokens, above 1 more even
    #[arg(long, value_name = "T")]
    temperature: Option<f64>,
    /// Draw from this many of the most likely tokens; 0: from all
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,
    /// Draw from the smallest set of tokens that is this likely together
    #[arg(long, value_name = "P")]
    top_p: Option<f64>,
    /// The same seed draws the same tokens
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
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
    let tokenizer = AutoTokenizer::from_pretrained(pretrained::artifact::resolve(&args.model)?)?;
    let prompt = tokenizer.encode(&args.prompt, true)?;
    let model = AutoModelForCausalLM::from_pretrained(&args.model, args.device.get()?)?;
    let options = options(&args, &model)?;

    let start = Instant::now();
    let mut ids = Vec::new();
    // Before anything is printed: an option that cannot be taken is an error alone.
    let generation = generate(&model, &prompt, &options)?;
    let mut text = tokenizer.decode_stream(!args.raw);
    let mut out = io::stdout().lock();
    if !args.raw && !args.json {
        write!(out, "{}", args.prompt)?;
        out.flush()?;
    }
    for id in generation {
        let id = id?;
        ids.push(id);
        if let Some(piece) = text.push(id)?.filter(|_| !args.json) {
            write!(out, "{piece}")?;
            out.flush()?;
        }
    }
    if !args.json {
        write!(out, "{}", text.finish()?.unwrap_or_default())?;
        // A text that is piped on is the model's, to the byte.
        if !args.raw {
            writeln!(out)?;
        }
        out.flush()?;
    }
    drop(out);

    if args.json {
        let new_text = tokenizer.decode(&ids, !args.raw)?;
        output::print_json(&serde_json::json!({
            "prompt": args.prompt,
            "prompt_ids": prompt,
            "text": new_text,
            "ids": ids,
        }))?;
    } else if !args.raw {
        let rate = ids.len() as f64 / start.elapsed().as_secs_f64();
        output::note(format_args!("{} tokens, {rate:.1} tokens/s", ids.len()));
    }
    Ok(ExitCode::SUCCESS)
}

/// The model's own options, with those of the command line on top.
fn options(args: &Args, model: &AutoModelForCausalLM) -> anyhow::Result<GenerationOptions> {
    let mut options = GenerationOptions::new(model)?;
    options.do_sample |= args.do_sample;
    for (is_given, name) in [
        (args.temperature.is_some(), "--temperature"),
        (args.top_k.is_some(), "--top-k"),
        (args.top_p.is_some(), "--top-p"),
        (args.seed.is_some(), "--seed"),
    ] {
        // An option without effect would be a silent lie.
        anyhow::ensure!(!is_given || options.do_sample, "{name} needs --do-sample");
    }
    if let Some(n) = args.max_new_tokens {
        options.max_new_tokens = Some(n);
    }
    if let Some(temperature) = args.temperature {
        options.temperature = temperature;
    }
    if let Some(top_k) = args.top_k {
        options.top_k = top_k;
    }
    if let Some(top_p) = args.top_p {
        options.top_p = top_p;
    }
    if let Some(seed) = args.seed {
        options.seed = seed;
    }
    Ok(options)
}
