//! The `pretrained` command, subcommand by subcommand: what it prints is what transformers says, and what it leaves opens.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::command::{fails, pretrained, succeeds};
use crate::python;
use crate::tiny::Tiny;

const TEXT: &str = "Once upon a time there was a checkpoint, naïve but whole 🙂";

#[test]
fn tokenize_generate_eval_and_logits_agree_with_transformers() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let model = scratch.path().join("model");
    python::call(
        "models.make",
        json!({"out": model, "model_type": "llama", "tied": true, "dtype": "float32"}),
    );
    let their_logits = scratch.path().join("theirs.safetensors");
    let expected = python::call(
        "models.describe",
        json!({
            "model": model, "ids": [[1, 2, 3], [4, 5, 6]], "texts": [TEXT], "prompt": "Once upon",
            "max_new_tokens": 10, "logits_out": their_logits,
        }),
    );

    let ids = succeeds(pretrained(["tokenize"]).arg(&model).arg(TEXT));
    assert_eq!(ids.trim(), comma_separated(&expected["encoded"][0]));
    let text = succeeds(pretrained(["tokenize", "--decode"]).arg(&model).arg(ids.trim()));
    assert_eq!(text, format!("{TEXT}\n"));

    let mut generate = pretrained(["generate"]);
    generate.arg(&model).args(["--prompt", "Once upon", "--max-new-tokens", "10", "--json"]);
    let generated = parsed(&succeeds(&mut generate));
    assert_eq!(generated["ids"], expected["new_ids"]);
    assert_eq!(generated["text"], expected["new_text"]);

    let ours = scratch.path().join("ours.safetensors");
    succeeds(pretrained(["logits"]).arg(&model).args(["--ids", "1,2,3;4,5,6", "--out"]).arg(&ours));
    let (ours, theirs) = (logits(&ours), logits(&their_logits));
    assert_eq!(ours.len(), theirs.len());
    let difference = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(difference <= 1e-5, "the largest difference of a logit is {difference:e}");

    let (text, file) = (whole_blocks(&model, 16), scratch.path().join("text.txt"));
    fs::write(&file, &text).expect("the text is written");
    let mut eval = pretrained(["eval"]);
    let evaluated = parsed(&succeeds(eval.arg(&model).arg("--text").arg(&file).args([
        "--block-size",
        "16",
        "--json",
    ])));
    let theirs =
        python::call("models.loss", json!({"model": model, "text": text, "block_size": 16}));
    let (ours, theirs) =
        (evaluated["loss"].as_f64().expect("a loss"), theirs.as_f64().expect("a loss"));
    assert!((ours - theirs).abs() < 1e-5, "loss {ours}, transformers {theirs}");
}

#[test]
fn several_texts_are_those_of_transformers() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let model = scratch.path().join("model");
    let given =
        json!({"out": model, "model_type": "llama", "tied": true, "dtype": "float32", "seed": 2});
    python::call("models.make", given);
    let check = |flags: &[&str], prompts: &[&str], options: Value| {
        let mut command = pretrained(["generate", "--json"]);
        command.arg(&model).args(flags);
        prompts.iter().for_each(|it| {
            command.args(["--prompt", it]);
        });
        let ours = match parsed(&succeeds(&mut command)) {
            Value::Array(texts) => texts,
            text => vec![text],
        };
        let ours: Vec<Value> = ours.iter().map(|it| it["text"].clone()).collect();
        let arguments = json!({"model": model, "prompts": prompts, "options": options});
        let theirs = python::call("models.generate", arguments);
        assert_eq!(json!(ours), theirs, "{flags:?}");
    };
    let (one, two) = (["Once upon"], ["Once upon", "The checkpoint that was"]);
    check(&["--max-new-tokens", "9"], &two, json!({"max_new_tokens": 9}));
    let beams = ["--num-beams", "3", "--num-return-sequences", "2", "--max-new-tokens", "9"];
    let options = json!({"num_beams": 3, "num_return_sequences": 2, "max_new_tokens": 9});
    check(&beams, &two, options);

    // Texts that begin inside of a token, and end inside of one or with it.
    let whole = python::call(
        "models.generate",
        json!({"model": model, "prompts": one, "options": {"max_new_tokens": 20}}),
    );
    let whole: Vec<char> = whole[0].as_str().expect("a text").chars().collect();
    for stop in [&whole[1..3], &whole[5..8]] {
        let stop: String = stop.iter().collect();
        let flags = ["--max-new-tokens", "20", "--stop", stop.as_str()];
        let options = json!({"max_new_tokens": 20, "stop_strings": [stop]});
        check(&flags, &one, options.clone());
        check(&flags, &two, options.clone());
        let mut options = options;
        options["num_beams"] = 2.into();
        check(&[&flags[..], &["--num-beams", "2"]].concat(), &one, options);
    }

    let mut raw = pretrained(["generate", "--raw", "--prompt", "a", "--prompt", "b"]);
    assert!(fails(raw.arg(&model)).contains("use --json for several"));
    let mut text = pretrained(["generate", "--prompt", "Once", "--prompt", "Then"]);
    let text = succeeds(text.arg(&model));
    assert!(text.starts_with("Once") && text.contains("\n\nThen"), "{text}");
}

#[test]
fn a_trained_run_is_listed_verified_converted_and_pruned() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let (run, model) = (scratch.path().join("run"), scratch.path().join("model"));
    succeeds(&mut Tiny::get().train(&run, 6, 2));
    let listed = parsed(&succeeds(pretrained(["checkpoints", "list", "--json"]).arg(&run)));
    assert!(listed.to_string().contains("checkpoint-6"), "{listed}");
    assert!(!listed.to_string().contains("checkpoint-2\""), "only the last two are kept: {listed}");
    succeeds(pretrained(["verify"]).arg(&run));
    succeeds(pretrained(["inspect"]).arg(&run));

    let checkpoint = run.join("checkpoint-6");
    let mut convert = pretrained(["convert", "--dtype", "bf16", "--max-shard-size", "20KB"]);
    succeeds(convert.arg(&checkpoint).arg(&model));
    succeeds(pretrained(["verify"]).arg(&model));
    let inspected = parsed(&succeeds(pretrained(["inspect", "--json"]).arg(&model)));
    assert!(inspected.to_string().contains("BF16"), "{inspected}");
    assert!(model.join("model.safetensors.index.json").exists(), "20 KB a shard");
    succeeds(pretrained(["generate"]).arg(&model).args([
        "--prompt",
        "The",
        "--max-new-tokens",
        "3",
    ]));

    // A model that this command knows nothing of may be whole all the same.
    let config = fs::read_to_string(model.join("config.json")).expect("a config");
    for (from, to) in [("\"llama\"", "\"unheard_of\""), ("LlamaForCausalLM", "LlamaModel")] {
        fs::write(model.join("config.json"), config.replace(from, to)).expect("written");
        succeeds(pretrained(["verify"]).arg(&model));
    }
    let wider = config.replace("\"intermediate_size\": ", "\"intermediate_size\": 1");
    fs::write(model.join("config.json"), wider).expect("written");
    let output = pretrained(["verify"]).arg(&model).output().expect("the command starts");
    assert_eq!(output.status.code(), Some(1), "shapes differ from the configuration's");
    fs::write(model.join("config.json"), config).expect("written");

    // One bit, in the middle of the weights.
    let weights = checkpoint.join("model.safetensors");
    let mut bytes = fs::read(&weights).expect("weights");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&weights, bytes).expect("written");
    let output = pretrained(["verify"]).arg(&checkpoint).output().expect("the command starts");
    assert_eq!(output.status.code(), Some(1), "damaged");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("model.safetensors"), "what is damaged is named: {said}");
}

/// Text of a whole number of blocks, so that nobody has a shorter last one to treat in his own way.
fn whole_blocks(model: &Path, block_size: usize) -> String {
    let mut text = TEXT.repeat(4);
    loop {
        let ids = succeeds(pretrained(["tokenize"]).arg(model).arg(&text));
        if ids.split(',').count().is_multiple_of(block_size) {
            return text;
        }
        text.push('!');
    }
}

fn logits(path: &Path) -> Vec<f32> {
    let file = pretrained::safetensors::TensorFile::open(path).expect("logits open");
    let bytes = file.read_tensor("logits").expect("they read").expect("they are called so");
    let (values, _) = bytes.as_chunks::<4>();
    values.iter().map(|value| f32::from_le_bytes(*value)).collect()
}

fn comma_separated(ids: &Value) -> String {
    let ids = ids.as_array().expect("a list of ids");
    ids.iter().map(Value::to_string).collect::<Vec<_>>().join(",")
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// A model that `huggingface_hub` has downloaded is named as on the hub, wherever a model is taken.
#[test]
fn a_name_from_the_hugging_face_cache_is_taken_for_its_directory() {
    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let repository = scratch.path().join("hub/models--tiny--model");
    let (blobs, snapshot) = (repository.join("blobs"), repository.join("snapshots").join(COMMIT));
    for dir in [&blobs, &snapshot, &repository.join("refs")] {
        fs::create_dir_all(dir).expect("a directory is made");
    }
    fs::write(repository.join("refs/main"), COMMIT).expect("a ref is written");
    for (i, entry) in fs::read_dir(Tiny::get().model()).expect("a model").enumerate() {
        let entry = entry.expect("an entry");
        if !entry.file_type().expect("a type").is_file() {
            continue;
        }
        fs::copy(entry.path(), blobs.join(i.to_string())).expect("a blob is written");
        let to = Path::new("../../blobs").join(i.to_string());
        std::os::unix::fs::symlink(to, snapshot.join(entry.file_name())).expect("a link is made");
    }
    let cached = |arguments: &[&str]| {
        let mut command = pretrained(arguments);
        command.env("HF_HOME", scratch.path()).env_remove("HF_HUB_CACHE");
        command.env_remove("HUGGINGFACE_HUB_CACHE").current_dir(scratch.path());
        command
    };
    let model = Tiny::get().model();
    let same = |arguments: &[&str]| {
        let by_name = succeeds(&mut cached(arguments));
        let path = model.to_str().expect("UTF-8");
        let by_path: Vec<&str> =
            arguments.iter().map(|it| if *it == "tiny/model" { path } else { *it }).collect();
        assert_eq!(by_name, succeeds(&mut pretrained(by_path)), "{arguments:?}");
    };
    same(&["tokenize", "tiny/model", "what is absent"]);
    same(&["generate", "tiny/model", "--prompt", "what is", "--max-new-tokens", "4"]);
    let inspected = parsed(&succeeds(&mut cached(&["inspect", "tiny/model@main", "--json"])));
    assert_eq!(inspected["path"].as_str(), snapshot.to_str());
    assert!(succeeds(&mut cached(&["verify", "tiny/model"])).contains("whole"));
    succeeds(&mut cached(&["convert", "tiny/model", "converted", "--dtype", "bf16"]));
    succeeds(pretrained(["verify"]).arg(scratch.path().join("converted")));

    let error = fails(&mut cached(&["inspect", "tiny/model@v2"]));
    assert!(
        error.contains(
            "revision \"v2\" of this model is not in the Hugging Face cache, which has main"
        ),
        "{error}"
    );
    let error = fails(&mut cached(&["tokenize", "tiny/other", "x"]));
    assert!(error.contains("no such model in the Hugging Face cache"), "{error}");
    assert!(error.contains("hf download"), "{error}");
}
