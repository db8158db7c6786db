"""Hugging Face's Trainer on small networks: its log, step by step."""

import contextlib
import os
import tempfile

import torch
from transformers import AutoModelForCausalLM, Trainer, TrainerCallback, TrainingArguments

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


class StopAt(TrainerCallback):
    """Ends a run as if it had been interrupted after a step."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **_):
        if state.global_step == self.step:
            control.should_training_stop = True


def train(model, examples, eval_examples, arguments, stop=None, resume=None, freeze=()):
    """The log of a run, and the best metric."""
    network = AutoModelForCausalLM.from_pretrained(model)
    for name, parameter in network.named_parameters():
        parameter.requires_grad = not name.startswith(tuple(freeze))
    with tempfile.TemporaryDirectory() as scratch, open(os.devnull, "w") as nowhere:
        given = {"output_dir": scratch, "save_strategy": "no"} | arguments
        args = TrainingArguments(
            report_to="none", use_cpu=True, disable_tqdm=True, remove_unused_columns=False, **given
        )
        trainer = Trainer(
            network, args, train_dataset=examples, eval_dataset=eval_examples or None, data_collator=collate,
            callbacks=[StopAt(stop)] if stop else [],
        )
        with contextlib.redirect_stdout(nowhere):
            trainer.train(resume_from_checkpoint=resume)
        state = trainer.state
        return {"log": state.log_history, "best": state.best_metric, "best_step": state.best_global_step}
