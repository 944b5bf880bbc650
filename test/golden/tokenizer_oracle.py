"""What the Rust tokenizers library makes of texts, in espalier's words: offsets in UTF-16 code units."""


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
