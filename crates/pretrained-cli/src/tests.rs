//! What holds for every subcommand, the nested ones included.

use clap::Command;

use super::*;

#[test]
fn options_of_subcommands_do_not_meet() {
    Cli::command().debug_assert();
}

#[test]
fn every_help_ends_with_examples_that_parse() {
    for command in commands() {
        let name = command.get_display_name().unwrap_or("pretrained").to_owned();
        let help = command.clone().render_long_help().to_string();
        let (_, examples) = help.split_once("\nExamples:\n").unwrap_or_else(|| {
            panic!("`{name} --help` has no Examples:");
        });
        let lines: Vec<&str> = examples.trim_end().lines().collect();
        assert!((2..=3).contains(&lines.len()), "{name}: two or three examples, not {lines:?}");
        for line in lines {
            assert!(line.starts_with("  pretrained "), "{name}: the examples come last: {line}");
            let asked = asked_of(line);
            let words: Vec<&str> = asked.iter().map(String::as_str).collect();
            if let Err(error) = Cli::try_parse_from(&words) {
                panic!("{name}: `{line}` is no command line: {error}");
            }
            let path = name.replace("pretrained-", "").replace("checkpoints-", "checkpoints ");
            let is_own = name == "pretrained" || asked[1..].join(" ").starts_with(&path);
            assert!(is_own, "{name}: `{line}` is an example of another command");
        }
    }
}

#[test]
fn an_example_is_split_as_a_shell_would() {
    let line = r#"  pretrained generate m --prompt "Once upon" --stop '"' < in.txt > out.txt"#;
    let words = ["pretrained", "generate", "m", "--prompt", "Once upon", "--stop", "\""];
    assert_eq!(asked_of(line), words);
}

#[test]
fn quiet_and_verbose_do_not_go_together() {
    for line in ["pretrained -q inspect -v m", "pretrained inspect m -qv"] {
        let cli = Cli::try_parse_from(line.split(' ')).expect("a command line, but for that");
        let error = cli.verbosity().expect_err("a conflict");
        assert_eq!(error.kind(), ErrorKind::ArgumentConflict, "{line}");
    }
    for line in ["pretrained -q inspect m", "pretrained checkpoints list r --quiet"] {
        let cli = Cli::try_parse_from(line.split(' ')).expect("a command line");
        assert_eq!(cli.verbosity().ok(), Some(Verbosity::Quiet), "{line}");
    }
}

/// The command and all below it, but for `help`.
fn commands() -> Vec<Command> {
    fn collect(command: &Command, all: &mut Vec<Command>) {
        all.push(command.clone());
        command.get_subcommands().filter(|it| it.get_name() != "help").for_each(|it| {
            collect(it, all);
        });
    }
    let mut root = Cli::command().term_width(0);
    root.build();
    let mut all = Vec::new();
    collect(&root, &mut all);
    assert!(all.len() > 15, "{} commands are all there are?", all.len());
    all
}

/// The words of a line of shell up to where its input and output go.
fn asked_of(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => {
                word.get_or_insert_default();
                quote = Some(c);
            }
            (' ', None) => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    assert_eq!(quote, None, "a quote is left open: {line}");
    words.extend(word);
    let end = words.iter().position(|it| matches!(it.as_str(), "<" | ">" | "|" | ">>"));
    words.truncate(end.unwrap_or(words.len()));
    words
}
