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
fn examples_can_be_copied_from_help_on_any_terminal() {
    let examples = |command: &Command| {
        let help = command.clone().render_long_help().to_string();
        let (_, examples) = help.rsplit_once("\nExamples:\n").expect("examples");
        examples.to_owned()
    };
    let whole: Vec<String> = commands().iter().map(examples).collect();
    for width in 40..=100 {
        let narrow = below(help::fitted(Cli::command(), Some(width)));
        for (command, whole) in narrow.iter().zip(&whole) {
            let name = command.get_name();
            let narrow = examples(command);
            // What a shell does with a backslash at the end of a line, but for the spaces behind it.
            assert_eq!(narrow.replace(" \\\n     ", ""), *whole, "{name}, {width}: {narrow}");
            let is_wide = |it: &&str| it.chars().count() > width;
            let wide: Vec<&str> = narrow.lines().filter(is_wide).collect();
            // No shell takes a file's name in two parts.
            let are_files = wide.iter().all(|it| it.trim_start().starts_with("~/"));
            assert!(are_files, "{name}, {width}: {wide:?}");
            let help = command.clone().render_help().to_string();
            assert!(help.ends_with(&narrow), "{name}, {width}: -h has the same: {help}");
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

/// The command and all below it, but for `help`, in lines of any length.
fn commands() -> Vec<Command> {
    below(Cli::command().term_width(0))
}

/// A command and all below it, but for `help`.
fn below(mut root: Command) -> Vec<Command> {
    fn collect(command: &Command, all: &mut Vec<Command>) {
        all.push(command.clone());
        command.get_subcommands().filter(|it| it.get_name() != "help").for_each(|it| {
            collect(it, all);
        });
    }
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
