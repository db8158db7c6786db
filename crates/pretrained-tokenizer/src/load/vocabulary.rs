//! Directories without tokenizer.json.

use std::{collections::HashMap, path::Path};

use serde_json::json;
use tokenizers::{AddedToken, normalizers::Precompiled};

use super::{
    Parts, Stages, charsmap,
    class::Class,
    document::{Vocab, merge_of, stage},
    init::{Init, Named},
    model::{self, Merges},
    rebuild,
    sentencepiece::{Piece, PieceKind, Proto},
};
use crate::{
    Error, TokenizerFiles,
    bundle::{MERGES, SENTENCEPIECE, VOCAB_JSON, VOCAB_TXT},
    guard::guarded,
};

/// Builds a class from the vocabulary files it knows.
pub(crate) fn from_files(
    class: Class,
    files: &TokenizerFiles,
    init: &mut Init,
) -> Result<Parts, Error> {
    match class {
        Class::Gpt2 | Class::GptNeoX | Class::Qwen2 => {
            let vocab = read(files, VOCAB_JSON)?;
            let vocab: Vocab =
                serde_json::from_slice(vocab).map_err(|e| Error::invalid(VOCAB_JSON, e))?;
            let Vocab::Ids(vocab) = vocab else {
                return Err(Error::invalid(VOCAB_JSON, "not an object of tokens with ids"));
            };
            let merges = merges(files)?;
            rebuild::build(class, vocab, merges, init).map_err(|e| Error::invalid(VOCAB_JSON, e))
        }
        Class::Bert => {
            let vocab = vocab_txt(files)?;
            rebuild::build(class, vocab, Merges::new(), init)
                .map_err(|e| Error::invalid(VOCAB_TXT, e))
        }
        Class::AsIs | Class::Gemma | Class::Llama => {
            let wrong = |e: String| Error::invalid(SENTENCEPIECE, e);
            let proto = Proto::parse(read(files, SENTENCEPIECE)?).map_err(wrong)?;
            guarded(|| sentencepiece(class, proto, init)).and_then(|parts| parts).map_err(wrong)
        }
    }
}

fn read<'a>(files: &'a TokenizerFiles, name: &str) -> Result<&'a [u8], Error> {
    // The caller names the directory.
    files.get(name).ok_or_else(|| Error::Missing { dir: Path::new(".").to_owned() })
}

fn merges(files: &TokenizerFiles) -> Result<Merges, Error> {
    let text = std::str::from_utf8(read(files, MERGES)?).map_err(|e| Error::invalid(MERGES, e))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.starts_with("#version"));
    lines
        .map(|(number, line)| {
            merge_of(line).ok_or_else(|| {
                Error::invalid(MERGES, format!("line {} is not a pair of tokens", number + 1))
            })
        })
        .collect()
}

fn vocab_txt(files: &TokenizerFiles) -> Result<Vec<(String, u32)>, Error> {
    let text =
        std::str::from_utf8(read(files, VOCAB_TXT)?).map_err(|e| Error::invalid(VOCAB_TXT, e))?;
    // Of a token that is there twice the last line counts.
    let vocab: HashMap<&str, u32> = text.lines().map(str::trim_end).zip(0..).collect();
    Ok(vocab.into_iter().map(|(token, id)| (token.to_owned(), id)).collect())
}

fn sentencepiece(class: Class, proto: Proto, init: &mut Init) -> Result<Parts, String> {
    if !init.has_extra {
        let own = proto.pieces.iter().filter(|piece| piece.kind != PieceKind::Plain);
        init.extra = own
            .map(|piece| {
                let special = piece.kind == PieceKind::Control;
                Named::Token(AddedToken::from(piece.text.clone(), special).normalized(false))
            })
            .collect();
    }
    let owned = |(text, id): (&str, u32)| (text.to_owned(), id);
    if class != Class::AsIs {
        let vocab = proto.vocab().into_iter().map(owned).collect();
        return rebuild::build(class, vocab, proto.merges(), init);
    }
    for (role, id, piece) in [
        ("bos_token", proto.bos_id, &proto.bos_piece),
        ("eos_token", proto.eos_id, &proto.eos_piece),
        ("unk_token", proto.unk_id, &proto.unk_piece),
    ] {
        if id >= 0 {
            init.default_tokens(&[(role, piece)]);
        }
    }
    let model = if proto.is_unigram {
        // transformers copies the tokenizer through its JSON, so the scores are parsed here too.
        let score = |piece: &Piece| model::as_python_reads(f64::from(piece.score));
        let scores = proto.pieces.iter().map(|piece| (piece.text.clone(), score(piece)));
        let unk = usize::try_from(proto.unk_id).map_err(|_| "the unknown token has no id")?;
        model::unigram(scores.collect(), Some(unk), proto.byte_fallback)?
    } else {
        let merges = proto.merges();
        let mut vocab: HashMap<String, u32> = proto.vocab().into_iter().map(owned).collect();
        rename_placeholders(&mut vocab, init);
        let options = json!({"unk_token": proto.unk_piece, "fuse_unk": true,
                             "byte_fallback": proto.byte_fallback});
        let options = options.as_object().cloned().unwrap_or_default();
        model::bpe(vocab.into_iter().collect(), merges, &options)?
    };
    Ok(Parts { model, stages: stages(&proto)?, tokens: Vec::new() })
}

/// Pieces such as `<unused7>` take the name that the configuration gives their id.
fn rename_placeholders(vocab: &mut HashMap<String, u32>, init: &Init) {
    let mut by_id: HashMap<u32, String> =
        vocab.iter().map(|(text, id)| (*id, text.clone())).collect();
    for (id, token) in &init.added {
        let Ok(id) = u32::try_from(*id) else { continue };
        let Some(current) = by_id.get(&id) else { continue };
        if *current != token.content && !vocab.contains_key(&token.content) {
            vocab.remove(current);
            vocab.insert(token.content.clone(), id);
            by_id.insert(id, token.content.clone());
        }
    }
}

fn stages(proto: &Proto) -> Result<Stages, String> {
    let replace = |pattern: &str, content: &str| json!({"type": "Replace", "pattern": {"String": pattern}, "content": content});
    let mut decoders = vec![replace("▁", " ")];
    if proto.byte_fallback {
        decoders.extend([json!({"type": "ByteFallback"}), json!({"type": "Fuse"})]);
    }
    let spaces = stage("normalizer", &Some(replace(" ", "▁")))?;
    let mut normalizers = Vec::new();
    if !proto.precompiled_charsmap.is_empty() {
        charsmap::check(&proto.precompiled_charsmap)?;
        let charsmap = Precompiled::from(&proto.precompiled_charsmap)
            .map_err(|e| format!("precompiled_charsmap: {e}"))?;
        normalizers.push(charsmap.into());
    }
    normalizers.extend(spaces);
    Ok(Stages {
        normalizer: Some(tokenizers::normalizers::Sequence::new(normalizers).into()),
        decoder: stage("decoder", &Some(json!({"type": "Sequence", "decoders": decoders})))?,
        ..Stages::default()
    })
}
