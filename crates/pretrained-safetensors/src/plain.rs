//! Headers that are spelled as writers spell them, read in one pass.
//!
//! This is a shortcut, not a second opinion: it knows no errors. Whatever is not plain (an escape, a
//! field twice, an unknown dtype, a name that is none, or no JSON at all) is `None`, and the general
//! parser in [`raw`](crate::raw) says what it is. A test holds the two against each other.

use crate::{
    Dtype, Metadata,
    header::METADATA_KEY,
    name::check_tensor_name,
    raw::{Entries, RawInfo},
};

pub(crate) fn parse(json: &str) -> Option<Entries> {
    let mut text = Text { json, at: 0 };
    let mut metadata = None;
    let mut tensors = Vec::with_capacity(json.len() / USUAL_ENTRY);
    text.map(|text, name| {
        if name == METADATA_KEY {
            return metadata.replace(text.metadata()?).is_none().then_some(());
        }
        check_tensor_name(name).ok()?;
        let info = text.info()?;
        tensors.push((name.to_owned(), info));
        Some(())
    })?;
    text.skip_space();
    let ended = text.at == json.len();
    ended.then(|| Entries { tensors, metadata: metadata.unwrap_or_default() })
}

struct Text<'a> {
    json: &'a str,
    at: usize,
}

impl<'a> Text<'a> {
    fn info(&mut self) -> Option<RawInfo> {
        let start = self.at;
        if let Some(info) = self.info_as_written() {
            return Some(info);
        }
        self.at = start;
        self.info_in_any_order()
    }

    /// As nearly every writer spells it: without spaces, the fields in this order.
    fn info_as_written(&mut self) -> Option<RawInfo> {
        self.exactly(r#"{"dtype":"#)?;
        let dtype = Dtype::from_name(self.string()?)?;
        self.exactly(r#","shape":"#)?;
        let shape = self.shape()?;
        self.exactly(r#","data_offsets":"#)?;
        let offsets = self.offsets()?;
        self.exactly("}")?;
        Some(RawInfo { dtype: Ok(dtype), shape, offsets })
    }

    fn info_in_any_order(&mut self) -> Option<RawInfo> {
        let (mut dtype, mut shape, mut offsets) = (None, None, None);
        self.map(|text, field| {
            let is_first = match field {
                "dtype" => dtype.replace(Dtype::from_name(text.string()?)?).is_none(),
                "shape" => shape.replace(text.shape()?).is_none(),
                "data_offsets" => offsets.replace(text.offsets()?).is_none(),
                _ => false,
            };
            is_first.then_some(())
        })?;
        Some(RawInfo { dtype: Ok(dtype?), shape: shape?, offsets: offsets? })
    }

    fn metadata(&mut self) -> Option<Metadata> {
        let mut metadata = Metadata::new();
        self.map(|text, key| {
            let value = text.string()?;
            metadata.insert(key.to_owned(), value.to_owned()).is_none().then_some(())
        })?;
        Some(metadata)
    }

    fn shape(&mut self) -> Option<Vec<usize>> {
        self.token(b'[')?;
        let mut shape = Vec::new();
        if self.token(b']').is_some() {
            return Some(shape);
        }
        loop {
            shape.push(self.number()?);
            if self.token(b',').is_none() {
                return self.token(b']').map(|()| shape);
            }
        }
    }

    fn offsets(&mut self) -> Option<(usize, usize)> {
        self.token(b'[')?;
        let start = self.number()?;
        self.token(b',')?;
        let end = self.number()?;
        self.token(b']').map(|()| (start, end))
    }

    /// Reads a map, handing over each key where its value starts.
    fn map(&mut self, mut value: impl FnMut(&mut Self, &'a str) -> Option<()>) -> Option<()> {
        self.token(b'{')?;
        if self.token(b'}').is_some() {
            return Some(());
        }
        loop {
            let key = self.string()?;
            self.token(b':')?;
            value(self, key)?;
            if self.token(b',').is_none() {
                return self.token(b'}');
            }
        }
    }

    /// A string that stands for itself.
    fn string(&mut self) -> Option<&'a str> {
        self.token(b'"')?;
        let start = self.at;
        while !ENDS_STRING[usize::from(self.byte()?)] {
            self.at += 1;
        }
        let text = self.json.get(start..self.at)?;
        self.exactly("\"")?;
        Some(text)
    }

    fn number(&mut self) -> Option<usize> {
        self.skip_space();
        let start = self.at;
        let mut number = 0u64;
        while let Some(digit) = self.byte().map(|it| it.wrapping_sub(b'0')).filter(|it| *it < 10) {
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
            self.at += 1;
        }
        let len = self.at - start;
        // What has more digits may have wrapped, which the general parser finds out.
        let is_plain =
            len == 1 || (2..=MAX_DIGITS).contains(&len) && !self.json[start..].starts_with('0');
        is_plain.then_some(number).and_then(|it| it.try_into().ok())
    }

    /// Takes a token, if it is the next.
    fn token(&mut self, token: u8) -> Option<()> {
        if self.byte() != Some(token) {
            self.skip_space();
        }
        (self.byte() == Some(token)).then(|| self.at += 1)
    }

    /// Takes a text that starts right here.
    fn exactly(&mut self, text: &str) -> Option<()> {
        self.json.as_bytes()[self.at..].starts_with(text.as_bytes()).then(|| self.at += text.len())
    }

    fn skip_space(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn byte(&self) -> Option<u8> {
        self.json.as_bytes().get(self.at).copied()
    }
}

/// Bytes at which a plain string ends, or is found not to be plain.
const ENDS_STRING: [bool; 256] = {
    let mut ends = [false; 256];
    let mut control = 0;
    while control < 0x20 {
        ends[control] = true;
        control += 1;
    }
    ends[b'"' as usize] = true;
    ends[b'\\' as usize] = true;
    ends
};
/// Bytes of an entry, about.
const USUAL_ENTRY: usize = 128;
/// So many digits always fit into 64 bits.
const MAX_DIGITS: usize = 19;
