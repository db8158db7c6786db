"""Chat templates of the published families' kinds, each with conversations of every kind: prompts,
errors and assistant masks against transformers.

    python tests/python/chat_parity.py --probe target/release/examples/probe
"""

import chat_templates_more  # noqa: F401  (adds to TEMPLATES)
from chat_templates import TEMPLATES
from tokenizer_probe import arguments, main, render_both, scratch_tokenizer

USER, ASSISTANT = "user", "assistant"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather \"here\", or <there>.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "A city", "enum": ["K\u00f6ln", "\u6771\u4eac"], "default": "K\u00f6ln"},
                "days": {"type": "integer", "default": 3},
                "tags": {"type": "array", "items": {"type": "string"}},
                "where": {"type": "object", "properties": {"lat": {"type": "number"}, "items": {"type": "boolean"}}, "required": ["lat"]},
                "unit": {"type": ["string", "null"]},
            },
            "required": ["city"],
        },
        "return": {"type": "string"},
    },
}
ADD = {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {
    "type": "object", "properties": {"a": {"type": "number"}, "b": {"oneOf": [{"type": "number"}, {"type": "string"}]}}, "required": ["a", "b"]}}}


def turn(role, content=None, **more):
    return {"role": role, **({} if content is None else {"content": content}), **more}


def call(name, arguments, id=None):
    return {"type": "function", **({"id": id} if id else {}), "function": {"name": name, "arguments": arguments}}


CONVERSATIONS = {
    "one": {"messages": [turn(USER, "Hello")]},
    "prompt": {"messages": [turn(USER, "  Hi there!\n\nHow are you?  ")], "add_generation_prompt": True},
    "system": {"messages": [turn("system", " Be terse. /no_think"), turn(USER, "Hi")], "add_generation_prompt": True},
    "turns": {"messages": [turn(USER, "1+1?"), turn(ASSISTANT, " 2 "), turn(USER, "And 2+2?"), turn(ASSISTANT, "4")]},
    "system_turns": {"messages": [turn("system", "S\n"), turn(USER, "a"), turn(ASSISTANT, "b\n"), turn(USER, "c")], "add_generation_prompt": True},
    "unicode": {"messages": [turn(USER, "\u4f60\u597d \U0001F468\u200d\U0001F469\u200d\U0001F467 \u202eabc <b>&'\"</b> {{ x }} {% y %}"), turn(ASSISTANT, "\u00fc\u0301\x00\t")]},
    "wrong_order": {"messages": [turn(ASSISTANT, "first"), turn(USER, "second")]},
    "two_users": {"messages": [turn(USER, "a"), turn(USER, "b")], "add_generation_prompt": True},
    "unknown_role": {"messages": [turn("critic", "boo"), turn(USER, "a")]},
    "thinking": {"messages": [turn(USER, "?"), turn(ASSISTANT, "<think>\nhm\n</think>\n\nyes"), turn(USER, "!"), turn(ASSISTANT, "ok", reasoning_content="because\n")]},
    "no_thinking": {"messages": [turn(USER, "?")], "add_generation_prompt": True, "variables": {"enable_thinking": False, "controls": {"length": "short"}}},
    "reasoning_alias": {"messages": [turn(USER, "?"), turn(ASSISTANT, "ok", reasoning="why")]},
    "tools": {"messages": [turn(USER, "Weather?")], "tools": [WEATHER, ADD], "add_generation_prompt": True},
    "tool_call": {"messages": [turn(USER, "Weather?"), turn(ASSISTANT, tool_calls=[call("get_weather", {"city": "K\u00f6ln", "days": 2, "x": 1.0, "y": None}, "abcdefghi")]),
                               turn("tool", "{\"t\": 12}", tool_call_id="abcdefghi", name="get_weather"), turn(ASSISTANT, "12 degrees")], "tools": [WEATHER]},
    "two_calls": {"messages": [turn(USER, "?"), turn(ASSISTANT, "calling", tool_calls=[call("add", {"a": 1, "b": "x"}, "123456789"), call("add", {"a": 2, "b": 0.5}, "x")]),
                               turn("tool", "1"), turn("tool", "2")], "tools": [ADD], "add_generation_prompt": True},
    "null_content": {"messages": [turn(USER, "?"), {"role": ASSISTANT, "content": None, "tool_calls": [call("add", "{\"a\": 1}", "123456789")]}]},
    "blocks": {"messages": [turn("system", [{"type": "text", "text": "sys"}]), turn(USER, [{"type": "image"}, {"type": "text", "text": " look "}, {"type": "text", "text": "here"}])]},
    "mapping_content": {"messages": [turn(USER, "?"), turn("tool", {"b": 1, "a": [True, None]}), turn(ASSISTANT, "x")]},
    "missing_content": {"messages": [turn(USER), turn(ASSISTANT, "x")]},
    "number_content": {"messages": [turn(USER, 3), turn(ASSISTANT, 4.0)]},
    "documents": {"messages": [turn(USER, "?")], "documents": [{"title": "a", "text": "b\nc"}, {"title": "d", "text": ""}]},
    "long": {"messages": [turn(USER if i % 2 == 0 else ASSISTANT, f"turn {i} " * i) for i in range(40)]},
    "continue": {"messages": [turn(USER, "Write"), turn(ASSISTANT, "Once upon ")], "continue_final_message": "content"},
    "continue_trim": {"messages": [turn(USER, "Write"), turn(ASSISTANT, "  Once upon\n")], "continue_final_message": "content"},
    "continue_blocks": {"messages": [turn(USER, [{"type": "text", "text": "Tell me"}])], "continue_final_message": "content"},
    "continue_missing": {"messages": [turn(USER, "x"), turn(ASSISTANT, tool_calls=[])], "continue_final_message": "content"},
    "continue_both": {"messages": [turn(USER, "x")], "continue_final_message": "content", "add_generation_prompt": True},
    "continue_reasoning": {"messages": [turn(USER, "x"), turn(ASSISTANT, "", reasoning_content="hm ")], "continue_final_message": "reasoning_content"},
    "empty": {"messages": []},
    "extra_fields": {"messages": [turn(USER, "Hi all", name="bob", tools="[1]", weight=0)], "variables": {"bos_token": "<BOS>"}},
}


def masks(probe, tokenizer, directory, question):
    try:
        out = tokenizer.apply_chat_template(
            question["messages"], chat_template=question["template"], return_assistant_tokens_mask=True, return_dict=True,
            tools=question.get("tools"), add_generation_prompt=question.get("add_generation_prompt", False),
            **(question.get("variables") or {}),
        )
        expected = {"ids": out["input_ids"], "mask": out["assistant_masks"]}
    except Exception:
        expected = "error"
    return expected, probe.ask(op="encode_chat", dir=directory, **question).get("ok", "error")


def compare(probe, args):
    tokenizer, directory = scratch_tokenizer()
    for name, template in TEMPLATES.items():
        for kind, conversation in CONVERSATIONS.items():
            question = {**conversation, "template": template}
            yield f"{name} / {kind}", *render_both(probe, tokenizer, directory, question)
            if "generation" in template and "continue_final_message" not in question and "documents" not in question:
                yield f"{name} / {kind} mask", *masks(probe, tokenizer, directory, question)


if __name__ == "__main__":
    assert len(TEMPLATES) >= 40 and len(CONVERSATIONS) >= 10
    main(compare, arguments(__doc__))
