"""Compares espalier's ids and offsets with the Rust tokenizers library's on all texts of GLUE and SQuAD and on random Unicode.

Usage: npx tsc && python test/tokenizer/compare_with_tokenizers.py SHARED [--random 200000] [--seed 1]
(needs `pip install tokenizers==0.22.2`; SHARED holds models/ and data/ as CONTRIBUTING.md says)
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

PROGRAM = Path(__file__).resolve().parents[2] / "dist/test/tokenizer/support/encode-lines.js"
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "golden"))
from tokenizer_oracle import encode, encode_windows  # noqa: E402

CHUNK = 20_000
NASTY = [
    "e\u0301\u0323", "a\u0323\u0301", "\u0344", "\u1e69", "\u212b", "가", "\u1100\u1161\u11a8", "か\u3099", "q\u0307\u0323",
    "漢字", "豈", "𠀀", "電影", "ｶﾅ", "👨‍👩‍👧", "🏳️‍🌈", "👍🏽", "🇩🇪", "❤️", "😀", "𝔘", "\U0001d15e",
    "\x00", "\x07", "\x7f", "\x85", "\x9f", "\ufffd", "\ue000", "\U000f0000", "\uffff", "\u200b", "\u200d", "\ufeff", "\u00ad", "\u202e",
    "İ", "ı", "I", "ß", "ẞ", "ﬁ", "ﬀ", "ǅ", "Σ", "ς", "ŉ", "Ⅷ", "²", "½", "٣", "१",
    " ", "  ", "\t", "\n", "\r\n", "\x0b", "\x0c", "\u00a0", "\u1680", "\u180e", "\u2003", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000",
    "'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'", "’s", "'S", "...", "--", "$9.99", "#", "Ġ", "Ċ", "##ing",
    "[SEP]", "[MASK]", "[CLS]", "<s>", "</s>", "<mask>", " <mask> ", "<pad>", "<unk>", "<ent>", "film", "New York", "Café",
    "the", " good", "Unbelievable", "x" * 101,
]  # fmt: skip
PLANES = [range(0x20, 0x7F), range(0x20, 0x7F), range(0xA0, 0x250), range(0x250, 0x2000), range(0x2000, 0xD800), range(0xE000, 0x110000)]


def random_text(rng):
    pieces = []
    for _ in range(rng.randint(1, 12)):
        kind = rng.random()
        if kind < 0.6:
            pieces.append(rng.choice(NASTY))
        elif kind < 0.8:
            pieces.append("".join(chr(rng.choice(PLANES[0])) for _ in range(rng.randint(1, 8))))
        else:
            plane = rng.choice(PLANES)
            pieces.append("".join(chr(rng.choice(plane)) for _ in range(rng.randint(1, 4))))
    return rng.choice(["", "", " "]).join(pieces)


def questions(shared):
    for name in ["train-v1.1.json", "dev-v1.1.json", "dev-v2.0.json"]:
        for article in json.loads((shared / "data/squad" / name).read_text())["data"]:
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    yield question["question"], paragraph["context"]


def sentences(shared):
    found = {}
    for file in sorted((shared / "data/glue").glob("*/*.tsv")):
        for line in file.read_text().split("\n"):
            found.update(dict.fromkeys(field for field in line.split("\t") if len(field) > 5))
    for pair in questions(shared):
        found.update(dict.fromkeys(pair))
    return list(found)


def tokenizers(shared, texts):
    """Names, and the tokenizer.json of each. Variants of another one, told by a comma, meet random texts only."""
    bert = json.loads((shared / "models/minilm-sst2/tokenizer.json").read_text())
    roberta = json.loads((shared / "models/roberta-sst2/tokenizer.json").read_text())
    yield "bert uncased", bert
    yield "bert cased", cased(bert, texts)
    yield "roberta", roberta
    prefixed = json.loads(json.dumps(roberta))
    for part in ["pre_tokenizer", "post_processor"]:
        prefixed[part]["add_prefix_space"] = True
    yield "roberta, prefix space", prefixed
    yield "roberta, offsets not trimmed", {**roberta, "post_processor": {**roberta["post_processor"], "trim_offsets": False}}
    for name, file in [("bert uncased, added tokens", bert), ("roberta, added tokens", prefixed)]:
        size = len(file["model"]["vocab"])
        flags = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=False)
        tokens = [
            {"id": size, "content": "<ent>", **flags, "lstrip": True, "rstrip": True},
            {"id": size + 1, "content": "New York", **flags, "normalized": True, "single_word": True},
            {"id": size + 2, "content": " blank", **flags, "rstrip": True},
        ]
        yield name, {**file, "added_tokens": file["added_tokens"] + tokens}


def cased(bert, texts):
    """A cased vocabulary, trained on the texts, with BERT's cased normalizer."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(texts[::10], trainers.WordPieceTrainer(vocab_size=8000, special_tokens=specials, show_progress=False))
    file = json.loads(tokenizer.to_str())
    processor = json.loads(json.dumps(bert["post_processor"]))
    for name, special in processor["special_tokens"].items():
        special["ids"] = [specials.index(name)]
    return {**file, "post_processor": processor}


def compare(file, cases, directory):
    """The number of cases that differ, the first few of them printed."""
    (directory / "tokenizer.json").write_text(json.dumps(file))
    with open(directory / "cases.jsonl", "w") as lines:
        lines.writelines(json.dumps({key: value for key, value in case.items() if value is not None}) + "\n" for case in cases)
    with open(directory / "cases.jsonl") as lines, open(directory / "encodings.jsonl", "w") as encodings:
        subprocess.run(["node", PROGRAM, directory], stdin=lines, stdout=encodings, check=True)
    tokenizer = Tokenizer.from_str(json.dumps(file))
    different = 0
    with open(directory / "encodings.jsonl") as encodings:
        for case, line in zip(cases, encodings, strict=True):
            expected = encode_windows(tokenizer, **case) if "stride" in case else [encode(tokenizer, **case)]
            if json.loads(line) == expected:
                continue
            different += 1
            if different <= 5:
                print(f"{case}\n  expected {expected}\n  received {line.strip()}", file=sys.stderr)
    return different


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("shared", type=Path)
    parser.add_argument("--random", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    texts = sentences(options.shared)
    made = [random_text(rng) for _ in range(options.random)]
    kinds = {
        "texts": [{"text": text} for text in texts],
        "random texts": [{"text": text} for text in made],
        "random pairs, cut": [
            {"text": first, "pair": second, "maxLength": rng.randint(4, 40)} for first, second in zip(made[::20], made[1::20])
        ],
        "question windows": [
            {"text": question, "pair": context, "maxLength": 384, "stride": 128} for question, context in questions(options.shared)
        ],
        "random windows": [
            {"text": first[:8], "pair": second + first, "maxLength": length, "stride": rng.randint(0, 8)}
            for first, second, length in ((first, second, rng.randint(40, 60)) for first, second in zip(made[::20], made[1::20]))
        ],
    }
    failed = 0
    with tempfile.TemporaryDirectory() as directory:
        for name, file in tokenizers(options.shared, texts):
            for kind, cases in kinds.items():
                if "," in name and not kind.startswith("random"):
                    continue
                cases = iter(cases)
                count = different = 0
                while chunk := list(islice(cases, CHUNK)):
                    count += len(chunk)
                    different += compare(file, chunk, Path(directory))
                failed += different
                print(f"{name}, {kind}: {different} of {count} differ", flush=True)
    sys.exit(failed > 0)
