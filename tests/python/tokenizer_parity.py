"""Every layout of a tokenizer directory: ids, offsets and decoded text against transformers.

    python tests/python/tokenizer_parity.py --probe target/release/examples/probe
"""

import json
import os
import tempfile
import zlib
from array import array
from itertools import chain

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
    {"truncation": "longest_first", "max_length": 7, "stride": 2, "return_overflowing_tokens": True},
    {"truncation": "longest_first", "max_length": 9, "return_overflowing_tokens": True, "padding": "longest"},
    {"truncation": "only_first", "max_length": 9, "stride": 3, "return_overflowing_tokens": True, "padding": "max_length",
     "truncation_side": "left", "padding_side": "left"},
    {"truncation": "only_second", "max_length": 30, "stride": 4, "return_overflowing_tokens": True},
]
# Kinds of tokenizers; the other layouts are variations of them.
KINDS = {
    "json-only-bpe", "json-fast-metaspace", "json-only-unigram", "qwen2-bare", "gpt_neox-bare", "gemma2-bare",
    "bert-uncased-txt", "bert-cased-json", "llama-spm-True-True", "spm-unigram-llama", "spm-bpe-llama",
    "spm-bytes-class", "spm-unigram-bytes-llama", "llama-json-False-True",
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
    samples = out.get("overflow_to_sample_mapping", range(len(batch)))
    return [[*([list(it) for it in out[key][i]] if key == "offset_mapping" else out[key][i] for key in keys), sample]
            for i, sample in enumerate(samples)]


def sums(tokenizer, batch, special):
    """For each text the checksums of its ids and of everything else, as the probe has them."""
    out = tokenizer(batch, add_special_tokens=special, return_offsets_mapping=True, return_token_type_ids=True,
                    return_special_tokens_mask=True, return_attention_mask=True)
    crc = lambda numbers: zlib.crc32(array("I", numbers).tobytes())
    masks = zip(out["attention_mask"], out["token_type_ids"], out["special_tokens_mask"], out["offset_mapping"])
    return out["input_ids"], [[crc(ids), crc([*a, *b, *c, *chain.from_iterable(offsets)])]
                              for ids, (a, b, c, offsets) in zip(out["input_ids"], masks)]


def attempt(f, *args, **options):
    try:
        return f(*args, **options)
    except BaseException as error:  # a panic in Rust is no Exception
        if isinstance(error, KeyboardInterrupt):
            raise
        return "error"


def compare_directory(probe, name, directory, sample):
    probe.send(op="open", dir=directory)
    tokenizer = transformers(directory)
    opened = probe.receive()
    if isinstance(tokenizer, Exception):
        yield f"{name}: opens", "error", "error" if "error" in opened else "opened"
        return
    yield f"{name}: opens", {"ok": {"class": type(tokenizer).__name__}}, opened
    if "error" in opened:
        return
    answer = lambda **question: probe.ask(dir=directory, **question).get("ok", "error")
    yield f"{name}: special tokens", special_tokens(tokenizer), answer(op="special")
    encoded = []
    # Without special tokens around them, some of the texts are enough.
    for special, texts in [(True, sample), (False, sample[::4])]:
        question = {"op": "encode_sums", "dir": directory, "texts": texts, "special": special}
        probe.send(**question)
        expected = attempt(sums, tokenizer, texts, special)
        found = probe.receive().get("ok", "error")
        if "error" not in (found, expected):
            encoded = encoded or expected[0]
            expected = expected[1]
            if expected == found:
                yield f"{name}: {len(texts)} texts, {special}", True, True
                continue
        # One text that cannot be encoded fails its batch: look at them one by one.
        for text in texts:
            found, expected = answer(op="encode", texts=[text], special=special), attempt(encode, tokenizer, [text], special)
            yield f"{name}: {text!r} {special}", expected, found
            if special and expected != "error":
                encoded.append(expected[0][0])
    encoded = encoded + [[i, i + 1, i + 2] for i in range(0, min(len(tokenizer), 1500), 9)]
    for skip in [True, False]:
        probe.send(op="decode", dir=directory, ids=encoded, skip=skip)
        expected = [tokenizer.decode(ids, skip_special_tokens=skip) for ids in encoded]
        found = probe.receive().get("ok", "error")
        if expected == found:
            yield f"{name}: decode, {skip}", True, True
        else:
            yield from ((f"{name}: decode {ids} {skip}", *both) for ids, *both in zip(encoded, expected, found))
        # Streamed text is compared with the whole text in Rust: here only that it is that of Python.
        yield f"{name}: stream, {skip}", expected[::7], answer(op="stream", ids=encoded[::7], skip=skip)
    pairs = list(reversed(sample[:120]))
    yield f"{name}: pairs", attempt(encode, tokenizer, sample[:120], True, pairs), answer(
        op="encode", texts=sample[:120], pairs=pairs, special=True)
    for options in OPTIONS:
        for pairs in [None, list(reversed(SHORT))]:
            expected = attempt(encode, tokenizer, SHORT, True, pairs, **options)
            found = answer(op="encode", texts=SHORT, pairs=pairs, special=True, **options)
            yield f"{name}: {options} {pairs is not None}", expected, found
    for first, second, options in cuts() if name in KINDS else []:
        both = [("a b " * first).strip()], [("c " * second).strip()]
        expected = attempt(encode, tokenizer, both[0], True, both[1], **options)
        found = answer(op="encode", texts=both[0], pairs=both[1], special=True, **options)
        yield f"{name}: {first} and {second}, {options}", expected, found
    yield from compare_saved(probe, name, directory, tokenizer)


def cuts():
    """Pairs of texts that are too long, and what to cut them to."""
    for first, second in [(15, 20), (20, 15), (3, 30), (30, 3), (9, 9)]:
        for max_length in [5, 6, 7, 12, 13]:
            for side in ["left", "right"]:
                for strategy in ["longest_first", "only_first", "only_second"]:
                    yield first, second, {"truncation": strategy, "max_length": max_length, "truncation_side": side}


def compare_saved(probe, name, directory, tokenizer):
    """What is written into an empty directory opens in both as what it was; the files loaded are in it unchanged."""
    read = lambda folder: {
        path: open(os.path.join(folder, path), "rb").read() for path in sorted(os.listdir(folder)) if path != "config.json"}
    expected = tokenizer(SHORT)["input_ids"], type(tokenizer).__name__, special_tokens(tokenizer)
    with tempfile.TemporaryDirectory() as saved:
        yield f"{name}: saves", {"ok": None}, probe.ask(op="save", dir=directory, to=saved)
        before, after = read(directory), read(saved)
        if before != after:
            names_class = json.loads(after.pop("tokenizer_config.json"))
            before = {path: content for path, content in before.items() if path != "tokenizer_config.json"}
            yield f"{name}: names its class", True, "tokenizer_class" in names_class
        yield f"{name}: saves the same bytes", before, after
        again = transformers(saved)
        if isinstance(again, Exception):
            yield f"{name}: what was saved opens in transformers", "opened", again
            return
        yield f"{name}: saved, in transformers", expected, (again(SHORT)["input_ids"], type(again).__name__, special_tokens(again))
        opened = probe.ask(op="open", dir=saved).get("ok", {})
        ids = [it[0] for it in probe.ask(op="encode", dir=saved, texts=SHORT, special=True).get("ok", [])]
        yield f"{name}: saved, in Rust", expected, (ids, opened.get("class"), probe.ask(op="special", dir=saved).get("ok"))


def special_tokens(tokenizer):
    named = {key: str(value) for key, value in tokenizer.special_tokens_map.items() if key in tokenizer.SPECIAL_TOKENS_ATTRIBUTES[:7]}
    ids = [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id]
    return {"named": named, "ids": ids, "vocab_size": len(tokenizer), "padding_side": tokenizer.padding_side}


def compare(probe, args):
    # Every layout sees more than 2,000 texts with characters of every block; one of each kind sees every character.
    whole, some = texts(), texts(whole=False)
    assert len(whole) >= 2000 and len(some) >= 2000
    seen = set()
    with tempfile.TemporaryDirectory() as root:
        for name, directory in layouts(root):
            if name.startswith(tuple(args.only.split(","))):
                seen.add(name)
                yield from compare_directory(probe, name, directory, whole if name in KINDS else some)
    yield "kinds", set(), KINDS - seen if not args.only else set()


if __name__ == "__main__":
    main(compare, arguments(__doc__, only=True))
