"""Texts that tokenizers stumble over: every Unicode block and the classics."""

import random
import unicodedata

CLASSICS = [
    "", " ", "  ", "   a", "a   ", "\n", "\n\n\n", "\r\n", "\t\t", " \t \n ", "a\tb", "\u00a0", "\u3000",
    "Hello, world!", "hello  world", "Don't you'll they've I'm he'd it's", "DON'T", "don\u2019t",
    "1", "12", "123456789", "3.14159", "1,000,000", "0x1F", "1e-10", "\u0661\u0662\u0663", "\u2460\u00bd",
    "def f(x):\n    return x ** 2  # comment\n\n\nclass A:\n\tpass\n",
    "if (a && b) { printf(\"%d\\n\", x[i]->y); }\n", "<div class=\"a\">&amp;</div>", "{\"k\": [1, 2.5, null]}",
    "\\frac{a}{b} \\alpha $x_{i}^{2}$", "https://example.com/a?b=c&d=%20#e", "a@b.c", "C:\\path\\file.txt",
    " " * 17, " " * 64 + "x", "\n" * 9 + "x", "a" * 200, "ab" * 100, "!" * 50, "-" * 80, "=" * 33,
    "\U0001F468\u200d\U0001F469\u200d\U0001F467\u200d\U0001F466", "\U0001F1E9\U0001F1EA\U0001F1EB\U0001F1F7",
    "\U0001F44D\U0001F3FD", "\u2764\ufe0f", "1\ufe0f\u20e3", "\U0001F3F4\U000E0067\U000E0062\U000E007F",
    "e\u0301", "\u00e9", "a\u0308\u0323", "Z\u0351\u036b\u0343a\u0360lgo", "\u1e9b\u0323", "\ufb01\ufb02", "\u2126\u212b",
    "\uac00\u1100\u1161\u11a8", "\u0915\u094d\u0937\u093f", "\u0e01\u0e33", "\u05e9\u05c1\u05dc\u05d5\u05dd", "\u202eabc\u202c",
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0643", "\u4f60\u597d\uff0c\u4e16\u754c\u3002", "\u6f22\u5b57\u304b\u306a\u4ea4\u3058\u308a\u6587", "\ud55c\uad6d\uc5b4 \ubb38\uc7a5",
    "\u4e2d\u6587English\u6df7\u5408123", "\U00020000\U0002a6d6", "\u200b\u200c\u200d\ufeff", "\ufffd", "\ufffe", "\U0010ffff",
    "\x00", "\x01\x02\x7f", "a\x00b", "\x85", "\u2028\u2029", "\u00ad", "\x0b\x0c\x1c\x1d",
    "<s>", "</s>", "<unk>", "<pad>", "<|endoftext|>", "a<|endoftext|>b", " <s> ", "<s><s>", "<|im_start|>user\nhi<|im_end|>",
    "[CLS] a [SEP]", "[MASK]", "[UNK]", "##a", "\u2581", "\u2581a \u2581", "a\u2581b", "<0x0A>", "<0x41>", "\u0120a", "\u010a",
    "<extra_0> x", "x <extra_0>y", "tok1tok2", "  tok1  ", "TOK1", "\u00dcBER \u00fcber", "\u0130stanbul \u0131", "\u00df\u1e9e", "na\u00efve caf\u00e9",
    "<|user|>", "<image>", "<tool>", "\u1d400\u2102", "\u2160\u2170", "\u33a5", "\uff21\uff22\uff10",
]


def blocks(whole=True):
    """Two texts of each run of 128 code points that has assigned characters; one of them has all, if `whole`."""
    rng = random.Random(0)
    for start in [*range(0, 0x30000, 0x80), 0xE0000, 0xE0100, 0xF0000, 0x100000]:
        assigned = [
            chr(point)
            for point in range(start, start + 0x80)
            if not 0xD800 <= point < 0xE000 and unicodedata.category(chr(point)) != "Cn"
        ]
        if assigned:
            some = lambda count: "".join(rng.choice(assigned) + rng.choice(["", " ", "a", "\n"]) for _ in range(count))
            yield "".join(assigned) if whole else some(5)
            yield some(24 if whole else 3)


def mixtures(count):
    rng = random.Random(1)
    words = "the of and Hello WORLD foo_bar x1 2024 don't caf\u00e9 \u4f60\u597d \u0645\u0631\u062d\u0628\u0627 \U0001F600 <s> </s> tok1 -- ... () \n \t  ".split(" ")
    for _ in range(count):
        yield rng.choice(["", " "]).join(
            rng.choice(words) + rng.choice(["", "", " ", "  ", ".", ",", "\n"]) for _ in range(rng.randrange(1, 30))
        )


def texts(at_least=2000, whole=True):
    """So many texts at least; every assigned character is in one of them, or where not `whole`, some of every block."""
    found = CLASSICS + list(blocks(whole))
    return found + list(mixtures(max(200, at_least - len(found))))
