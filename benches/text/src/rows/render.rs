//! Chat templates: each of the parity suite's, with each conversation that it accepts.

use std::{fs, path::PathBuf, time::Instant};

use anyhow::{Context, Result};
use bench_harness::{Measured, Place, Work, median};
use pretrained_tokenizer::{AutoTokenizer, ChatOptions};
use serde_json::Value;

pub fn row(place: &Place) -> Result<()> {
    let cases = place.path("render.json");
    place.make(&["render", &cases])?;
    let results = place.race(&[
        ("apply_chat_template", "ours", &["render", &cases]),
        ("Python jinja2, compiled template", "python", &["render", &cases]),
        ("Python apply_chat_template", "python", &["render-transformers", &cases]),
    ])?;
    let named: Value = serde_json::from_slice(&fs::read(&cases)?)?;
    let names: Vec<&str> = named["cases"]
        .as_array()
        .context("cases")?
        .iter()
        .filter_map(|case| case["name"].as_str())
        .collect();
    println!("\nrender {} conversations with compiled templates", names.len());
    let ours = results[0].medians();
    for result in &results {
        spread(result, &ours);
    }
    per_template(&names, &ours, &results[1].medians());
    Ok(())
}

/// The median over all cases of their ratios, and how they spread.
fn spread(result: &Measured, ours: &[f64]) {
    let medians = result.medians();
    let mut ratios: Vec<f64> = medians.iter().zip(ours).map(|(it, ours)| it / ours).collect();
    ratios.sort_by(f64::total_cmp);
    let at = |part: f64| ratios[((ratios.len() - 1) as f64 * part) as usize];
    println!(
        "  {:34} {:9.2} µs a case ({} rounds)  {:6.2} × ours (least {:.2}, tenth {:.2}, most {:.2})",
        result.name,
        median(medians.into_iter()) * 1e6,
        result.rounds.len(),
        at(0.5),
        at(0.0),
        at(0.1),
        at(1.0),
    );
}

/// The median and the least ratio of each template, the slowest first.
fn per_template(names: &[&str], ours: &[f64], python: &[f64]) {
    let mut templates: Vec<(&str, Vec<(f64, &str)>)> = Vec::new();
    for ((name, ours), python) in names.iter().zip(ours).zip(python) {
        let (template, conversation) = name.split_once(" / ").unwrap_or((name, ""));
        if templates.last().is_none_or(|(last, _)| *last != template) {
            templates.push((template, Vec::new()));
        }
        if let Some((_, ratios)) = templates.last_mut() {
            ratios.push((python / ours, conversation));
        }
    }
    for (_, ratios) in &mut templates {
        ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    let middle = |ratios: &[(f64, &str)]| ratios[ratios.len() / 2].0;
    templates.sort_by(|a, b| middle(&a.1).total_cmp(&middle(&b.1)));
    for (template, ratios) in &templates {
        println!(
            "    {template:30} {:6.1} × jinja2's, least {:5.1} ({}), {} conversations",
            middle(ratios),
            ratios[0].0,
            ratios[0].1,
            ratios.len()
        );
    }
}

/// Renders each case a few times, and answers with the seconds that one rendering takes.
pub fn work(paths: &[PathBuf]) -> Result<Work> {
    let path = paths.first().context("a path")?;
    let file: Value = serde_json::from_slice(&fs::read(path)?)?;
    let tokenizer = AutoTokenizer::from_pretrained(file["tokenizer"].as_str().context("dir")?)?;
    let mut cases = Vec::new();
    for case in file["cases"].as_array().context("cases")? {
        let list = |key: &str| case[key].as_array().cloned();
        let options = ChatOptions {
            tools: list("tools"),
            documents: list("documents"),
            chat_template: case["template"].as_str().map(str::to_owned),
            add_generation_prompt: case["add_generation_prompt"] == true,
            continue_final_message: None,
            variables: case["variables"].as_object().cloned().unwrap_or_default(),
        };
        cases.push((list("messages").context("messages")?, options));
    }
    Ok(Box::new(move || {
        let mut seconds = Vec::with_capacity(cases.len());
        for (messages, options) in &cases {
            tokenizer.apply_chat_template(messages, options)?;
            let start = Instant::now();
            for _ in 0..RENDERS {
                std::hint::black_box(tokenizer.apply_chat_template(messages, options)?);
            }
            seconds.push(start.elapsed().as_secs_f64() / f64::from(RENDERS));
        }
        Ok(seconds)
    }))
}

const RENDERS: u32 = 20;
