//! What needs no task: schedules, orders, numbers, files.

use serde_json::Value;

use crate::{LogEntry, Order, Plateau, Schedule, TrainerState, TrainingArguments, json, mt19937};

#[track_caller]
fn fixture(text: &str) -> Value {
    serde_json::from_str(text).expect("fixture")
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("list").iter().filter_map(Value::as_f64).collect()
}

fn with_scheduler(name: &str, kwargs: &Value) -> TrainingArguments {
    let mut args = TrainingArguments { learning_rate: 1e-3, ..TrainingArguments::default() };
    args.set("lr_scheduler_type", name).expect("known");
    args.set_value("lr_scheduler_kwargs", kwargs).expect("object");
    args
}

#[test]
fn schedules_equal_transformers() {
    let document = fixture(include_str!("../../tests/data/schedules.json"));
    for case in document["pure"].as_array().expect("list") {
        let mut args = with_scheduler(case["name"].as_str().expect("text"), &case["kwargs"]);
        args.warmup_steps = case["warmup"].as_f64().expect("number");
        let schedule = Schedule::new(&args, case["steps"].as_u64().expect("count")).expect("valid");
        for (step, expected) in (0..).zip(numbers(&case["rates"])) {
            let rate = schedule.at(step);
            assert!((rate - expected).abs() <= 1e-15, "{case}, step {step}: {rate}");
        }
    }
}

#[test]
fn plateau_equals_torch() {
    let document = fixture(include_str!("../../tests/data/schedules.json"));
    for case in document["plateau"].as_array().expect("list") {
        let args = with_scheduler("reduce_lr_on_plateau", &case["kwargs"]);
        let mut plateau = Plateau::new(&args).expect("valid");
        for (metric, expected) in numbers(&case["metrics"]).into_iter().zip(numbers(&case["rates"]))
        {
            plateau.update(metric);
            assert_eq!(plateau.learning_rate, expected, "{case}, metric {metric}");

            let mut restored = Plateau::new(&args).expect("valid");
            assert!(restored.restore(&plateau.state()));
            assert_eq!(restored, plateau);
        }
    }
}

#[track_caller]
fn check_scheduler_refused(name: &str, kwargs: Value, expected: &str) {
    let args = with_scheduler(name, &kwargs);
    let error = match name {
        "reduce_lr_on_plateau" => Plateau::new(&args).expect_err("refused"),
        _ => Schedule::new(&args, 10).expect_err("refused"),
    };
    assert_eq!(error.to_string(), format!("lr_scheduler_kwargs{expected}"));
}

#[test]
fn scheduler_arguments_refused() {
    let kwargs = |text: &str| serde_json::from_str(text).expect("json");
    check_scheduler_refused("linear", kwargs(r#"{"power": 1}"#), ": linear takes no power");
    check_scheduler_refused(
        "cosine_with_min_lr",
        kwargs("{}"),
        ": needs one of min_lr and min_lr_rate",
    );
    check_scheduler_refused(
        "polynomial",
        kwargs(r#"{"lr_end": 1}"#),
        ": lr_end must be smaller than learning_rate",
    );
    check_scheduler_refused("warmup_stable_decay", kwargs("{}"), ": num_decay_steps is required");
    check_scheduler_refused("polynomial", kwargs(r#"{"power": []}"#), ".power: [] is not a number");
    check_scheduler_refused(
        "reduce_lr_on_plateau",
        kwargs(r#"{"factor": 2}"#),
        ": factor must be below 1",
    );
    check_scheduler_refused(
        "reduce_lr_on_plateau",
        kwargs(r#"{"mode": "up"}"#),
        ".mode: \"up\" is not min or max",
    );
}

#[test]
fn permutations_equal_torch() {
    let document = fixture(include_str!("../../tests/data/orders.json"));
    for case in document["permutations"].as_array().expect("list") {
        let n = case["n"].as_u64().expect("count");
        let order = mt19937::randperm(n as u32, case["seed"].as_u64().expect("count"));
        let first: Vec<f64> = order.iter().take(32).map(|it| f64::from(*it)).collect();
        assert_eq!(first, numbers(&case["first"]), "n = {n}");
        let sum: u64 = (0..).zip(&order).map(|(i, it)| i * u64::from(*it)).sum();
        assert_eq!(sum, case["sum"].as_u64().expect("count"), "n = {n}");
    }
}

#[test]
fn grouping_by_length_equals_transformers() {
    let document = fixture(include_str!("../../tests/data/orders.json"));
    for case in document["grouped"].as_array().expect("list") {
        let args = TrainingArguments {
            per_device_train_batch_size: case["batch_size"].as_u64().expect("count") as usize,
            train_sampling_strategy: crate::Sampling::GroupByLength,
            seed: case["seed"].as_u64().expect("count"),
            ..TrainingArguments::default()
        };
        let lengths = numbers(&case["lengths"]).into_iter().map(|it| it as usize).collect();
        let mut order = Order::by_length(&args, lengths).expect("valid");
        let order: Vec<f64> = order.epoch(0).iter().map(|it| f64::from(*it)).collect();
        assert_eq!(order, numbers(&case["order"]));
    }
}

#[test]
fn steps_cover_each_epoch_once() {
    let args = TrainingArguments {
        per_device_train_batch_size: 2,
        gradient_accumulation_steps: 2,
        ..TrainingArguments::default()
    };
    let mut order = Order::new(&args, 11).expect("valid");
    assert_eq!((order.micro_batches_per_epoch(), order.steps_per_epoch()), (6, 3));
    for epoch in 0..3 {
        let steps: Vec<_> = (3 * epoch..3 * epoch + 3).map(|it| order.micro_batches(it)).collect();
        let sizes: Vec<Vec<usize>> =
            steps.iter().map(|it| it.iter().map(Vec::len).collect()).collect();
        assert_eq!(sizes, [[2, 2], [2, 2], [2, 1]]);
        let seen: Vec<u32> = steps.concat().concat().into_iter().map(|it| it as u32).collect();
        assert_eq!(seen, order.epoch(epoch));
    }
    // Whatever was asked before.
    assert_eq!(order.micro_batches(7), Order::new(&args, 11).expect("valid").micro_batches(7));
}

#[test]
fn a_last_batch_that_is_not_full_can_be_left_out() {
    let args = TrainingArguments {
        per_device_train_batch_size: 4,
        gradient_accumulation_steps: 2,
        dataloader_drop_last: true,
        ..TrainingArguments::default()
    };
    let mut order = Order::new(&args, 15).expect("valid");
    assert_eq!((order.micro_batches_per_epoch(), order.steps_per_epoch()), (3, 2));
    assert_eq!(order.micro_batches(1).iter().map(Vec::len).collect::<Vec<_>>(), [4]);
    let error = Order::new(&args, 3).expect_err("refused").to_string();
    assert_eq!(error, "dataloader_drop_last: leaves no batch, the data is too small");
    let error = Order::new(&args, 0).expect_err("refused").to_string();
    assert_eq!(error, "train_dataset: has no examples");
}

#[test]
fn floats_are_spelled_as_in_python() {
    let document = fixture(include_str!("../../tests/data/floats.json"));
    for case in document.as_array().expect("list") {
        let number = case[1].as_f64().expect("number");
        assert_eq!(json::float(number), case[0].as_str().expect("text"));
    }
}

#[test]
fn trainer_state_keeps_what_python_wrote() {
    let text = include_str!("../../tests/data/trainer_state.json");
    let state = TrainerState::parse(text).expect("valid");
    assert_eq!(state.to_json(), text);
    assert_eq!(state.log_history[1].get("eval_loss").map(f64::is_nan), Some(true));
    assert_eq!(state.best_metric, Some(f64::INFINITY));
    assert_eq!(state.log_history[0].step(), 2);
    assert!(state.log_history[1].to_json_line().contains("\"eval_loss\":null"));
}

#[track_caller]
fn check_state_refused(text: &str, expected: &str) {
    assert_eq!(TrainerState::parse(text).expect_err("refused").to_string(), expected);
}

#[test]
fn trainer_state_refused() {
    check_state_refused("[]", "not a JSON object");
    check_state_refused("{\"global_step\": -1}", "global_step: -1 is not a count");
    check_state_refused("{\"epoch\": \"x\"}", "epoch: \"x\" is not a number");
    check_state_refused("{\"log_history\": [1]}", "log_history: [1] is not a list of objects");
    assert!(TrainerState::parse("{\"a\": NaN").is_err());
    assert!(TrainerState::parse("\"NaN").is_err());
}

#[test]
fn text_that_looks_like_a_number_stays_text() {
    let value = json::parse(r#"{"a": "NaN", "b": NaN, "c": "x\"Infinity", "d": -Infinity}"#);
    let value = value.expect("valid");
    assert_eq!(value["a"], "NaN");
    assert_eq!(value["c"], "x\"Infinity");
    assert_eq!(json::as_number(&value["d"]), Some(f64::NEG_INFINITY));
    let text = json::to_python(&value);
    assert_eq!(json::parse(&text).expect("valid"), value);
}

#[test]
fn log_entries_hold_numbers_by_name() {
    let mut entry = LogEntry::default();
    entry.insert("loss", 0.5);
    entry.insert_count("step", 3);
    assert_eq!(entry.to_json_line(), r#"{"loss":0.5,"step":3}"#);
    assert_eq!(entry.numbers().collect::<Vec<_>>(), [("loss", 0.5), ("step", 3.0)]);
}
