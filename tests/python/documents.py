"""Runs the Python of the documents."""

import os

# What a document's earlier blocks have defined, by its name.
NAMES = {}


def run(document, code, directory):
    """A block of a document, in a directory, after the blocks before it."""
    before = os.getcwd()
    os.chdir(directory)
    try:
        exec(compile(code, document, "exec"), NAMES.setdefault(document, {}))
    finally:
        os.chdir(before)
