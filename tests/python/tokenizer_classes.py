"""The class that opens a directory: for every type of model and every name of a class, the one that transformers takes;
and the tables in Rust are those of the transformers installed here.
"""

import json
import os
import re
import sys
import tempfile

from tokenizer_layouts import write
from tokenizer_probe import ROOT, arguments, main

sys.path.insert(0, os.path.join(ROOT, "tests/python/fixtures"))
import tokenizer_classes as tables  # noqa: E402

NAMES = [None, "PreTrainedTokenizerFast", "LlamaTokenizer", "Qwen2TokenizerFast", "BertTokenizer", "T5Tokenizer", "NoSuchTokenizer"]
TYPES = [None, "llama", "qwen2", "gpt2", "bert", "gemma2", "phi3", "mistral", "t5", "arctic", "nezha", "no_such_model"]
# Python raises where the package mistral-common is missing, as it is here.
NEEDS_PACKAGE = {"MistralCommonBackend", "MistralCommonBackendFast"}
TOKENS = ["<unk>", "[UNK]", "<s>", "</s>", "<pad>", "a", "b"]
JSON = json.dumps({"model": {"type": "BPE", "vocab": {token: i for i, token in enumerate(TOKENS)}, "merges": []}})
BYTES = json.dumps({"decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}, **json.loads(JSON)})


def cases():
    """(config.json, tokenizer_config.json, tokenizer.json)"""
    # The configuration of nougat is none without two others in it.
    left_out = {"nougat"}
    for model_type in [None, *(it for it in tables.registered() if it not in left_out), "no_such_model"]:
        for name in NAMES:
            yield {"model_type": model_type}, {"tokenizer_class": name}, JSON
    names = tables.classes()
    for name in [*names, *(name + "Fast" for name in names)]:
        if name in NEEDS_PACKAGE:
            continue
        for model_type in TYPES[:4]:
            yield {"model_type": model_type}, {"tokenizer_class": name}, JSON
        yield {"model_type": "llama", "tokenizer_class": name}, None, JSON
        yield {"tokenizer_class": name}, {}, JSON
    for model_type in TYPES:
        for name in NAMES:
            yield {"model_type": model_type}, {"tokenizer_class": name}, BYTES
            yield {"model_type": model_type, "tokenizer_class": name}, {}, BYTES
            yield {"model_type": model_type, "model_name": "phi3"}, {"tokenizer_class": name}, BYTES
            yield {"model_type": model_type}, {"tokenizer_class": name, "auto_map": {"AutoTokenizer": ["x.Slow", "x.Fast"]}}, JSON
            yield {"model_type": model_type}, {"tokenizer_class": name, "auto_map": {"AutoConfig": "x.Config"}}, JSON


def compare(probe, _):
    from transformers import AutoTokenizer
    from transformers.tokenization_utils_base import PreTrainedTokenizerBase

    for name, text in tables.rust():
        with open(os.path.join(tables.FOLDER, name), encoding="utf-8") as file:
            yield f"{name}: run `cargo xtask fixtures tokenizer_classes`", text, file.read()
    # Which class it is, is all that is asked.
    PreTrainedTokenizerBase.from_pretrained = classmethod(lambda cls, *_, **__: cls.__name__)
    with tempfile.TemporaryDirectory() as root:
        for number, (config, tokenizer_config, tokenizer) in enumerate(cases()):
            without_null = lambda fields: {key: value for key, value in fields.items() if value is not None}
            files = {"config.json": without_null(config), "tokenizer.json": tokenizer}
            if tokenizer_config is not None:
                files["tokenizer_config.json"] = without_null(tokenizer_config)
            directory = write(os.path.join(root, str(number)), files)
            try:
                expected = AutoTokenizer.from_pretrained(directory, trust_remote_code=False)
                expected = "TokenizersBackend" if expected in tables.GENERIC else expected
            except Exception:
                expected = "error"
            if not isinstance(expected, str):
                expected = type(expected).__name__  # made of several tokenizers, each in a directory of its own
            answer = probe.ask(op="open", dir=directory)
            refused = re.search(r"the tokenizer is `(\w+)`", answer.get("error", ""))
            found = answer["ok"]["class"] if "ok" in answer else refused[1] if refused else "error"
            if expected == "error" and refused:
                found = "error"  # Python raises for want of the package or of the class; it is refused here by its name
            if refused and expected == found.removesuffix("Fast"):
                found = expected  # one class under two names, refused here under either
            yield f"{config} {tokenizer_config} {tokenizer is BYTES}", expected, found


if __name__ == "__main__":
    main(compare, arguments(__doc__))
