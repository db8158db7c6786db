"""Tokenizers trained here: they open in transformers with the same ids, and their merges are those
that Python's trainer finds on the same text.
"""

import json
import os
import tempfile

from tokenizer_layouts import write
from tokenizer_parity import compare_directory
from tokenizer_probe import ROOT, arguments, main
from tokenizer_texts import texts

CASES = {
    "plain": {"eos": "<|endoftext|>"},
    "roles": {"bos": "<s>", "eos": "</s>", "unk": "<unk>", "pad": "<pad>"},
    "one-for-all": {"bos": "<|e|>", "eos": "<|e|>", "pad": "<|e|>", "unk": "<|e|>"},
}


def merges_of_python(files, vocab_size, specials):
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.train(files, trainers.BpeTrainer(
        vocab_size=vocab_size, min_frequency=2, special_tokens=specials, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return json.loads(inner.to_str())["model"]


def compare(probe, _):
    folder = os.path.join(ROOT, "tests/python")
    files = sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".py"))
    with tempfile.TemporaryDirectory() as root:
        for name, roles in CASES.items():
            directory = os.path.join(root, name)
            for out in [directory, directory + "-again"]:
                answer = probe.ask(op="train", dir=out, files=files, vocab_size=3000, **roles)
                yield f"{name}: trains", {"ok": None}, answer
            read = lambda folder: {file: open(os.path.join(folder, file), "rb").read() for file in sorted(os.listdir(folder))}
            yield f"{name}: same bytes", read(directory), read(directory + "-again")
            model = json.loads(read(directory)["tokenizer.json"])["model"]
            expected = merges_of_python(files, 3000, list(dict.fromkeys(roles.values())))
            yield f"{name}: merges", expected["merges"], model["merges"]
            yield f"{name}: vocab", expected["vocab"], model["vocab"]
            yield from compare_directory(probe, name, directory, texts()[::10])
            for family in ["llama", "gpt2"]:
                with_config = write(os.path.join(root, f"{name}-{family}"), {
                    **read(directory), "config.json": {"model_type": family}})
                yield from compare_directory(probe, f"{name}-{family}", with_config, texts()[::100])


if __name__ == "__main__":
    main(compare, arguments(__doc__))
