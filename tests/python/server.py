"""Answers one JSON request per line, so that many tests share one start of transformers.

A request {"call": "models.make", "with": {...}} is the function `make` of `models.py` beside this file, called with these
keyword arguments. The answer is {"value": ...} or {"error": "..."}. What the functions print goes to stderr.
"""

import importlib
import json
import sys
import traceback


def main():
    answers = sys.stdout
    sys.stdout = sys.stderr
    for line in sys.stdin:
        try:
            request = json.loads(line)
            module, function = request["call"].split(".")
            value = getattr(importlib.import_module(module), function)(**request["with"])
            answer = {"value": value}
        except Exception:
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


main()
