//! What we do.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio, exit},
    thread,
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use bench_harness::{Work, read};
use pretrained_torch::{
    AutoModelForCausalLM, Device, GenerationOptions, generate, generate_batch_with,
};

use crate::candle;

pub fn find(name: &str, arguments: &[PathBuf]) -> Result<Work> {
    let dir = arguments.first().context("a directory")?.clone();
    let number = |at: usize| -> Result<usize> {
        let number = arguments.get(at).and_then(|it| it.to_str()).context("a number")?;
        Ok(number.parse()?)
    };
    Ok(match name {
        "spawn" => spawn(arguments.to_vec()),
        "first" => {
            let model = AutoModelForCausalLM::from_pretrained(&dir, Device::Cpu)?;
            let token = generate(&model, &prompt(8), &options(&model, 1)?)?.next();
            eprintln!("{}", token.context("a token")??);
            exit(0);
        }
        "candle-first" => {
            eprintln!("{}", candle::Model::load(&dir)?.step(&prompt(8), 0)?);
            exit(0);
        }
        "memory" => {
            let before = anonymous_memory()?;
            let model = AutoModelForCausalLM::from_pretrained(&dir, Device::Cpu)?;
            println!("{}", anonymous_memory()?.saturating_sub(before));
            drop(model);
            exit(0);
        }
        "decode" => {
            let (n_prompt, n_new) = (number(1)?, number(2)?);
            let model = AutoModelForCausalLM::from_pretrained(&dir, Device::Cpu)?;
            let options = options(&model, n_new)?;
            Box::new(move || {
                let mut tokens = generate(&model, &prompt(n_prompt), &options)?;
                tokens.next().context("a token")??;
                let start = Instant::now();
                let n = tokens.by_ref().collect::<Result<Vec<u32>, _>>()?.len();
                Ok(vec![start.elapsed().as_secs_f64() / n as f64])
            })
        }
        "steps" => {
            let (n_rows, n_prompt, n_new) = (number(1)?, number(2)?, number(3)?);
            let model = AutoModelForCausalLM::from_pretrained(&dir, Device::Cpu)?;
            let options = options(&model, n_new)?;
            let prompts: Vec<Vec<u32>> =
                prompt(n_rows * n_prompt).chunks(n_prompt).map(<[u32]>::to_vec).collect();
            Box::new(move || {
                let mut times = Vec::new();
                let clock = |_: &[u32], _: &mut [f32]| times.push(Instant::now());
                generate_batch_with(&model, &prompts, &options, clock)?;
                // Called for every row of every step.
                let first = times.first().context("a step")?;
                let last = times.get(n_rows * (n_new - 1)).context("a step")?;
                Ok(vec![(*last - *first).as_secs_f64() / (n_new - 1) as f64])
            })
        }
        "prefill" => {
            let prompt = prompt(number(1)?);
            let model = AutoModelForCausalLM::from_pretrained(&dir, Device::Cpu)?;
            let options = options(&model, 1)?;
            Box::new(move || {
                let start = Instant::now();
                generate(&model, &prompt, &options)?.next().context("a token")??;
                Ok(vec![start.elapsed().as_secs_f64()])
            })
        }
        "candle-decode" => {
            let (n_prompt, n_new) = (number(1)?, number(2)?);
            let mut model = candle::Model::load(&dir)?;
            Box::new(move || {
                let mut token = model.step(&prompt(n_prompt), 0)?;
                let start = Instant::now();
                for i in 0..n_new - 1 {
                    token = model.step(&[token], n_prompt + i)?;
                }
                Ok(vec![start.elapsed().as_secs_f64() / (n_new - 1) as f64])
            })
        }
        "read" => {
            let bytes = fs::read(dir.join("model.safetensors"))?;
            let threads = thread::available_parallelism()?.get();
            Box::new(move || {
                let start = Instant::now();
                read(std::hint::black_box(&bytes), threads);
                Ok(vec![start.elapsed().as_secs_f64()])
            })
        }
        _ => bail!("no work {name}"),
    })
}

/// Times a process from its start to its end.
fn spawn(command: Vec<PathBuf>) -> Work {
    Box::new(move || {
        let start = Instant::now();
        let mut process = Command::new(&command[0]);
        let status = process.args(&command[1..]).stderr(Stdio::null()).status()?;
        ensure!(status.success(), "{command:?}");
        Ok(vec![start.elapsed().as_secs_f64()])
    })
}

/// Token ids without a pattern.
pub fn prompt(n: usize) -> Vec<u32> {
    (0..n).map(|i| (i * 7919 % 151_936) as u32).collect()
}

/// Greedy, so many tokens.
fn options(model: &AutoModelForCausalLM, n: usize) -> Result<GenerationOptions> {
    let mut options = GenerationOptions::new(model)?;
    options.max_new_tokens = Some(n);
    options.eos_token_ids.clear();
    Ok(options)
}

fn anonymous_memory() -> Result<u64> {
    let status = fs::read_to_string(Path::new("/proc/self/status"))?;
    let line = status.lines().find_map(|it| it.strip_prefix("RssAnon:")).context("RssAnon")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
