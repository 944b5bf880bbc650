"""Makes shared-logits.json: float64 logits of the shared checkpoints on texts of every kind.

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
MODELS = ("minilm-mrpc", "minilm-sst2", "minilm-stsb")
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


def logits(model_directory, examples):
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_directory)
    model = transformers.BertForSequenceClassification.from_pretrained(model_directory, dtype=torch.float64).eval()
    for text, pair in examples:
        # As a batch of one: only then does the tokenizer take an empty second text for one.
        pairs = None if pair is None else [pair]
        encoded = tokenizer([text], pairs, truncation=True, max_length=MAX_LENGTH, return_tensors="pt")
        yield [float(f"{value:.10g}") for value in model(**encoded).logits[0].tolist()]


@torch.no_grad()
def main():
    examples = [(text, None) for text in TEXTS] + PAIRS
    golden = {
        "format": FORMAT,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "maxLength": MAX_LENGTH,
        "texts": examples,
        "logits": {name: list(logits(Path(sys.argv[1]) / name, examples)) for name in MODELS},
    }
    (HERE / "shared-logits.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
