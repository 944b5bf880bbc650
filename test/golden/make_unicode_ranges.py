"""Writes src/tokenizer/unicode-ranges.ts from the behaviour of the Rust tokenizers library.

Its character tables are frozen (general categories of Unicode 8, normalisation of Unicode 9, newer ones in regular
expressions), so espalier carries the same ranges instead of asking the JavaScript engine, whose Unicode version changes
from release to release.

Usage: python test/golden/make_unicode_ranges.py   (needs `pip install tokenizers==0.22.2 unicodedata2==17.0.0`)
"""

from pathlib import Path

import unicodedata2
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import NFD, BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer, ByteLevel

OUTPUT = Path(__file__).resolve().parents[2] / "src/tokenizer/unicode-ranges.ts"
NOTHING = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
CLEAN = BertNormalizer(**{**NOTHING, "clean_text": True})
STRIP = BertNormalizer(**{**NOTHING, "strip_accents": True})
CHINESE = BertNormalizer(**{**NOTHING, "handle_chinese_chars": True})
SPLIT = BertPreTokenizer()
BYTE_LEVEL = ByteLevel(add_prefix_space=False)
ALONE = Tokenizer(BPE())
ALONE.add_tokens([AddedToken("x", single_word=True)])
DECOMPOSE = NFD()


def words(char):
    return [word for word, _ in SPLIT.pre_tokenize_str(f"a{char}b")]


def joins(before, char):
    """Whether the byte-level pre-tokenizer keeps the character in one word with the one before it."""
    return len(BYTE_LEVEL.pre_tokenize_str(before + char)) == 1


def around(char):
    """The character alone, and beside the marks of the lowest and the highest combining class."""
    return char, char + "\u0334", "\u0345" + char


def normalizes_differently(char):
    """Whether today's Unicode decomposes or reorders a character that the library leaves alone."""
    return any(unicodedata2.normalize("NFD", text) != DECOMPOSE.normalize_str(text) for text in around(char))


def is_kept_when_reordered(char):
    """Whether canonical ordering moves the character and strip_accents keeps it."""
    moves = DECOMPOSE.normalize_str(char) == char and any(DECOMPOSE.normalize_str(text) != text for text in around(char))
    return moves and STRIP.normalize_str(char) != ""


TABLES = {
    "WHITESPACE": ("separates words (White_Space)", lambda char: words(char) == ["a", "b"]),
    "PUNCTUATION": ("a word of its own (ASCII punctuation and category P)", lambda char: words(char) == ["a", char, "b"]),
    "REMOVED": ("dropped by clean_text (Cc, Cf, Co, U+0000, U+FFFD)", lambda char: CLEAN.normalize_str(char) == ""),
    "CHINESE": ("set apart by handle_chinese_chars", lambda char: CHINESE.normalize_str(char) != char),
    "NONSPACING_MARK": ("dropped by strip_accents (category Mn)", lambda char: STRIP.normalize_str(char) == ""),
    "KEPT_COMBINING": ("combining marks that strip_accents keeps and NFD reorders", is_kept_when_reordered),
    "LETTER": ("goes on with a word of letters (\\p{L})", lambda char: joins("a", char)),
    "NUMBER": ("goes on with a word of digits (\\p{N})", lambda char: joins("1", char)),
    "WORD": ("keeps added tokens that are single words from matching (\\w)", lambda char: not ALONE.encode(f"{char}x").ids),
    "UNNORMALIZED": ("normalised by Unicode 17 but not by Unicode 9", normalizes_differently),
}


def ranges(belongs):
    found = []
    for point in range(0x110000):
        if 0xD800 <= point < 0xE000 or not belongs(chr(point)):
            continue
        if found and found[-1][1] == point - 1:
            found[-1][1] = point
        else:
            found.append([point, point])
    return [f"{first:X}" if first == last else f"{first:X}-{last:X}" for first, last in found]


def wrap(texts, width=116):
    lines = [""]
    for text in texts:
        if len(lines[-1]) + len(text) + 1 > width:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + text
    return "\n".join("  " + line for line in lines)


if __name__ == "__main__":
    parts = ["// Made by test/golden/make_unicode_ranges.py: code points in hexadecimal, ranges inclusive."]
    for name, (meaning, belongs) in TABLES.items():
        parts.append(f"/** {meaning} */\nexport const {name} = `\n{wrap(ranges(belongs))}\n`;")
    OUTPUT.write_text("\n\n".join(parts) + "\n")
