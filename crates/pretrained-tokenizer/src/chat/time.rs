//! `strftime_now`: `datetime.now().strftime(format)`, whose time has no zone, with the C library of
//! Linux and its locale `C`.

use chrono::{Datelike, Local, NaiveDateTime, TimeZone, Timelike};

/// The time, or `None` if the format is longer than anyone's.
pub(super) fn strftime_now(format: &str) -> Option<String> {
    (format.len() <= MAX_FORMAT).then(|| strftime(format, Local::now().naive_local()))
}

/// `now.strftime(format)`.
pub(super) fn strftime(format: &str, now: NaiveDateTime) -> String {
    let mut out = String::new();
    // Python gives up, with nothing, once the text does not fit into this.
    let mut room = 1024;
    while room < 256 * format.chars().count() {
        room *= 2;
    }
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let directive = Directive::parse(&rest[at..]);
        rest = &rest[at + directive.raw.len()..];
        if directive.width >= room {
            return String::new();
        }
        directive.write(now, &mut out);
    }
    out.push_str(rest);
    if out.len() < room { out } else { String::new() }
}

/// `%d`, `%-d`, `%^10B`, `%Ey`: a percent sign, flags, a width, a modifier, a letter.
struct Directive<'f> {
    raw: &'f str,
    /// One of `_`, `-` and `0`.
    pad: Option<char>,
    upper: bool,
    swap: bool,
    width: usize,
    modifier: Option<char>,
    letter: Option<char>,
}

enum Field {
    /// A number, the digits it has at least, and what fills them.
    Number(i64, usize, char),
    Text(String),
}

impl<'f> Directive<'f> {
    fn parse(text: &'f str) -> Directive<'f> {
        let mut chars = text.char_indices().skip(1).peekable();
        let (mut pad, mut upper, mut swap, mut width) = (None, false, false, 0usize);
        while let Some((_, flag)) = chars.next_if(|(_, c)| matches!(c, '_' | '-' | '0' | '^' | '#'))
        {
            match flag {
                '^' => upper = true,
                '#' => swap = true,
                _ => pad = Some(flag),
            }
        }
        while let Some(digit) = chars.peek().and_then(|(_, c)| c.to_digit(10)) {
            chars.next();
            width = width.saturating_mul(10).saturating_add(digit as usize);
        }
        let modifier = chars.next_if(|(_, c)| matches!(c, 'E' | 'O')).map(|(_, c)| c);
        let letter = chars.next();
        let end = letter.map_or(text.len(), |(at, c)| at + c.len_utf8());
        let letter = letter.map(|(_, c)| c);
        Directive { raw: &text[..end], pad, upper, swap, width, modifier, letter }
    }

    fn write(&self, now: NaiveDateTime, out: &mut String) {
        let python = match self.raw {
            "%z" | "%Z" => Some(String::new()),
            "%f" => Some(format!("{:06}", now.nanosecond() / 1000)),
            _ => None,
        };
        if let Some(text) = python {
            return out.push_str(&text);
        }
        let fits = |letter: &char| match self.modifier {
            Some('E') => "cCnpPrRtTuxXyY%".contains(*letter),
            Some(_) => "bBCdegGhHIjklmMnpPrRStTuUVwWy%".contains(*letter),
            None => true,
        };
        let field = self.letter.filter(fits).and_then(|letter| field(letter, now));
        let mut text = String::new();
        match field {
            Some(Field::Number(number, digits, pad)) => {
                let number = number.to_string();
                let missing = digits.max(self.width).saturating_sub(number.len());
                match self.pad.unwrap_or(pad) {
                    '-' => {}
                    pad => {
                        let pad = if pad == '_' { ' ' } else { pad };
                        text.extend(std::iter::repeat_n(pad, missing));
                    }
                }
                text.push_str(&number);
            }
            Some(Field::Text(field)) => text = field,
            // A directive that does not exist stays as it is.
            None => text = self.raw.to_owned(),
        }
        let pad = if self.pad == Some('0') { '0' } else { ' ' };
        out.extend(std::iter::repeat_n(pad, self.width.saturating_sub(text.chars().count())));
        match (self.letter, self.swap) {
            (Some('a' | 'A' | 'b' | 'B' | 'h'), true) => out.push_str(&text.to_ascii_uppercase()),
            (Some('p'), true) | (Some('P'), _) => out.push_str(&text.to_ascii_lowercase()),
            _ if self.upper => out.push_str(&text.to_uppercase()),
            _ => out.push_str(&text),
        }
    }
}

fn field(letter: char, now: NaiveDateTime) -> Option<Field> {
    let number = |number: u32, digits| Some(Field::Number(number.into(), digits, '0'));
    let year = |year: i32, digits| Some(Field::Number(year.into(), digits, '0'));
    let spaced = |number: u32| Some(Field::Number(number.into(), 2, '_'));
    let composed = |format: &str| Some(Field::Text(strftime(format, now)));
    let name = |names: &[&str], at: u32, len| {
        let name = names.get(at as usize)?;
        Some(Field::Text(name.get(..len).unwrap_or(name).to_owned()))
    };
    let weekday = now.weekday().num_days_from_sunday();
    let (hour, hour12) = (now.hour(), (now.hour() + 11) % 12 + 1);
    match letter {
        'a' => name(&DAYS, weekday, 3),
        'A' => name(&DAYS, weekday, usize::MAX),
        'b' | 'h' => name(&MONTHS, now.month0(), 3),
        'B' => name(&MONTHS, now.month0(), usize::MAX),
        'c' => composed("%a %b %e %H:%M:%S %Y"),
        'C' => year(now.year().div_euclid(100), 2),
        'd' => number(now.day(), 2),
        'D' | 'x' => composed("%m/%d/%y"),
        'e' => spaced(now.day()),
        'F' => composed("%Y-%m-%d"),
        'g' => year(now.iso_week().year().rem_euclid(100), 2),
        'G' => year(now.iso_week().year(), 1),
        'H' => number(hour, 2),
        'I' => number(hour12, 2),
        'j' => number(now.ordinal(), 3),
        'k' => spaced(hour),
        'l' => spaced(hour12),
        'm' => number(now.month(), 2),
        'M' => number(now.minute(), 2),
        'n' => Some(Field::Text("\n".to_owned())),
        'p' | 'P' => Some(Field::Text(if hour < 12 { "AM" } else { "PM" }.to_owned())),
        'r' => composed("%I:%M:%S %p"),
        'R' => composed("%H:%M"),
        's' => {
            let at = Local.from_local_datetime(&now).earliest().map(|it| it.timestamp());
            Some(Field::Number(at.unwrap_or_else(|| now.and_utc().timestamp()), 1, '0'))
        }
        'S' => number(now.second(), 2),
        't' => Some(Field::Text("\t".to_owned())),
        'T' | 'X' => composed("%H:%M:%S"),
        'u' => number((weekday + 6) % 7 + 1, 1),
        'U' => number((now.ordinal0() + 7 - weekday) / 7, 2),
        'V' => number(now.iso_week().week(), 2),
        'w' => number(weekday, 1),
        'W' => number((now.ordinal0() + 7 - (weekday + 6) % 7) / 7, 2),
        'y' => year(now.year().rem_euclid(100), 2),
        'Y' => year(now.year(), 1),
        'Z' => Some(Field::Text(String::new())),
        '%' => Some(Field::Text("%".to_owned())),
        _ => None,
    }
}

const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const MAX_FORMAT: usize = 1000;
