"""Asks the Rust tokenizer (the example `probe` of pretrained-tokenizer) and Python's, and compares.

Shared by the tokenizer_* and chat_* scripts beside it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Probe:
    """The Rust side: one question a line, one answer a line."""

    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, **question):
        self.send(**question)
        return self.receive()

    def send(self, **question):
        """Asks without waiting, so that both sides work at the same time."""
        self.asked = json.dumps(question)
        self.process.stdin.write(self.asked.encode() + b"\n")
        self.process.stdin.flush()

    def receive(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the probe died on {self.asked[:500]}")
        return json.loads(line)


def arguments(description, only=False):
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("--probe", default=os.path.join(ROOT, "target/release/examples/probe"))
    parser.add_argument("--json", action="store_true", help="the result as one JSON object")
    parser.add_argument("--show", type=int, default=20, help="how many differences to print")
    if only:
        parser.add_argument("--only", default="", help="cases whose name begins with one of these, separated by commas")
    return parser.parse_args()


def main(compare, args):
    """Runs `compare(probe, args)`, which yields (name, Python's answer, Rust's answer)."""
    probe = Probe(args.probe)
    cases, differences = 0, []
    for name, expected, found in compare(probe, args):
        cases += 1
        if expected != found:
            differences.append(name)
            if len(differences) <= args.show:
                shown = f"--- {name}\n  python: {str(expected)[:700]}\n  rust:   {str(found)[:700]}"
                print(shown, file=sys.stderr, flush=True)
    result = {"cases": cases, "different": len(differences)}
    print(json.dumps(result) if args.json else f"{cases} cases, {len(differences)} different")
    sys.exit(1 if differences else 0)


def render_both(probe, tokenizer, directory, question):
    """Renders a conversation on both sides; errors compare as errors, raised ones by their text."""
    import jinja2

    options = dict(question.get("variables") or {})
    for key in ("tools", "documents", "add_generation_prompt", "continue_final_message"):
        if question.get(key) is not None:
            options[key] = question[key]
    try:
        expected = tokenizer.apply_chat_template(
            question["messages"], chat_template=question.get("template"), tokenize=False, **options
        )
    except jinja2.exceptions.TemplateError as error:
        raised = type(error) is jinja2.exceptions.TemplateError
        expected = {"raised": str(error.message)} if raised else {"error": True}
    except Exception:
        expected = {"error": True}
    answer = probe.ask(op="render", dir=directory, **question)
    if "ok" in answer:
        return expected, answer["ok"]
    if "raised" in answer:
        return expected, {"raised": answer["raised"]}
    found = {"error": True}
    if expected != found and os.environ.get("SHOW_ERRORS"):
        found["text"] = answer["error"]
    return expected, found


def scratch_tokenizer():
    """A small byte-level tokenizer that both sides can open; its directory lives until exit."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(["the quick brown fox jumps over the lazy dog"] * 9, trainer)
    scratch = tempfile.TemporaryDirectory()
    _KEEP.append(scratch)
    fast = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>")
    fast.save_pretrained(scratch.name)
    return AutoTokenizer.from_pretrained(scratch.name), scratch.name


_KEEP = []
