"""Batches to run and the multiply-adds in them."""
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine import PackedBatch, Shape

LENGTHS = Path(__file__).with_name("lengths.json")
BATCH = 256


@dataclass
class Workload:
    name: str
    batches: list[PackedBatch]

    @property
    def equal_lengths(self) -> bool:
        return len(set(np.concatenate([np.diff(batch.offsets) for batch in self.batches]).tolist())) == 1

    @property
    def tokens(self) -> int:
        return sum(len(batch.ids) for batch in self.batches)

    @property
    def padded_tokens(self) -> int:
        return sum(batch.sequences * int(np.diff(batch.offsets).max()) for batch in self.batches)


def random_batch(lengths: list[int], vocabulary: int, random: np.random.Generator) -> PackedBatch:
    """Ids from 1: 0 is BERT's padding."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    tokens = int(offsets[-1])
    ids = random.integers(1, vocabulary, tokens, dtype=np.int32)
    return PackedBatch(ids, np.zeros(tokens, np.int32), offsets)


def equal_lengths(sequences: int, length: int, vocabulary: int) -> Workload:
    batch = random_batch([length] * sequences, vocabulary, np.random.default_rng(0))
    return Workload(f"{sequences} x {length}", [batch])


def length_mix(task: str, vocabulary: int, batches: int, size: int = BATCH) -> Workload:
    """Batches of consecutive sequences of the data file."""
    lengths = json.loads(LENGTHS.read_text())[task]
    random = np.random.default_rng(0)
    parts = [lengths[first : first + size] for first in range(0, len(lengths), size)][:batches]
    name = {"sst2": "SST-2", "mrpc": "MRPC"}[task]
    return Workload(f"{name}, batch {size}", [random_batch(part, vocabulary, random) for part in parts])


FORMULA = (
    "2 x multiply-adds of the products that the engine needs: a layer of r rows leaving it and t tokens entering it, "
    "hidden size h, w = heads x head size, n neurons: 2hw(2t + 2r) for query, key, value and output, 4w times the sum "
    "over the sequences of queries x keys, 4rhn for the FFN; r = t, but r = sequences in the last layer. Gradients: "
    "as much again for the backward pass, in attention 2.5 times as much, less everything below layer 0's context. "
    "Training: three times as much in all, in attention 3.5 times. MACs left where tokens are dropped: as "
    "src/tokens/token-counts.ts counts them"
)


def forward_operations(shape: Shape, batch: PackedBatch) -> int:
    return sum(_layer_operations(shape, layer, batch) for layer in range(len(shape.heads)))


def _layer_operations(shape: Shape, layer: int, batch: PackedBatch) -> int:
    tokens, width = len(batch.ids), shape.heads[layer] * shape.head_size
    last = layer == len(shape.heads) - 1
    rows = batch.sequences if last else tokens
    projections = 2 * shape.hidden * width * (2 * tokens + 2 * rows)
    return projections + 4 * _pairs(batch, last) * width + 4 * rows * shape.hidden * shape.neurons[layer]


def _pairs(batch: PackedBatch, first_tokens: bool) -> int:
    """Queries x keys, summed over the sequences."""
    return len(batch.ids) if first_tokens else int((np.diff(batch.offsets).astype(np.int64) ** 2).sum())


def gradient_operations(shape: Shape, batch: PackedBatch) -> int:
    """As gradientOperations() of bench/support/operations.ts."""
    last = len(shape.heads) - 1
    attention = sum(
        6 * _pairs(batch, layer == last) * heads * shape.head_size for layer, heads in enumerate(shape.heads)
    )
    first_width = shape.heads[0] * shape.head_size
    below_context = 6 * len(batch.ids) * shape.hidden * first_width + 10 * _pairs(batch, False) * first_width
    return 2 * forward_operations(shape, batch) + attention - below_context


def training_operations(shape: Shape, batch: PackedBatch) -> int:
    last = len(shape.heads) - 1
    attention = sum(
        2 * _pairs(batch, layer == last) * heads * shape.head_size for layer, heads in enumerate(shape.heads)
    )
    return 3 * forward_operations(shape, batch) + attention


def part_of_macs(shape: Shape, batch: PackedBatch, depths: np.ndarray) -> float:
    """depths: [tokens] the layers that let each go on."""
    return _macs(shape, batch, depths) / _macs(shape, batch, np.full_like(depths, len(shape.heads)))


def _macs(shape: Shape, batch: PackedBatch, depths: np.ndarray) -> int:
    """As sequenceMacs() of src/tokens/token-counts.ts: attention by the tokens that come in, FFN by those that go
    on."""
    total = 0
    hidden = shape.hidden
    for layer, (heads, neurons) in enumerate(zip(shape.heads, shape.neurons)):
        before, after = (
            np.add.reduceat((depths >= depth).astype(np.int64), batch.offsets[:-1]) for depth in (layer, layer + 1)
        )
        width = heads * shape.head_size
        attention = 4 * before * hidden * width + 2 * before**2 * width
        total += int((attention + 2 * after * hidden * neurons).sum())
    return total
