"""Reads what crates/pretrained-pickle wrote: `torch_reads.py DIR`, called by its tests.

DIR has `written.pt`, `rng.pth` and `written.safetensors`. Prints `ok` if torch reads the first two
as data, and finds in them what the third has.
"""

import pathlib
import sys

import numpy
import torch
from safetensors.torch import load_file


def bytes_of(tensor):
    return bytes(tensor.reshape(-1).view(torch.uint8).tolist())


def main(directory):
    directory = pathlib.Path(directory)
    expected = load_file(directory / "written.safetensors")
    for mmap in [False, True]:
        value = torch.load(directory / "written.pt", weights_only=True, mmap=mmap)
        state = value["state"]
        assert set(state) == set(expected), (set(state), set(expected))
        for name, tensor in expected.items():
            assert state[name].dtype == tensor.dtype, name
            assert state[name].shape == tensor.shape, name
            same = bytes_of(state[name]) == bytes_of(tensor)
            assert same, name
        assert value["alias"].data_ptr() == state["float32"].data_ptr()
        assert value["ints"] == [0, 255, 256, -1, 2**31, -(2**63), -(2**70)], value["ints"]
        assert value["floats"] == (0.5, float("-inf"), 1e-300)
        assert value["nothing"] is None and value["yes"] is True and value["no"] is False
        assert value["text"] == "ä😀" and value["bytes"] == bytes(range(256))
        assert value["set"] == {1, 2} and value["dtype"] is torch.bfloat16
        assert value[7] == {"nested": [[], {}, ()]}

    # The Trainer's own allow-list.
    from transformers.trainer import safe_globals

    with safe_globals():
        value = torch.load(directory / "rng.pth", weights_only=True)
    numpy.random.set_state(value["numpy"])
    assert numpy.random.get_state()[1].tolist() == list(range(624))
    print("ok")


if __name__ == "__main__":
    main(sys.argv[1])
