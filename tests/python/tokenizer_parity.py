"""Every layout of a tokenizer directory: ids, offsets and decoded text against transformers.

    python tests/python/tokenizer_parity.py --probe target/release/examples/probe
"""

import tempfile

from tokenizer_layouts import layouts
from tokenizer_probe import arguments, main
from tokenizer_texts import texts

OPTIONS = [
    {"padding": "longest"},
    {"padding": "longest", "padding_side": "left", "pad_to_multiple_of": 8},
    {"truncation": "longest_first", "max_length": 5},
    {"truncation": "longest_first", "max_length": 8, "padding": "max_length", "truncation_side": "left"},
    {"truncation": "only_first", "max_length": 12, "padding": "max_length"},
    {"truncation": "only_second", "max_length": 12},
    {"truncation": "longest_first", "max_length": 10, "padding": "longest", "pad_to_multiple_of": 4},
    {"padding": "max_length"},
    {"truncation": "longest_first"},
]
WHOLE = {
    "json-only-bpe", "json-fast-metaspace", "json-only-unigram", "qwen2-bare", "gpt_neox-bare", "gemma2-bare",
    "bert-uncased-txt", "bert-cased-json", "bpe-files-gpt2", "bpe-files-qwen2", "llama-spm-True-True",
    "spm-unigram-llama", "spm-bpe-llama", "spm-bytes-class", "spm-unigram-bytes-llama", "added-in-config",
    "llama-json-False-True",
}
SHORT = ["a", "Hello, world!", "The quick brown fox jumps over the lazy dog.", "\u4f60\u597d", ""]


def transformers(directory):
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(directory)
    except Exception as error:  # whatever Python calls it, the directory does not open
        return error


def encode(tokenizer, batch, special, pairs=None, **options):
    before = tokenizer.truncation_side
    tokenizer.truncation_side = options.pop("truncation_side", before)
    try:
        out = tokenizer(
            batch, pairs, add_special_tokens=special, return_offsets_mapping=True, return_token_type_ids=True,
            return_special_tokens_mask=True, return_attention_mask=True, **options,
        )
    finally:
        tokenizer.truncation_side = before
    keys = ["input_ids", "attention_mask", "token_type_ids", "special_tokens_mask", "offset_mapping"]
    return [[list(map(list, item)) if k == "offset_mapping" else item for k in keys for item in [out[k][i]]]
            for i in range(len(batch))]


def attempt(f, *args, **options):
    try:
        return f(*args, **options)
    except Exception:
        return "error"


def compare_directory(probe, name, directory, sample):
    tokenizer = transformers(directory)
    opened = probe.ask(op="open", dir=directory)
    if isinstance(tokenizer, Exception):
        yield f"{name}: opens", "error", "error" if "error" in opened else "opened"
        return
    if "error" in opened:
        yield f"{name}: opens", "opened", opened["error"]
        return
    answer = lambda **question: probe.ask(dir=directory, **question).get("ok", "error")
    named = {key: str(value) for key, value in tokenizer.special_tokens_map.items() if key in tokenizer.SPECIAL_TOKENS_ATTRIBUTES[:7]}
    ids = [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id]
    expected = {"named": named, "ids": ids, "vocab_size": len(tokenizer), "padding_side": tokenizer.padding_side}
    found = answer(op="special")
    yield f"{name}: special tokens", expected, found
    for special in [True, False]:
        found = answer(op="encode", texts=sample, special=special)
        expected = attempt(encode, tokenizer, sample, special)
        if "error" in (found, expected):
            # One text that cannot be encoded fails its batch: look at them one by one.
            found = [answer(op="encode", texts=[text], special=special) for text in sample]
            expected = [attempt(encode, tokenizer, [text], special) for text in sample]
        yield from ((f"{name}: {text!r} {special}", *both) for text, *both in zip(sample, expected, found))
    pairs = list(reversed(sample[:200]))
    yield f"{name}: pairs", attempt(encode, tokenizer, sample[:200], True, pairs), answer(
        op="encode", texts=sample[:200], pairs=pairs, special=True)
    encoded = [attempt(lambda text: tokenizer(text)["input_ids"], text) for text in sample]
    encoded = [ids for ids in encoded if ids != "error"]
    encoded += [[i, i + 1, i + 2] for i in range(0, min(len(tokenizer), 1500), 9)]
    for skip in [True, False]:
        expected = [tokenizer.decode(ids, skip_special_tokens=skip) for ids in encoded]
        found = answer(op="decode", ids=encoded, skip=skip)
        yield from ((f"{name}: decode {ids} {skip}", *both) for ids, *both in zip(encoded, expected, found))
    whole = [text for text in answer(op="decode", ids=encoded, skip=False)]
    yield f"{name}: stream", [text.replace("\ufffd", "") for text in whole], [
        text.replace("\ufffd", "") for text in answer(op="stream", ids=encoded)]
    for options in OPTIONS:
        for pairs in [None, list(reversed(SHORT))]:
            expected = attempt(encode, tokenizer, SHORT, True, pairs, **options)
            found = answer(op="encode", texts=SHORT, pairs=pairs, special=True, **options)
            yield f"{name}: {options} {pairs is not None}", expected, found
    with tempfile.TemporaryDirectory() as saved:
        answer(op="save", to=saved)
        again = transformers(saved if "config.json" not in __import__("os").listdir(directory) else directory)
        if not isinstance(again, Exception):
            yield f"{name}: saved", tokenizer(SHORT)["input_ids"], again(SHORT)["input_ids"]


def compare(probe, args):
    whole = texts()
    few = texts()[:: len(whole) // 150]
    with tempfile.TemporaryDirectory() as root:
        for name, directory in layouts(root):
            if args.only and not name.startswith(args.only):
                continue
            # One directory of each kind sees all texts, its variations some.
            sample = whole if name in WHOLE else few
            yield from compare_directory(probe, name, directory, sample)


if __name__ == "__main__":
    main(compare, arguments(__doc__, only=True))
