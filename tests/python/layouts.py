"""Writes one tiny model in every layout that transformers and torch have written, and what their tensors are.

    python tests/python/layouts.py OUT

Each directory of OUT is a model directory as it comes; `expected.safetensors` in it has every tensor that torch loads
from its weights, under every name, so that a reader can compare byte for byte. The directories are committed under
crates/pretrained-artifact/src/tests/layouts.
"""

import glob
import json
import os
import shutil
import sys

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

LLAMA = dict(
    vocab_size=24, hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2,
    num_key_value_heads=1, max_position_embeddings=16, bos_token_id=1, eos_token_id=2, pad_token_id=0,
)
GPT2 = dict(vocab_size=24, n_embd=8, n_layer=1, n_head=2, n_positions=16, bos_token_id=1, eos_token_id=2)


def llama(**overrides):
    torch.manual_seed(1)
    return LlamaForCausalLM(LlamaConfig(**{**LLAMA, **overrides}))


def gpt2():
    torch.manual_seed(2)
    return GPT2LMHeadModel(GPT2Config(**GPT2))


def expect(directory):
    """Notes what torch and safetensors read from the weights, before any model does something to them."""
    tensors = {}
    for path in sorted(glob.glob(os.path.join(directory, "*.safetensors"))):
        with safe_open(path, "pt") as file:
            tensors.update({name: file.get_tensor(name) for name in file.keys()})
    for path in sorted(glob.glob(os.path.join(directory, "*.bin"))):
        tensors.update(torch.load(path, map_location="cpu", weights_only=True))
    # Cloned, because one file may not have two names for the same memory.
    save_file({name: it.contiguous().clone() for name, it in tensors.items()}, os.path.join(directory, "expected.safetensors"))


def save_pickled(model, directory, shards=1, legacy=False):
    """As transformers before 5 saved with safe_serialization=False."""
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(directory)
    state = model.state_dict()
    options = {"_use_new_zipfile_serialization": not legacy}
    if shards == 1:
        torch.save(state, os.path.join(directory, "pytorch_model.bin"), **options)
        return
    names = list(state)
    weight_map = {}
    for i in range(shards):
        file = f"pytorch_model-{i + 1:05}-of-{shards:05}.bin"
        part = {name: state[name] for name in names[i * len(names) // shards : (i + 1) * len(names) // shards]}
        weight_map.update(dict.fromkeys(part, file))
        torch.save(part, os.path.join(directory, file), **options)
    index = {"metadata": {"total_size": sum(it.nbytes for it in state.values())}, "weight_map": weight_map}
    with open(os.path.join(directory, "pytorch_model.bin.index.json"), "w") as file:
        json.dump(index, file, indent=2, sort_keys=True)


def mixed():
    """A model in bfloat16 whose norms are in float32."""
    model = llama().to(torch.bfloat16)
    for name, parameter in model.named_parameters():
        if "norm" in name:
            parameter.data = parameter.data.float()
    return model


def strided(model, directory):
    """Transposed, offset and shared views, and other types than floats, as torch.save keeps them."""
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(directory)
    base = torch.arange(48, dtype=torch.float32)
    tensors = {
        "whole": base.view(6, 8),
        "transposed": base.view(6, 8).t(),
        "row": base.view(6, 8)[2],
        "column": base.view(6, 8)[:, 3],
        "expanded": torch.tensor([1.5]).expand(4),
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "empty": torch.zeros(0, 3),
        "ids": torch.arange(5),
        "mask": torch.tensor([True, False, True]),
        "bytes": torch.tensor([0, 127, 255], dtype=torch.uint8),
        "half": torch.tensor([1.0, -2.0], dtype=torch.float16),
        "brain": torch.tensor([1.0, -2.0], dtype=torch.bfloat16),
    }
    torch.save(tensors, os.path.join(directory, "pytorch_model.bin"))


LAYOUTS = {
    "single": lambda to: llama().save_pretrained(to),
    "sharded": lambda to: llama().save_pretrained(to, max_shard_size="2KB"),
    "tied": lambda to: llama(tie_word_embeddings=True).save_pretrained(to),
    "tied-gpt2": lambda to: gpt2().save_pretrained(to),
    "bf16": lambda to: llama().to(torch.bfloat16).save_pretrained(to),
    "mixed": lambda to: mixed().save_pretrained(to),
    "variant": lambda to: llama().to(torch.float16).save_pretrained(to, variant="fp16"),
    "variant-sharded": lambda to: llama().to(torch.float16).save_pretrained(to, variant="fp16", max_shard_size="1KB"),
    "pickled": lambda to: save_pickled(llama(), to),
    "pickled-legacy": lambda to: save_pickled(llama(), to, legacy=True),
    "pickled-sharded": lambda to: save_pickled(llama(), to, shards=3),
    "pickled-tied": lambda to: save_pickled(llama(tie_word_embeddings=True), to),
    "pickled-tied-gpt2": lambda to: save_pickled(gpt2(), to),
    "pickled-strided": lambda to: strided(llama(), to),
}


def main(out):
    for name, write in LAYOUTS.items():
        directory = os.path.join(out, name)
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        write(directory)
        expect(directory)
        print(name, sum(os.path.getsize(os.path.join(directory, it)) for it in os.listdir(directory)), "bytes")


if __name__ == "__main__":
    main(sys.argv[1])
