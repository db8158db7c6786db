"""Small random models of every supported family, and what transformers computes with them."""

import os

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

torch.set_num_threads(1)

# Sizes that are unlike each other, so that a mixed-up dimension shows.
LLAMA = dict(
    vocab_size=61, hidden_size=24, intermediate_size=40, num_hidden_layers=3, num_attention_heads=6,
    num_key_value_heads=2, head_dim=8, max_position_embeddings=40, bos_token_id=1, eos_token_id=2, pad_token_id=0,
)
GPT2 = dict(
    vocab_size=61, n_embd=24, n_layer=3, n_head=4, n_positions=40, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
)
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 16}
LONG = {
    "rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0, 1.1, 1.3, 1.5],
    "long_factor": [1.5, 2.0, 3.0, 4.0], "original_max_position_embeddings": 16,
}


def rope(rope_type, **parameters):
    return {"rope_parameters": {"rope_type": rope_type, "rope_theta": 10000.0, **parameters}}


CASES = {
    "llama": ("llama", LLAMA),
    "llama_tied": ("llama", LLAMA | {"tie_word_embeddings": True}),
    "llama_bias": ("llama", LLAMA | {"attention_bias": True, "mlp_bias": True, "rms_norm_eps": 1e-3}),
    "llama_one_head_each": ("llama", LLAMA | {"num_key_value_heads": 6, "head_dim": None, "num_attention_heads": 6}),
    "llama_gelu": ("llama", LLAMA | {"hidden_act": "gelu_pytorch_tanh"}),
    "llama_linear": ("llama", LLAMA | rope("linear", factor=2.5)),
    "llama_dynamic": ("llama", LLAMA | {"max_position_embeddings": 16} | rope("dynamic", factor=2.0)),
    "llama_llama3": ("llama", LLAMA | rope(
        "llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)),
    "llama_yarn": ("llama", LLAMA | {"rope_parameters": YARN}),
    "llama_yarn_mscale": ("llama", LLAMA | {"rope_parameters": YARN | {
        "mscale": 0.7, "mscale_all_dim": 0.4, "beta_fast": 8.0, "beta_slow": 0.5, "truncate": False}}),
    "llama_yarn_factor": ("llama", LLAMA | {"rope_parameters": YARN | {"attention_factor": 1.2}}),
    "llama_longrope": ("llama", LLAMA | {"rope_parameters": LONG}),
    "gpt2": ("gpt2", GPT2),
    "gpt2_untied": ("gpt2", GPT2 | {"tie_word_embeddings": False}),
    "gpt2_inner": ("gpt2", GPT2 | {"n_inner": 50, "layer_norm_epsilon": 1e-3}),
    "gpt2_unscaled": ("gpt2", GPT2 | {"scale_attn_weights": False}),
    "gpt2_by_layer": ("gpt2", GPT2 | {"scale_attn_by_inverse_layer_idx": True, "reorder_and_upcast_attn": True}),
    "gpt2_relu": ("gpt2", GPT2 | {"activation_function": "relu"}),
    "gpt2_gelu": ("gpt2", GPT2 | {"activation_function": "gelu"}),
}

# Past every threshold above.
TIME = 30
PREFILL = 7


def names():
    return sorted(CASES)


def make(name, out):
    """Writes the model of a case, and beside it `expected.safetensors`: what transformers makes of it."""
    torch.manual_seed(sum(map(ord, name)))
    model_type, fields = CASES[name]
    config = AutoConfig.for_model(model_type, **fields)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            # Away from the initial zeros and ones, so that a bias or a gain in the wrong place shows.
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.eval().save_pretrained(out)
    expected = {"ids": torch.randint(3, config.vocab_size, (2, TIME))}
    # From the file, as everyone does.
    model = AutoModelForCausalLM.from_pretrained(out).eval()
    expected |= compute(model, expected["ids"])
    bfloat16 = AutoModelForCausalLM.from_pretrained(out, dtype=torch.bfloat16).eval()
    with torch.no_grad():
        expected["bf16_logits"] = bfloat16(expected["ids"]).logits.float()
    save_file({key: value.contiguous() for key, value in expected.items()}, os.path.join(out, "expected.safetensors"))


def compute(model, ids):
    """Logits at once and step by step, the loss, and its gradient for every parameter, named as on disk."""
    with torch.no_grad():
        logits = model(ids).logits
        output = model(ids[:, :PREFILL], use_cache=True)
        steps = [output.logits]
        for t in range(PREFILL, ids.shape[1]):
            output = model(ids[:, t : t + 1], past_key_values=output.past_key_values, use_cache=True)
            steps.append(output.logits)
    loss = model(ids, labels=ids).loss
    loss.backward()
    grads = {}
    for name, parameter in model.named_parameters():
        grads.update(on_disk(model.config, name, parameter.grad))
    return {"logits": logits, "steps": torch.cat(steps, dim=1), "loss": loss.detach()} | {
        "grad." + name: grad for name, grad in grads.items()
    }


def on_disk(config, name, tensor):
    """A parameter's name in the file, or, where the file has several in its place, theirs."""
    return {name: tensor}


def reopen(model, expected):
    """How far the logits of a directory are from those expected, and what transformers misses in it."""
    from safetensors.torch import load_file

    expected = load_file(expected)
    network, report = AutoModelForCausalLM.from_pretrained(model, output_loading_info=True)
    with torch.no_grad():
        logits = network.eval()(expected["ids"]).logits
    return {
        "delta": (logits - expected["logits"]).abs().max().item(),
        "problems": {key: sorted(map(str, found)) for key, found in report.items() if found},
    }
