//! A user's metrics: logged, shown, and what the best checkpoint is chosen by.

use std::collections::BTreeMap;
use std::fs;

use pretrained::{
    AutoModelForCausalLM, AutoTokenizer, Config, Device, TextDataset, Trainer, TrainingArguments,
    torch::evaluate,
};
use serde_json::Value;

use crate::tiny::Tiny;

#[test]
fn the_best_checkpoint_is_chosen_by_a_metric_of_ones_own() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let run = scratch.path().join("run");
    let tokenizer = AutoTokenizer::from_pretrained(Tiny::get().tokenizer()).expect("a tokenizer");
    let config = fs::read_to_string(Tiny::get().config()).expect("a configuration");
    let config = Config::parse(&config).expect("a configuration");
    let model = AutoModelForCausalLM::from_config(config, 0, Device::Cpu).expect("a model");
    let files = [Tiny::get().text()];
    let data = || TextDataset::from_files(&files, &tokenizer, 16).expect("enough text");
    let arguments = serde_json::json!({
        "output_dir": run, "max_steps": 6, "eval_strategy": "steps", "eval_steps": 2,
        "save_strategy": "best", "metric_for_best_model": "tokens_left", "greater_is_better": true,
        "per_device_train_batch_size": 2,
    });
    let args = TrainingArguments::from_json(&arguments.to_string()).expect("arguments");

    // Better in the second evaluation than in the others.
    let mut values = [1.0, 3.0, 2.0].into_iter();
    let mut losses = Vec::new();
    let outcome = Trainer::new(&model, &tokenizer, args, data(), Some(Box::new(data())))
        .expect("a trainer")
        .with_metrics(|model, data| {
            losses.push(evaluate(model, data, 8, |_| {})?.loss);
            let value = values.next().expect("three evaluations");
            Ok(BTreeMap::from([("tokens_left".to_owned(), value)]))
        })
        .train()
        .expect("a run");

    assert_eq!((outcome.state.best_metric, outcome.state.best_global_step), (Some(3.0), Some(4)));
    assert!(!run.join("checkpoint-6").exists() && run.join("checkpoint-4").is_dir());
    let logged = fs::read_to_string(run.join("metrics.jsonl")).expect("metrics");
    let logged = logged.lines().map(|it| serde_json::from_str::<Value>(it).expect("JSON"));
    let logged: Vec<Value> = logged.filter(|it| it["eval_loss"].is_number()).collect();
    let number = |entry: &Value, name: &str| entry[name].as_f64().expect("a number");
    let own: Vec<f64> = logged.iter().map(|it| number(it, "eval_tokens_left")).collect();
    assert_eq!(own, [1.0, 3.0, 2.0]);
    for (entry, loss) in logged.iter().zip(losses) {
        // The metric saw the model as it was then.
        assert!((number(entry, "eval_loss") - loss).abs() < 1e-5, "{entry} {loss}");
        let perplexity = number(entry, "eval_loss").exp();
        assert!((number(entry, "eval_perplexity") - perplexity).abs() < 1e-6 * perplexity);
    }
    let report = fs::read_to_string(run.join("report.html")).expect("a report");
    for name in ["eval_tokens_left", "eval_perplexity"] {
        assert!(report.contains(name), "{name} is shown");
    }
    let state = fs::read_to_string(run.join("checkpoint-4/trainer_state.json")).expect("a state");
    assert!(state.contains("eval_tokens_left") && state.contains("eval_perplexity"), "{state}");
}
