use super::{Int, Object, Value};

/// The longest document that is read, in bytes.
pub const MAX_LEN: usize = 16 << 20;

/// How deep lists and objects may nest.
pub const MAX_DEPTH: usize = 128;

/// The longest integer, in digits: Python refuses longer ones too.
pub const MAX_DIGITS: usize = 4300;

/// The text is not JSON, or more of it than is read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct ParseError {
    /// From 1.
    pub line: usize,
    /// From 1, in bytes.
    pub column: usize,
    /// What is wrong there.
    pub reason: &'static str,
}

/// Reads one JSON value, as `json.loads` does.
pub(crate) fn parse(json: &str) -> Result<Value, ParseError> {
    let mut parser = Parser { json, position: 0 };
    if json.len() > MAX_LEN {
        return Err(parser.error("the document is longer than 16 MiB"));
    }
    parser.skip_space();
    let value = parser.value(0)?;
    parser.skip_space();
    match parser.peek() {
        None => Ok(value),
        Some(_) => Err(parser.error("more text follows the value")),
    }
}

struct Parser<'a> {
    json: &'a str,
    position: usize,
}

impl Parser<'_> {
    fn value(&mut self, depth: usize) -> Result<Value, ParseError> {
        if depth > MAX_DEPTH {
            return Err(self.error("lists and objects nest deeper than 128"));
        }
        for (word, value) in [
            ("null", Value::Null),
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("NaN", Value::Float(f64::NAN)),
            ("Infinity", Value::Float(f64::INFINITY)),
            ("-Infinity", Value::Float(f64::NEG_INFINITY)),
        ] {
            if self.json[self.position..].starts_with(word) {
                self.position += word.len();
                return Ok(value);
            }
        }
        match self.peek() {
            Some(b'"') => self.text(),
            Some(b'[') => self.array(depth),
            Some(b'{') => self.object(depth),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => Err(self.error("expected a value")),
            None => Err(self.error("the document ends where a value should be")),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, ParseError> {
        self.position += 1;
        let mut values = Vec::new();
        self.skip_space();
        if self.eat(b']') {
            return Ok(Value::Array(values));
        }
        loop {
            self.skip_space();
            values.push(self.value(depth + 1)?);
            self.skip_space();
            if self.eat(b']') {
                return Ok(Value::Array(values));
            }
            if !self.eat(b',') {
                return Err(self.error("expected `,` or `]`"));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, ParseError> {
        self.position += 1;
        let mut entries = Vec::new();
        self.skip_space();
        if self.eat(b'}') {
            return Ok(Value::Object(Object::new()));
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err(self.error("expected a key in double quotes"));
            }
            let Value::String(key) = self.text()? else {
                return Err(self.error("half a surrogate pair in a key"));
            };
            self.skip_space();
            if !self.eat(b':') {
                return Err(self.error("expected `:`"));
            }
            self.skip_space();
            entries.push((key, self.value(depth + 1)?));
            self.skip_space();
            if self.eat(b'}') {
                return Ok(Value::Object(entries.into_iter().collect()));
            }
            if !self.eat(b',') {
                return Err(self.error("expected `,` or `}`"));
            }
        }
    }

    fn number(&mut self) -> Result<Value, ParseError> {
        let start = self.position;
        self.eat(b'-');
        if !self.eat(b'0') && self.digits() == 0 {
            return Err(self.error("expected a digit"));
        }
        let mut is_float = false;
        // What follows the integer part counts only if it is whole: `1.` is `1`, then a stray dot.
        for exponent in [false, true] {
            let before = self.position;
            let started = match exponent {
                false => self.eat(b'.'),
                true => self.eat(b'e') || self.eat(b'E'),
            };
            if exponent && started && !self.eat(b'-') {
                self.eat(b'+');
            }
            match started && self.digits() > 0 {
                true => is_float = true,
                false => self.position = before,
            }
        }
        let text = &self.json[start..self.position];
        if is_float {
            // Rust, like Python, reads the nearest float and takes what is too large as infinite.
            let float = text.parse().map_err(|_| self.error("not a number"))?;
            return Ok(Value::Float(float));
        }
        if text.trim_start_matches('-').len() > MAX_DIGITS {
            return Err(self.error("an integer has more than 4300 digits"));
        }
        Ok(Value::Int(Int::from_digits(text)))
    }

    fn digits(&mut self) -> usize {
        let start = self.position;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.position += 1;
        }
        self.position - start
    }

    fn text(&mut self) -> Result<Value, ParseError> {
        self.position += 1;
        let mut text = String::new();
        // What came before half a surrogate pair, and that.
        let mut units: Vec<u16> = Vec::new();
        loop {
            let start = self.position;
            while !matches!(self.peek(), None | Some(b'"' | b'\\' | 0..0x20)) {
                self.position += 1;
            }
            text.push_str(&self.json[start..self.position]);
            match self.peek() {
                Some(b'"') if units.is_empty() => {
                    self.position += 1;
                    return Ok(Value::String(text));
                }
                Some(b'"') => {
                    self.position += 1;
                    units.extend(text.encode_utf16());
                    return Ok(Value::Utf16(units.into()));
                }
                Some(b'\\') => {
                    self.position += 1;
                    match self.escaped()? {
                        Ok(character) => text.push(character),
                        Err(half) => {
                            units.extend(text.encode_utf16());
                            units.push(half);
                            text.clear();
                        }
                    }
                }
                Some(_) => return Err(self.error("a control character in a string")),
                None => return Err(self.error("the document ends in a string")),
            }
        }
    }

    /// A character, or half a surrogate pair.
    fn escaped(&mut self) -> Result<Result<char, u16>, ParseError> {
        let character = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return Err(self.error("an unknown escape in a string")),
        };
        self.position += 1;
        Ok(Ok(character))
    }

    fn unicode(&mut self) -> Result<Result<char, u16>, ParseError> {
        let first = self.hex()?;
        let after = self.position;
        let is_high = (0xd800..0xdc00).contains(&first);
        if is_high && self.json[after..].starts_with("\\u") {
            self.position += 1;
            let second = self.hex()?;
            if let Some(Ok(character)) = char::decode_utf16([first, second]).next() {
                return Ok(Ok(character));
            }
            self.position = after;
        }
        Ok(char::from_u32(first.into()).ok_or(first))
    }

    fn hex(&mut self) -> Result<u16, ParseError> {
        self.position += 1;
        let digits = self.json.as_bytes().get(self.position..self.position + 4);
        let code = digits.and_then(|digits| {
            digits.iter().try_fold(0, |code, &digit| {
                Some(code * 16 + char::from(digit).to_digit(16)? as u16)
            })
        });
        let code = code.ok_or_else(|| self.error("expected four hexadecimal digits"))?;
        self.position += 4;
        Ok(code)
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.position += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.position += usize::from(there);
        there
    }

    fn peek(&self) -> Option<u8> {
        self.json.as_bytes().get(self.position).copied()
    }

    fn error(&self, reason: &'static str) -> ParseError {
        let before = &self.json.as_bytes()[..self.position];
        let line_start = before.iter().rposition(|&b| b == b'\n').map_or(0, |it| it + 1);
        let line = 1 + before.iter().filter(|&&b| b == b'\n').count();
        ParseError { line, column: 1 + self.position - line_start, reason }
    }
}
