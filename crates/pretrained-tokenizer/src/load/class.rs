//! Which of transformers' tokenizer classes opens a directory.

use serde_json::{Map, Value};

/// A class that does more than run tokenizer.json as it is, or the one that does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// `TokenizersBackend`: the file is the tokenizer.
    AsIs,
    /// `BertTokenizer`.
    Bert,
    /// `GemmaTokenizer`.
    Gemma,
    /// `GPT2Tokenizer`.
    Gpt2,
    /// `GPTNeoXTokenizer`.
    GptNeoX,
    /// `LlamaTokenizer`.
    Llama,
    /// `Qwen2Tokenizer`.
    Qwen2,
}

impl Class {
    /// Follows `AutoTokenizer.from_pretrained` of transformers 5.23.
    pub(crate) fn resolve(
        config: &Map<String, Value>,
        tokenizer_config: &Map<String, Value>,
        tokenizer_json: Option<&[u8]>,
    ) -> Class {
        let model_type = config.get("model_type").and_then(Value::as_str).unwrap_or_default();
        let declared = |document: &Map<String, Value>| {
            let class = document.get("tokenizer_class")?.as_str()?;
            Some(class.strip_suffix("Fast").unwrap_or(class).to_owned())
        };
        let hub = declared(tokenizer_config).or_else(|| declared(config));
        let registered = registered(model_type);
        let incorrect = INCORRECT.contains(&model_type);
        let Some(hub) = hub else { return registered.map_or(Class::AsIs, Class::named) };
        if hub == "LlamaTokenizer" && !incorrect && tokenizer_json.is_some_and(is_byte_level) {
            // Llama 3's files say LlamaTokenizer, which would undo their byte level.
            return Class::AsIs;
        }
        match registered {
            Some(registered) if registered != hub => {
                if is_generic(registered) {
                    Class::AsIs
                } else if incorrect {
                    Class::named(registered)
                } else {
                    Class::named(&hub)
                }
            }
            _ => Class::named(&hub),
        }
    }

    fn named(name: &str) -> Class {
        match name {
            "BertTokenizer" => Class::Bert,
            "GemmaTokenizer" => Class::Gemma,
            "GPT2Tokenizer" => Class::Gpt2,
            "GPTNeoXTokenizer" => Class::GptNeoX,
            "LlamaTokenizer" => Class::Llama,
            "Qwen2Tokenizer" => Class::Qwen2,
            _ => Class::AsIs,
        }
    }
}

/// The class that transformers registers for a model type, if any.
fn registered(model_type: &str) -> Option<&'static str> {
    Some(match model_type {
        "align" | "bert" | "blip" | "bros" | "chinese_clip" | "convbert" | "distilbert"
        | "electra" | "ernie" | "flava" => "BertTokenizer",
        "blip-2" | "codegen" | "dbrx" | "emu3" | "gpt2" => "GPT2Tokenizer",
        "falcon_mamba" | "gpt_neox" | "xlstm" => "GPTNeoXTokenizer",
        "audioflamingo3" | "colqwen2" | "qwen2" | "qwen2_5_omni" | "qwen2_5_vl" | "qwen2_audio"
        | "qwen2_moe" | "qwen2_vl" | "qwen3" | "qwen3_asr" | "qwen3_moe" | "qwen3_next"
        | "qwen3_omni_moe" | "qwen3_vl" | "qwen3_vl_moe" => "Qwen2Tokenizer",
        "gemma" | "gemma2" | "gemma3" | "gemma3_text" | "gemma3n" | "gemma3n_text"
        | "recurrent_gemma" | "shieldgemma2" | "t5gemma" => "GemmaTokenizer",
        "flex_olmo" | "llama" | "mistral" | "mixtral" | "olmo2" | "olmo3" | "phi3" | "smollm3" => {
            "TokenizersBackend"
        }
        other if INCORRECT.contains(&other) => "TokenizersBackend",
        _ => return None,
    })
}

fn is_generic(class: &str) -> bool {
    matches!(class, "TokenizersBackend" | "PreTrainedTokenizer" | "MistralCommonBackend")
}

fn is_byte_level(tokenizer_json: &[u8]) -> bool {
    const NEEDLE: &[u8] = b"\"ByteLevel\"";
    tokenizer_json.windows(NEEDLE.len()).any(|window| window == NEEDLE)
}

/// Model types whose published `tokenizer_class` is wrong.
const INCORRECT: &[&str] = &[
    "arctic",
    "chatlm",
    "ernie4_5",
    "ernie4_5_moe",
    "fuyu",
    "h2ovl_chat",
    "hyperclovax",
    "hyperclovax_vlm",
    "hyperclovax_vision_v2",
    "internlm2",
    "internlm3",
    "iquestcoder",
    "jamba",
    "llava",
    "llava_next",
    "minicpm3",
    "minicpmv",
    "minimax_m2",
    "modernbert",
    "modernbert-decoder",
    "molmo",
    "molmo2",
    "nemotron",
    "nvfp4",
    "opencua",
    "openvla",
    "paddleocr_vl",
    "phi3",
    "phi3_v",
    "phimoe",
    "qwen2",
    "qwen3_5",
    "qwen3_5_moe",
    "qwen3_5_moe_text",
    "qwen4_exp",
    "step3_vl",
    "vipllava",
    "cohere_asr",
    "camembertv2-base",
    "siglip2",
    "smolvlm",
];
