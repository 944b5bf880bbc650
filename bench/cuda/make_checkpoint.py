"""Writes a BERT checkpoint with random weights and a data file of random sentences for it: what a pruning run needs to
be timed where there are neither checkpoints nor data.

python3 make_checkpoint.py --tokenizer models/sentiment-mini --output /tmp/bert-base
"""
import argparse
import json
import random
import shutil
from pathlib import Path

import torch
import transformers

LENGTHS = Path(__file__).with_name("lengths.json")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def words_of(vocabulary: Path) -> list[str]:
    """Whole words, each of which is one token."""
    return [token for token in vocabulary.read_text().splitlines() if token.isascii() and token.isalpha()]


def write_checkpoint(options: argparse.Namespace) -> None:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        num_hidden_layers=options.layers,
        hidden_size=options.hidden,
        num_attention_heads=max(options.hidden // 64, 1),
        intermediate_size=4 * options.hidden,
        vocab_size=options.vocabulary,
        num_labels=2,
        initializer_range=options.hidden**-0.5,  # sums of about 1, which a GELU bends
    )
    transformers.BertForSequenceClassification(config).save_pretrained(options.output)
    for name in TOKENIZER_FILES:
        shutil.copy(options.tokenizer / name, options.output)


def write_sentences(options: argparse.Namespace) -> None:
    """SST-2's columns and its lengths: two tokens of a sequence are the special ones."""
    words = words_of(options.tokenizer / "vocab.txt")
    lengths = json.loads(LENGTHS.read_text())["sst2"]
    choice = random.Random(0)
    with (options.output / "train.tsv").open("w") as file:
        file.write("sentence\tlabel\n")
        for index in range(options.sentences):
            length = max(lengths[index % len(lengths)] - 2, 1)
            file.write(f"{' '.join(choice.choices(words, k=length))}\t{choice.randrange(2)}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", type=Path, required=True, help="directory of a checkpoint with a WordPiece")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--hidden", type=int, default=768)
    parser.add_argument("--vocabulary", type=int, default=30522, help="rows of the word embeddings")
    parser.add_argument("--sentences", type=int, default=2048)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    write_checkpoint(options)
    write_sentences(options)


if __name__ == "__main__":
    main()
