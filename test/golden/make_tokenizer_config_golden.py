"""Writes test/golden/tokenizer-config.json: what transformers' AutoTokenizer makes of directories whose files disagree, or
that hold a vocabulary instead of a tokenizer.json.

Usage: python test/golden/make_tokenizer_config_golden.py   (needs `pip install transformers==4.57.6`)
"""

import json
import tempfile
from pathlib import Path

from tokenizer_oracle import convert
from transformers import AutoTokenizer

GOLDEN = Path(__file__).resolve().parent
ROOT = GOLDEN.parents[1]
WORD_PIECE = "models/sentiment-mini/tokenizer.json"
BYTE_PAIRS = "test/golden/byte-level-bpe/tokenizer.json"

BERT_TEXTS = ["A Film é É ÉCOLE 漢字", "[MASK]  <ent>  <ENT> x", "filmy FILM film, Film", "[CLS]  New York new york [PAD] <s><mask>"]
ROBERTA_TEXTS = ["A film  é 漢字", "a  <mask>  <ent>  <ENT> x", "film<s>film </s> Film <pad>", " New York new york"]
PLAIN = dict(tokenizer_class="PreTrainedTokenizerFast")
CASED = dict(lowercase=False, strip_accents=True, handle_chinese_chars=False)


def token(content, typed=False, **flags):
    return {"content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False, **flags,
            **({"__type": "AddedToken"} if typed else {})}  # fmt: skip


def word_piece(normalizer={}, added=()):
    file = json.loads((ROOT / WORD_PIECE).read_text())
    return {"normalizer": {**file["normalizer"], **normalizer}, "added_tokens": file["added_tokens"] + list(added)}


def byte_pairs(pre={}, post={}):
    file = json.loads((ROOT / BYTE_PAIRS).read_text())
    return {"pre_tokenizer": {**file["pre_tokenizer"], **pre}, "post_processor": {**file["post_processor"], **post}}


def directories():
    """Name, model_type, changes of the tokenizer.json or None where there is only a vocabulary, other files."""
    size = 7000
    yield "nothing said", "bert", word_piece(CASED), {}
    yield "nothing said", "distilbert", word_piece(CASED), {}
    yield "all said", "bert", word_piece(), {"tokenizer_config.json": dict(do_lower_case=False, strip_accents=True, tokenize_chinese_chars=False)}
    yield "accents kept", "bert", word_piece(), {"tokenizer_config.json": dict(strip_accents=False, tokenizer_class="DistilBertTokenizer")}
    yield "the class that follows the file", "bert", word_piece(CASED), {"tokenizer_config.json": dict(do_lower_case=True, **PLAIN)}
    yield "the class of config.json", "bert", word_piece(CASED), {"config.json": PLAIN}
    yield "the class of tokenizer_config.json before config.json's", "bert", word_piece(CASED), {
        "tokenizer_config.json": dict(tokenizer_class="BertTokenizer"), "config.json": PLAIN}  # fmt: skip
    cased_token = {**token("New York", normalized=True), "id": size}
    yield "added tokens stay normalized as in the file", "bert", word_piece(CASED, [cased_token]), {}
    yield "listed tokens", "bert", word_piece(), {"tokenizer_config.json": dict(
        additional_special_tokens=["<ent>"],
        added_tokens_decoder={4: token("[MASK]", lstrip=True), size: token("<ENT>", normalized=True), 220: token("film", rstrip=True, single_word=True)},
    )}  # fmt: skip
    yield "where a token is looked for does not change", "bert", word_piece({}, [{**token("film", special=True), "id": 220}]), {
        "tokenizer_config.json": dict(bos_token=token("film", typed=True, normalized=True, rstrip=True))}  # fmt: skip
    yield "special_tokens_map.json", "bert", word_piece(), {
        "tokenizer_config.json": dict(additional_special_tokens=["<ent>"]),
        "special_tokens_map.json": dict(additional_special_tokens=[token("<ent>", lstrip=True), "film"], mask_token="<mask>")}  # fmt: skip
    yield "added_tokens.json", "bert", word_piece(), {"added_tokens.json": {"<ent>": size, "film": 220}}
    yield "standard tokens of another class", "bert", word_piece(), {"tokenizer_config.json": dict(tokenizer_class="RobertaTokenizerFast")}
    yield "vocabulary, special tokens", "bert", None, {"tokenizer_config.json": dict(
        additional_special_tokens=["<ent>", token("film", typed=True, rstrip=True)], extra_special_tokens={"other": "<ENT>"}, do_lower_case=False)}  # fmt: skip
    yield "vocabulary, special_tokens_map.json", "bert", None, {
        "tokenizer_config.json": dict(cls_token="[PAD]", mask_token="[MASK]"),
        "special_tokens_map.json": dict(cls_token="[CLS]", mask_token=token("[MASK]", lstrip=True), additional_special_tokens=["<ent>"])}  # fmt: skip
    yield "vocabulary, special_tokens_map.json that does not count", "bert", None, {
        "tokenizer_config.json": dict(added_tokens_decoder={size: token("<ent>", lstrip=True)}),
        "special_tokens_map.json": dict(cls_token="[PAD]", additional_special_tokens=["<ENT>"])}  # fmt: skip
    yield "vocabulary, added_tokens.json", "distilbert", None, {
        "tokenizer_config.json": dict(additional_special_tokens=["<ent>"]), "added_tokens.json": {"<ent>": size, "New York": size + 1}}  # fmt: skip

    prefix, untrimmed = dict(add_prefix_space=True), dict(trim_offsets=False)
    yield "nothing said", "roberta", byte_pairs(prefix, {**prefix, **untrimmed}), {}
    yield "all said", "roberta", byte_pairs(), {"tokenizer_config.json": {**prefix, **untrimmed}}
    yield "the class that follows the file, but for the prefix space", "roberta", byte_pairs(prefix, {**prefix, **untrimmed}), {"tokenizer_config.json": PLAIN}
    yield "mask token", "roberta", byte_pairs(), {"tokenizer_config.json": dict(added_tokens_decoder={4: token("<mask>", rstrip=True)})}
    yield "mask token by name", "roberta", byte_pairs(), {
        "tokenizer_config.json": dict(mask_token="<mask>", added_tokens_decoder={4: token("<mask>", rstrip=True)})}  # fmt: skip
    yield "vocabulary, special tokens", "roberta", None, {"tokenizer_config.json": dict(
        additional_special_tokens=["s>", token("<ent>", typed=True, lstrip=True)], **prefix)}  # fmt: skip
    yield "vocabulary, added_tokens.json", "roberta", None, {"added_tokens.json": {"<ent>": 900, "New York": 901}}


def write(directory, tokenizer, changes, files):
    source = json.loads((ROOT / tokenizer).read_text())
    vocabulary = source["model"]["vocab"]
    if changes is not None:
        (directory / "tokenizer.json").write_text(json.dumps({**source, **changes}))
    elif tokenizer == WORD_PIECE:
        (directory / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.get)))
    else:
        (directory / "vocab.json").write_text(json.dumps(vocabulary))
        (directory / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in source["model"]["merges"]))
    for name, content in files.items():
        (directory / name).write_text(json.dumps(content))


def group(name, model_type, changes, files):
    tokenizer, texts = (BYTE_PAIRS, ROBERTA_TEXTS) if model_type == "roberta" else (WORD_PIECE, BERT_TEXTS)
    files = {**files, "config.json": {"model_type": model_type, **files.get("config.json", {})}}
    with tempfile.TemporaryDirectory() as directory:
        write(Path(directory), tokenizer, changes, files)
        loaded = AutoTokenizer.from_pretrained(directory)
    cases = [{"text": text, "encoding": convert(loaded(text).encodings[0], text, None)} for text in texts]
    return {"name": f"{model_type}: {name}", "tokenizer": tokenizer, "changes": changes, "files": files, "vocabularySize": len(loaded), "cases": cases}


if __name__ == "__main__":
    lines = [json.dumps(group(*directory), separators=(",", ":")) for directory in directories()]
    text = '{"madeBy": "test/golden/make_tokenizer_config_golden.py", "groups": [\n' + ",\n".join(lines) + "\n]}\n"
    (GOLDEN / "tokenizer-config.json").write_text(text)
