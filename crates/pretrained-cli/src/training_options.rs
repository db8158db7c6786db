//! Every training argument as an option: `--num-train-epochs 3` for `num_train_epochs`.

use std::path::Path;

use anyhow::Context;
use clap::{Arg, ArgAction, ArgMatches, Command, parser::ValueSource};
use pretrained::train::{FIELDS, TrainingArguments, other_names};
use serde_json::Value;

/// The training arguments given on the command line, by name.
///
/// Written out rather than derived, so that an argument that the library learns is an option at
/// once.
#[derive(Debug, Default)]
pub(crate) struct TrainingOptions {
    given: Vec<(&'static str, String)>,
}

impl TrainingOptions {
    /// The arguments of a file, if one is given, with those of the command line on top.
    pub(crate) fn arguments(
        &self,
        file: Option<&Path>,
        output_dir: &Path,
    ) -> anyhow::Result<TrainingArguments> {
        let mut args = match file {
            Some(path) => {
                let json = std::fs::read_to_string(path)
                    .with_context(|| format!("read {}", path.display()))?;
                TrainingArguments::from_json(&json).with_context(|| path.display().to_string())?
            }
            None => TrainingArguments::default(),
        };
        for (name, value) in &self.given {
            args.set(name, value)?;
        }
        args.output_dir = output_dir.to_owned();
        Ok(args)
    }
}

impl clap::FromArgMatches for TrainingOptions {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut options = TrainingOptions::default();
        options.update_from_arg_matches(matches)?;
        Ok(options)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for name in fields().map(|it| it.name).chain(others()) {
            if matches.value_source(name) == Some(ValueSource::CommandLine)
                && let Some(value) = matches.get_one::<String>(name)
            {
                self.given.push((name, value.clone()));
            }
        }
        Ok(())
    }
}

impl clap::Args for TrainingOptions {
    fn augment_args(command: Command) -> Command {
        // Those that do nothing are not shown, and say why when they are given.
        let command = others().fold(command, |command, name| {
            let arg = Arg::new(name).long(name.replace('_', "-")).alias(name).hide(true);
            let arg = arg.num_args(0..=1).default_missing_value("true");
            command.arg(arg.allow_negative_numbers(true))
        });
        fields().fold(command, |command, field| {
            let (choices, default) = (choices(field.value), default_of(field.name));
            let mut arg = Arg::new(field.name)
                .long(field.name.replace('_', "-"))
                .alias(field.name)
                .help(help(field.help, default.as_deref(), &choices))
                .value_name(if choices.is_empty() { field.value } else { "NAME" })
                // Nothing else begins with a hyphen but the next option.
                .allow_negative_numbers(true)
                .action(ArgAction::Set)
                .help_heading("Training arguments");
            if field.is_switch {
                // `--bf16` and `--bf16 false`, but `--bf16 file` stays an error that says so.
                arg = arg.num_args(0..=1).default_missing_value("true");
            }
            command.arg(arg)
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        TrainingOptions::augment_args(command)
    }
}

/// All but the one that has an option of its own.
fn fields() -> impl Iterator<Item = &'static pretrained::train::FieldInfo> {
    FIELDS.iter().filter(|it| !OWN_OPTIONS.contains(&it.name))
}

/// Names that Hugging Face's scripts may give and that change nothing here, or are refused.
fn others() -> impl Iterator<Item = &'static str> {
    other_names().filter(|it| !OWN_OPTIONS.contains(it))
}

/// Options that `train` spells itself.
const OWN_OPTIONS: [&str; 2] = ["output_dir", "resume_from_checkpoint"];

/// The names that a value may be, of a list with bars.
fn choices(value: &str) -> Vec<&str> {
    let names: Vec<&str> = value.split('|').filter(|it| !it.is_empty()).collect();
    if value.contains('|') { names } else { Vec::new() }
}

/// What an argument is if nobody says anything; `None` if its help says it in words, or there is nothing
/// to say.
fn default_of(name: &str) -> Option<String> {
    match TrainingArguments::default().get(name)? {
        // A switch that is off is what everybody expects.
        Value::Null | Value::Bool(false) => None,
        Value::Array(words) if words.is_empty() => None,
        Value::String(text) => Some(text),
        Value::Number(it) if it.is_f64() => Some(format!("{:?}", it.as_f64()?)),
        value => Some(value.to_string()),
    }
}

/// As clap says it of other options.
fn help(text: &str, default: Option<&str>, choices: &[&str]) -> String {
    let mut text = text.trim().trim_end_matches('.').to_owned();
    if let Some(default) = default {
        text += &format!(" [default: {default}]");
    }
    if !choices.is_empty() {
        text += &format!(" [possible values: {}]", choices.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Args;

    use super::*;

    /// What is given when the command line is `line`, beside an option that is no training argument.
    #[track_caller]
    fn check(line: &str, expected: &[(&str, &str)]) {
        let command = TrainingOptions::augment_args(Command::new("train"));
        let command = command.arg(Arg::new("config").long("config"));
        let matches = command.try_get_matches_from(["train"].into_iter().chain(line.split(' ')));
        let matches = matches.unwrap_or_else(|e| panic!("{line}: {e}"));
        let options = <TrainingOptions as clap::FromArgMatches>::from_arg_matches(&matches);
        let mut given = options.expect("the arguments are read").given;
        if let Some(config) = matches.get_one::<String>("config") {
            given.push(("config", config.clone()));
        }
        let given: Vec<(&str, &str)> = given.iter().map(|(name, it)| (*name, &**it)).collect();
        assert_eq!(given, expected, "{line}");
    }

    #[test]
    fn a_switch_takes_the_word_after_it_only_if_it_is_no_option() {
        check("--bf16", &[("bf16", "true")]);
        check("--bf16=true", &[("bf16", "true")]);
        check("--bf16 false", &[("bf16", "false")]);
        check("--bf16 --config c.json", &[("bf16", "true"), ("config", "c.json")]);
        check("--config c.json --bf16", &[("bf16", "true"), ("config", "c.json")]);
        let both = [("bf16", "true"), ("activation_checkpointing", "true")];
        check("--bf16 --activation-checkpointing", &both);
        check("--activation-checkpointing --bf16", &both);
        // One that changes nothing here, with its value and without.
        check(
            "--dataloader_pin_memory --bf16",
            &[("bf16", "true"), ("dataloader_pin_memory", "true")],
        );
        check("--local_rank -1 --bf16", &[("bf16", "true"), ("local_rank", "-1")]);
    }

    #[test]
    fn help_says_the_defaults_of_hugging_face() {
        let mut command = TrainingOptions::augment_args(Command::new("train").term_width(0));
        let help = command.render_long_help().to_string();
        for line in [
            "Learning rate after warmup [default: 5e-5]",
            "Term that keeps Adam's denominator from zero [default: 1e-8]",
            "overrides num_train_epochs when above 0 [default: -1]",
            "Steps between checkpoints; below 1, a share of the run [default: 500]",
            "When a checkpoint is written [default: steps] [possible values: no, steps, epoch, best]",
            "Writes checkpoints behind the next steps [default: true]",
            "Newest checkpoints to keep; default: all\n",
            "Stays on the CPU\n",
        ] {
            assert!(format!("{help}\n").contains(line), "{line}: {help}");
        }
        assert!(!help.contains("[default: null]") && !help.contains("[default: []]"), "{help}");
    }

    #[test]
    fn numbers_may_be_negative() {
        check("--max-steps -1 --bf16", &[("max_steps", "-1"), ("bf16", "true")]);
        check("--learning-rate -0.5", &[("learning_rate", "-0.5")]);
        check("--learning-rate=-1e-3", &[("learning_rate", "-1e-3")]);
    }

    #[test]
    fn an_option_is_not_the_value_of_another() {
        let command = TrainingOptions::augment_args(Command::new("train"));
        let error = command.try_get_matches_from(["train", "--max-steps", "--bf16"]);
        let error = error.expect_err("refused").to_string();
        assert!(error.contains("a value is required for '--max-steps"), "{error}");
    }
}
