//! Jinja, as transformers runs it: the sandbox, the additions for chat templates, and Python's
//! values with their methods and spelling.
//!
//! Made for one thing, short templates rendered again and again over conversations that lie
//! ready: text goes straight into the output, variables have slots, values are borrowed from the
//! conversation or lie in an arena that goes as a whole. Every step and every byte is paid for
//! from a [`budget`], there is no way to a file, and nesting is bounded when a template is parsed.

mod args;
mod ast;
mod attribute;
mod budget;
mod builtins;
mod call;
mod characters;
mod compare;
mod cursor;
mod error;
mod eval;
mod expression;
mod filters;
mod format;
mod items;
mod json;
mod letters;
mod lexer;
mod loops;
mod math;
mod names;
mod operand;
mod parser;
mod print;
mod render;
mod scope;
mod spec;
mod strings;
mod symbols;
mod tests;
mod text;
mod value;
mod widths;

use bumpalo::Bump;

pub(super) use error::Failure;
pub(super) use text::is_space;
pub(super) use value::Value;

use ast::Function;
use builtins::Builtin;
use error::Result;
use render::Run;
use value::{Object, Undefined};

/// A compiled template.
#[derive(Debug)]
pub(super) struct Program {
    root: Function,
    /// The variables that the template reads but does not make, and what they are by default.
    globals: Vec<(Box<str>, Option<Builtin>)>,
    /// The stack that one function of the template takes at most.
    stack: usize,
}

/// What a template has made of a conversation.
#[derive(Debug)]
pub(super) struct Rendered {
    pub(super) text: String,
    /// Where generation blocks began, in bytes, and how many characters each has written.
    pub(super) generated: Vec<(usize, usize)>,
}

impl Program {
    /// Compiles a template whose line ends are `\n`.
    pub(super) fn compile(template: &str) -> Result<Program> {
        let (body, depth) = parser::parse(template)?;
        let stack = STACK_RESERVE + depth * STACK_PER_LEVEL;
        stacker::maybe_grow(stack, 2 * stack, || {
            let (root, names) = scope::resolve(body)?;
            let globals = names.into_iter().map(|name| {
                let builtin = builtins::find(&name);
                (name, builtin)
            });
            Ok(Program { root, globals: globals.collect(), stack })
        })
    }

    /// Renders the template with these variables; the last one of a name counts.
    pub(super) fn render<'a>(
        &'a self,
        arena: &'a Bump,
        variables: &[(&str, Value<'a>)],
        mark: bool,
    ) -> Result<Rendered> {
        let globals = self.globals.iter().map(|(name, builtin)| {
            let given = variables.iter().rfind(|(known, _)| *known == &**name);
            match (given, builtin) {
                (Some((_, value)), _) => *value,
                (None, Some(builtin)) => Value::Object(arena.alloc(Object::Function(*builtin))),
                (None, None) => Value::Undefined(Undefined::Name(name)),
            }
        });
        let globals = arena.alloc_slice_fill_iter(globals);
        let mut run = Run::new(arena, globals, self.stack);
        run.generated = mark.then(Vec::new);
        stacker::maybe_grow(self.stack, 4 * self.stack, || run.root(&self.root))?;
        Ok(Rendered { text: run.out, generated: run.generated.unwrap_or_default() })
    }
}

/// For a chain of calls that ends in writing out a nested value.
const STACK_RESERVE: usize = 128 << 10;
/// What a level of nesting takes; unoptimized code takes more.
const STACK_PER_LEVEL: usize = if cfg!(debug_assertions) { 8 << 10 } else { 2 << 10 };
