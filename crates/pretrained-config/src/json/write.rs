use super::{Object, Value};

/// Where transformers does not write what `json.dumps` writes of a document it has read.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Dialect {
    /// `config.json`: floats that are not finite are objects, and `id2label` is sorted by number.
    Config,
    /// `generation_config.json`: nowhere.
    Plain,
}

/// `json.dumps(value, indent=2, sort_keys=True)`, and a newline.
pub(crate) fn to_json(object: &Object, dialect: Dialect) -> String {
    let mut writer = Writer { out: String::new(), dialect };
    writer.object(object, 0, true);
    writer.out.push('\n');
    writer.out
}

/// As JSON on one line.
impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut writer = Writer { out: String::new(), dialect: Dialect::Plain };
        writer.value(self, 0);
        let line: Vec<&str> = writer.out.lines().map(str::trim).collect();
        f.write_str(&line.join(" "))
    }
}

/// A value in one line, for messages.
pub(crate) fn to_line(value: &Value) -> String {
    let line = value.to_string();
    match line.char_indices().nth(60) {
        Some((cut, _)) => format!("{}...", &line[..cut]),
        None => line,
    }
}

struct Writer {
    out: String,
    dialect: Dialect,
}

impl Writer {
    fn value(&mut self, value: &Value, depth: usize) {
        match value {
            Value::Null => self.out.push_str("null"),
            Value::Bool(true) => self.out.push_str("true"),
            Value::Bool(false) => self.out.push_str("false"),
            Value::Int(int) => self.out.push_str(&int.to_string()),
            Value::Float(float) => self.float(*float, depth),
            Value::String(text) => self.string(text),
            Value::Utf16(units) => {
                self.out.push('"');
                self.units(units);
                self.out.push('"');
            }
            Value::Array(values) if values.is_empty() => self.out.push_str("[]"),
            Value::Array(values) => {
                self.out.push('[');
                for (i, value) in values.iter().enumerate() {
                    self.start(i, depth + 1);
                    self.value(value, depth + 1);
                }
                self.end(']', depth);
            }
            Value::Object(object) => self.object(object, depth, false),
        }
    }

    fn object(&mut self, object: &Object, depth: usize, is_document: bool) {
        let mut entries: Vec<(&str, &Value)> = object.iter().collect();
        entries.sort_by_key(|(key, _)| *key);
        if entries.is_empty() {
            return self.out.push_str("{}");
        }
        self.out.push('{');
        for (i, (key, value)) in entries.into_iter().enumerate() {
            self.start(i, depth + 1);
            self.string(key);
            self.out.push_str(": ");
            let is_numbered = is_document && self.dialect == Dialect::Config && key == "id2label";
            match is_numbered.then(|| numbered(value)).flatten() {
                Some(entries) => self.numbered(&entries, depth + 1),
                None => self.value(value, depth + 1),
            }
        }
        self.end('}', depth);
    }

    fn numbered(&mut self, entries: &[(&str, &Value)], depth: usize) {
        if entries.is_empty() {
            return self.out.push_str("{}");
        }
        self.out.push('{');
        for (i, (key, value)) in entries.iter().enumerate() {
            self.start(i, depth + 1);
            self.string(key);
            self.out.push_str(": ");
            self.value(value, depth + 1);
        }
        self.end('}', depth);
    }

    /// `repr(float)`: the shortest digits that read back the same, with an exponent below 1e-4 and
    /// from 1e16.
    fn float(&mut self, float: f64, depth: usize) {
        if !float.is_finite() {
            let name = match float {
                _ if float.is_nan() => "NaN",
                _ if float > 0.0 => "Infinity",
                _ => "-Infinity",
            };
            return match self.dialect {
                Dialect::Plain => self.out.push_str(name),
                Dialect::Config => self.numbered(&[("__float__", &Value::from(name))], depth),
            };
        }
        let scientific = format!("{float:e}");
        let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        let exponent: i32 = exponent.parse().unwrap_or_default();
        if !(-4..16).contains(&exponent) && float != 0.0 {
            let sign = if exponent < 0 { '-' } else { '+' };
            self.out.push_str(&format!("{digits}e{sign}{:02}", exponent.abs()));
        } else if float.fract() == 0.0 {
            self.out.push_str(&format!("{float:.1}"));
        } else {
            self.out.push_str(&float.to_string());
        }
    }

    /// Text in ASCII.
    fn string(&mut self, text: &str) {
        self.out.push('"');
        for character in text.chars() {
            self.character(character);
        }
        self.out.push('"');
    }

    fn units(&mut self, units: &[u16]) {
        for decoded in char::decode_utf16(units.iter().copied()) {
            match decoded {
                Ok(character) => self.character(character),
                Err(half) => self.out.push_str(&format!("\\u{:04x}", half.unpaired_surrogate())),
            }
        }
    }

    fn character(&mut self, character: char) {
        match character {
            '"' => self.out.push_str("\\\""),
            '\\' => self.out.push_str("\\\\"),
            '\n' => self.out.push_str("\\n"),
            '\r' => self.out.push_str("\\r"),
            '\t' => self.out.push_str("\\t"),
            '\u{8}' => self.out.push_str("\\b"),
            '\u{c}' => self.out.push_str("\\f"),
            ' '..='~' => self.out.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    self.out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }

    /// Begins the line of an element.
    fn start(&mut self, index: usize, depth: usize) {
        self.out.push_str(if index == 0 { "\n" } else { ",\n" });
        self.indent(depth);
    }

    fn end(&mut self, bracket: char, depth: usize) {
        self.out.push('\n');
        self.indent(depth);
        self.out.push(bracket);
    }

    fn indent(&mut self, depth: usize) {
        self.out.extend(std::iter::repeat_n("  ", depth));
    }
}

/// The entries in the order of their keys as numbers, if all of them are.
fn numbered(value: &Value) -> Option<Vec<(&str, &Value)>> {
    let entries = value.as_object()?.iter();
    let mut entries: Vec<(i64, (&str, &Value))> =
        entries.map(|it| Some((it.0.parse().ok()?, it))).collect::<Option<_>>()?;
    entries.sort_by_key(|(id, _)| *id);
    Some(entries.into_iter().map(|(_, entry)| entry).collect())
}
