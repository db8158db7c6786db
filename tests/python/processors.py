"""What transformers' logits processors make of random scores, and what its `generate` makes of a model."""

import torch
from transformers import AutoModelForCausalLM
from transformers.generation import logits_process as lp

VOCABULARY = 50
EOS = [7, 8]


def processors(n_prompt):
    return {
        "repetition_penalty": lp.RepetitionPenaltyLogitsProcessor(1.7),
        "repetition_bonus": lp.RepetitionPenaltyLogitsProcessor(0.6),
        "sequence_bias": lp.SequenceBiasLogitsProcessor([[[3], 1.5], [[4, 5], -2.0], [[1, 2, 6], 3.0], [[2, 3], 0.5]]),
        "bad_words": lp.NoBadWordsLogitsProcessor([[3], [7], [4, 5], [2, 3]], eos_token_id=EOS),
        "no_repeat_ngram": lp.NoRepeatNGramLogitsProcessor(2),
        "no_repeat_token": lp.NoRepeatNGramLogitsProcessor(1),
        "suppress": lp.SuppressTokensLogitsProcessor([1, 9, 11]),
        "force": lp.ForcedEOSTokenLogitsProcessor(13, EOS),
        "exponential_decay": lp.ExponentialDecayLengthPenalty((2, 1.3), EOS, n_prompt),
        "remove_invalid": lp.InfNanRemoveLogitsProcessor(),
        "temperature": lp.TemperatureLogitsWarper(0.7),
        "top_k": lp.TopKLogitsWarper(5),
        "top_p": lp.TopPLogitsWarper(0.8),
        "top_p_tiny": lp.TopPLogitsWarper(0.01),
        "min_p": lp.MinPLogitsWarper(0.1),
        "top_h": lp.TopHLogitsWarper(0.4),
        "typical": lp.TypicalLogitsWarper(0.6),
        "epsilon_cutoff": lp.EpsilonLogitsWarper(0.02),
        "eta_cutoff": lp.EtaLogitsWarper(0.02),
        "top_p_3": lp.TopPLogitsWarper(0.01, min_tokens_to_keep=3),
        "min_p_3": lp.MinPLogitsWarper(0.9, min_tokens_to_keep=3),
        "typical_3": lp.TypicalLogitsWarper(0.01, min_tokens_to_keep=3),
        "epsilon_cutoff_3": lp.EpsilonLogitsWarper(0.9, min_tokens_to_keep=3),
        "eta_cutoff_3": lp.EtaLogitsWarper(0.9, min_tokens_to_keep=3),
        "renormalize": lp.LogitNormalization(),
    }


def run(seed):
    """Scores and tokens, and what each processor makes of them; null for minus infinity."""
    torch.manual_seed(seed)
    tokens = torch.randint(0, 7, (12,))
    scores = torch.randn(VOCABULARY) * 3
    results = {}
    for name, processor in processors(n_prompt=5).items():
        given = scores.clone()
        if name == "remove_invalid":
            given[:3] = torch.tensor([float("nan"), float("inf"), float("-inf")])
        if name == "top_k":
            # So that some are equal.
            given = given.round()
        made = processor(tokens.unsqueeze(0), given.unsqueeze(0))[0]
        results[name] = [None if value == float("-inf") else value for value in made.tolist()]
    return {"tokens": tokens.tolist(), "scores": scores.tolist(), "results": results}


def generate(model, prompt, options):
    """The new tokens."""
    network = AutoModelForCausalLM.from_pretrained(model).eval()
    ids = torch.tensor([prompt])
    made = network.generate(ids, attention_mask=torch.ones_like(ids), pad_token_id=0, **options)
    return made[0, len(prompt):].tolist()


def generate_batch(model, prompts, options):
    """The new tokens of each row of a batch that is padded on the left, without the filling, and the scores of beams."""
    network = AutoModelForCausalLM.from_pretrained(model).eval()
    longest = max(len(prompt) for prompt in prompts)
    padding = [longest - len(prompt) for prompt in prompts]
    ids = torch.tensor([[0] * n + prompt for n, prompt in zip(padding, prompts)])
    mask = torch.tensor([[0] * n + [1] * len(prompt) for n, prompt in zip(padding, prompts)])
    made = network.generate(
        ids, attention_mask=mask, pad_token_id=0, return_dict_in_generate=True, output_scores=True, **options
    )
    eos = options.get("eos_token_id", 2)
    eos = eos if isinstance(eos, list) else [eos]
    rows = []
    for row in made.sequences:
        row = row[longest:].tolist()
        ends = [i for i, token in enumerate(row) if token in eos]
        rows.append(row[: ends[0] + 1] if ends else row)
    scores = getattr(made, "sequences_scores", None)
    return {"rows": rows, "scores": None if scores is None else scores.tolist()}


def network_scores(model, prompt, options):
    """The likelihood of every token that is drawn after a prompt."""
    network = AutoModelForCausalLM.from_pretrained(model).eval()
    ids = torch.tensor([prompt])
    made = network.generate(
        ids, attention_mask=torch.ones_like(ids), pad_token_id=0, max_new_tokens=1, return_dict_in_generate=True,
        output_scores=True, **options
    )
    return made.scores[0].softmax(-1)[0].tolist()
