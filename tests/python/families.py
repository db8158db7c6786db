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
# Where the head size follows from the others.
QWEN2 = {key: LLAMA[key] for key in LLAMA if key != "head_dim"} | {"hidden_size": 48}
PHI3 = QWEN2 | {"hidden_size": 36, "num_key_value_heads": 3}
GEMMA = LLAMA | {"sliding_window": 5, "query_pre_attn_scalar": 11}
NEOX = dict(
    vocab_size=61, hidden_size=48, intermediate_size=40, num_hidden_layers=3, num_attention_heads=3,
    max_position_embeddings=40, bos_token_id=1, eos_token_id=2,
)
MOE = LLAMA | {"num_experts": 5, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
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
    "gpt2_gelu": ("gpt2", GPT2 | {"activation_function": "gelu"}),    "mistral": ("mistral", LLAMA | {"sliding_window": None}),
    "mistral_window": ("mistral", LLAMA | {"sliding_window": 5}),
    "qwen2": ("qwen2", QWEN2),
    "qwen2_tied": ("qwen2", QWEN2 | {"tie_word_embeddings": True}),
    "qwen2_window": ("qwen2", QWEN2 | {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1}),
    "qwen2_yarn": ("qwen2", QWEN2 | {"rope_parameters": YARN}),
    "qwen3": ("qwen3", LLAMA),
    "qwen3_bias": ("qwen3", LLAMA | {"attention_bias": True}),
    "qwen3_window": ("qwen3", LLAMA | {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1}),
    "phi3": ("phi3", PHI3),
    "phi3_window": ("phi3", PHI3 | {"sliding_window": 6}),
    "phi3_partial": ("phi3", PHI3 | {"hidden_size": 48, "rope_parameters": {
        "rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.75}}),
    "phi3_longrope": ("phi3", PHI3 | {"hidden_size": 48, "original_max_position_embeddings": 16,
                                      "rope_parameters": {key: LONG[key] for key in LONG if "original" not in key}}),
    "gemma2": ("gemma2", GEMMA),
    "gemma2_tight": ("gemma2", GEMMA | {"attn_logit_softcapping": 0.5, "final_logit_softcapping": 1.0}),
    "gemma2_uncapped": ("gemma2", GEMMA | {
        "attn_logit_softcapping": None, "final_logit_softcapping": None, "attention_bias": True}),
    "gemma3_text": ("gemma3_text", GEMMA | {"num_hidden_layers": 4, "sliding_window_pattern": 3}),
    "gemma3_text_scaled": ("gemma3_text", GEMMA | {
        "num_hidden_layers": 4, "final_logit_softcapping": 2.0,
        "layer_types": ["full_attention", "sliding_attention", "sliding_attention", "full_attention"],
        "rope_parameters": {
            "full_attention": {"rope_type": "linear", "rope_theta": 50000.0, "factor": 8.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 1000.0}}}),
    "olmo2": ("olmo2", QWEN2),
    "olmo2_bias": ("olmo2", QWEN2 | {"attention_bias": True}),
    "smollm3": ("smollm3", QWEN2 | {"no_rope_layer_interval": 2}),
    "smollm3_bias": ("smollm3", QWEN2 | {
        "no_rope_layers": [0, 1, 0], "attention_bias": True, "mlp_bias": True, "tie_word_embeddings": False}),
    "smollm3_window": ("smollm3", QWEN2 | {"use_sliding_window": True, "sliding_window": 5, "no_rope_layer_interval": 2}),
    "gpt_neox": ("gpt_neox", NEOX),
    "gpt_neox_sequential": ("gpt_neox", NEOX | {"use_parallel_residual": False}),
    "gpt_neox_unbiased": ("gpt_neox", NEOX | {"attention_bias": False, "hidden_act": "gelu_new"}),
    "gpt_neox_half": ("gpt_neox", NEOX | {"rope_parameters": {
        "rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}}),
    "gpt_neox_tied": ("gpt_neox", NEOX | {"tie_word_embeddings": True}),
    "mixtral": ("mixtral", LLAMA | {"num_local_experts": 5, "num_experts_per_tok": 2}),
    "mixtral_window": ("mixtral", LLAMA | {"num_local_experts": 4, "num_experts_per_tok": 3, "sliding_window": 5}),
    "qwen3_moe": ("qwen3_moe", MOE),
    "qwen3_moe_normalized": ("qwen3_moe", MOE | {"norm_topk_prob": True, "attention_bias": True}),
    "qwen3_moe_some_dense": ("qwen3_moe", MOE | {"decoder_sparse_step": 2, "mlp_only_layers": [1], "num_hidden_layers": 4}),
    "qwen3_moe_window": ("qwen3_moe", MOE | {"use_sliding_window": True, "sliding_window": 5}),
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
    mixtral = config.model_type == "mixtral"
    if name.endswith(".mlp.gate.weight") and mixtral:
        return {name.replace(".mlp.", ".block_sparse_moe."): tensor}
    if name == "lm_head.weight" and config.model_type == "gpt_neox":
        return {"embed_out.weight": tensor}
    if ".mlp.experts." not in name:
        return {name: tensor}
    base, kind = name.rsplit(".", 1)
    base = base.replace(".mlp.", ".block_sparse_moe.") if mixtral else base
    names = ["w1", "w3", "w2"] if mixtral else ["gate_proj", "up_proj", "down_proj"]
    found = {}
    for expert, part in enumerate(tensor):
        parts = part.chunk(2) if kind == "gate_up_proj" else [part]
        these = names[:2] if kind == "gate_up_proj" else names[2:]
        found |= {f"{base}.{expert}.{which}.weight": piece.clone() for which, piece in zip(these, parts)}
    return found


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


def stack(model, out):
    """Writes a model as it is in memory: all experts of a layer in two tensors."""
    network = AutoModelForCausalLM.from_pretrained(model)
    network.config.save_pretrained(out)
    save_file(
        {name: tensor.clone() for name, tensor in network.state_dict().items()},
        os.path.join(out, "model.safetensors"), metadata={"format": "pt"},
    )
