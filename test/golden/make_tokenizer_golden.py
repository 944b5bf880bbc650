"""Writes test/golden/tokenizer.json: what the Rust tokenizers library makes of texts with models/sentiment-mini and with a
small byte-level BPE, which is written to test/golden/byte-level-bpe.

Offsets are converted from code points to UTF-16 code units. Every group changes parts of the tokenizer.json first.

Usage: python test/golden/make_tokenizer_golden.py   (needs `pip install tokenizers==0.22.2`)
"""

import json
import random
from pathlib import Path

from tokenizer_oracle import encode, encode_windows
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors, trainers

GOLDEN = Path(__file__).resolve().parent
ROOT = GOLDEN.parents[1]
WORD_PIECE = "models/sentiment-mini/tokenizer.json"
BYTE_PAIRS = "test/golden/byte-level-bpe/tokenizer.json"
SOURCE = json.loads((ROOT / WORD_PIECE).read_text())

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
    "It's what they've said: we'll see, I'd say, he's 'em', I'm 'S 're'll",
    "  two  blanks\n\n three   \t end  ",
    "a<mask>b <mask>  <s>\u3000<mask></s><pad> <unk><mask",
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


def word_piece_groups(rng):
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
    texts = ["a film, films, film", "film\u1aeb film\U0003338d \u1aebfilm \U0003338dfilm \U0001f600film\ufffd", "film<ent>film <ent>", "x  <ent>\t\u3000 y<ent> <ent>", "new york NEW  YORK in New\tYork",
             "CAFE\u0301 x cafés le café  noir", "文字 字 字", "any (.*) (.*)", "[SEP]<ent>[SEP]"]  # fmt: skip
    yield "added tokens", {"added_tokens": SOURCE["added_tokens"] + tokens}, [(text, None, None) for text in texts]
    vocabulary = SOURCE["model"]["vocab"]
    processor = {"type": "BertProcessing", "sep": ["[SEP]", vocabulary["[SEP]"]], "cls": ["[CLS]", vocabulary["[CLS]"]]}
    yield "BertProcessing", {"post_processor": processor}, [("a film", None, None), ("a film", "a story", 5)]
    yield "windows", {}, list(windows(rng, words))


def windows(rng, words):
    """A question, a context, the longest window and the stride."""
    for _ in range(24):
        context = " ".join(rng.choices(SENTENCES[2:] + words, k=rng.randint(0, 3)))
        yield rng.choice(["", "who?", "what is it"]), context, rng.randint(18, 40), rng.choice([0, 1, 4, 8])


def byte_level_bpe():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True, normalized=False, special=True)],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = (ROOT / "demo/train.tsv").read_text().split("\n")[1:] + SENTENCES
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    return json.loads(tokenizer.to_str())


def byte_pair_groups(rng, source):
    words = [generated(rng) for _ in range(50)]
    texts = [(text, None, None) for text in SENTENCES + words]
    few = texts[: len(SENTENCES) + 10]
    pairs = [(rng.choice(SENTENCES), rng.choice(SENTENCES + words), rng.choice([None, 4, 5, 9, 16, 33])) for _ in range(40)]
    yield "byte-level BPE", {}, texts + pairs
    yield "byte-level BPE, windows", {}, list(windows(rng, words))
    pre, post = source["pre_tokenizer"], source["post_processor"]
    prefix = dict(add_prefix_space=True)
    prefixed = {"pre_tokenizer": {**pre, **prefix}, "post_processor": {**post, **prefix}}
    yield "byte-level BPE, prefix space", prefixed, few + pairs[:20] + [("😀 x", "𝔘", None), (" x", "\n", None)]
    yield "byte-level BPE, prefix space, windows", prefixed, list(windows(rng, words))[:20]
    yield "byte-level BPE, prefix space that is not trimmed", {"pre_tokenizer": {**pre, **prefix}}, few[::2]
    yield "byte-level BPE, offsets not trimmed", {"post_processor": {**post, "trim_offsets": False}}, few[::2] + pairs[:5]
    yield "byte-level BPE, no regular expression", {"pre_tokenizer": {**pre, "use_regex": False}}, few[::2]
    special = {"id": "</s>", "ids": [2], "tokens": ["</s>"]}
    template = {
        "type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"</s>": special},
    }
    yield "byte-level BPE, TemplateProcessing", {"post_processor": template}, few[::4] + pairs[:10]
    size = len(source["model"]["vocab"])
    tokens = [
        added("<ent>", size, 0, lstrip=True, rstrip=True, special=True),
        added(" New York", size, 1, normalized=True, single_word=True),
        added("good", size, 2, rstrip=True),
        added("\u3000\n", size, 3, normalized=True),
    ]
    texts = ["x \u00a0 <ent>\n\u3000y<ent> <ent>", " New York  New York, New Yorker", "good  good\n goods", " \u3000\n x\u3000\n", "<ent>😀<ent> 😀"]
    for name, change in [("", {}), (", prefix space", prefixed)]:
        changes = {"added_tokens": source["added_tokens"] + tokens, **change}
        yield f"byte-level BPE, added tokens{name}", changes, [(text, None, None) for text in texts] + [(texts[0], texts[1], 12)]


def case(tokenizer, text, pair, max_length, stride=None):
    given = {"text": text, "pair": pair, "maxLength": max_length, "stride": stride}
    given = {key: value for key, value in given.items() if value is not None}
    return {**given, "encodings": [encode(tokenizer, **given)] if stride is None else encode_windows(tokenizer, **given)}


if __name__ == "__main__":
    byte_pairs = byte_level_bpe()
    (ROOT / BYTE_PAIRS).parent.mkdir(exist_ok=True)
    (ROOT / BYTE_PAIRS).write_text(json.dumps(byte_pairs, ensure_ascii=False, separators=(",", ":")) + "\n")
    rng = random.Random(1)
    groups = [(WORD_PIECE, SOURCE, group) for group in word_piece_groups(rng)]
    groups += [(BYTE_PAIRS, byte_pairs, group) for group in byte_pair_groups(rng, byte_pairs)]
    blocks = []
    for path, source, (name, changes, inputs) in groups:
        tokenizer = Tokenizer.from_str(json.dumps({**source, **changes}))
        cases = ",\n".join(json.dumps(case(tokenizer, *item), separators=(",", ":")) for item in inputs)
        blocks.append(
            f'{{"name": {json.dumps(name)}, "tokenizer": "{path}", "changes": {json.dumps(changes)}, "cases": [\n{cases}\n]}}'
        )
    text = '{"madeBy": "test/golden/make_tokenizer_golden.py", "groups": [\n' + ",\n".join(blocks) + "\n]}\n"
    (GOLDEN / "tokenizer.json").write_text(text)
