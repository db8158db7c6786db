//! SentencePiece's tokenizer.model, a protocol buffer, as far as tokenizing needs it.

use std::collections::HashMap;

/// A SentencePiece model.
#[derive(Debug)]
pub(crate) struct Proto {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) is_unigram: bool,
    pub(crate) byte_fallback: bool,
    pub(crate) unk_id: i64,
    pub(crate) bos_id: i64,
    pub(crate) eos_id: i64,
    pub(crate) unk_piece: String,
    pub(crate) bos_piece: String,
    pub(crate) eos_piece: String,
    pub(crate) precompiled_charsmap: Vec<u8>,
}

/// An entry of the vocabulary; its id is its position.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) text: String,
    pub(crate) score: f32,
    pub(crate) kind: PieceKind,
}

/// What a piece is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PieceKind {
    /// Matches text, or stands for unknown text or a byte.
    Plain,
    /// Never matches text: `<s>`.
    Control,
    /// Matches text before everything else.
    UserDefined,
}

impl Proto {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Proto, String> {
        let mut proto = Proto {
            pieces: Vec::new(),
            is_unigram: true,
            byte_fallback: false,
            unk_id: 0,
            bos_id: 1,
            eos_id: 2,
            unk_piece: "<unk>".to_owned(),
            bos_piece: "<s>".to_owned(),
            eos_piece: "</s>".to_owned(),
            precompiled_charsmap: Vec::new(),
        };
        for field in Fields(bytes) {
            match field? {
                (1, Field::Bytes(piece)) => proto.pieces.push(Piece::parse(piece)?),
                (2, Field::Bytes(spec)) => proto.read_trainer_spec(spec)?,
                (3, Field::Bytes(spec)) => {
                    for field in Fields(spec) {
                        if let (2, Field::Bytes(map)) = field? {
                            proto.precompiled_charsmap = map.to_vec();
                        }
                    }
                }
                _ => {}
            }
        }
        if proto.pieces.is_empty() {
            return Err("not a SentencePiece model: it has no pieces".to_owned());
        }
        Ok(proto)
    }

    fn read_trainer_spec(&mut self, spec: &[u8]) -> Result<(), String> {
        for field in Fields(spec) {
            match field? {
                (3, Field::Varint(kind)) => {
                    self.is_unigram = match kind {
                        1 => true,
                        2 => false,
                        other => {
                            return Err(format!("model type {other} is neither Unigram nor BPE"));
                        }
                    };
                }
                (35, Field::Varint(on)) => self.byte_fallback = on != 0,
                (40, Field::Varint(id)) => self.unk_id = id as i64,
                (41, Field::Varint(id)) => self.bos_id = id as i64,
                (42, Field::Varint(id)) => self.eos_id = id as i64,
                (45, Field::Bytes(piece)) => self.unk_piece = text(piece)?,
                (46, Field::Bytes(piece)) => self.bos_piece = text(piece)?,
                (47, Field::Bytes(piece)) => self.eos_piece = text(piece)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// The vocabulary by id.
    pub(crate) fn vocab(&self) -> HashMap<&str, u32> {
        (0..).zip(&self.pieces).map(|(id, piece)| (piece.text.as_str(), id)).collect()
    }

    /// The merges that SentencePiece does not store: every way to split a piece into two others,
    /// pieces with low ids first.
    pub(crate) fn merges(&self) -> Vec<(String, String)> {
        let vocab = self.vocab();
        let mut merges = Vec::new();
        let mut ids: Vec<(&str, u32)> = vocab.iter().map(|(text, id)| (*text, *id)).collect();
        ids.sort_unstable_by_key(|(_, id)| *id);
        for (text, id) in ids {
            let mut local = Vec::new();
            for (at, _) in text.char_indices().skip(1) {
                let (left, right) = text.split_at(at);
                if let (Some(&left_id), Some(&right_id)) = (vocab.get(left), vocab.get(right)) {
                    local.push((left_id, right_id, left, right));
                }
            }
            local.sort_unstable();
            merges.extend(local.into_iter().map(|(_, _, left, right)| (id, left, right)));
        }
        merges.sort_by_key(|(id, left, right)| (*id, left.chars().count(), right.chars().count()));
        merges.into_iter().map(|(_, left, right)| (left.to_owned(), right.to_owned())).collect()
    }
}

impl Piece {
    fn parse(bytes: &[u8]) -> Result<Piece, String> {
        let mut piece = Piece { text: String::new(), score: 0.0, kind: PieceKind::Plain };
        for field in Fields(bytes) {
            match field? {
                (1, Field::Bytes(bytes)) => piece.text = text(bytes)?,
                (2, Field::Fixed32(bits)) => piece.score = f32::from_bits(bits),
                (3, Field::Varint(3)) => piece.kind = PieceKind::Control,
                (3, Field::Varint(4)) => piece.kind = PieceKind::UserDefined,
                _ => {}
            }
        }
        Ok(piece)
    }
}

fn text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "a piece is not UTF-8".to_owned())
}

/// A value of a protocol buffer.
enum Field<'a> {
    Varint(u64),
    Fixed32(u32),
    Fixed64,
    Bytes(&'a [u8]),
}

/// The fields of a message, by number.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Field<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_none() {
            // Nothing can follow what could not be read.
            self.0 = &[];
        }
        Some(field.ok_or_else(|| "not a SentencePiece model: broken protocol buffer".to_owned()))
    }
}

impl<'a> Fields<'a> {
    fn read(&mut self) -> Option<(u64, Field<'a>)> {
        let key = self.varint()?;
        let field = match key & 7 {
            0 => Field::Varint(self.varint()?),
            1 => {
                self.take(8)?;
                Field::Fixed64
            }
            2 => {
                let len = usize::try_from(self.varint()?).ok()?;
                Field::Bytes(self.take(len)?)
            }
            5 => Field::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            _ => return None,
        };
        Some((key >> 3, field))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }
}
