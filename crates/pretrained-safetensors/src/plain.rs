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
    let mut text = Text { json, rest: json.as_bytes() };
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
    text.rest.is_empty().then(|| Entries { tensors, metadata: metadata.unwrap_or_default() })
}

struct Text<'a> {
    json: &'a str,
    /// What is still to be read: an end of `json`.
    rest: &'a [u8],
}

impl<'a> Text<'a> {
    fn info(&mut self) -> Option<RawInfo> {
        let start = self.rest;
        if let Some(info) = self.info_as_written() {
            return Some(info);
        }
        self.rest = start;
        self.info_in_any_order()
    }

    /// As nearly every writer spells it: without spaces, the fields in this order.
    fn info_as_written(&mut self) -> Option<RawInfo> {
        self.exactly(br#"{"dtype":""#)?;
        let dtype = self.rest_of_string()?;
        let dtype = Dtype::from_name(dtype)?;
        self.exactly(br#","shape":"#)?;
        let shape = self.shape()?;
        self.exactly(br#","data_offsets":"#)?;
        let offsets = self.offsets()?;
        self.exactly(b"}")?;
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
        if self.token(b']').is_some() {
            return Some(Vec::new());
        }
        // Gathered here first, so that the shape is allocated once and as long as it is.
        let mut dims = [0; USUAL_DIMS];
        for count in 0..USUAL_DIMS {
            dims[count] = self.number()?;
            if self.token(b',').is_none() {
                return self.token(b']').map(|()| dims[..=count].to_vec());
            }
        }
        let mut shape = dims.to_vec();
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
        self.rest_of_string()
    }

    /// A string whose first quote has been taken.
    #[inline]
    fn rest_of_string(&mut self) -> Option<&'a str> {
        let len = self.rest.iter().position(|&it| ENDS_STRING[usize::from(it)])?;
        let start = self.json.len() - self.rest.len();
        self.rest = &self.rest[len..];
        self.exactly(b"\"")?;
        self.json.get(start..start + len)
    }

    #[inline]
    fn number(&mut self) -> Option<usize> {
        if !matches!(self.rest.first(), Some(b'0'..=b'9')) {
            self.skip_space();
        }
        let digits = self.rest;
        let mut number = 0u64;
        let mut len = 0;
        while let Some(digit) = digits.get(len).map(|it| it.wrapping_sub(b'0'))
            && digit < 10
        {
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
            len += 1;
        }
        self.rest = &digits[len..];
        // What has more digits may have wrapped, which the general parser finds out.
        let is_plain = len == 1 || (2..=MAX_DIGITS).contains(&len) && digits[0] != b'0';
        is_plain.then_some(number).and_then(|it| it.try_into().ok())
    }

    /// Takes a token, if it is the next.
    #[inline]
    fn token(&mut self, token: u8) -> Option<()> {
        if self.rest.first() != Some(&token) {
            self.skip_space();
        }
        self.exactly(&[token])
    }

    /// Takes a text that starts right here.
    #[inline]
    fn exactly<const N: usize>(&mut self, text: &[u8; N]) -> Option<()> {
        let (start, rest) = self.rest.split_first_chunk::<N>()?;
        (start == text).then(|| self.rest = rest)
    }

    fn skip_space(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
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
/// Few tensors have more.
const USUAL_DIMS: usize = 8;
/// So many digits always fit into 64 bits.
const MAX_DIGITS: usize = 19;
