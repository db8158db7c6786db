"""Runs the Python of the documents."""

import contextlib
import os

# What a document's earlier blocks have defined, by its name.
NAMES = {}


def run(document, code, directory):
    """A block of a document, in a directory, after the blocks before it. What it prints is nobody's."""
    program = compile(code, document, "exec")
    with open(os.devnull, "w") as nowhere, contextlib.chdir(directory):
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            exec(program, NAMES.setdefault(document, {}))
