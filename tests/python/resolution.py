"""Says which weights transformers takes from a directory, for every choice of files that may lie there.

    python tests/python/resolution.py

Prints one line for each: the variant (or `-`), the names that are there (comma-separated), and the name that is read (or
`-`). An index is resolved to its shards, and told by the first of them.
"""

import itertools
import json
import os
import tempfile

from transformers.modeling_utils import _get_resolved_checkpoint_files

WHOLE = ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"]


def with_variant(name, variant):
    stem, extension = name.rsplit(".", 1)
    return name if variant is None else f"{stem}.{variant}.{extension}"


def resolve(names, variant):
    with tempfile.TemporaryDirectory() as directory:
        for name in names:
            with open(os.path.join(directory, name), "w") as file:
                if name.endswith(".json"):
                    shard = f"shard-of-{name}"
                    json.dump({"metadata": {}, "weight_map": {"a": shard}}, file)
                    open(os.path.join(directory, shard), "w").close()
        try:
            files, _ = _get_resolved_checkpoint_files(directory, variant, None, None, {}, False)
        except OSError:
            return "-"
        return os.path.basename(files[0]).removeprefix("shard-of-")


def main():
    for variant in [None, "fp16"]:
        there = [with_variant(it, variant) for it in WHOLE]
        # A plain name beside the variants, and a variant beside the plain names, to see that neither falls back.
        there.append("model.fp16.safetensors" if variant is None else "model.safetensors")
        for count in range(len(there) + 1):
            for names in itertools.combinations(there, count):
                print(variant or "-", ",".join(names), resolve(names, variant))


if __name__ == "__main__":
    main()
