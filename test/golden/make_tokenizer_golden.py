"""Writes test/golden/tokenizer.json: what the Rust tokenizers library makes of texts with models/sentiment-mini.

Offsets are converted from code points to UTF-16 code units. Every group changes parts of the tokenizer.json first.

Usage: python test/golden/make_tokenizer_golden.py   (needs `pip install tokenizers==0.22.2`)
"""

import json
import random
from pathlib import Path

from tokenizers import Tokenizer

GOLDEN = Path(__file__).resolve().parent
SOURCE = json.loads((GOLDEN.parents[1] / "models/sentiment-mini/tokenizer.json").read_text())

SENTENCES = [
    "",
    " ",
    "A quiet film that never raises its voice, and never needs to.",
    "I wanted to like it; I didn't.",
    "The acting (mostly) works -- the plot... doesn't!?",
    "It costs $9.99, runs 142 minutes & feels like 3,000.",
    "Unbelievably overcomplicated, antidisestablishmentarianism included.",
    "C'est déjà vu: naïve, façade, coöperate, Ångström, Zürich.",
    "ŁÓDŹ, İstanbul, ISPARTA, DİYARBAKIR, ıssız, Ğ Ş ß ẞ",
    "ΟΔΥΣΣΕΥΣ ὈΔΥΣΣΕΎΣ Σ σς ΐ ΰ",
    "这部电影很好看。我喜欢𠀀𪛖字 abc漢字def 豈更",
    "この映画は素晴らしい！ｶﾀｶﾅ がぎぐ か\u3099",
    "정말 좋은 영화 \u1112\u1161\u11ab\u1100\u1173\u11af",
    "ሰላም፡ለዓለም። ይህ፠ፊልም፤",
    "مَرْحَبًا بِالعَالَم، שָׁלוֹם עוֹלָם, हिन्दी फ़िल्म।",
    "great 😀 👍🏽 👨‍👩‍👧 🏳️‍🌈 ❤️ ☕film",
    "zero\u200bwidth\u200djoin\ufeff soft\u00adhyphen \u202eflow\u202c",
    "tab\there\nnew\r\nline\x0bvt\x0cff\x85nel\xa0nbsp\u3000wide\u2028ls\u1680og",
    "nul\x00bell\x07del\x7f c1\x9f repl\ufffdacement priv\ue000ate \U000f0000 non\uffffchar",
    "e\u0301\u0323 a\u0323\u0301 q\u0307\u0323 \u0344\u0f73 \u212b\u2126 \u1e69 \u0958",
    "\U0001d15e\u0323 a\u0301\u302e \U0001d157\U0001d16d\U0001d165 \u1ac0\u0301x a\u0301\u1ac0\u302e \U000105c9",
    "ﬁne ﬀ Ａｂｃ １２３ ℌ 𝔘𝔫𝔦 ⅷ ² ½",
    "—dash–en ‘quotes’ “double” «guillemets» ¿que? ¡si! · … ‽ 〈x〉 ～ ￥ € ^ ` ~ | + = < >",
    "[CLS] inside [SEP] text [MASK] [mask] [UNK][PAD] [ SEP ] [SEP",
    "##ing ing# #tag @user user_name http://example.org/a?b=c&d=e",
    "a" * 100 + " " + "a" * 101 + " " + "é" * 100 + " " + "é" * 101 + " " + "😀" * 100 + " " + "😀" * 101,
    "thefilmisgood goodgoodgoodgood xylophonist",
    "The end. " * 30,
]
ALPHABETS = [
    range(0x20, 0x7F), range(0x61, 0x7B), range(0x61, 0x7B), range(0x00, 0x20), range(0x80, 0x250), range(0x300, 0x370),
    range(0x370, 0x530), range(0x5B0, 0x700), range(0x900, 0xE80), range(0x1100, 0x1380), range(0x1E00, 0x2070),
    range(0x3000, 0x3100), range(0x4E00, 0x4E40), range(0xAC00, 0xAC40), range(0xFE00, 0x10000), range(0x1D150, 0x1D180),
    range(0x1F300, 0x1F650), range(0x20000, 0x20020),
]  # fmt: skip


def generated(rng):
    text = ""
    for alphabet in rng.sample(ALPHABETS, rng.randint(1, 4)):
        for _ in range(rng.randint(1, 3)):
            text += "".join(chr(rng.choice(alphabet)) for _ in range(rng.randint(1, 5))) + rng.choice(["", "", " "])
    return text


def added(token, vocabulary_size, index, **flags):
    defaults = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=False)
    return {"id": vocabulary_size + index, "content": token, **defaults, **flags}


def groups(rng):
    size = len(SOURCE["model"]["vocab"])
    normalizer = SOURCE["normalizer"]
    words = [generated(rng) for _ in range(120)]
    pairs = [(rng.choice(SENTENCES[2:]), rng.choice(SENTENCES)) for _ in range(60)]
    yield "as it is", {}, [
        *((text, None, None) for text in SENTENCES + words),
        *((text, None, rng.choice([2, 3, 5, 16])) for text in SENTENCES),
        *((first, second, rng.choice([None, 3, 4, 5, 8, 9, 17, 32, 33])) for first, second in pairs),
        *((first, second, length) for first, second in [("good film", "a bad film"), ("a bad film", "good film"), ("", "a"), ("a", "")]
          for length in range(3, 11)),
    ]  # fmt: skip
    for name, change in {
        "cased, accents kept": dict(lowercase=False),
        "cased, accents stripped": dict(lowercase=False, strip_accents=True),
        "lower-cased, accents kept": dict(strip_accents=False),
        "not cleaned": dict(clean_text=False),
        "Chinese left together": dict(handle_chinese_chars=False),
    }.items():
        yield name, {"normalizer": {**normalizer, **change}}, [(text, None, None) for text in SENTENCES + words[:20]]
    tokens = [
        added("film", 0, SOURCE["model"]["vocab"]["film"], single_word=True),
        added("<ent>", size, 0, lstrip=True, rstrip=True, special=True),
        added("New York", size, 1, normalized=True),
        added("Café", size, 2, normalized=True, single_word=True, rstrip=True),
        added("字", size, 3, rstrip=True),
        added("film<ent>", size, 4),
        added("(.*)", size, 5, normalized=True, lstrip=True),
    ]
    texts = ["a film, films, film", "film<ent>film <ent>", "x  <ent>\t\u3000 y<ent> <ent>", "new york NEW  YORK in New\tYork",
             "CAFE\u0301 x cafés le café  noir", "文字 字 字", "any (.*) (.*)", "[SEP]<ent>[SEP]"]  # fmt: skip
    yield "added tokens", {"added_tokens": SOURCE["added_tokens"] + tokens}, [(text, None, None) for text in texts]
    vocabulary = SOURCE["model"]["vocab"]
    processor = {"type": "BertProcessing", "sep": ["[SEP]", vocabulary["[SEP]"]], "cls": ["[CLS]", vocabulary["[CLS]"]]}
    yield "BertProcessing", {"post_processor": processor}, [("a film", None, None), ("a film", "a story", 5)]


def places(text):
    """Where each code point begins, in UTF-16 code units, and where the last one ends."""
    if text.isascii():
        return range(len(text) + 1)
    found = [0]
    for char in text:
        found.append(found[-1] + (2 if char > "\uffff" else 1))
    return found


def convert(encoding, text, pair):
    """An Encoding as espalier gives it."""
    found = [places(text), places(pair or "")]
    spans = [
        (0, 0) if sequence is None else tuple(found[sequence][position] for position in offsets)
        for sequence, offsets in zip(encoding.sequence_ids, encoding.offsets)
    ]
    return {
        "ids": encoding.ids,
        "typeIds": encoding.type_ids,
        "sequences": [-1 if sequence is None else sequence for sequence in encoding.sequence_ids],
        "starts": [start for start, _ in spans],
        "ends": [end for _, end in spans],
    }


def encode(tokenizer, text, pair=None, maxLength=None):
    tokenizer.no_padding()
    tokenizer.no_truncation() if maxLength is None else tokenizer.enable_truncation(maxLength)
    return convert(tokenizer.encode(text, pair), text, pair)


def encode_windows(tokenizer, text, pair, maxLength, stride):
    tokenizer.no_padding()
    tokenizer.enable_truncation(maxLength, stride=stride, strategy="only_second")
    encoding = tokenizer.encode(text, pair)
    return [convert(window, text, pair) for window in [encoding, *encoding.overflowing]]


if __name__ == "__main__":
    blocks = []
    for name, changes, inputs in groups(random.Random(1)):
        tokenizer = Tokenizer.from_str(json.dumps({**SOURCE, **changes}))
        cases = ",\n".join(json.dumps(encode(tokenizer, *item), separators=(",", ":")) for item in inputs)
        blocks.append(f'{{"name": {json.dumps(name)}, "changes": {json.dumps(changes)}, "cases": [\n{cases}\n]}}')
    text = '{"madeBy": "test/golden/make_tokenizer_golden.py", "groups": [\n' + ",\n".join(blocks) + "\n]}\n"
    (GOLDEN / "tokenizer.json").write_text(text)
