//! `pretrained chat`: a conversation in the terminal.

use std::{
    fs,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::{Context, bail};
use pretrained::{
    tokenizer::{AutoTokenizer, ChatOptions},
    torch::{Answer, Chat},
};
use rustyline::{DefaultEditor, error::ReadlineError};
use serde_json::{Value, json};
use signal_hook::consts::SIGINT;

use crate::{device, generation_options, interrupt::Interrupt, output, sources};

/// Talk with a model, in the words of its own chat template.
#[derive(Debug, clap::Args)]
#[command(after_help = "Commands in the chat:
  /reset         forget what has been said
  /save [FILE]   write what has been said to a file, chat.jsonl if none is named: one line that \
   `pretrained train --data` takes
  /help          show these
  /exit          end the chat, like Ctrl-D

A line that ends with \\ goes on in the next one. Ctrl-C ends an answer. Answers go to standard \
   output, all else to standard error, so that questions can be piped in and answers out.

Examples:
  pretrained chat model --system \"You answer in one sentence.\" --max-new-tokens 200
  pretrained chat model --do-sample --temperature 0.7 --top-p 0.9 --seed 1
  pretrained chat model < questions.txt > answers.txt")]
pub(crate) struct Args {
    /// Model directory
    model: PathBuf,
    /// What the model is told before the conversation
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    system: Option<String>,
    /// A chat template to use instead of the model's own
    #[arg(long, value_name = "FILE")]
    chat_template: Option<PathBuf>,
    #[command(flatten)]
    options: generation_options::Options,
    #[command(flatten)]
    device: device::Options,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let tokenizer = AutoTokenizer::from_pretrained(sources::model(&args.model)?)?;
    let mut chat_options = ChatOptions::default();
    if let Some(path) = &args.chat_template {
        let template =
            fs::read_to_string(sources::file(path)).with_context(|| path.display().to_string())?;
        chat_options.chat_template = Some(template);
    }
    // Before the weights are loaded: a model that cannot chat says so at once.
    let opening: Vec<Value> =
        args.system.iter().map(|it| json!({"role": "system", "content": it})).collect();
    let mut probe = opening.clone();
    probe.push(json!({"role": "user", "content": "Hello"}));
    if let Err(error) = tokenizer.apply_chat_template(&probe, &chat_options) {
        match &args.chat_template {
            Some(path) => bail!("{}: {error}", path.display()),
            None => bail!("{}: {error} (--chat-template FILE)", args.model.display()),
        }
    }

    let model = sources::language_model(&args.model, args.device.get()?)?;
    let options = args.options.over(&model)?;
    let mut chat = Chat::new(&model, &tokenizer, options, chat_options);
    chat.set_messages(opening.clone());

    let mut questions = Questions::new()?;
    while let Some(line) = questions.next()? {
        match command(&line) {
            Command::Ask(question) => {
                let interrupt = questions.interrupt.as_ref();
                interrupt.inspect(|it| it.reset());
                // Too long a conversation, say: it can be begun anew.
                if let Err(error) = answer(&mut chat, question, interrupt) {
                    if output::is_of_output(&error) {
                        return Err(error);
                    }
                    output::report(&error);
                }
            }
            Command::Reset => {
                chat.set_messages(opening.clone());
                output::note("the conversation begins anew");
            }
            Command::Save(path) => match save(chat.messages(), path) {
                Ok(()) => output::note(format_args!("written to {}", path.display())),
                Err(error) => drop(output::report(&error)),
            },
            Command::Help => {
                output::say(format_args!("{COMMANDS}; a line that ends with \\ goes on"));
            }
            Command::Exit => break,
            Command::Nothing => {}
            Command::Unknown(name) => {
                output::say(format_args!("there is no {name}: {COMMANDS}"));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What a line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Command<'a> {
    Ask(&'a str),
    Reset,
    Save(&'a Path),
    Help,
    Exit,
    Nothing,
    Unknown(&'a str),
}

fn command(line: &str) -> Command<'_> {
    let line = line.trim();
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    match (name, rest.trim()) {
        ("", _) => Command::Nothing,
        ("/reset", "") => Command::Reset,
        ("/save", "") => Command::Save(Path::new("chat.jsonl")),
        ("/save", path) => Command::Save(Path::new(path)),
        ("/help", "") => Command::Help,
        ("/exit" | "/quit", "") => Command::Exit,
        _ if line.starts_with('/') => Command::Unknown(line),
        _ => Command::Ask(line),
    }
}

/// Prints an answer as it comes.
fn answer(
    chat: &mut Chat<'_>,
    question: &str,
    interrupt: Option<&Interrupt>,
) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut answer: Answer<'_, '_> = chat.ask(question)?;
    let mut is_cut = false;
    for piece in answer.by_ref() {
        output::print(output::shown(&piece?))?;
        is_cut = interrupt.is_some_and(|it| it.signal().is_some());
        if is_cut {
            break;
        }
    }
    output::print("\n")?;
    let n = answer.n_tokens();
    let rate = n as f64 / start.elapsed().as_secs_f64();
    let how = if is_cut { ", interrupted" } else { "" };
    output::note(format_args!("{n} tokens, {rate:.1} tokens/s{how}"));
    Ok(())
}

/// Writes the conversation as one line of training data. A file that is there is another
/// conversation, which is kept.
fn save(messages: &[Value], path: &Path) -> anyhow::Result<()> {
    if messages.is_empty() {
        bail!("nothing has been said yet");
    }
    let line = format!("{}\n", json!({"messages": messages}));
    pretrained::fs::write_new(path, line.as_bytes())?;
    Ok(())
}

/// Where questions come from: a terminal, or a file or program, one on each line.
#[derive(Debug)]
struct Questions {
    /// None if it is no terminal.
    editor: Option<DefaultEditor>,
    /// Of a terminal: Ctrl-C ends an answer and not the chat.
    interrupt: Option<Interrupt>,
}

impl Questions {
    fn new() -> anyhow::Result<Questions> {
        let editor = io::stdin().is_terminal().then(DefaultEditor::new).transpose()?;
        let interrupt = editor.is_some().then(|| Interrupt::install(&[SIGINT])).transpose()?;
        Ok(Questions { editor, interrupt })
    }

    /// The next one, whole.
    fn next(&mut self) -> anyhow::Result<Option<String>> {
        let mut whole = String::new();
        loop {
            let line = match &mut self.editor {
                Some(editor) => {
                    match editor.readline(if whole.is_empty() { "> " } else { "… " }) {
                        Ok(line) => {
                            editor.add_history_entry(&line)?;
                            Some(line)
                        }
                        // Ctrl-C takes back what has been typed.
                        Err(ReadlineError::Interrupted) => {
                            whole.clear();
                            continue;
                        }
                        Err(ReadlineError::Eof) => None,
                        Err(e) => return Err(e.into()),
                    }
                }
                None => io::stdin().lines().next().transpose()?,
            };
            let Some(line) = line else {
                return Ok(Some(whole).filter(|it| !it.is_empty()));
            };
            match line.strip_suffix('\\') {
                Some(start) => {
                    whole.push_str(start);
                    whole.push('\n');
                }
                None => return Ok(Some(whole + &line)),
            }
        }
    }
}

const COMMANDS: &str = "/reset, /save [FILE], /help, /exit";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_questions_or_commands() {
        for (line, expected) in [
            ("  who are you?  ", Command::Ask("who are you?")),
            ("/reset", Command::Reset),
            ("/reset now", Command::Unknown("/reset now")),
            ("/save", Command::Save(Path::new("chat.jsonl"))),
            ("/save my chat.jsonl", Command::Save(Path::new("my chat.jsonl"))),
            ("/exit", Command::Exit),
            ("/quit", Command::Exit),
            ("/help", Command::Help),
            (" ", Command::Nothing),
            ("/etc/passwd is what?", Command::Unknown("/etc/passwd is what?")),
        ] {
            assert_eq!(command(line), expected, "{line}");
        }
    }
}
