"""A tokenizer that was published and not made for this test: the one in the package `anthropic`.

65 thousand tokens, byte-level BPE, NFKC; Python and Rust open the same tokenizer.json.
"""

import importlib.util
import os
import shutil
import tempfile

from tokenizer_parity import compare_directory
from tokenizer_probe import arguments, main
from tokenizer_texts import texts


def compare(probe, _):
    package = os.path.dirname(importlib.util.find_spec("anthropic").origin)
    with tempfile.TemporaryDirectory() as directory:
        shutil.copy(os.path.join(package, "tokenizer.json"), directory)
        yield from compare_directory(probe, "anthropic", directory, texts())


if __name__ == "__main__":
    main(compare, arguments(__doc__))
