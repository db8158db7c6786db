//! Text to tokens, with the whitespace around tags already gone (`trim_blocks`, `lstrip_blocks`,
//! `-` and `+`), as Jinja's lexer does it.

use super::{
    error::{Result, syntax},
    text::is_space,
};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'t> {
    /// Template text.
    Text(&'t str),
    /// `{{` and `}}`.
    PrintBegin,
    PrintEnd,
    /// `{%` and `%}`.
    BlockBegin,
    BlockEnd,
    Name(&'t str),
    Str(String),
    Int(i128),
    Float(f64),
    Op(&'static str),
    Eof,
}

/// Tokens with their lines. The text has no `\r`.
pub(super) fn tokens(source: &str) -> Result<Vec<(Token<'_>, u32)>> {
    // One line end at the end of the template does not count.
    let source = source.strip_suffix('\n').unwrap_or(source);
    let mut lexer = Lexer { source, at: 0, line: 1, line_starting: true, tokens: Vec::new() };
    while lexer.at < source.len() {
        lexer.text()?;
    }
    lexer.push(Token::Eof);
    Ok(lexer.tokens)
}

struct Lexer<'t> {
    source: &'t str,
    at: usize,
    line: u32,
    /// Whether what was read last ended a line.
    line_starting: bool,
    tokens: Vec<(Token<'t>, u32)>,
}

impl<'t> Lexer<'t> {
    fn push(&mut self, token: Token<'t>) {
        self.tokens.push((token, self.line));
    }

    fn rest(&self) -> &'t str {
        &self.source[self.at..]
    }

    /// Moves on by `len` bytes.
    fn advance(&mut self, len: usize) {
        let passed = &self.source[self.at..self.at + len];
        self.line += passed.bytes().filter(|&b| b == b'\n').count() as u32;
        self.line_starting = passed.ends_with('\n');
        self.at += len;
    }

    /// Text, and the tag that follows it.
    fn text(&mut self) -> Result<()> {
        let rest = self.rest();
        let Some(open) = tag(rest) else {
            self.push(Token::Text(rest));
            self.advance(rest.len());
            return Ok(());
        };
        let kind = rest.as_bytes()[open + 1];
        let (sign, after) = sign(&rest[open + 2..]);
        let text = self.before_tag(&rest[..open], sign, kind == b'{');
        if !text.is_empty() {
            self.push(Token::Text(text));
        }
        let raw = if kind == b'%' { raw_begin(after) } else { None };
        self.advance(rest.len() - raw.unwrap_or(after).len());
        match (kind, raw) {
            (_, Some(_)) => self.raw(),
            (b'#', _) => self.comment(),
            (b'{', _) => {
                self.push(Token::PrintBegin);
                self.code(Token::PrintEnd)
            }
            _ => {
                self.push(Token::BlockBegin);
                self.code(Token::BlockEnd)
            }
        }
    }

    /// The text before a tag, without the space that the tag takes away.
    fn before_tag(&self, text: &'t str, sign: Sign, prints: bool) -> &'t str {
        match sign {
            Sign::Minus => text.trim_end_matches(is_space),
            Sign::Plus => text,
            Sign::None if prints => text,
            Sign::None => {
                let line = text.rfind('\n').map_or(0, |at| at + 1);
                let starts = line > 0 || self.line_starting;
                if starts && text[line..].chars().all(is_space) { &text[..line] } else { text }
            }
        }
    }

    fn comment(&mut self) -> Result<()> {
        let rest = self.rest();
        if rest.is_empty() {
            // Jinja looks for the end of a comment only where more text follows.
            return Ok(());
        }
        let Some(end) = rest.find("#}") else {
            return syntax(self.line, "missing end of comment tag");
        };
        let sign = sign_before(&rest[..end]);
        self.advance(end + 2);
        self.after_block(sign);
        Ok(())
    }

    /// Text until `{% endraw %}`.
    fn raw(&mut self) -> Result<()> {
        let rest = self.rest();
        if rest.is_empty() {
            return Ok(());
        }
        let mut from = 0;
        while let Some(open) = rest[from..].find("{%") {
            let open = from + open;
            let (sign, after) = sign(&rest[open + 2..]);
            let word = after.trim_start_matches(is_space);
            if let Some(word) = word.strip_prefix("endraw") {
                let end = word.trim_start_matches(is_space);
                let (end_sign, end) = self::sign(end);
                if let Some(end) = end.strip_prefix("%}") {
                    let text = self.before_tag(&rest[..open], sign, false);
                    if !text.is_empty() {
                        self.push(Token::Text(text));
                    }
                    self.advance(rest.len() - end.len());
                    self.after_block(end_sign);
                    return Ok(());
                }
            }
            from = open + 2;
        }
        syntax(self.line, "missing end of raw directive")
    }

    /// Skips the space that the end of a block or comment takes away.
    fn after_block(&mut self, sign: Sign) {
        let rest = self.rest();
        match sign {
            Sign::Minus => self.skip_space(),
            Sign::None if rest.starts_with('\n') => self.advance(1),
            _ => {}
        }
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        let space = rest.len() - rest.trim_start_matches(is_space).len();
        if space > 0 {
            self.advance(space);
        }
    }

    /// The inside of a tag, up to and with `end`.
    fn code(&mut self, end: Token<'t>) -> Result<()> {
        let close = if end == Token::PrintEnd { "}}" } else { "%}" };
        let mut open: Vec<&'static str> = Vec::new();
        loop {
            let rest = self.rest();
            if open.is_empty() {
                let (sign, after) = sign(rest);
                let fits = sign != Sign::Plus || close == "%}";
                if fits && let Some(after) = after.strip_prefix(close) {
                    self.push(end);
                    self.advance(rest.len() - after.len());
                    match sign {
                        Sign::Minus => self.skip_space(),
                        _ if close == "%}" => self.after_block(sign),
                        _ => {}
                    }
                    return Ok(());
                }
            }
            let Some(c) = rest.chars().next() else {
                // The parser says what is missing.
                return Ok(());
            };
            if is_space(c) {
                self.skip_space();
            } else if c.is_ascii_digit() {
                let dotted = self.source[..self.at].ends_with('.');
                let (token, len) = number(rest, dotted, self.line)?;
                self.push(token);
                self.advance(len);
            } else if c == '_' || c.is_alphanumeric() {
                let is_word = |c: char| c == '_' || c.is_alphanumeric();
                let len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                self.push(Token::Name(&rest[..len]));
                self.advance(len);
            } else if c == '"' || c == '\'' {
                let (text, len) = string(rest, self.line)?;
                self.push(Token::Str(text));
                self.advance(len);
            } else {
                let Some(op) = OPERATORS.into_iter().find(|op| rest.starts_with(op)) else {
                    return syntax(self.line, format!("unexpected character {c:?}"));
                };
                match op {
                    "(" => open.push(")"),
                    "[" => open.push("]"),
                    "{" => open.push("}"),
                    ")" | "]" | "}" if open.pop() != Some(op) => {
                        return syntax(self.line, format!("unexpected '{op}'"));
                    }
                    _ => {}
                }
                self.push(Token::Op(op));
                self.advance(op.len());
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    None,
    Minus,
    Plus,
}

fn sign(text: &str) -> (Sign, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (Sign::Minus, &text[1..]),
        Some(b'+') => (Sign::Plus, &text[1..]),
        _ => (Sign::None, text),
    }
}

fn sign_before(text: &str) -> Sign {
    match text.as_bytes().last() {
        Some(b'-') => Sign::Minus,
        Some(b'+') => Sign::Plus,
        _ => Sign::None,
    }
}

/// Where the next tag opens.
fn tag(text: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + text[from..].find('{')?;
        if matches!(text.as_bytes().get(at + 1), Some(b'{' | b'%' | b'#')) {
            return Some(at);
        }
        from = at + 1;
    }
}

/// What follows `raw %}`, if that is what the text begins with.
fn raw_begin(text: &str) -> Option<&str> {
    let rest = text.trim_start_matches(is_space).strip_prefix("raw")?.trim_start_matches(is_space);
    match rest.strip_prefix("-%}") {
        Some(rest) => Some(rest.trim_start_matches(is_space)),
        None => rest.strip_prefix("%}"),
    }
}

/// The number that the text begins with, and its length. After a dot it is an index.
fn number(text: &str, dotted: bool, line: u32) -> Result<(Token<'static>, usize)> {
    let bytes = text.as_bytes();
    let digits = |from: usize, is_digit: fn(&u8) -> bool| {
        let mut end = from;
        while bytes.get(end).is_some_and(is_digit)
            || (bytes.get(end) == Some(&b'_') && bytes.get(end + 1).is_some_and(is_digit))
        {
            end += 1;
        }
        end
    };
    let radix = match (bytes[0], bytes.get(1).map(u8::to_ascii_lowercase)) {
        (b'0', Some(b'x')) => Some((16, (|b| b.is_ascii_hexdigit()) as fn(&u8) -> bool)),
        (b'0', Some(b'o')) => Some((8, (|b| (b'0'..=b'7').contains(b)) as fn(&u8) -> bool)),
        (b'0', Some(b'b')) => Some((2, (|b| (b'0'..=b'1').contains(b)) as fn(&u8) -> bool)),
        _ => None,
    };
    if let Some((radix, is_digit)) = radix {
        let end = digits(2, is_digit);
        if end > 2 {
            let plain = text[2..end].replace('_', "");
            return match i128::from_str_radix(&plain, radix) {
                Ok(number) => Ok((Token::Int(number), end)),
                Err(_) => syntax(line, "the number is too large"),
            };
        }
    }
    let is_digit: fn(&u8) -> bool = u8::is_ascii_digit;
    let whole = digits(0, is_digit);
    let mut end = whole;
    if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(is_digit) {
        end = digits(end + 1, is_digit);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let signed = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        if bytes.get(end + 1 + signed).is_some_and(is_digit) {
            end = digits(end + 1 + signed, is_digit);
        }
    }
    if end > whole && !dotted {
        let plain = text[..end].replace('_', "");
        return match plain.parse() {
            Ok(number) => Ok((Token::Float(number), end)),
            Err(_) => syntax(line, "this is no number"),
        };
    }
    // Only zero begins with zero: `01` is two numbers.
    let whole = if bytes[0] == b'0' { digits(0, |b| *b == b'0') } else { whole };
    match text[..whole].replace('_', "").parse() {
        Ok(number) => Ok((Token::Int(number), whole)),
        Err(_) => syntax(line, "the number is too large"),
    }
}

/// The string that the text begins with, unescaped, and its length in the text.
fn string(text: &str, line: u32) -> Result<(String, usize)> {
    let mut chars = text.char_indices();
    let quote = chars.next().map(|(_, c)| c);
    let mut out = String::new();
    while let Some((at, c)) = chars.next() {
        if Some(c) == quote {
            return Ok((out, at + 1));
        }
        if c != '\\' {
            out.push(c);
            continue;
        }
        let Some((_, escape)) = chars.next() else { break };
        let mut code = |digits: usize, radix: u32, first: &str| {
            let rest = chars.as_str();
            let len =
                rest.bytes().take(digits).take_while(|b| (*b as char).is_digit(radix)).count();
            for _ in 0..len {
                chars.next();
            }
            (radix == 8 || len == digits)
                .then(|| u32::from_str_radix(&format!("{first}{}", &rest[..len]), radix).ok())
                .flatten()
                .and_then(char::from_u32)
        };
        let c = match escape {
            '\n' => continue,
            '\\' | '\'' | '"' => Some(escape),
            'a' => Some('\x07'),
            'b' => Some('\x08'),
            'f' => Some('\x0c'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\x0b'),
            '0'..='7' => code(2, 8, &escape.to_string()),
            'x' => code(2, 16, ""),
            'u' => code(4, 16, ""),
            'U' => code(8, 16, ""),
            'N' => None,
            _ => {
                out.push('\\');
                // Jinja spells what is not ASCII as an escape before it looks for escapes.
                let code = u32::from(escape);
                match code {
                    0..0x80 => out.push(escape),
                    0x80..0x100 => out.push_str(&format!("x{code:02x}")),
                    0x100..0x10000 => out.push_str(&format!("u{code:04x}")),
                    _ => out.push_str(&format!("U{code:08x}")),
                }
                continue;
            }
        };
        match c {
            Some(c) => out.push(c),
            None => return syntax(line, "this escape in a string stands for no character"),
        }
    }
    syntax(line, "a string without an end")
}

/// Longer ones first.
const OPERATORS: [&str; 26] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}",
    ">", "<", "=", ".", ":", "|", ",", ";",
];
