"""Writes test/golden/squad.json: SQuAD's metrics, spans chosen from logits, and training labels of windows.

Metrics and spans follow the published definitions (Rajpurkar et al. 2016 and 2018; transformers' question-answering
example), written anew here; windows come from transformers' tokenizer of models/sentiment-mini. Offsets are in code points
here, so the contexts keep to the basic plane.

Usage: python test/golden/make_squad_golden.py   (needs `pip install numpy transformers==4.57.6`)
"""

import json
import re
import string
from collections import Counter
from pathlib import Path

import numpy as np
from transformers import AutoTokenizer

GOLDEN = Path(__file__).resolve().parent


# Metrics


def words(text):
    text = "".join(char for char in text.lower() if char not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", text).split()


def word_f1(answer, gold):
    common = sum((Counter(answer) & Counter(gold)).values())
    if common == 0:
        return 0.0
    precision, recall = common / len(answer), common / len(gold)
    return 2 * precision * recall / (precision + recall)


def score_v1(answer, golds):
    answer, golds = words(answer), [words(gold) for gold in golds]
    return {
        "exact": max(float(answer == gold) for gold in golds),
        "f1": max(word_f1(answer, gold) for gold in golds),
    }


def score_v2(answer, golds):
    golds = [gold for gold in golds if words(gold)] or [""]
    empty = lambda gold: not words(answer) or not words(gold)
    return {
        "exact": max(float(words(answer) == words(gold)) for gold in golds),
        "f1": max(
            float(words(answer) == words(gold)) if empty(gold) else word_f1(words(answer), words(gold)) for gold in golds
        ),
    }


ANSWERS = [
    ("Denver Broncos", ["Denver Broncos", "The Denver Broncos"]),
    ("the Broncos of Denver", ["Denver Broncos"]),
    ("Denver", ["Carolina Panthers"]),
    ("a an the", ["The"]),
    ("", ["The"]),
    ("", ["x", "the"]),
    ("an", ["x", "the"]),
    ("the the cat sat sat", ["cat sat on the sat mat", "sat"]),
    ("U.S.", ["us", "u s"]),
    ("well-known", ["well known", "wellknown"]),
    ("$2.5 million", ["2.5 million", "25 million dollars"]),
    ("“quoted”", ["quoted", '"quoted"']),
    ("A.", ["a", "vitamin A"]),
    ("the_end an1 a-b", ["theend an1 ab", "end"]),
    ("a\u0301 bc", ["\u0301 bc", "á bc"]),
    ("Á the Ñandú", ["á ñandú"]),
    ("thé a", ["thé", "thea"]),
    ("ΟΔΟΣ", ["οδος", "οδοσ"]),
    ("İstanbul", ["i\u0307stanbul", "istanbul"]),
    ("1\u00a02\u20033\u20284\u30005\u200b6\ufeff7", ["1 2 3 4 5\u200b6\ufeff7", "1 2 3 4 5 6 7"]),
    ("x\x1cy\x1fz\x85w\x0bv", ["x y z w v"]),
    ("5 th a٣ ²a Ⅷa", ["5 th a٣ ²a Ⅷa", "5 th ٣ ² Ⅷ"]),
    ("—dash–en…", ["dashen", "—dash–en…"]),
    ("", []),
    ("something", []),
    ("the", []),
]


# Spans


def choose(windows, unanswerable, best_count=20, longest=30):
    """windows: (start logits, end logits, offsets with None outside the context); logits in float32."""
    found, null = [], None
    for starts, ends, offsets in windows:
        score = starts[0] + ends[0]
        if null is None or score < null["score"]:
            null = {"span": (0, 0), "score": score}
        # Equal logits: the later token first, as reading an ascending stable sort backwards gives.
        order = lambda logits: np.argsort(logits, kind="stable")[::-1][:best_count]
        for first in order(starts):
            for last in order(ends):
                inside = offsets[first] is not None and offsets[last] is not None
                if inside and first <= last < first + longest:
                    span = (offsets[first][0], offsets[last][1])
                    found.append({"span": span, "score": starts[first] + ends[last]})
    if unanswerable:
        found.append(null)
    best = sorted(found, key=lambda candidate: candidate["score"], reverse=True)[:best_count]
    if unanswerable and all(candidate is not null for candidate in best):
        best.append(null)
    chosen = next(candidate for candidate in best if candidate is not null)
    if unanswerable and null["score"] - chosen["score"] > 0:
        chosen = null
    scores = np.array([candidate["score"] for candidate in best], dtype=np.float64)
    weights = np.exp(scores - scores.max())
    probability = weights[[candidate is chosen for candidate in best].index(True)] / weights.sum()
    return {"start": chosen["span"][0], "end": chosen["span"][1], "probability": probability}


def random_windows(rng):
    """A question of a few tokens, then context; coarse logits make ties and a small file."""
    question, context, windows = rng.integers(1, 6), rng.integers(1, 70), []
    step = rng.choice([1 / 2, 1 / 32])
    for window in range(rng.integers(1, 4)):
        tokens = question + context + 3
        logits = [(np.round(rng.normal(0, 2, tokens) / step) * step).astype(np.float32) for _ in range(2)]
        if rng.random() < 0.7:
            logits[0][0] += 8
        offsets = [None] * tokens
        for token in range(context):
            offsets[question + 2 + token] = (int(200 * window + 3 * token), int(200 * window + 3 * token + 2))
        windows.append((*logits, offsets))
    return windows


def spans(count):
    rng = np.random.default_rng(0)
    for _ in range(count):
        windows = random_windows(rng)
        yield {
            "windows": [
                {
                    "logits": [float(logit) for pair in zip(starts, ends) for logit in pair],
                    "context": [offsets.index(next(o for o in offsets if o)), sum(o is not None for o in offsets)],
                    "offset": next(o for o in offsets if o)[0],
                }
                for starts, ends, offsets in windows
            ],
            "squad": choose(windows, False),
            "squad_v2": choose(windows, True),
        }


# Windows

CONTEXT = (
    "The film opens on a quiet street in Zürich, where Ms. O'Neill (a retired clock-maker) counts the hours; nothing moves "
    "but the hands. By 1912 her brother had sold 3,000 of them -- each one slower than the last. It is, she says, the "
    "finest joke that a family ever told, and nobody laughed until the war was over."
)
QUESTIONS = [
    ("  Where does the film open?", "Zürich"),
    ("How many clocks were sold by her brother?", "3,000"),
    ("Who is retired?", "Ms. O'Neill (a retired clock-maker)"),
    ("What opens?", "The film"),
    ("Until when did nobody laugh?", "the war was over"),
    ("What is the last mark?", "."),
    ("What does the hands' movement say?", "the hands. By 1912 her brother had sold 3,000 of them -- each one slower"),
    ("What part of a word is it?", "lock-mak"),
    ("Does it say who laughed?", None),
]


def window_labels():
    tokenizer = AutoTokenizer.from_pretrained(GOLDEN.parents[1] / "models/sentiment-mini")
    for max_length in (384, 48, 33):
        for question, answer in QUESTIONS:
            start = None if answer is None else CONTEXT.rindex(answer)
            encoded = tokenizer(
                question.lstrip(), CONTEXT, truncation="only_second", max_length=max_length,
                stride=min(128, max_length // 3), return_overflowing_tokens=True, return_offsets_mapping=True,
            )  # fmt: skip
            labels = []
            for window, offsets in enumerate(encoded["offset_mapping"]):
                inside = [i for i, sequence in enumerate(encoded.sequence_ids(window)) if sequence == 1]
                if answer is None or offsets[inside[0]][0] > start or offsets[inside[-1]][1] < start + len(answer):
                    labels.append([0, 0])
                    continue
                labels.append([
                    max(token for token in inside if offsets[token][0] <= start),
                    min(token for token in inside if offsets[token][1] >= start + len(answer)),
                ])  # fmt: skip
            yield {
                "maxLength": max_length,
                "question": question,
                "answers": [] if answer is None else [{"text": answer, "answer_start": start}],
                "ids": encoded["input_ids"],
                "labels": labels,
            }


golden = {
    "format": 1,
    "context": CONTEXT,
    "metrics": [
        {
            "answer": answer,
            "golds": golds,
            "squad": score_v1(answer, golds) if golds else None,
            "squad_v2": score_v2(answer, golds),
        }
        for answer, golds in ANSWERS
    ],
    "spans": list(spans(40)),
    "windows": list(window_labels()),
}
(GOLDEN / "squad.json").write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")) + "\n")
