"""Writes one tiny model in every layout, live: `torch_layouts.py OUT`, called by the tests of crates/pretrained-artifact.

To the layouts that are committed (see layouts.py) come pickles of every protocol, of other trainers, with tensors of
several MiB that are views, and what the Trainer keeps beside the weights. Each directory gets an `expected.safetensors`
with every tensor that torch loads, under the name that it is to have. Prints `ok`.
"""

import json
import os
import sys

import layouts
import torch
from safetensors.torch import save_file


def names(value, path=""):
    """Every tensor by its path, as `PickleFile::named_tensors` documents it."""
    if isinstance(value, torch.Tensor):
        return {path: value}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else []
    found = {}
    for key, item in items:
        found.update(names(item, f"{path}.{key}" if path else str(key)))
    return found


def expect(directory, tensors):
    tensors = {name: it.contiguous().clone() for name, it in tensors.items()}
    save_file(tensors, os.path.join(directory, "expected.safetensors"))


def pickled(directory, value, name="pytorch_model.bin", wrapper=None, **options):
    """A pickle beside some config; what torch loads from it is what is expected."""
    layouts.llama().config.save_pretrained(directory)
    path = os.path.join(directory, name)
    torch.save(value, path, **options)
    # `weights_only` does not know the instructions of protocol 4.
    weights_only = options.get("pickle_protocol", 2) < 4
    loaded = torch.load(path, map_location="cpu", weights_only=weights_only)
    expect(directory, names(loaded[wrapper] if wrapper else loaded))


def views():
    base = torch.arange(1_200_000, dtype=torch.float32)
    half = torch.arange(-1000, 1000, dtype=torch.float16).repeat(100)
    return {
        "tall": base.view(1_200, 1_000).t(),
        "wide": base.view(100, 12_000).t(),
        "permuted": base.view(100, 200, 60).permute(2, 0, 1),
        "inner": base.view(100, 200, 60).permute(0, 2, 1),
        "strided": base[5::7],
        "part": base.view(1_200, 1_000)[7:1_001, 3:998],
        "windows": base[:10_000].unfold(0, 64, 3),
        "expanded": base[:1_000].expand(100, 1_000),
        "repeated": base[:1_000].view(1_000, 1).expand(1_000, 30),
        "half": half.view(2_000, 100).t(),
        "bytes": torch.arange(256).to(torch.uint8).repeat(800).view(100, 2_048).t(),
        "doubles": torch.arange(60_000, dtype=torch.float64).view(60, 1_000).t()[100:],
    }


def trainer(directory):
    """What a run of the Trainer's optimizer leaves."""
    model = layouts.llama()
    optimizer = torch.optim.AdamW(model.parameters())
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer)
    model(input_ids=torch.tensor([[1, 2, 3]]), labels=torch.tensor([[1, 2, 3]])).loss.backward()
    optimizer.step()
    scheduler.step()
    torch.save(scheduler.state_dict(), os.path.join(directory, "scheduler.pt"))
    pickled(directory, optimizer.state_dict(), "optimizer.pt")


def variant(directory, shards):
    layouts.save_pickled(layouts.llama().to(torch.float16), directory, shards=shards)
    for name in os.listdir(directory):
        new = name.replace("pytorch_model-", "pytorch_model.fp16-").replace("model.bin.index.", "model.bin.index.fp16.")
        new = "pytorch_model.fp16.bin" if name == "pytorch_model.bin" else new
        os.rename(os.path.join(directory, name), os.path.join(directory, new))
    for name in os.listdir(directory):
        if name.endswith(".index.fp16.json"):
            path = os.path.join(directory, name)
            with open(path) as file:
                text = file.read()
            with open(path, "w") as file:
                file.write(text.replace("pytorch_model-", "pytorch_model.fp16-"))
            json.loads(text)


def wrapped():
    state = layouts.llama().state_dict()
    return {"epoch": 3, "state_dict": state, "hyper_parameters": {"lr": 1e-3, "betas": (0.9, 0.95)}, "callbacks": {}}


def nested():
    a, b = torch.arange(6.0), torch.arange(3)
    return {"list": [a, (b, {"deep": a.view(2, 3)})], 7: {"exp_avg": b.float()}, "step": 5, "same": a}


def parameters():
    return {name: it for name, it in layouts.llama().named_parameters()}


ALL = {
    "views": lambda to: pickled(to, views()),
    **{f"protocol-{n}": lambda to, n=n: pickled(to, nested(), pickle_protocol=n) for n in [3, 4, 5]},
    "legacy-views": lambda to: pickled(to, views(), _use_new_zipfile_serialization=False),
    "legacy-protocol-4": lambda to: pickled(to, nested(), pickle_protocol=4, _use_new_zipfile_serialization=False),
    "pickled-bf16": lambda to: pickled(to, layouts.llama().to(torch.bfloat16).state_dict()),
    "pickled-mixed": lambda to: pickled(to, layouts.mixed().state_dict()),
    "pickled-parameters": lambda to: pickled(to, parameters()),
    "pickled-wrapped": lambda to: pickled(to, wrapped(), wrapper="state_dict"),
    "pickled-nested": lambda to: pickled(to, nested()),
    "file-optimizer": trainer,
}
WITH_FILES = {
    **layouts.LAYOUTS,
    "pickled-variant": lambda to: variant(to, 1),
    "pickled-variant-sharded": lambda to: variant(to, 3),
}


def main(out):
    for name, write in {**ALL, **WITH_FILES}.items():
        directory = os.path.join(out, name)
        os.makedirs(directory)
        write(directory)
        if name in WITH_FILES:
            layouts.expect(directory)
    print("ok")


if __name__ == "__main__":
    main(sys.argv[1])
