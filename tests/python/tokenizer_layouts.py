"""Builds one directory for each way that a tokenizer lies on disk; all are trained here."""

import io
import json
import os

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from tokenizer_texts import CLASSICS, mixtures

CORPUS = [*(text for text in CLASSICS if "<" not in text), *mixtures(3000)] + [
    "The quick brown fox jumps over the lazy dog. " * 3,
    "import os, sys\nfor i in range(10):\n    print(i)\n",
] * 40
END = "<|endoftext|>"


def byte_level(specials=(END, "<pad>"), size=1500):
    """A GPT-2 shaped tokenizer."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.post_processor = processors.ByteLevel(trim_offsets=True)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(
            vocab_size=size, special_tokens=list(specials), initial_alphabet=alphabet, show_progress=False
        ),
    )
    return inner


def metaspace(specials=("<unk>", "<s>", "</s>")):
    """A Llama-2 shaped tokenizer."""
    inner = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    inner.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    inner.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    fallback = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=1500, special_tokens=[*specials, *fallback], show_progress=False, max_token_length=12
    )
    inner.train_from_iterator([text[:80] for text in CORPUS], trainer)
    state = json.loads(inner.to_str())
    state["added_tokens"] = [token for token in state["added_tokens"] if token["content"] in specials]
    inner = Tokenizer.from_str(json.dumps(state))
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)]
    )
    return inner


def wordpiece(lower):
    inner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=lower)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    inner.train_from_iterator(
        CORPUS, trainers.WordPieceTrainer(vocab_size=1500, special_tokens=specials, show_progress=False)
    )
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return inner


def unigram():
    inner = Tokenizer(models.Unigram())
    inner.normalizer = normalizers.NFKC()
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoders.Metaspace()
    inner.train_from_iterator(
        CORPUS,
        trainers.UnigramTrainer(
            vocab_size=1000, special_tokens=["<unk>", "</s>"], unk_token="<unk>", show_progress=False
        ),
    )
    return inner


def sentencepiece(kind, **options):
    import sentencepiece as spm

    out = io.BytesIO()
    options = {"vocab_size": 900, "character_coverage": 0.98, "hard_vocab_limit": False, **options}
    lines = [line for text in CORPUS for line in text.split("\n") if line.strip() and "\x00" not in line]
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=out, model_type=kind, minloglevel=2, **options
    )
    return out.getvalue()


def write(directory, files):
    os.makedirs(directory)
    for name, content in files.items():
        path = os.path.join(directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if isinstance(content, (dict, list)):
            content = json.dumps(content, ensure_ascii=False)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
    return directory


def layouts(root):
    """Yields (name, directory)."""
    gpt2, llama, cased, uncased, uni = byte_level(), metaspace(), wordpiece(False), wordpiece(True), unigram()
    gemma = metaspace(("<pad>", "<eos>", "<bos>", "<unk>", "<mask>"))
    as_text = lambda inner: inner.to_str(pretty=True)
    bpe = json.loads(gpt2.to_str())["model"]
    vocab = json.dumps(bpe["vocab"], ensure_ascii=False)
    merges = "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in bpe["merges"])
    lines = lambda inner: "".join(t + "\n" for t, _ in sorted(inner.get_vocab().items(), key=lambda it: it[1]))
    spm_bpe, spm_bytes = sentencepiece("bpe"), sentencepiece("bpe", byte_fallback=True, vocab_size=1100)
    spm_uni = sentencepiece("unigram", user_defined_symbols=["<tool>", "tok1"])
    spm_uni_bytes = sentencepiece("unigram", byte_fallback=True, vocab_size=1100, normalization_rule_name="nfkc")
    spm_gemma = sentencepiece(
        "bpe", byte_fallback=True, vocab_size=1100, pad_id=0, eos_id=1, bos_id=2, unk_id=3,
        pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>",
        control_symbols=["<mask>"], normalization_rule_name="identity", add_dummy_prefix=False,
    )
    fast = {"tokenizer_class": "PreTrainedTokenizerFast"}
    token = lambda content, **flags: {"content": content, "lstrip": False, "normalized": False, "rstrip": False,
                                      "single_word": False, "special": True, **flags}

    def layout(name, **files):
        names = {"tok": "tokenizer.json", "conf": "tokenizer_config.json", "model": "config.json",
                 "special": "special_tokens_map.json", "added": "added_tokens.json", "vocab": "vocab.json",
                 "merges": "merges.txt", "txt": "vocab.txt", "spm": "tokenizer.model"}
        return name, write(os.path.join(root, name), {names[key]: value for key, value in files.items()})

    for kind, inner in [("bpe", gpt2), ("metaspace", llama), ("wordpiece", uncased), ("unigram", uni)]:
        yield layout(f"json-only-{kind}", tok=as_text(inner))
        yield layout(f"json-fast-{kind}", tok=as_text(inner), conf={**fast, "eos_token": "</s>", "bos_token": "<s>",
                     "additional_special_tokens": ["<extra_0>", "tok1"], "pad_token": "<pad>"})
    for family in ["llama", "mistral", "qwen2", "qwen3", "qwen3_moe", "gpt2", "gpt_neox", "phi3", "olmo2", "smollm3"]:
        yield layout(f"{family}-bare", tok=as_text(gpt2), model={"model_type": family})
        yield layout(f"{family}-fast", tok=as_text(gpt2), model={"model_type": family}, conf={**fast, "eos_token": END})
        yield layout(f"{family}-llama-class", tok=as_text(gpt2), model={"model_type": family},
                     conf={"tokenizer_class": "LlamaTokenizerFast"})
    for family in ["gemma2", "gemma3_text"]:
        yield layout(f"{family}-bare", tok=as_text(gemma), model={"model_type": family})
        yield layout(f"{family}-fast", tok=as_text(gemma), model={"model_type": family}, conf=fast)
    for name, inner in [("bert-cased", cased), ("bert-uncased", uncased)]:
        config = {"tokenizer_class": "BertTokenizer", "do_lower_case": name == "bert-uncased"}
        yield layout(f"{name}-json", tok=as_text(inner), model={"model_type": "bert"}, conf=config)
        yield layout(f"{name}-txt", txt=lines(inner), model={"model_type": "bert"}, conf=config)
        yield layout(f"{name}-bare", txt=lines(inner), model={"model_type": "bert"})
        yield layout(f"{name}-fast", tok=as_text(inner), model={"model_type": "bert"}, conf=fast)
        yield layout(f"{name}-options", txt=lines(inner), conf={**config, "strip_accents": True,
                     "tokenize_chinese_chars": False, "clean_up_tokenization_spaces": True, "padding_side": "left"})
    yield layout("bpe-files-gpt2", vocab=vocab, merges=merges, model={"model_type": "gpt2"})
    yield layout("bpe-files-gpt2-prefix", vocab=vocab, merges=merges,
                 conf={"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True, "add_bos_token": True, "pad_token": "<pad>"})
    yield layout("bpe-files-qwen2", vocab=vocab, merges=merges, model={"model_type": "qwen2"},
                 conf={"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>", "errors": "replace",
                       "additional_special_tokens": ["<|im_start|>", "<|im_end|>"], "model_max_length": 32768})
    yield layout("bpe-files-qwen2-decoder", vocab=vocab, merges=merges, model={"model_type": "qwen2"},
                 conf={"added_tokens_decoder": {"1600": token("<|im_end|>"), "1500": token("<|im_start|>"),
                       "1550": token("<tool>", special=False, normalized=False)}, "eos_token": "<|im_end|>", "unk_token": None})
    yield layout("bpe-files-neox", vocab=vocab, merges=merges, model={"model_type": "gpt_neox"},
                 conf={"add_bos_token": True, "add_eos_token": True})
    yield layout("bpe-files-legacy-maps", vocab=vocab, merges=merges, model={"model_type": "gpt2"},
                 added={"<extra_0>": 1501, "tok1": 1500},
                 special={"eos_token": {**token("</s>", lstrip=True)}, "pad_token": "<pad>",
                          "additional_special_tokens": ["<extra_0>"]})
    yield layout("bpe-files-no-class", vocab=vocab, merges=merges)
    yield layout("neox-json-bos", tok=as_text(gpt2), model={"model_type": "gpt_neox"}, conf={"add_bos_token": True})
    yield layout("gpt2-json-class", tok=as_text(gpt2), conf={"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True})
    yield layout("qwen2-json-tokens", tok=as_text(gpt2), model={"model_type": "qwen2"},
                 conf={"eos_token": "<|im_end|>", "image_token": "<image>", "extra_special_tokens": ["<|im_start|>"]})
    yield layout("added-in-config", tok=as_text(gpt2), conf={**fast, "added_tokens_decoder": {
        "1501": token("tok1", special=False, normalized=True, single_word=True), "1500": token("<extra_0>", lstrip=True, rstrip=True),
        "0": token(END)}, "eos_token": {"__type": "AddedToken", **token("</s>")}, "cls_token": "[CLS]"})
    yield layout("added-in-maps", tok=as_text(gpt2), conf=fast, added={"tok1": 1500, "<extra_0>": 1501},
                 special={"bos_token": token("<s>", rstrip=True), "additional_special_tokens": ["<tool>", "<extra_0>"]})
    for name, tok in [("json", {"tok": as_text(gpt2), "conf": fast}), ("gpt2", {"vocab": vocab, "merges": merges, "model": {"model_type": "gpt2"}}),
                      ("qwen2", {"vocab": vocab, "merges": merges, "model": {"model_type": "qwen2"}})]:
        specials = {"bos_token": "<s>", "eos_token": token("</s>", lstrip=True), "unk_token": END,
                    "additional_special_tokens": ["<extra_0>", "<tool>"]}
        yield layout(f"{name}-files-legacy-maps", **tok, added={"<extra_0>": 1501, "tok1": 1500, "<s>": 1502}, special=specials)
        yield layout(f"{name}-files-legacy-added", **tok, added={"<extra_0>": 1500, "tok1": 1501})
        yield layout(f"{name}-files-legacy-special", **tok, special=specials)
        yield layout(f"{name}-files-legacy-both", **{**tok, "conf": {**tok.get("conf", {}), "eos_token": "<tool>", "extra_special_tokens": ["tok1"]}},
                     added={"<extra_0>": 1501, "tok1": 1500}, special={**specials, "extra_special_tokens": ["[CLS]"]})
    yield layout("bert-legacy-maps", txt=lines(uncased), model={"model_type": "bert"}, added={"<extra_0>": 1600, "tok1": 1700},
                 special={"mask_token": token("[MASK]", lstrip=True), "unk_token": "[UNK]"})
    yield layout("spm-legacy-maps", spm=spm_bytes, conf={"tokenizer_class": "LlamaTokenizer"}, added={"<extra_0>": 1100, "tok1": 1101},
                 special={"bos_token": token("<s>", normalized=True), "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<extra_0>"})
    for model, hub in [("llama", "Qwen2Tokenizer"), ("qwen2", "LlamaTokenizer"), ("gpt2", "Qwen2TokenizerFast"), ("qwen3", "NoSuchTokenizer"),
                       ("mistral", "GPT2Tokenizer"), ("phi3", "LlamaTokenizer"), ("t5", "PreTrainedTokenizerFast"), ("unheard_of", "GPT2TokenizerFast"),
                       ("arctic", "Qwen2Tokenizer"), ("nezha", "Qwen2Tokenizer"), ("bert", "PreTrainedTokenizer")]:
        yield layout(f"class-{model}-{hub}", tok=as_text(gpt2), model={"model_type": model}, conf={"tokenizer_class": hub})
    yield layout("class-in-config", tok=as_text(gpt2), model={"model_type": "llama", "tokenizer_class": "Qwen2TokenizerFast"})
    yield layout("class-in-config-only", tok=as_text(gpt2), model={"tokenizer_class": "Qwen2TokenizerFast"})
    own = {"video_token": "<video>", "audio_token": "<audio>"}
    yield layout("model-specific", tok=as_text(gpt2), conf={**fast, "model_specific_special_tokens": own})
    yield layout("model-specific-both", tok=as_text(gpt2), conf={**fast, "z_token": "<z>", "b_token": "<b>", "model_specific_special_tokens": own})
    yield layout("extra-dict-order", tok=as_text(gpt2), conf={**fast, "extra_special_tokens": own})
    yield layout("extra-dict", tok=as_text(gpt2), conf={**fast, "extra_special_tokens": {"image_token": "<image>", "tool_token": "<tool>"}})
    yield layout("split-special", tok=as_text(gpt2), conf={**fast, "split_special_tokens": True, "eos_token": END})
    for legacy in [True, False]:
        for space in [None, True, False]:
            conf = {"tokenizer_class": "LlamaTokenizer", "legacy": legacy, "add_prefix_space": space}
            yield layout(f"llama-json-{legacy}-{space}", tok=as_text(llama), conf=conf)
            yield layout(f"llama-spm-{legacy}-{space}", spm=spm_bytes, conf=conf)
    for name, model in [("bpe", spm_bpe), ("bytes", spm_bytes), ("unigram", spm_uni), ("unigram-bytes", spm_uni_bytes)]:
        yield layout(f"spm-{name}-llama", spm=model, model={"model_type": "llama"})
        yield layout(f"spm-{name}-bos", spm=model, model={"model_type": "llama"}, conf={"add_bos_token": True, "add_eos_token": True})
        yield layout(f"spm-{name}-class", spm=model, conf={"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": False})
        if "unigram" in name:
            continue  # transformers cannot rename the tokens of a Unigram model, and fails
        yield layout(f"spm-{name}-tokens", spm=model, model={"model_type": "mistral"}, conf={
            "added_tokens_decoder": {"0": token("<unk>"), "1": token("<s>"), "2": token("</s>"), "5": token("<renamed>"),
                                     "2000": token("<extra_0>")}, "bos_token": "<s>", "additional_special_tokens": ["tok1"]})
    yield layout("spm-gemma", spm=spm_gemma, model={"model_type": "gemma2"}, conf={"add_bos_token": True})
    leaky = json.loads(as_text(gpt2))
    leaky["truncation"] = {"direction": "Left", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    leaky["padding"] = {"strategy": {"Fixed": 9}, "direction": "Left", "pad_to_multiple_of": None, "pad_id": 1,
                        "pad_type_id": 0, "pad_token": "<pad>"}
    yield layout("leaky-state", tok=leaky)
    yield layout("leaky-state-qwen2", tok=leaky, model={"model_type": "qwen2"})
    yield layout("leaky-state-fast", tok=leaky, conf={**fast, "padding_side": "right"})
    old = json.loads(as_text(gpt2))
    old["model"]["merges"] = [" ".join(pair) for pair in old["model"]["merges"]]
    yield layout("old-merges", tok=old)
    for key in ["padding", "truncation", "version"]:
        del old[key]
    del old["model"]["type"]
    yield layout("no-types", tok=old)
    yield layout("nothing", model={"model_type": "llama"})  # for gpt2 transformers makes one up
    yield layout("broken-json", tok="{\"model\": ")
