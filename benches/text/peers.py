"""The competitors in Python.

    peers.py make ROW FILE      writes what the competitors of a row read
    peers.py WORK FILE          works
"""

import json
import os
import random
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Two threads, as the tables say.
os.environ.setdefault("RAYON_NUM_THREADS", "2")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
sys.path[:0] = [os.path.join(ROOT, "tests", "python"), os.path.join(ROOT, "benches", "harness")]

from competitor import save_byte_level_bpe, serve, timed  # noqa: E402


def make_render(file):
    """The parity suite's templates and conversations, where Python renders them."""
    import chat_templates_more  # noqa: F401
    from chat_parity import CONVERSATIONS
    from chat_templates import TEMPLATES
    from tokenizer_probe import scratch_tokenizer

    tokenizer, directory = scratch_tokenizer()
    kept = os.path.join(os.path.dirname(file), "tokenizer")
    tokenizer.save_pretrained(kept)
    cases = []
    for template, text in TEMPLATES.items():
        for kind, conversation in CONVERSATIONS.items():
            if "continue_final_message" in conversation:
                continue
            case = {"name": f"{template} / {kind}", "template": text, **conversation}
            try:
                transformers(tokenizer, case)
            except Exception:
                continue
            cases.append(case)
    with open(file, "w") as out:
        json.dump({"tokenizer": kept, "cases": cases}, out)


def transformers(tokenizer, case):
    options = {"tools": case.get("tools"), "documents": case.get("documents")}
    return tokenizer.apply_chat_template(
        case["messages"], chat_template=case["template"], tokenize=False,
        add_generation_prompt=case.get("add_generation_prompt", False), **options, **case.get("variables", {}))


def render(file):
    """The compiled template alone, with what transformers hands to it."""
    import jinja2

    tokenizer, cases = opened(file)
    handed = []
    plain = jinja2.Template.render

    def recorded(template, **variables):
        handed.append((template, variables))
        return plain(template, **variables)

    jinja2.Template.render = recorded
    for case in cases:
        transformers(tokenizer, case)
    jinja2.Template.render = plain
    assert len(handed) == len(cases)
    return lambda: [repeated(lambda: template.render(**variables)) for template, variables in handed]


def render_transformers(file):
    """All that transformers does; it keeps compiled templates too."""
    tokenizer, cases = opened(file)
    return lambda: [repeated(lambda: transformers(tokenizer, case)) for case in cases]


def opened(file):
    from transformers import AutoTokenizer

    with open(file) as opened:
        content = json.load(opened)
    return AutoTokenizer.from_pretrained(content["tokenizer"]), content["cases"]


def repeated(run, times=20):
    """The seconds of one run, of several."""
    run()
    start = time.perf_counter()
    for _ in range(times):
        run()
    return (time.perf_counter() - start) / times


def corpus():
    """The sources and documents of this repository, in pieces of a few kilobytes."""
    texts = []
    for folder, _, names in os.walk(ROOT):
        if any(part in folder for part in ("/target", "/.git", "/.torch")):
            continue
        for name in sorted(names):
            if name.endswith((".rs", ".md", ".py")):
                text = open(os.path.join(folder, name), encoding="utf-8", errors="ignore").read()
                texts += [text[i : i + 4000] for i in range(0, len(text), 4000)]
    return texts[:1000]


def make_load(directory):
    """A byte-level BPE of 128 thousand tokens; the merges are made up, opening it costs the same."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    rng = random.Random(0)
    tokens = sorted(pre_tokenizers.ByteLevel.alphabet())
    known, merges = set(tokens), []
    while len(tokens) < 128_000:
        a, b = rng.choice(tokens[:4000]), rng.choice(tokens[:4000])
        if len(a + b) <= 16 and a + b not in known:
            known.add(a + b)
            tokens.append(a + b)
            merges.append((a, b))
    inner = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([f"<|reserved_{i}|>" for i in range(256)])
    PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|reserved_0|>").save_pretrained(directory)


def make_encode(directory):
    """A byte-level BPE trained on the texts, and the texts."""
    texts = corpus()
    save_byte_level_bpe(texts, 16000, directory)
    with open(os.path.join(directory, "texts.json"), "w") as out:
        json.dump(texts, out)


def encoding(directory):
    from transformers import AutoTokenizer

    with open(os.path.join(directory, "texts.json")) as file:
        return AutoTokenizer.from_pretrained(directory), json.load(file)


def encode(directory):
    tokenizer, texts = encoding(directory)
    return timed(lambda: tokenizer.backend_tokenizer.encode_batch(texts))


def encode_fast(directory):
    tokenizer, texts = encoding(directory)
    return timed(lambda: tokenizer.backend_tokenizer.encode_batch_fast(texts))


def encode_transformers(directory):
    tokenizer, texts = encoding(directory)
    return timed(lambda: tokenizer(texts))


def load(directory):
    from transformers import AutoTokenizer

    return timed(lambda: AutoTokenizer.from_pretrained(directory))


MAKE = {"render": make_render, "encode": make_encode, "load": make_load}
WORK = {
    "render": render, "render-transformers": render_transformers, "encode": encode, "encode-fast": encode_fast,
    "encode-transformers": encode_transformers, "load": load,
}


def main():
    name, *rest = sys.argv[1:]
    if name == "make":
        MAKE[rest[0]](*rest[1:])
        return
    serve(WORK[name](*rest))


if __name__ == "__main__":
    main()
