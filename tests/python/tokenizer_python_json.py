"""Configuration files that only Python's json reads: each opens, is carried as it is, or is refused, as in transformers.

    python tests/python/tokenizer_python_json.py --probe target/release/examples/probe
"""

import os
import tempfile

from tokenizer_layouts import write
from tokenizer_probe import arguments, main

BASE = {"added_tokens": [], "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2}, "merges": []}}
TEXT = "abxycaq"


def token(id, content, **options):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": True, **options}


def cases():
    """(name, files)"""
    configs = {
        "nan": '{"model_max_length": NaN, "padding_side": "left"}',
        "infinity": '{"model_max_length": Infinity}',
        "minus infinity": '{"x": [-Infinity, NaN, {"y": Infinity}]}',
        "float too large": '{"model_max_length": 1e999, "x": -1e999}',
        "integer too large": '{"model_max_length": %s}' % ("9" * 400),
        "integer longer than Python reads": '{"x": %s}' % ("9" * 5000),
        "half a pair": r'{"model_max_length": 5, "x": "\ud800", "unk_token": "c"}',
        "second half": r'{"x": "a\udc00\n\"\\b", "unk_token": "c"}',
        "halves the wrong way round": r'{"x": "\udc00\ud800"}',
        "half beside a pair": r'{"x": "\ud83d\ude00\ud83d", "extra_special_tokens": ["q\ud83d\ude00"]}',
        "half in a key": r'{"\ud800": 1}',
        "half in a token": r'{"unk_token": "\ud800"}',
        "half in an extra token": r'{"extra_special_tokens": ["\ud800"]}',
        "half in an added token": r'{"added_tokens_decoder": {"5": {"content": "\ud800"}}}',
        "half in the template": r'{"chat_template": "x\ud800"}',
        "number as a token": '{"unk_token": NaN}',
        "text that looks like it": '{"x": "NaN, Infinity, 1e999", "y": NaN}',
        "no such word": '{"x": NAN}',
        "a word too long": '{"x": NaNs}',
        "comma at the end": '{"x": NaN,}',
        "nothing after": '{"x": NaN',
        "text without an end": '{"y": NaN, "x": "',
        "control character": '{"x": NaN, "y": "\t"}',
        "mark at the beginning": '\ufeff{}',
    }
    for name, config in configs.items():
        yield name, {"tokenizer.json": BASE, "tokenizer_config.json": config}
        yield f"{name}, class from config.json", {
            "tokenizer.json": BASE, "tokenizer_config.json": config, "config.json": '{"model_type": "qwen2", "rope_theta": NaN}'}
    yield "half in config.json", {"tokenizer.json": BASE, "config.json": r'{"model_type": "qwen2", "x": "\ud800"}'}
    yield "special tokens map", {"tokenizer.json": BASE, "special_tokens_map.json": '{"x": NaN, "unk_token": "c"}'}
    # Python is given tokens with ids by Rust here, and takes no other.
    added = {
        "two tokens of one id": [token(3, "x"), token(3, "y")],
        "two tokens of one id in the vocabulary": [token(0, "x"), token(0, "y")],
        "an id in the vocabulary": [token(0, "x")],
        "one token twice": [token(3, "x"), token(4, "x")],
        "one token twice with one id": [token(3, "x"), token(3, "x", lstrip=True)],
    }
    for name, tokens in added.items():
        yield name, {"tokenizer.json": {**BASE, "added_tokens": tokens}}


def opened(directory):
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(directory)
    except Exception:
        return "error"
    return [tokenizer(TEXT).input_ids, tokenizer.padding_side, tokenizer.unk_token_id, len(tokenizer)]


def asked(probe, directory):
    answer = probe.ask(op="special", dir=directory)
    if "error" in answer:
        return "error"
    special = answer["ok"]
    ids = probe.ask(op="encode_plain", dir=directory, texts=[TEXT], special=True)["ok"][0]
    return [ids, special["padding_side"], special["ids"][3], special["vocab_size"]]


def compare(probe, _):
    with tempfile.TemporaryDirectory() as root:
        for number, (name, files) in enumerate(cases()):
            directory = write(os.path.join(root, str(number)), files)
            expected = opened(directory)
            yield name, expected, asked(probe, directory)
            if expected == "error":
                continue
            saved = os.path.join(root, f"{number}-saved")
            answer = probe.ask(op="save", dir=directory, to=saved)
            yield f"{name}: saved", "ok", next(iter(answer))
            yield f"{name}: saved, in transformers", expected, opened(saved)
            yield f"{name}: saved, here", expected, asked(probe, saved)
            for file in files:
                if file != "config.json" and "config.json" not in files:
                    before, after = (open(os.path.join(it, file), "rb").read() for it in (directory, saved))
                    yield f"{name}: {file} is carried as it is", before, after


if __name__ == "__main__":
    main(compare, arguments(__doc__))
