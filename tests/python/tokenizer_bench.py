"""Speed beside Python: batch encoding, rendering templates, opening a vocabulary of 128 thousand.

    cargo build --release -p pretrained-tokenizer --examples
    python tests/python/tokenizer_bench.py --probe target/release/examples/bench --json

Each figure is the best of several runs; both sides use the threads that RAYON_NUM_THREADS allows.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time

import chat_templates_more  # noqa: F401
from chat_parity import CONVERSATIONS, WEATHER
from chat_templates import TEMPLATES
from tokenizer_probe import ROOT, arguments

os.environ.setdefault("RAYON_NUM_THREADS", "2")


def best(run, runs=5):
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


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


def large(directory):
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


def trained(directory, texts):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=16000, show_progress=False, special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<|end|>", eos_token="<|end|>").save_pretrained(directory)


def main():
    args = arguments(__doc__)
    from transformers import AutoTokenizer

    def rust(what, directory, value=None):
        command = [args.probe, what, directory]
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            if value is not None:
                json.dump(value, file)
                file.flush()
                command.append(file.name)
            return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["seconds"]

    result = {}

    def report(name, figures):
        result[name] = figures
        if not args.json:
            print(name, {key: round(value, 6) for key, value in figures.items()}, flush=True)

    with tempfile.TemporaryDirectory() as root:
        texts = corpus()
        small, big = os.path.join(root, "small"), os.path.join(root, "big")
        trained(small, texts)
        large(big)
        tokenizer = AutoTokenizer.from_pretrained(small)
        backend = tokenizer.backend_tokenizer
        size = sum(len(text.encode()) for text in texts)
        tokenizers = best(lambda: backend.encode_batch(texts))
        fast = best(lambda: backend.encode_batch_fast(texts))
        call = best(lambda: tokenizer(texts))
        ours = rust("encode", small, texts)
        report("encode", {
            "bytes": size, "rust": ours, "tokenizers": tokenizers, "tokenizers_fast": fast, "transformers": call,
            "x_tokenizers": tokenizers / ours, "x_tokenizers_fast": fast / ours, "x_transformers": call / ours,
        })
        python = best(lambda: AutoTokenizer.from_pretrained(big), 5)
        ours = rust("load", big)
        report("load_128k", {"rust": ours, "transformers": python, "x": python / ours})
        for name, kind in [("llama3", "long"), ("qwen3_thinking", "tool_call"), ("llama31_tools", "tools"), ("chatml", "turns")]:
            chat = {"template": TEMPLATES[name], "messages": CONVERSATIONS[kind]["messages"]}
            if "tools" in CONVERSATIONS[kind]:
                chat["tools"] = [WEATHER]
            render = lambda: tokenizer.apply_chat_template(
                chat["messages"], chat_template=chat["template"], tools=chat.get("tools"), tokenize=False)
            python = best(lambda: [render() for _ in range(20)]) / 20
            from transformers.utils.chat_template_utils import _compile_jinja_template

            compiled = _compile_jinja_template(chat["template"])
            variables = {"messages": chat["messages"], "tools": chat.get("tools"), "eos_token": "<|end|>", "bos_token": "<|end|>",
                         "add_generation_prompt": False}
            plain = best(lambda: [compiled.render(**variables) for _ in range(20)]) / 20
            ours = rust("render", small, chat)
            report(f"render {name}/{kind}", {
                "rust": ours, "transformers": python, "jinja2": plain, "x_transformers": python / ours, "x_jinja2": plain / ours})
    if args.json:
        print(json.dumps(result))


if __name__ == "__main__":
    sys.exit(main())
