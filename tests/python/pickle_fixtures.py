"""Writes crates/pretrained-pickle/tests/data: files as torch and the Trainer write them, and what is in them.

    .torch/venv/bin/python tests/python/pickle_fixtures.py

Each `name.bin` or `name.pt` comes with `name.safetensors`, its tensors by name (nested ones by
their path), contiguous. The files are committed; run this again after changing it.
"""

import collections
import pathlib
import random

import numpy
import torch
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).parents[2] / "crates/pretrained-pickle/tests/data"


def flatten(prefix, value):
    if isinstance(value, torch.Tensor):
        yield prefix, value.detach().contiguous().clone()
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from flatten(f"{prefix}.{key}" if prefix else str(key), item)
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from flatten(f"{prefix}.{i}" if prefix else str(i), item)


def save(name, value, **options):
    path = OUT / name
    torch.save(value, path, **options)
    save_file(dict(flatten("", value)), path.with_suffix(".safetensors"))


def every_dtype():
    tensors = collections.OrderedDict()
    for dtype in [
        torch.bool, torch.uint8, torch.int8, torch.int16, torch.float16, torch.bfloat16,
        torch.int32, torch.float32, torch.complex64, torch.float64, torch.int64,
    ]:
        tensors[str(dtype).removeprefix("torch.")] = (torch.randn(2, 3) * 40).to(dtype)
    return tensors


def views():
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    half = torch.arange(12).to(torch.bfloat16).reshape(3, 4)
    return collections.OrderedDict(
        whole=base,
        same=base,
        row=base[1],
        tail=base[2:],
        column=base[:, 1],
        block=base[1:3, 2:5],
        transposed=base.t(),
        stepped=base[::2, ::3],
        permuted=torch.arange(24, dtype=torch.int64).reshape(2, 3, 4).permute(2, 0, 1),
        expanded=torch.arange(3, dtype=torch.float16)[:, None].expand(3, 4),
        half=half.t(),
        scalar=torch.tensor(2.5),
        inner_scalar=base[3, 3],
        empty=torch.empty(0),
        empty_matrix=torch.empty(3, 0, 2),
        empty_view=base[4:, :],
        parameter=torch.nn.Parameter(torch.ones(2, 2)),
        channels_last=torch.arange(36.0).reshape(1, 3, 3, 4).to(memory_format=torch.channels_last),
    )


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    random.seed(0)
    numpy.random.seed(0)

    save("dtypes.bin", every_dtype())
    save("dtypes-legacy.bin", every_dtype(), _use_new_zipfile_serialization=False)
    new = {
        str(dtype).removeprefix("torch."): torch.arange(8).to(torch.uint8).view(dtype)
        for dtype in [torch.uint16, torch.uint32, torch.uint64, torch.float8_e4m3fn, torch.float8_e5m2]
    }
    save("dtypes-new.bin", new)
    save("views.bin", views())
    save("views-legacy.bin", views(), _use_new_zipfile_serialization=False)
    for protocol in [3, 4, 5]:
        save(f"protocol-{protocol}.bin", views(), pickle_protocol=protocol)

    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2))
    save("module.bin", module.state_dict())
    save("module-parameters.bin", module.state_dict(keep_vars=True))

    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    for _ in range(3):
        module(torch.randn(4, 3)).square().sum().backward()
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    save("optimizer.pt", optimizer.state_dict())
    save("scheduler.pt", scheduler.state_dict())
    save(
        "rng_state.pth",
        {
            "python": random.getstate(),
            "numpy": numpy.random.get_state(),
            "cpu": torch.random.get_rng_state(),
        },
    )
    values = {
        "none": None,
        "bools": (True, False),
        "ints": [0, 255, 256, -1, 2**31, -(2**63), 2**64, -(2**70)],
        "floats": [0.5, float("inf"), -0.0],
        "text": "ä😀",
        "bytes": b"\x00\xff",
        "set": {1},
        "size": torch.Size([2, 3]),
        "dtype": torch.bfloat16,
        "counter": collections.Counter("aab"),
        7: {"nested": [[[]]]},
    }
    for protocol in [2, 4]:
        torch.save(values, OUT / f"values-{protocol}.pt", pickle_protocol=protocol)


if __name__ == "__main__":
    main()
