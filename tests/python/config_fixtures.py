"""Makes crates/pretrained-config/tests/data: what transformers makes of configuration files.

    .torch/venv/bin/python tests/python/config_fixtures.py [--check]

Each file there holds the cases of one model type. A case is a `config.json` (and perhaps a
`generation_config.json`) with what transformers writes after reading it:

    input        the file, line by line
    config       `AutoConfig.from_pretrained(dir).save_pretrained(dir)`
    model        `AutoModelForCausalLM.from_pretrained(dir).save_pretrained(dir)`, with tiny weights:
                 the fields in which it differs from `config`
    generation   the `generation_config.json` beside it
    fresh        the `generation_config.json` of a new model of that configuration
    error        the type of the exception instead

`bad.json` holds files that are refused. `--check` writes nothing and fails if a file would change.
"""

import json
import os
import sys
import tempfile
import warnings
from pathlib import Path

os.environ["TRANSFORMERS_VERBOSITY"] = "critical"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TQDM_DISABLE"] = "1"
warnings.filterwarnings("ignore")

from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig  # noqa: E402

DATA = Path(__file__).resolve().parents[2] / "crates/pretrained-config/tests/data"

# Sizes so small that a model can be made, in the names of most families.
TINY = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "max_position_embeddings": 128,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "vocab_size": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}

# What files of transformers 4 have, of all families.
V4 = {
    "_name_or_path": "somewhere/model",
    "torch_dtype": "bfloat16",
    "transformers_version": "4.44.2",
    "use_cache": True,
    "attention_dropout": 0.0,
    "initializer_range": 0.02,
    "tie_word_embeddings": False,
    "rope_theta": 500000.0,
    "rope_scaling": None,
}

# Fields that no class knows, or that every class has.
ODD = {
    "not_ours": {"b": [1, 1.0, 1e-06, None, "ä☃😀"], "a": {"dtype": "int8", "base_model_tp_plan": 1}},
    "huge": 123456789012345678901234567890,
    "tiny": 1e-300,
    "float_of_int": 100000000000000000000.0,
    "problem_type": "regression",
    "output_hidden_states": True,
    "output_attentions": False,
    "return_dict": False,
    "chunk_size_feed_forward": 0,
    "id2label": {"0": "no", "1": "yes", "2": "maybe", "10": "ten", "9": "nine"},
    "label2id": {"no": 0, "yes": 1, "maybe": 2, "ten": 10, "nine": 9},
    "_attn_implementation": "eager",
    "_commit_hash": "abc",
    "auto_map": {"AutoModel": "modeling.Model"},
    "transformers_weights": "model.safetensors",
    "base_model_tp_plan": {"a": "b"},
    "pruned_heads": {},
    "temperature": 0.7,
    "top_p": 0.9,
    "max_length": 50,
    "no_repeat_ngram_size": 0,
    "min_p": None,
}

SCALINGS = {
    "linear": {"type": "linear", "factor": 2.0},
    "linear_int": {"rope_type": "linear", "factor": 2},
    "dynamic": {"type": "dynamic", "factor": 4.0},
    "llama3": {
        "factor": 8.0,
        "high_freq_factor": 4.0,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": 64,
        "rope_type": "llama3",
    },
    "yarn": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32},
    "yarn_full": {
        "rope_type": "yarn",
        "factor": 4.0,
        "attention_factor": 1.1,
        "beta_fast": 32,
        "beta_slow": 1.0,
        "mscale": 0.7,
        "mscale_all_dim": 0.9,
        "truncate": False,
    },
    "longrope": {
        "type": "longrope",
        "long_factor": [1.0, 2.0, 3.5, 4.0],
        "short_factor": [1.0, 1, 1.0, 1.25],
        "factor": 4.0,
    },
}


def scaled(base, names=SCALINGS, **more):
    """A case in the style of transformers 4 and of 5 for each type of scaling."""
    for name, scaling in SCALINGS.items():
        if name not in names:
            continue
        yield f"v4_{name}", base | V4 | {"rope_scaling": scaling} | more, True
        new = {("rope_type" if key == "type" else key): value for key, value in scaling.items()}
        yield f"v5_{name}", base | {"rope_parameters": new | {"rope_theta": 10000.0}} | more, True


def common(model_type, tiny=TINY):
    """Cases of every family."""
    base = {"model_type": model_type} | tiny
    yield "empty", {"model_type": model_type}, False
    yield "sparse", base, True
    yield "odd", base | ODD, False
    yield "labels", base | {"num_labels": 3}, True
    yield "two_labels", base | {"id2label": {"0": "a", "1": "b"}, "label2id": {"a": 0, "b": 1}}, False
    yield "labels_twice", base | {"id2label": {"0": "a"}, "num_labels": 3}, False
    yield "dtypes", base | {"dtype": "float16", "torch_dtype": "bfloat16"}, True
    yield "dtype_alias", base | {"torch_dtype": "half"}, False
    yield "several_ends", base | {"eos_token_id": [2, 3], "pad_token_id": -1}, False
    yield "nulls", base | {"pad_token_id": None, "bos_token_id": None, "eos_token_id": None}, True
    yield "old_generation", base | {"temperature": 0.7, "do_sample": True, "min_length": 0}, True


def llama_like(model_type, tiny=TINY, **more):
    """Cases of every family with rotary embeddings of whole heads."""
    base = {"model_type": model_type} | tiny
    yield from common(model_type, tiny)
    yield "v4", base | V4 | more, True
    yield "v5", base | {"dtype": "bfloat16", "rope_parameters": {"rope_theta": 1e6, "rope_type": "default"}} | more, True
    yield "theta_int", base | {"rope_theta": 10000}, True
    yield "both_dialects", base | {"rope_theta": 5.0, "rope_parameters": {"rope_type": "default"}}, True
    yield "empty_scaling", base | {"rope_scaling": {}, "rope_theta": 20000.0}, True
    yield "outer_context", base | {
        "original_max_position_embeddings": 16,
        "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32},
    }, True
    yield "partial", base | {"partial_rotary_factor": 1.0}, True
    yield "infinite", base | {"not_finite": [float("inf"), {"x": float("-inf")}, {"__float__": "NaN"}]}, True
    yield from scaled(base)


def llama():
    base = {"model_type": "llama"} | TINY
    yield from llama_like("llama")
    yield "biases", base | {"attention_bias": True, "mlp_bias": True, "head_dim": 16}, True
    yield "kv_null", base | {"num_key_value_heads": None, "head_dim": None, "pretraining_tp": 2}, True
    yield "attention_dropout_null", base | {"attention_dropout": None}, True
    yield "layer_types", base | {"layer_types": ["full_attention", "attention"]}, True


def gpt2():
    tiny = {"n_embd": 32, "n_head": 4, "n_layer": 2, "n_positions": 64, "vocab_size": 64}
    tiny |= {"bos_token_id": 1, "eos_token_id": 2}
    base = {"model_type": "gpt2"} | tiny
    yield from common("gpt2", tiny)
    yield "hub", base | {
        "activation_function": "gelu_new",
        "architectures": ["GPT2LMHeadModel"],
        "attn_pdrop": 0.1,
        "embd_pdrop": 0.1,
        "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05,
        "n_ctx": 64,
        "resid_pdrop": 0.1,
        "summary_activation": None,
        "summary_first_dropout": 0.1,
        "summary_proj_to_labels": True,
        "summary_type": "cls_index",
        "summary_use_proj": True,
        "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
    }, True
    yield "all_fields", base | {
        "n_inner": 40,
        "activation_function": "relu",
        "resid_pdrop": 0,
        "scale_attn_weights": False,
        "scale_attn_by_inverse_layer_idx": True,
        "reorder_and_upcast_attn": True,
        "tie_word_embeddings": False,
        "use_cache": False,
        "summary_activation": "tanh",
    }, True
    yield "other_names", {
        "model_type": "gpt2",
        "hidden_size": 16,
        "num_attention_heads": 2,
        "num_hidden_layers": 1,
        "max_position_embeddings": 8,
        "vocab_size": 64,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }, True
    yield "scaling", base | {"rope_scaling": {"type": "linear", "factor": 2.0}}, False
    yield "scaling_theta", base | {"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_theta": 1e4}, False


FAMILIES = {"llama": llama, "gpt2": gpt2}


def bad():
    """Files that transformers refuses, and (with a reason) files that only this project refuses."""
    llama = {"model_type": "llama"} | TINY
    wrong_types = {
        "float_for_int": ("hidden_size", 64.0),
        "text_for_int": ("hidden_size", "64"),
        "bool_for_int": ("num_hidden_layers", True),
        "null_for_int": ("vocab_size", None),
        "int_for_float": ("rms_norm_eps", 1),
        "text_for_float": ("rms_norm_eps", "1e-6"),
        "bool_for_number": ("attention_dropout", False),
        "null_for_bool": ("tie_word_embeddings", None),
        "int_for_bool": ("use_cache", 1),
        "int_for_text": ("hidden_act", 1),
        "null_for_text": ("hidden_act", None),
        "list_for_dict": ("rope_parameters", [1]),
        "text_for_scaling": ("rope_scaling", "linear"),
        "float_in_token_ids": ("eos_token_id", [1, 2.0]),
        "text_for_token_id": ("bos_token_id", "1"),
        "heads_do_not_divide": ("num_attention_heads", 5),
        "range": ("initializer_range", 1.5),
        "no_heads": ("num_attention_heads", 0),
        "dtype_with_torch": ("dtype", "torch.bfloat16"),
        "dtype_unknown": ("torch_dtype", "float99"),
        "dtype_auto": ("torch_dtype", "auto"),
        "labels_null": ("num_labels", None),
        "labels_float": ("num_labels", 2.0),
        "label_ids_text": ("id2label", {"a": "b"}),
        "scaling_without_factor": ("rope_scaling", {"type": "linear"}),
        "llama3_without_bounds": ("rope_scaling", {"rope_type": "llama3", "factor": 8.0}),
        "longrope_without_factors": ("rope_scaling", {"rope_type": "longrope", "factor": 8.0}),
        "yarn_without_factor": ("rope_scaling", {"rope_type": "yarn"}),
        "odd_heads": ("head_dim", 7),
        "unknown_layer_type": ("layer_types", ["full_attention", "x"]),
        "too_few_layer_types": ("layer_types", ["full_attention"]),
    }
    for name, (key, value) in wrong_types.items():
        yield f"llama_{name}", llama | {key: value}, None
    yield "llama_one_label", llama | {
        "problem_type": "single_label_classification",
        "id2label": {"0": "a"},
    }, None
    yield "no_model_type", TINY, None
    yield "unknown_model_type", {"model_type": "unheard_of"}, None

    stricter = {
        "zero_vocabulary": ("vocab_size", 0, "a size of 0 makes a model that cannot run"),
        "negative_size": ("intermediate_size", -1, "making the model fails"),
        "huge_size": ("intermediate_size", 1 << 40, "making the model takes all memory"),
        "huge_parameters": ("hidden_size", 1 << 23, "making the model takes all memory"),
        "beyond_64_bits": ("vocab_size", 1 << 70, "making the model fails"),
        "huge_head": ("head_dim", 1 << 30, "making the model takes all memory"),
        "kv_heads_do_not_divide": ("num_key_value_heads", 3, "the first forward fails"),
        "unknown_activation": ("hidden_act", "abs", "making the model fails"),
        "unknown_rope": ("rope_scaling", {"type": "su"}, "making the model fails"),
        "theta_text": ("rope_theta", "x", "making the model fails"),
        "theta_null": ("rope_theta", None, "making the model fails"),
        "theta_one": ("rope_theta", 1.0, "all dimensions turn alike, which no model wants"),
        "factor_text": ("rope_scaling", {"type": "linear", "factor": "2"}, "making the model fails"),
        "factor_zero": ("rope_scaling", {"type": "linear", "factor": 0.0}, "rotations are infinite"),
        "partial": ("partial_rotary_factor", 0.5, "it has no effect, or the first forward fails"),
        "dropout_over_one": ("attention_dropout", 1.5, "training fails"),
        "negative_eps": ("rms_norm_eps", -1.0, "outputs are NaN"),
        "infinite_eps": ("rms_norm_eps", float("inf"), "outputs are 0"),
        "dtype_number": ("dtype", 16, "loading the model fails"),
        "token_beyond_32_bits": ("bos_token_id", 1 << 32, "no vocabulary has it"),
    }
    for name, (key, value, reason) in stricter.items():
        yield f"llama_{name}", llama | {key: value}, reason
    yield "llama_longrope_of_wrong_length", llama | {
        "rope_scaling": {"type": "longrope", "factor": 2.0, "long_factor": [1.0], "short_factor": [1.0]},
    }, "the first forward fails"
    gpt2 = {"model_type": "gpt2", "n_embd": 32, "n_head": 4, "n_layer": 2, "vocab_size": 64}
    yield "gpt2_heads_do_not_divide", gpt2 | {"n_head": 5}, "making the model fails"
    yield "gpt2_huge_positions", gpt2 | {"n_positions": 1 << 36}, "making the model takes all memory"
    yield "gpt2_int_epsilon", gpt2 | {"layer_norm_epsilon": 1}, None


GENERATION = {
    "bare": {},
    "llama3": {
        "bos_token_id": 128000,
        "do_sample": True,
        "eos_token_id": [128001, 128008, 128009],
        "temperature": 0.6,
        "top_p": 0.9,
        "transformers_version": "4.42.3",
    },
    "from_model": {"_from_model_config": True, "bos_token_id": 1, "eos_token_id": 2, "strange": 1},
    "strange": {"strange": {"b": 1, "a": None}, "null": None, "top_k": None, "pad_token_id": 0},
    "ints": {"temperature": 1, "top_p": 1, "repetition_penalty": 1.0, "max_length": 4096},
    "greedy_but": {"do_sample": False, "temperature": 0.6, "top_p": 0.95, "top_k": 20},
    "everything": {
        "max_new_tokens": 16,
        "min_new_tokens": 1,
        "early_stopping": "never",
        "num_beams": 4,
        "num_return_sequences": 2,
        "length_penalty": 0.5,
        "no_repeat_ngram_size": 3,
        "bad_words_ids": [[1], [2, 3]],
        "suppress_tokens": [4, 5],
        "begin_suppress_tokens": [6],
        "sequence_bias": [[[7, 8], -1.5], [[9], 2.0]],
        "exponential_decay_length_penalty": [10, 1.05],
        "forced_eos_token_id": 2,
        "stop_strings": ["x", "y"],
        "guidance_scale": 1.5,
        "min_p": 0.05,
        "typical_p": 0.9,
        "epsilon_cutoff": 0.0003,
        "eta_cutoff": 2e-05,
        "max_time": 1.0,
        "renormalize_logits": True,
        "remove_invalid_values": True,
        "output_scores": True,
        "return_dict_in_generate": True,
        "cache_implementation": "static",
        "use_cache": True,
        "_commit_hash": "abc",
        "chat_format": "chatml",
    },
    "watermark": {"watermarking_config": {"bias": 1.5, "seeding_scheme": "selfhash"}},
    "error_early_stopping": {"early_stopping": "x"},
    "error_new_tokens": {"max_new_tokens": 0},
    "error_cache": {"cache_implementation": "x"},
    "error_greedy_several": {"num_return_sequences": 2},
    "error_several_of_few": {"num_return_sequences": 3, "num_beams": 2},
    "error_forced_suppressed": {"forced_eos_token_id": [4], "suppress_tokens": [4, 5]},
    "error_argument": {"streamer": 1},
    "error_watermark": {"watermarking_config": {"seeding_scheme": "x"}},
    "error_watermark_field": {"watermarking_config": {"x": 1}},
}


def lines(text):
    return text.split("\n")


def attempt(make):
    try:
        return lines(make())
    except Exception as error:  # What is raised is what is recorded.
        return {"error": type(error).__name__}


def case(name, document, with_model, directory):
    text = json.dumps(document)
    result = {"name": name, "input": text}
    (directory / "config.json").write_text(text)

    def config():
        AutoConfig.from_pretrained(directory).save_pretrained(directory / "config")
        return (directory / "config/config.json").read_text()

    result["config"] = attempt(config)
    if with_model:
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(directory))
        model.generation_config.save_pretrained(directory / "fresh")
        result["fresh"] = lines((directory / "fresh/generation_config.json").read_text())
        weights = directory / "weights"
        model.save_pretrained(weights)
        (weights / "config.json").write_text(text)
        (weights / "generation_config.json").unlink()
        model = AutoModelForCausalLM.from_pretrained(weights)
        model.save_pretrained(directory / "model")
        result["class"] = type(model).__name__
        result["parameters"] = model.num_parameters()
        config = json.loads((directory / "config/config.json").read_text())
        model = json.loads((directory / "model/config.json").read_text())
        assert not config.keys() - model.keys()
        # As text, since Python takes 1 and 1.0 for equal.
        result["model"] = {
            key: value
            for key, value in model.items()
            if key not in config or json.dumps(value) != json.dumps(config[key])
        }
        result["generation"] = lines((directory / "model/generation_config.json").read_text())
    return result


def generation_case(name, document, directory):
    text = json.dumps(document)
    (directory / "generation_config.json").write_text(text)

    def saved():
        GenerationConfig.from_pretrained(directory).save_pretrained(directory / "out")
        return (directory / "out/generation_config.json").read_text()

    return {"name": name, "input": text, "generation": attempt(saved)}


def bad_case(name, document, reason, directory):
    (directory / "config.json").write_text(json.dumps(document))
    result = {"name": name, "input": json.dumps(document)}
    try:
        AutoConfig.from_pretrained(directory)
        assert reason, f"{name}: transformers reads it"
        result["stricter"] = reason
    except AssertionError:
        raise
    except Exception as error:
        assert not reason, f"{name}: transformers raises {type(error).__name__}"
        result["error"] = type(error).__name__
    return result


def files():
    def run(function, *arguments):
        with tempfile.TemporaryDirectory() as directory:
            return function(*arguments, Path(directory))

    for model_type, cases in FAMILIES.items():
        yield f"{model_type}.json", [run(case, *it) for it in cases()]
    yield "bad.json", [run(bad_case, *it) for it in bad()]
    yield "generation.json", [run(generation_case, *it) for it in GENERATION.items()]


def main():
    check = sys.argv[1:] == ["--check"]
    DATA.mkdir(parents=True, exist_ok=True)
    for name, cases in files():
        text = json.dumps({"cases": cases}, indent=1) + "\n"
        path = DATA / name
        if check:
            assert path.read_text() == text, f"{path} would change"
        else:
            path.write_text(text)
            print(f"{name}: {len(cases)} cases")


if __name__ == "__main__":
    main()
