"""Makes crates/pretrained-train/tests/data: what Hugging Face's Trainer decides without a model.

    .torch/venv/bin/python tests/python/trainer_fixtures.py [--check]

    schedules.json   the factor of every scheduler at every step, for several arguments
    orders.json      permutations of torch.randperm, and transformers' grouping by length
    arguments.json   TrainingArguments.to_json_string() for several arguments
    floats.json      numbers as Python spells them in JSON
    trainer_state.json   TrainerState.save_to_json(), with numbers that are not finite

`--check` writes nothing and fails if a file would change.
"""

import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

os.environ["TRANSFORMERS_VERBOSITY"] = "warning"

import torch
from transformers import TrainingArguments
from transformers.optimization import get_scheduler
from transformers.trainer_callback import TrainerControl, TrainerState
from transformers.trainer_pt_utils import get_length_grouped_indices

DATA = Path(__file__).parents[2] / "crates/pretrained-train/tests/data"

SCHEDULES = [
    ("linear", {}, 2, 10), ("linear", {}, 0, 10), ("linear", {}, 0.25, 9), ("linear", {}, 12, 10), ("linear", {}, 0, 1),
    ("cosine", {}, 2, 10), ("cosine", {}, 3, 17), ("cosine", {"num_cycles": 1.25}, 1, 13),
    ("cosine_with_restarts", {}, 2, 10), ("cosine_with_restarts", {"num_cycles": 3}, 2, 20),
    ("polynomial", {}, 2, 10), ("polynomial", {"lr_end": 1e-5, "power": 2.5}, 3, 15),
    ("constant", {}, 2, 5), ("constant_with_warmup", {}, 4, 8),
    ("inverse_sqrt", {}, 4, 12), ("inverse_sqrt", {}, 0, 5), ("inverse_sqrt", {"timescale": 7}, 3, 9),
    ("cosine_with_min_lr", {"min_lr": 1e-4}, 2, 10), ("cosine_with_min_lr", {"min_lr_rate": 0.1, "num_cycles": 1.5}, 0, 11),
    ("cosine_warmup_with_min_lr", {"min_lr_rate": 0.1}, 3, 12),
    ("cosine_warmup_with_min_lr", {"min_lr": 2e-4, "warmup_lr_rate": 0.2}, 4, 12),
    ("warmup_stable_decay", {"num_decay_steps": 4}, 3, 14),
    ("warmup_stable_decay", {"num_decay_steps": 5, "num_stable_steps": 3, "min_lr_ratio": 0.1, "decay_type": "linear",
                             "warmup_type": "cosine"}, 3, 14),
    ("warmup_stable_decay", {"num_decay_steps": 5, "min_lr_ratio": 0.2, "decay_type": "1-sqrt", "warmup_type": "1-sqrt"}, 4, 14),
]  # fmt: skip

ARGUMENTS = [
    {},
    {"output_dir": "runs/a b", "learning_rate": 1e-3, "num_train_epochs": 2.0, "warmup_steps": 0.1, "save_strategy": "epoch",
     "eval_strategy": "epoch", "load_best_model_at_end": True, "save_total_limit": 2},
    {"eval_strategy": "steps", "logging_steps": 7, "logging_first_step": True, "max_steps": 20, "seed": 7, "data_seed": 3,
     "lr_scheduler_type": "cosine_with_min_lr", "lr_scheduler_kwargs": {"min_lr": 1e-6}, "adam_beta2": 0.95,
     "metric_for_best_model": "accuracy", "save_steps": 0.25, "report_to": ["tensorboard"]},
    {"gradient_checkpointing": True, "dataloader_num_workers": 4, "include_num_input_tokens_seen": True,
     "optim": "adafactor", "optim_args": "a=1", "warmup_steps": 10, "run_name": "é\u2028\"x\""},
]  # fmt: skip

FLOATS = [0.0, -0.0, 1.0, 5e-05, 1e-08, 0.0001, 0.00012345, 1e15, 1e16, 1.5e16, 123456789.125, 1e22, 1e100, 3.0, 2 / 3,
          4.1616010665893555, 5e-324, 1.7976931348623157e308, -2.5e-07, 16389120.0]  # fmt: skip


def schedule(name, kwargs, warmup, steps, peak=1e-3):
    args = TrainingArguments(warmup_steps=warmup, report_to="none")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=peak)
    scheduler = get_scheduler(name, optimizer, args.get_warmup_steps(steps), steps, dict(kwargs))
    rates = []
    for _ in range(steps + 3):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return {"name": name, "kwargs": kwargs, "warmup": warmup, "steps": steps, "peak": peak, "rates": rates}


def plateau(kwargs, metrics):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1e-3)
    scheduler = get_scheduler("reduce_lr_on_plateau", optimizer, scheduler_specific_kwargs=kwargs)
    rates = []
    for metric in metrics:
        scheduler.step(metric)
        rates.append(optimizer.param_groups[0]["lr"])
    return {"kwargs": kwargs, "metrics": metrics, "rates": rates}


def permutation(n, seed):
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed)).to(torch.int32)
    digest = hashlib.sha256(order.numpy().astype("<u4").tobytes()).hexdigest()
    return {"n": n, "seed": seed, "first": order[:32].tolist(), "sum": int((order.long() * torch.arange(n)).sum()), "sha256": digest}


def grouped(n, seed, batch_size):
    lengths = torch.randint(1, 60, (n,), generator=torch.Generator().manual_seed(n)).tolist()
    order = get_length_grouped_indices(lengths, batch_size, generator=torch.Generator().manual_seed(seed))
    return {"lengths": lengths, "seed": seed, "batch_size": batch_size, "order": order}


def arguments(kwargs):
    return {"kwargs": kwargs, "json": TrainingArguments(**kwargs).to_json_string().split("\n")}


def trainer_state():
    state = TrainerState(
        epoch=2.0, global_step=6, max_steps=9, logging_steps=2, eval_steps=3, save_steps=3, train_batch_size=2,
        num_train_epochs=3, total_flos=16389120.0, best_metric=float("inf"), best_global_step=6,
        best_model_checkpoint="runs/é/checkpoint-6", stateful_callbacks=[TrainerControl(should_save=True)],
    )  # fmt: skip
    state.log_history = [
        {"loss": 4.1616010665893555, "grad_norm": 1.827370524406433, "learning_rate": 5e-05, "epoch": 2 / 3, "step": 2},
        {"eval_loss": float("nan"), "eval_runtime": 0.004, "epoch": 1.0, "step": 3, "eval_ppl": 1e22},
    ]
    with tempfile.NamedTemporaryFile("r") as file:
        state.save_to_json(file.name)
        return file.read()


def main():
    metrics = [3.0, 2.5, 2.4999, 2.6, 2.4, 2.4, 2.5, 2.3, 2.31, 2.32, 2.33, 2.34, 2.2, 2.21, 2.22, 2.23]
    files = {
        "schedules.json": {
            "pure": [schedule(*it) for it in SCHEDULES],
            "plateau": [
                plateau({"patience": 1}, metrics),
                plateau({"patience": 0, "factor": 0.5, "cooldown": 2, "min_lr": 1e-4, "threshold": 0.01}, metrics),
                plateau({"mode": "max", "patience": 2, "threshold_mode": "abs", "factor": 0.3}, metrics),
            ],
        },
        "orders.json": {
            "permutations": [permutation(*it) for it in [(1, 0), (2, 42), (7, 43), (32, 42), (624, 1), (1000, 2**32 + 5), (100_003, 44)]],
            "grouped": [grouped(*it) for it in [(5, 42, 2), (100, 1, 4), (1003, 43, 8), (64, 2, 16)]],
        },
        "arguments.json": [arguments(it) for it in ARGUMENTS],
        "trainer_state.json": trainer_state(),
        "floats.json": [[json.dumps(it), it] for it in FLOATS],
    }
    changed = []
    for name, document in files.items():
        text = document if isinstance(document, str) else json.dumps(document, indent=1, sort_keys=True) + "\n"
        path = DATA / name
        if not path.exists() or path.read_text() != text:
            changed.append(name)
            if "--check" not in sys.argv:
                path.write_text(text)
    if changed and "--check" in sys.argv:
        sys.exit(f"changed: {', '.join(changed)}; run tests/python/trainer_fixtures.py")


if __name__ == "__main__":
    main()
