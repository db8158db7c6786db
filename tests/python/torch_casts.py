"""Casts numbers as torch does: `torch_casts.py DIR`, called by the tests of crates/pretrained-safetensors.

Writes `DIR/casts.safetensors`: under `FROM` the numbers, under `FROM-TO` what they become.
"""

import pathlib
import sys

import torch
from safetensors.torch import save_file

DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64}

# Their bytes are written as U8: not every version of safetensors knows all of them.
SMALL = {
    "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E8M0": torch.float8_e8m0fnu,
}


def main(directory):
    generator = torch.Generator().manual_seed(0)
    every = torch.arange(2**16, dtype=torch.int32).to(torch.uint16)
    bits = torch.randint(-(2**31), 2**31, (200_000,), generator=generator, dtype=torch.int64)
    near = torch.randn(100_000, generator=generator, dtype=torch.float64)
    # Halfway between two numbers of the narrow types, and a little beside it.
    ties = torch.cat([every.view(DTYPES[name]).double() for name in ["F16", "BF16"]])
    ties = ties[ties.isfinite()]
    ties = torch.cat([ties * (1 + 2.0**-k) for k in [8, 9, 10, 11, 12, 24, 25, 30]])
    numbers = {
        "F16": every.view(torch.float16),
        "BF16": every.view(torch.bfloat16),
        "F32": torch.cat([bits.to(torch.int32).view(torch.float32), near.float(), ties.float()]),
        "F64": torch.cat([near, ties, near * 2.0**-130, near * 2.0**125, near * 1e300]),
    }
    out = dict(numbers)
    for name, tensor in numbers.items():
        for to, dtype in DTYPES.items():
            out[f"{name}-{to}"] = tensor.to(dtype)
    bytes_ = torch.arange(256, dtype=torch.int32).to(torch.uint8)
    for name, dtype in SMALL.items():
        out[name] = bytes_
        for to in DTYPES:
            out[f"{name}-{to}"] = bytes_.view(dtype).to(DTYPES[to])
    out = {name: tensor.clone() for name, tensor in out.items()}
    save_file(out, pathlib.Path(directory) / "casts.safetensors")
    print("ok")


if __name__ == "__main__":
    main(sys.argv[1])
