"""Makes shared-logits.json, float64 logits of the shared checkpoints on texts of every kind, and
shared-token-logits.json, the same of models that are given token ids.

    pip install torch "transformers<5"
    python test/golden/make_logits_golden.py ../shared/models
"""
import json
import sys
from pathlib import Path

import torch
import transformers

HERE = Path(__file__).resolve().parent
FORMAT = 1  # test/model/support/golden.ts expects this version
MODELS = ("minilm-mrpc", "minilm-sst2", "minilm-stsb", "distil-qnli")
MAX_LENGTH = 512

TEXTS = [
    "",
    " ",
    "\t\n\r",
    ".",
    "a",
    "A film of rare beauty.",
    "this is not a good movie , not even a bad one",
    "UPPER and lower, MiXeD",
    "don't can't won't it's",
    "e-mail: someone@example.com, https://example.com/?q=1&r=2#top",
    "3.14159 1,000,000 50% $9.99 1e-12",
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "x" * 99,
    "x" * 101,
    "naïve café résumé Zürich Ångström",
    "nai\u0308ve cafe\u0301 re\u0301sume\u0301",
    "straße GROSSE Straße ẞ",
    "İstanbul ılık DİYARBAKIR",
    "ΑΒΓ Σίσυφος ΌΔΟΣ",
    "Привет, мир! ёж Й",
    "שלום עולם",
    "مرحبا بالعالم",
    "नमस्ते दुनिया",
    "สวัสดีชาวโลก",
    "안녕하세요 세계",
    "こんにちは世界",
    "你好，世界！这部电影很好。",
    "日本語 and English 混在",
    "𠀀𠀁 rare ideographs",
    "😀 👍🏽 👨‍👩‍👧‍👦 🇫🇷",
    "zero\u200bwidth\u200cjoin\u200ders\ufeff",
    "soft\u00adhyphen non\u00a0breaking\u2003em",
    "control\x00nul\x07bell\x1bescape\x7f",
    "\ufffd replacement \ufffe",
    "private \ue000 use",
    "“curly” ‘quotes’ — dash … ellipsis",
    "«guillemets» ¿qué? ¡sí!",
    "∑ ∫ √2 ≠ ≤ ∞ ± × ÷",
    "ﬁ ligature ﬀ ½ ² ™ №",
    "[CLS] [SEP] [PAD] [MASK] [UNK]",
    "the [SEP] in the middle",
    "word " * 600,
    "Long sentences of many words are cut at the limit, whatever they say. " * 60,
    "漢字" * 400,
    "\u0301\u0302\u0303 only accents",
    "line one\nline two\r\nline three\u2028four",
]
PAIRS = [
    ("", ""),
    ("Something", ""),
    ("", "something else"),
    ("The company said profits rose.", "Profits rose, the company said."),
    ("Émile a déménagé à Orléans.", "emile a demenage a orleans"),
    ("short", "long " * 700),
    ("long " * 700, "short"),
    ("both are long " * 300, "and have to be cut " * 300),
]


QUESTIONS = [
    ("Who baked the bread?", "On Monday the miller's daughter baked the bread that the whole village ate."),
    ("Où est né Émile ?", "Émile est né à Orléans en 1893."),
    ("", "A context without a question."),
    ("A question without a context?", ""),
    ("How long is it?", "It is a long context of many words. " * 80),
]

# The full length, and the token that RoBERTa's positions skip.
ROBERTA_TEXTS = [*TEXTS[::5], "word " * 600, "a <pad> in the middle"]

TOKEN_MODELS = {"roberta-sst2": [(text, None) for text in ROBERTA_TEXTS], "minilm-squad": QUESTIONS}


class Shared:
    def __init__(self, directory):
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
        name = transformers.AutoConfig.from_pretrained(directory).architectures[0]
        self.model = getattr(transformers, name).from_pretrained(directory, dtype=torch.float64).eval()

    def encode(self, text, pair):
        # As a batch of one: only then does the tokenizer take an empty second text for one.
        pairs = None if pair is None else [pair]
        encoded = self.tokenizer([text], pairs, truncation=True, max_length=MAX_LENGTH, return_tensors="pt")
        if getattr(self.model.config, "type_vocab_size", 0) < 2:
            encoded.pop("token_type_ids", None)
        return encoded

    def logits(self, encoded):
        """[labels], or the start and end logits of every token."""
        output = self.model(**encoded)
        if hasattr(output, "logits"):
            return [float(f"{value:.10g}") for value in output.logits[0].tolist()]
        ends = zip(output.start_logits[0].tolist(), output.end_logits[0].tolist())
        return [[float(f"{value:.7g}") for value in pair] for pair in ends]


def token_cases(shared, examples):
    for text, pair in examples:
        encoded = shared.encode(text, pair)
        ids = encoded["input_ids"][0].tolist()
        types = encoded.get("token_type_ids", torch.zeros_like(encoded["input_ids"]))[0].tolist()
        yield {"ids": ids, "types": types, "logits": shared.logits(encoded)}


def write(name, content):
    golden = {"format": FORMAT, "torch": torch.__version__, "transformers": transformers.__version__, **content}
    (HERE / name).write_text(json.dumps(golden, separators=(",", ":")) + "\n")


@torch.no_grad()
def main():
    open_model = lambda name: Shared(Path(sys.argv[1]) / name)
    examples = [(text, None) for text in TEXTS] + PAIRS
    logits = {}
    for name in MODELS:
        shared = open_model(name)
        logits[name] = [shared.logits(shared.encode(*example)) for example in examples]
    write("shared-logits.json", {"maxLength": MAX_LENGTH, "texts": examples, "logits": logits})
    cases = {}
    for name in TOKEN_MODELS:
        shared = open_model(name)
        cases[name] = list(token_cases(shared, TOKEN_MODELS[name]))
    write("shared-token-logits.json", {"models": cases})


if __name__ == "__main__":
    main()
