"""The Python side of the harness: does work once per line of standard input, answers with the seconds of each case."""

import resource
import sys
import time


def serve(work):
    """`work` returns the seconds that each of its cases took."""
    for _ in sys.stdin:
        print(*work(), flush=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)


def timed(run, after=lambda: None):
    """Work of one case. Only the making is timed: what was made is dropped afterwards."""

    def work():
        start = time.perf_counter()
        made = run()
        seconds = time.perf_counter() - start
        del made
        after()
        return [seconds]

    return work


def save_byte_level_bpe(texts, vocab_size, directory):
    """A byte-level BPE trained on the texts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=vocab_size, show_progress=False, special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<|end|>", eos_token="<|end|>").save_pretrained(directory)
