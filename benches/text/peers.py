"""The competitors in Python: does its work once per line of standard input, answers with the seconds of each case.

    peers.py make ROW FILE      writes what the competitors of a row read
    peers.py WORK FILE          works
"""

import json
import os
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "python"))


def make_render(file):
    """The parity suite's templates and conversations, where Python renders them."""
    import chat_templates_more  # noqa: F401
    from chat_parity import CONVERSATIONS
    from chat_templates import TEMPLATES
    from tokenizer_probe import scratch_tokenizer

    tokenizer, directory = scratch_tokenizer()
    kept = os.path.join(os.path.dirname(file), "tokenizer")
    tokenizer.save_pretrained(kept)
    cases = []
    for template, text in TEMPLATES.items():
        for kind, conversation in CONVERSATIONS.items():
            if "continue_final_message" in conversation:
                continue
            case = {"name": f"{template} / {kind}", "template": text, **conversation}
            try:
                transformers(tokenizer, case)
            except Exception:
                continue
            cases.append(case)
    with open(file, "w") as out:
        json.dump({"tokenizer": kept, "cases": cases}, out)


def transformers(tokenizer, case):
    options = {"tools": case.get("tools"), "documents": case.get("documents")}
    return tokenizer.apply_chat_template(
        case["messages"], chat_template=case["template"], tokenize=False,
        add_generation_prompt=case.get("add_generation_prompt", False), **options, **case.get("variables", {}))


def render(file):
    """The compiled template alone, with what transformers hands to it."""
    import jinja2

    tokenizer, cases = opened(file)
    handed = []
    plain = jinja2.Template.render

    def recorded(template, **variables):
        handed.append((template, variables))
        return plain(template, **variables)

    jinja2.Template.render = recorded
    for case in cases:
        transformers(tokenizer, case)
    jinja2.Template.render = plain
    assert len(handed) == len(cases)
    return lambda: [repeated(lambda: template.render(**variables)) for template, variables in handed]


def render_transformers(file):
    """All that transformers does; it keeps compiled templates too."""
    tokenizer, cases = opened(file)
    return lambda: [repeated(lambda: transformers(tokenizer, case)) for case in cases]


def opened(file):
    from transformers import AutoTokenizer

    with open(file) as opened:
        content = json.load(opened)
    return AutoTokenizer.from_pretrained(content["tokenizer"]), content["cases"]


def repeated(run, times=20):
    """The seconds of one run, of several."""
    run()
    start = time.perf_counter()
    for _ in range(times):
        run()
    return (time.perf_counter() - start) / times


MAKE = {"render": make_render}
WORK = {"render": render, "render-transformers": render_transformers}


def main():
    name, *rest = sys.argv[1:]
    if name == "make":
        MAKE[rest[0]](*rest[1:])
        return
    run = WORK[name](*rest)
    for _ in sys.stdin:
        print(*run(), flush=True)


if __name__ == "__main__":
    main()
