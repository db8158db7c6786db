"""The transformers side of the round trips: makes small model directories, and says what transformers makes of ours."""

import json

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

# One thread each, because the tests run beside each other; and the sums come out the same everywhere.
torch.set_num_threads(1)

TEXT = [
    "Once upon a time there was a small model, and it had no file to live in.",
    "Checkpoints, shards and moments: a run that dies goes on to the byte.",
    "Ein Modell, zwei Sprachen; naïve café, 東京, Ωμέγα, emoji 🙂🙂, 1234567890.",
    "fn main() { let mut weights = vec![0.0_f32; 16]; }\n\tindented\n\n",
]

CONFIGS = {
    "llama": dict(
        hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    ),
    "gpt2": dict(n_embd=32, n_layer=3, n_head=4, n_positions=64, bos_token_id=1, eos_token_id=2, pad_token_id=0),
}


def tokenizer():
    """A byte-level BPE trained on a few lines."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    special = ["<pad>", "<s>", "</s>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(TEXT, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token="<pad>", bos_token="<s>", eos_token="</s>", model_max_length=64
    )


def make(out, model_type, tied, dtype, max_shard_size=None, seed=0, positions=64):
    """Writes a model directory with random weights, as transformers writes it."""
    torch.manual_seed(seed)
    words = tokenizer()
    limit = {"n_positions" if model_type == "gpt2" else "max_position_embeddings": positions}
    given = CONFIGS[model_type] | limit | {"vocab_size": len(words), "tie_word_embeddings": tied}
    config = AutoConfig.for_model(model_type, **given)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        # Away from the initial zeros and ones, so that a bias or a gain in the wrong place shows.
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    model = model.to(getattr(torch, dtype)).eval()
    model.save_pretrained(out, **({"max_shard_size": max_shard_size} if max_shard_size else {}))
    words.save_pretrained(out)


def describe(model, ids, texts, prompt, max_new_tokens, logits_out, weights_out=None):
    """Loads a directory and says everything that a round trip must keep."""
    network, report = AutoModelForCausalLM.from_pretrained(model, output_loading_info=True)
    network.eval()
    words = AutoTokenizer.from_pretrained(model)
    with torch.no_grad():
        logits = network(torch.tensor(ids)).logits
        prompt_ids = torch.tensor([words(prompt)["input_ids"]])
        greedy = network.generate(
            prompt_ids, attention_mask=torch.ones_like(prompt_ids), do_sample=False, max_new_tokens=max_new_tokens
        )
    save_file({"logits": logits.float().contiguous()}, logits_out)
    if weights_out:
        # Each under its own name, also where two share their storage.
        save_file({name: tensor.clone().contiguous() for name, tensor in network.state_dict().items()}, weights_out)
    new_ids = greedy[0, prompt_ids.shape[1]:].tolist()
    encoded = [words(text)["input_ids"] for text in texts]
    config = json.loads(network.config.to_json_string(use_diff=False))
    config.pop("_name_or_path", None)
    return {
        "encoded": encoded,
        "decoded": [words.decode(row, skip_special_tokens=True) for row in encoded],
        "prompt_ids": prompt_ids[0].tolist(),
        "new_ids": new_ids,
        "new_text": words.decode(new_ids, skip_special_tokens=True),
        "config": config,
        "dtype": str(network.dtype).removeprefix("torch."),
        "tied": network.get_input_embeddings().weight.data_ptr() == network.get_output_embeddings().weight.data_ptr(),
        "problems": {name: sorted(map(str, found)) for name, found in report.items() if found},
    }


def save_pickle(model, out):
    """The weights of a directory as a `pytorch_model.bin` at `out`."""
    network = AutoModelForCausalLM.from_pretrained(model)
    torch.save(network.state_dict(), out)


def loss(model, text, block_size):
    """The mean loss of a text's tokens, cut into blocks, each predicted from its own beginning."""
    network = AutoModelForCausalLM.from_pretrained(model).eval()
    ids = torch.tensor(AutoTokenizer.from_pretrained(model)(text)["input_ids"])
    blocks = ids.reshape(-1, block_size)
    with torch.no_grad():
        # Every block predicts the same number of tokens, so that the mean of means is the mean.
        return network(blocks, labels=blocks).loss.item()


def chat(model, questions, max_new_tokens):
    """The greedy answers to questions, each with all that was said before."""
    network = AutoModelForCausalLM.from_pretrained(model).eval()
    words = AutoTokenizer.from_pretrained(model)
    messages, answers = [], []
    for question in questions:
        messages.append({"role": "user", "content": question})
        given = words.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        made = network.generate(**given, do_sample=False, max_new_tokens=max_new_tokens)
        answers.append(words.decode(made[0, given["input_ids"].shape[1]:], skip_special_tokens=True))
        messages.append({"role": "assistant", "content": answers[-1]})
    return answers


def generate(model, prompts, options):
    """The new text of each row of a batch that is padded on the left."""
    network = AutoModelForCausalLM.from_pretrained(model).eval()
    words = AutoTokenizer.from_pretrained(model, padding_side="left")
    given = words(prompts, return_tensors="pt", padding=True)
    made = network.generate(**given, tokenizer=words, **options)
    return words.batch_decode(made[:, given["input_ids"].shape[1]:], skip_special_tokens=True)
