"""Runs Hugging Face's Trainer, and reads event files: see crates/pretrained-train/tests/parity.rs.

Reads one JSON request per line and answers with one line of JSON.

    {"train": {arguments}, "examples": [numbers], "eval_examples": [numbers]}
        trains a model of one number on them; the answer has the log, the state of each checkpoint that is left,
        the examples in the order in which they were visited, and the number

    {"events": directory}
        the scalars and texts in its event files, as TensorBoard's own package reads them
"""

import json
import os
import sys
import tempfile
import warnings
from pathlib import Path

os.environ["TRANSFORMERS_VERBOSITY"] = "critical"
warnings.filterwarnings("ignore")


def train(request):
    import torch
    from transformers import EarlyStoppingCallback, Trainer, TrainingArguments

    class Model(torch.nn.Module):
        """The squared distance to what it is shown."""

        def __init__(self):
            super().__init__()
            self.w = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))
            self.seen = []

        def forward(self, labels):
            if self.training:
                self.seen += labels.tolist()
            return {"loss": ((self.w - labels) ** 2).mean()}

    class Data(torch.utils.data.Dataset):
        def __init__(self, numbers):
            self.numbers = numbers

        def __len__(self):
            return len(self.numbers)

        def __getitem__(self, i):
            return {"labels": torch.tensor(self.numbers[i], dtype=torch.float64)}

    with tempfile.TemporaryDirectory() as run:
        args = dict(request["train"])
        patience = args.pop("early_stopping_patience", None)
        threshold = args.pop("early_stopping_threshold", 0.0)
        args = TrainingArguments(output_dir=run, report_to="none", use_cpu=True, disable_tqdm=True, **args)
        callbacks = [] if patience is None else [EarlyStoppingCallback(patience, threshold)]
        model = Model()
        trainer = Trainer(model, args, train_dataset=Data(request["examples"]), eval_dataset=Data(request["eval_examples"]),
                          callbacks=callbacks)  # fmt: skip
        with open(os.devnull, "w") as nowhere:
            stdout, sys.stdout = sys.stdout, nowhere
            try:
                trainer.train()
            finally:
                sys.stdout = stdout
        steps = sorted(int(it.name.split("-")[1]) for it in Path(run).glob("checkpoint-*"))
        states = {step: (Path(run) / f"checkpoint-{step}/trainer_state.json").read_text() for step in steps}
        return {
            "log_history": trainer.state.log_history,
            "states": {step: json.loads(it.replace(run, "RUN")) for step, it in states.items()},
            "seen": model.seen,
            "w": model.w.item(),
        }


def events(directory):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(directory, size_guidance={"scalars": 0, "tensors": 0})
    accumulator.Reload()
    tags = accumulator.Tags()
    return {
        "scalars": {tag: [[it.step, it.value] for it in accumulator.Scalars(tag)] for tag in tags["scalars"]},
        "texts": {tag: [it.tensor_proto.string_val[0].decode() for it in accumulator.Tensors(tag)] for tag in tags["tensors"]},
        "plugins": {tag: accumulator.SummaryMetadata(tag).plugin_data.plugin_name for tag in tags["tensors"]},
    }


for line in sys.stdin:
    request = json.loads(line)
    answer = train(request) if "train" in request else events(request["events"])
    print(json.dumps(answer), flush=True)
