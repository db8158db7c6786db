//! Strings made as wide as asked.

use super::{
    args::{self, Args, required},
    attribute::byte,
    error::{Result, failure},
    render::Run,
    value::Value,
};

pub(super) fn justify<'a>(
    run: &mut Run<'a>,
    text: &'a str,
    name: &str,
    args: &Args<'a>,
) -> Result<Value<'a>> {
    let [width, fill] = args.positional(1)?;
    let width = args::int(required(width)?)?;
    let fill = match fill {
        Some(fill) if name != "zfill" => args::text(fill)?,
        Some(_) => return failure("zfill() takes one argument"),
        None => " ",
    };
    let mut chars = fill.chars();
    let (Some(fill), None) = (chars.next(), chars.next()) else {
        return failure("the fill character must be exactly one character long");
    };
    if name == "zfill" {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        let sign = &text[..text.len() - digits.len()];
        let zeros = padding(run, width - sign.len() as i128, digits, '0')?;
        return Ok(Value::Str(run.join(&[sign, &zeros, digits])?));
    }
    Ok(Value::Str(match name {
        "ljust" => {
            let space = padding(run, width, text, fill)?;
            run.join(&[text, &space])?
        }
        "rjust" => {
            let space = padding(run, width, text, fill)?;
            run.join(&[&space, text])?
        }
        _ => center(run, text, width, fill)?,
    }))
}

/// What is missing in a text to be `width` characters long.
pub(super) fn padding(run: &mut Run<'_>, width: i128, text: &str, fill: char) -> Result<String> {
    let missing = width.saturating_sub(text.chars().count() as i128).max(0);
    let missing = usize::try_from(missing).unwrap_or(usize::MAX);
    run.spend_text(missing)?;
    Ok(std::iter::repeat_n(fill, missing).collect())
}

pub(super) fn center<'a>(
    run: &mut Run<'a>,
    text: &'a str,
    width: i128,
    fill: char,
) -> Result<&'a str> {
    let space = padding(run, width, text, fill)?;
    let missing = space.chars().count();
    let left = missing / 2 + (missing & usize::try_from(width).unwrap_or(0) & 1);
    let (left, right) = space.split_at(byte(&space, left));
    run.join(&[left, text, right])
}

pub(super) fn expand_tabs<'a>(run: &mut Run<'a>, text: &'a str, size: i128) -> Result<Value<'a>> {
    let size = usize::try_from(size.max(0)).unwrap_or(usize::MAX);
    let mut out = String::new();
    let mut column = 0;
    for c in text.chars() {
        match c {
            '\t' if size > 0 => {
                let spaces = size - column % size;
                run.spend_text(spaces)?;
                out.extend(std::iter::repeat_n(' ', spaces));
                column += spaces;
            }
            '\t' => {}
            '\n' | '\r' => {
                out.push(c);
                column = 0;
            }
            c => {
                out.push(c);
                column += 1;
            }
        }
    }
    Ok(Value::Str(run.alloc_str(&out)?))
}
