"""The competitors in Python."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))

from competitor import serve, timed  # noqa: E402


def work(name, source, dest=None):
    if name == "open":
        from safetensors import safe_open

        def run():
            with safe_open(source, "np") as file:
                return len(list(file.keys()))

        return run
    if name == "read":
        from safetensors.numpy import load_file

        return lambda: load_file(source)
    if name == "save":
        from safetensors.numpy import load_file, save_file

        tensors = load_file(source)
        return lambda: save_file(tensors, dest)
    if name == "convert":
        import torch
        from safetensors.torch import save_file

        return lambda: save_file(torch.load(source, weights_only=True), dest, {"format": "pt"})
    raise SystemExit(f"no work {name}")


def main():
    name, source, *rest = sys.argv[1:]
    if name == "make":
        import torch
        from safetensors.torch import load_file

        torch.save(load_file(source), rest[0])
        return
    clear = (lambda: os.remove(rest[0])) if rest else (lambda: None)
    serve(timed(work(name, source, *rest), clear))


if __name__ == "__main__":
    main()
