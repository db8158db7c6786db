"""The competitors in Python: transformers."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))

from competitor import serve, timed  # noqa: E402


def make(directory, dtype):
    """A network of the shape of Qwen2-0.5B, with random weights."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=151936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14,
        num_key_value_heads=2, max_position_embeddings=32768, tie_word_embeddings=True, rms_norm_eps=1e-6,
        rope_theta=1e6, bos_token_id=None, eos_token_id=None, use_sliding_window=False)
    Qwen2ForCausalLM(config).to(getattr(torch, dtype)).save_pretrained(directory)


def loaded(directory):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(directory).eval()


def prompt(n_rows, n):
    import torch

    return (torch.arange(n_rows * n) * 7919 % 151936).view(n_rows, n)


def first(directory):
    import torch

    with torch.no_grad():
        print(loaded(directory)(prompt(1, 8)).logits[0, -1].argmax().item(), file=sys.stderr)


def decode(directory, n_rows, n_prompt, n_new):
    """The seconds of a step, from the first new token to the last."""
    import torch

    model, times = loaded(directory), []

    def clock(tokens, scores):
        times.append(time.perf_counter())
        return scores

    def work():
        times.clear()
        ids = prompt(int(n_rows), int(n_prompt))
        with torch.no_grad():
            model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=int(n_new), do_sample=False, pad_token_id=0,
                logits_processor=[clock])
        return [(times[-1] - times[0]) / (len(times) - 1)]

    return work


def prefill(directory, n):
    import torch

    model = loaded(directory)
    ids = prompt(1, int(n))

    def run():
        with torch.no_grad():
            return model(ids, logits_to_keep=1)

    return timed(run)


def main():
    name, *rest = sys.argv[1:]
    if name == "make":
        make(*rest)
    elif name == "first":
        first(*rest)
    else:
        serve({"decode": decode, "prefill": prefill}[name](*rest))


if __name__ == "__main__":
    main()
