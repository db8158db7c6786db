"""Says what Python and transformers make of many documents: see crates/pretrained-config/tests/parity.rs.

Reads one JSON list of texts per line and answers with one of the same length: for `dumps`, what `json.dumps` makes of
each text, in the spelling of `generation_config.json` and of `config.json`; for `saved`, what transformers writes
after reading it as a `config.json`, or null if it raises; for `generation`, the same of a `generation_config.json`.
"""

import json
import os
import sys
import tempfile
import warnings

os.environ["TRANSFORMERS_VERBOSITY"] = "critical"
warnings.filterwarnings("ignore")


def dumps(text):
    from transformers import PreTrainedConfig

    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    encoded = PreTrainedConfig._encode_special_floats(PreTrainedConfig._decode_special_floats(value))
    return [json.dumps(it, indent=2, sort_keys=True) + "\n" for it in (value, encoded)]


def saved(text):
    from transformers import CONFIG_MAPPING, PreTrainedConfig

    try:
        document = PreTrainedConfig._decode_special_floats(json.loads(text))
        # As AutoConfig does; this project does not know that family.
        if document["model_type"] == "mistral" and "layer_types" in document:
            return None
        config = CONFIG_MAPPING[document["model_type"]].from_dict(document)
        if config._get_generation_parameters():
            return None
        if "transformers_weights" in config:
            del config.transformers_weights
        config.validate()
        return config.to_json_string()
    except Exception:  # Whatever is raised, the file is refused.
        return None


def generation(text):
    from transformers import GenerationConfig

    with tempfile.TemporaryDirectory() as directory:
        with open(os.path.join(directory, "generation_config.json"), "w", encoding="utf-8") as file:
            file.write(text)
        try:
            GenerationConfig.from_pretrained(directory).save_pretrained(directory)
        except Exception:
            return None
        with open(os.path.join(directory, "generation_config.json"), encoding="utf-8") as file:
            return file.read()


def main():
    answer = {"dumps": dumps, "saved": saved, "generation": generation}[sys.argv[1]]
    for line in sys.stdin:
        print(json.dumps([answer(text) for text in json.loads(line)]), flush=True)


if __name__ == "__main__":
    main()
