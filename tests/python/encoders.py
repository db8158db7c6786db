"""Small random encoders, and what transformers computes with them."""

import json
import os

import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig, AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification, AutoTokenizer,
)

torch.set_num_threads(1)

# Sizes that are unlike each other, so that a mixed-up dimension shows.
BERT = dict(
    vocab_size=61, hidden_size=24, intermediate_size=40, num_hidden_layers=3, num_attention_heads=4,
    max_position_embeddings=40, type_vocab_size=3, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
)
HEADLESS = lambda config: AutoModel.from_config(config)
CASES = {
    "bert": (BERT, HEADLESS),
    "bert_relu": (BERT | {"hidden_act": "relu", "layer_norm_eps": 1e-3}, HEADLESS),
    "bert_gelu_new": (BERT | {"hidden_act": "gelu_new", "num_attention_heads": 3}, HEADLESS),
    "bert_no_pooler": (BERT, lambda config: AutoModel.from_config(config, add_pooling_layer=False)),
    "bert_masked_lm": (BERT, AutoModelForMaskedLM.from_config),
    "bert_classifier": (BERT, AutoModelForSequenceClassification.from_config),
    "bert_legacy": (BERT, HEADLESS),
}
WITHOUT_POOLER = {"bert_no_pooler", "bert_masked_lm"}
TIME = 30


def names():
    return sorted(CASES)


def make(name, out):
    """Writes the model of a case, and beside it `expected.safetensors`: what transformers makes of it."""
    torch.manual_seed(sum(map(ord, name)))
    fields, build = CASES[name]
    config = AutoConfig.for_model("bert", **fields)
    model = build(config)
    with torch.no_grad():
        for parameter in model.parameters():
            # Away from the initial zeros and ones, so that a bias or a gain in the wrong place shows.
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.eval().save_pretrained(out)
    if name == "bert_legacy":
        rename(os.path.join(out, "model.safetensors"))
    mask = torch.ones(2, TIME, dtype=torch.int64)
    mask[0, 21:] = 0
    mask[1, :5] = 0
    expected = {
        "ids": torch.randint(3, config.vocab_size, (2, TIME)), "mask": mask,
        "types": torch.randint(0, config.type_vocab_size, (2, TIME)),
        "weight": torch.randn(2, TIME, config.hidden_size), "pooler_weight": torch.randn(2, config.hidden_size),
    }
    model = open_(out, name)
    expected |= compute(model, expected)
    bfloat16 = open_(out, name, dtype=torch.bfloat16)
    with torch.no_grad():
        output = bfloat16(expected["ids"], attention_mask=mask, token_type_ids=expected["types"])
        expected["bf16"] = output.last_hidden_state.float()
    save_file({key: value.contiguous().clone() for key, value in expected.items()}, os.path.join(out, "expected.safetensors"))


def open_(path, name, **options):
    """From the file, as everyone does; a pooler that is not in it would be a random one."""
    pooler = {"add_pooling_layer": False} if name in WITHOUT_POOLER else {}
    return AutoModel.from_pretrained(path, **pooler, **options).eval()


def rename(path):
    """Names as the first published files have them."""
    old = lambda name: name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
    save_file({"bert." + old(name): tensor for name, tensor in load_file(path).items()}, path, {"format": "pt"})


def compute(model, given):
    """The states of every layer, the pooled ones, and the gradient of a weighted sum for every parameter."""
    output = model(given["ids"], attention_mask=given["mask"], token_type_ids=given["types"], output_hidden_states=True)
    total = (output.last_hidden_state * given["weight"]).sum()
    found = {f"state.{i}": state.detach() for i, state in enumerate(output.hidden_states)}
    found["last"] = output.last_hidden_state.detach()
    if output.pooler_output is not None:
        found["pooler"] = output.pooler_output.detach()
        total = total + (output.pooler_output * given["pooler_weight"]).sum()
    total.backward()
    with torch.no_grad():
        found["plain"] = model(given["ids"]).last_hidden_state
    return found | {"grad." + name: parameter.grad for name, parameter in model.named_parameters()}


WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"!,.?", *"abcdefghijklmnopqrstuvwxyz", *("##" + c for c in "abcdefghijklmnopqrstuvwxyz")]


def embed(model, texts, modules=None, pooling="mean", normalize=True, max_length=40):
    """Gives the model of a case a tokenizer, and the files of sentence-transformers; the vectors of the texts."""
    with open(os.path.join(model, "vocab.txt"), "w", encoding="utf-8") as file:
        file.write("".join(word + "\n" for word in WORDS))
    for path, content in (modules or {}).items():
        os.makedirs(os.path.dirname(os.path.join(model, path)), exist_ok=True)
        with open(os.path.join(model, path), "w", encoding="utf-8") as file:
            json.dump(content, file)
    words, network = AutoTokenizer.from_pretrained(model), AutoModel.from_pretrained(model).eval()
    rows = []
    for text in texts:
        inputs = words(text, truncation=True, max_length=max_length, return_tensors="pt")
        with torch.no_grad():
            states = network(**inputs).last_hidden_state[0]
        row = {"mean": states.mean(0), "cls": states[0], "max": states.amax(0)}[pooling]
        rows.append((torch.nn.functional.normalize(row, dim=0) if normalize else row).tolist())
    return rows


def reopen(name, model, expected):
    """How far the states of a directory are from those expected, and what transformers misses in it."""
    expected = load_file(expected)
    pooler = {"add_pooling_layer": False} if name in WITHOUT_POOLER else {}
    network, report = AutoModel.from_pretrained(model, output_loading_info=True, **pooler)
    with torch.no_grad():
        output = network.eval()(expected["ids"], attention_mask=expected["mask"], token_type_ids=expected["types"])
    return {
        "class": type(network).__name__,
        "architectures": network.config.architectures,
        "delta": (output.last_hidden_state - expected["last"]).abs().max().item(),
        "problems": {key: sorted(map(str, found)) for key, found in report.items() if found},
    }
