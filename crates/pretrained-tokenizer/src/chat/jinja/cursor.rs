//! The parser's place among the tokens of a template.

use super::{
    error::{Result, syntax},
    lexer::Token,
    parser::Parser,
};

impl<'t> Parser<'t> {
    pub(super) fn peek(&self) -> &Token<'t> {
        self.tokens.get(self.at).map_or(&Token::Eof, |(token, _)| token)
    }

    pub(super) fn peek_second(&self) -> &Token<'t> {
        self.tokens.get(self.at + 1).map_or(&Token::Eof, |(token, _)| token)
    }

    pub(super) fn line(&self) -> u32 {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(0, |(_, line)| *line)
    }

    #[allow(clippy::should_implement_trait)]
    pub(super) fn next(&mut self) -> Token<'t> {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    pub(super) fn back(&mut self) {
        self.at -= 1;
    }

    pub(super) fn expect(&mut self, token: &Token<'_>) -> Result<()> {
        if self.peek() != token {
            return self.unexpected(&describe(token));
        }
        self.at += 1;
        Ok(())
    }

    pub(super) fn expect_op(&mut self, op: &str) -> Result<()> {
        if self.skip_op(op) { Ok(()) } else { self.unexpected(&format!("'{op}'")) }
    }

    pub(super) fn skip_op(&mut self, op: &str) -> bool {
        let there = matches!(self.peek(), Token::Op(found) if *found == op);
        self.at += usize::from(there);
        there
    }

    pub(super) fn expect_word(&mut self, word: &str) -> Result<()> {
        if self.skip_word(word) { Ok(()) } else { self.unexpected(&format!("'{word}'")) }
    }

    pub(super) fn skip_word(&mut self, word: &str) -> bool {
        let there = matches!(self.peek(), Token::Name(found) if *found == word);
        self.at += usize::from(there);
        there
    }

    pub(super) fn name(&mut self) -> Result<&'t str> {
        let Token::Name(name) = *self.peek() else { return self.unexpected("a name") };
        self.at += 1;
        Ok(name)
    }

    pub(super) fn unexpected<T>(&self, wanted: &str) -> Result<T> {
        let found = describe(self.peek());
        syntax(self.line(), format!("unexpected {found}, expected {wanted}"))
    }
}

fn describe(token: &Token<'_>) -> String {
    match token {
        Token::Text(_) => "text".to_owned(),
        Token::PrintBegin => "'{{'".to_owned(),
        Token::PrintEnd => "'}}'".to_owned(),
        Token::BlockBegin => "'{%'".to_owned(),
        Token::BlockEnd => "'%}'".to_owned(),
        Token::Name(name) => format!("'{name}'"),
        Token::Str(_) => "a string".to_owned(),
        Token::Int(_) | Token::Float(_) => "a number".to_owned(),
        Token::Op(op) => format!("'{op}'"),
        Token::Eof => "end of template".to_owned(),
    }
}
