"""The competitors in Python: does its work once per line of standard input, answers with seconds."""

import os
import resource
import sys
import time


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
    run = work(name, source, *rest)
    for _ in sys.stdin:
        start = time.perf_counter()
        made = run()
        seconds = time.perf_counter() - start
        del made
        if rest:
            os.remove(rest[0])
        print(seconds, flush=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)


if __name__ == "__main__":
    main()
