"""The competitors in Python: Hugging Face's Trainer, and tokenizing as `datasets.map` does.

    peers.py make WHAT DIR      writes what the competitors of a row read
    peers.py WORK ARGUMENT ...  works
"""

import os
import random
import sys
import threading
import time
from queue import Queue

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "benches", "harness"))

from competitor import save_byte_level_bpe, serve  # noqa: E402


def make_model(directory):
    """A network of the shape of GPT-2, with random weights."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config()).save_pretrained(directory)


def make_text(directory):
    """100 MB of this repository's sources and documents, and a byte-level BPE trained on them."""
    texts = []
    for folder, _, names in os.walk(ROOT):
        if any(part in folder for part in ("/target", "/.git", "/.torch")):
            continue
        for name in sorted(names):
            if name.endswith((".rs", ".md", ".py")):
                texts.append(open(os.path.join(folder, name), encoding="utf-8", errors="ignore").read())
    save_byte_level_bpe(texts, 32000, directory)
    rng, written = random.Random(0), 0
    lines = [line for text in texts for line in text.splitlines(keepends=True) if line.strip()]
    with open(os.path.join(directory, "text.txt"), "w") as out:
        while written < 100_000_000:
            written += out.write("".join(rng.choices(lines, k=1000)))


def asked(run):
    """Work that a thread does: `run(wait, done)` goes on whenever `wait` returns, and tells `done` the seconds."""
    go, heard = Queue(), Queue()
    threading.Thread(target=lambda: run(go.get, heard.put), daemon=True).start()

    def work():
        go.put(None)
        return [heard.get()]

    return work


def trainer(directory, output_dir, callback, base=None, **options):
    import torch
    from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

    class Texts(torch.utils.data.Dataset):
        def __len__(self):
            return 64

        def __getitem__(self, row):
            ids = (torch.arange(row * 256, (row + 1) * 256) * 7919) % 50257
            return {"input_ids": ids, "labels": ids}

    model = AutoModelForCausalLM.from_pretrained(directory)
    args = TrainingArguments(
        output_dir=output_dir, max_steps=1_000_000, per_device_train_batch_size=4, logging_strategy="no",
        report_to=[], disable_tqdm=True, use_cpu=True, save_total_limit=1, **options)
    return (base or Trainer)(model=model, args=args, train_dataset=Texts(), callbacks=[callback])


def steps(directory, output_dir, precision, n=2):
    from transformers import TrainerCallback

    def run(wait, done):
        class Clock(TrainerCallback):
            def on_train_begin(self, *_, **__):
                wait()
                self.start = time.perf_counter()

            def on_step_end(self, args, state, control, **__):
                if state.global_step % n == 0:
                    done(time.perf_counter() - self.start)
                    wait()
                    self.start = time.perf_counter()

        trainer(directory, output_dir, Clock(), save_strategy="no", bf16=precision == "bf16").train()

    return asked(run)


def stall(directory, output_dir):
    """Takes one step, and then does nothing but save: how long the loop stood still."""
    import torch
    from transformers import Trainer, TrainerCallback

    class Idle(Trainer):
        def training_step(self, *given, **options):
            if self.state.global_step == 0:
                return super().training_step(*given, **options)
            return torch.tensor(0.0)

    def run(wait, done):
        class Clock(TrainerCallback):
            def on_step_end(self, *_, **__):
                wait()
                self.start = time.perf_counter()

            def on_save(self, *_, **__):
                done(time.perf_counter() - self.start)

        trainer(directory, output_dir, Clock(), Idle, save_strategy="steps", save_steps=1).train()

    return asked(run)


def tokenize_part(part):
    """What one process of `datasets.map(batched=True, num_proc=2)` does, but for Arrow's files."""
    from array import array

    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    from transformers import AutoTokenizer

    directory, texts, place = part
    tokenizer = AutoTokenizer.from_pretrained(directory)
    with open(os.path.join(directory, f"ids-{place}"), "wb") as out:
        for at in range(0, len(texts), 1000):
            for ids in tokenizer(texts[at : at + 1000])["input_ids"]:
                array("I", ids).tofile(out)


def tokenize(directory):
    from multiprocessing import get_context

    with open(os.path.join(directory, "text.txt"), encoding="utf-8") as file:
        text = file.read()
    texts = [text[at : at + 4000] for at in range(0, len(text), 4000)]
    half = len(texts) // 2
    pool = get_context("spawn").Pool(2)

    def work():
        start = time.perf_counter()
        pool.map(tokenize_part, [(directory, texts[:half], 0), (directory, texts[half:], 1)])
        return [time.perf_counter() - start]

    return work


def main():
    name, *rest = sys.argv[1:]
    if name == "make":
        {"model": make_model, "text": make_text}[rest[0]](*rest[1:])
        return
    serve({"steps": steps, "stall": stall, "tokenize": tokenize}[name](*rest))


if __name__ == "__main__":
    main()
