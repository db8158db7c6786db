"""Hugging Face's Trainer on small networks: its log, step by step."""

import os
import tempfile

import torch
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

IGNORED = -100


def collate(examples):
    """Padded at the end to the length of the longest."""
    longest = max(len(example["input_ids"]) for example in examples)
    rows = {"input_ids": 0, "attention_mask": 0, "labels": IGNORED}
    batch = {name: [] for name in rows}
    for example in examples:
        ids = example["input_ids"]
        given = {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": example.get("labels", ids)}
        for name, padding in rows.items():
            batch[name].append(given[name] + [padding] * (longest - len(ids)))
    return {name: torch.tensor(rows) for name, rows in batch.items()}


def train(model, examples, eval_examples, arguments, out=None, resume=None):
    """The log of a run, and the weights at its end if `out` is given."""
    network = AutoModelForCausalLM.from_pretrained(resume or model)
    with tempfile.TemporaryDirectory() as scratch:
        given = {"output_dir": scratch, "save_strategy": "no"} | arguments
        args = TrainingArguments(
            report_to="none", use_cpu=True, disable_tqdm=True, remove_unused_columns=False, **given
        )
        trainer = Trainer(
            network, args, train_dataset=examples, eval_dataset=eval_examples or None, data_collator=collate
        )
        with open(os.devnull, "w") as nowhere:
            import contextlib

            with contextlib.redirect_stdout(nowhere):
                trainer.train(resume_from_checkpoint=resume)
        return trainer.state.log_history
