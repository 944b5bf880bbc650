"""Makes test/golden/parquet: a few sentences as pyarrow writes them with each codec, encoding and page version.

    pip install pyarrow
    python test/golden/make_parquet_golden.py
"""
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

OUTPUT = Path(__file__).resolve().parent / "parquet"
OUTPUT.mkdir(exist_ok=True)

SENTENCES = ["a charming journey", "bleak é 🙂", "", 'it "works",\nin\ttwo lines', "\ufeffmarked", "bleak é 🙂"]
table = pa.table({
    "sentence": pa.array(SENTENCES),
    "label": pa.array([1, 0, 1, 1, 0, 0], pa.int64()),
    "score": pa.array([0.5, 1.0, None, 2.25, -1.5, 1e-3], pa.float64()),
    "small": pa.array([1, 0, 1, 1, 0, 0], pa.int32()),
    "large": pa.array([2**53 + 1, -(2**63), 5, None, 0, 1], pa.int64()),
    "flag": pa.array([True, False, True, None, False, False]),
    "tokens": pa.array([["a"], [], None, ["b", "c"], ["d"], ["e"]]),
    "category": pa.array(["x", "y", "x", "x", None, "y"]).dictionary_encode(),
})
for name, options in {
    "plain": dict(compression="none", use_dictionary=False),
    "dictionary": dict(compression="none", use_dictionary=True),
    "snappy": dict(compression="snappy"),
    "zstd": dict(compression="zstd"),
    "gzip": dict(compression="gzip"),
    "brotli": dict(compression="brotli"),
    "pages-v2": dict(compression="zstd", data_page_version="2.0"),
    "groups": dict(compression="snappy", row_group_size=2),
    "delta": dict(
        compression="none", use_dictionary=False,
        column_encoding={"sentence": "DELTA_LENGTH_BYTE_ARRAY", "label": "DELTA_BINARY_PACKED"},
    ),
    "lz4": dict(compression="lz4"),
    "delta-strings": dict(use_dictionary=False, column_encoding={"sentence": "DELTA_BYTE_ARRAY"}),
}.items():
    pq.write_table(table, OUTPUT / f"{name}.parquet", **options)

# As datasets stores SQuAD, in two row groups and with pages of few rows.
answers = [(["journey"], [11]), ([], []), (["it", "two"], [0, 15]), (["a"], [0])]
squad = pa.table({
    "id": [f"q{row}" for row in range(4)],
    "question": ["What is charming?", "Why?", "What works?", "What?"],
    "context": [SENTENCES[0], SENTENCES[1], SENTENCES[3], "a"],
    "answers": pa.array(
        [{"text": text, "answer_start": start} for text, start in answers],
        pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int32()))]),
    ),
})
pq.write_table(squad, OUTPUT / "squad.parquet", compression="snappy", row_group_size=3, data_page_size=1, write_batch_size=1)


def spoil(name, column, needle, bytes_, **options):
    """A file whose one column is overwritten with `bytes_` where `needle` first stands."""
    path = OUTPUT / f"{name}.parquet"
    schema = pa.schema([pa.field("label", column.type, nullable=False)])
    pq.write_table(pa.table({"label": column}, schema=schema), path, compression="none", **options)
    content = bytearray(path.read_bytes())
    at = content.index(needle)
    content[at : at + len(bytes_)] = bytes_
    path.write_bytes(content)


numbers = [row % 7 for row in range(1000)]
# A run of 2^30 dictionary indices of 3 bits in a page of 1000.
spoil("bomb", pa.array(numbers, pa.int64()), b"\x03\x7f", b"\x03\xfe\xff\xff\xff\x07\x01")
# Delta blocks of -1 miniblocks: the decoder stands still.
spoil(
    "endless", pa.array(numbers, pa.int32()), b"\x80\x01\x04\xe8\x07", b"\x01\xff\xff\xff\xff\x0f\x01\x00\x00\x00\x00",
    use_dictionary=False, column_encoding={"label": "DELTA_BINARY_PACKED"},
)
