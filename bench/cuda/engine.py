"""espalier's engine in this process, through the library of contender.cpp."""
import ctypes
from ctypes import POINTER, c_char_p, c_double, c_float, c_int32, c_int64, c_void_p
from dataclasses import dataclass
from pathlib import Path

import numpy as np


class EngineError(Exception):
    """What the library says of a call that failed."""


_SIZES = ("layers", "hidden", "head_size", "vocabulary", "positions", "token_types", "labels")


class _Shape(ctypes.Structure):
    _fields_ = [
        *((name, c_int32) for name in _SIZES),
        ("epsilon", c_double),
        ("heads", POINTER(c_int32)),
        ("neurons", POINTER(c_int32)),
    ]


class _Weight(ctypes.Structure):
    _fields_ = [("role", c_char_p), ("values", POINTER(c_float)), ("count", c_int64)]


class _Batch(ctypes.Structure):
    _fields_ = [
        ("sequences", c_int32),
        *((name, POINTER(c_int32)) for name in ("ids", "token_types", "offsets")),
    ]


@dataclass
class Shape:
    """heads, neurons: of each layer."""

    hidden: int
    head_size: int
    vocabulary: int
    positions: int
    token_types: int
    labels: int
    epsilon: float
    heads: list[int]
    neurons: list[int]


@dataclass
class PackedBatch:
    """Sequences without padding: int32 arrays [tokens], [tokens] and [sequences + 1]."""

    ids: np.ndarray
    token_types: np.ndarray
    offsets: np.ndarray

    @property
    def sequences(self) -> int:
        return len(self.offsets) - 1

    def native(self) -> _Batch:
        return _Batch(self.sequences, _integers(self.ids), _integers(self.token_types), _integers(self.offsets))


def _integers(values: np.ndarray):
    return values.ctypes.data_as(POINTER(c_int32))


def _floats(values: np.ndarray):
    return values.ctypes.data_as(POINTER(c_float))


class Library:
    def __init__(self, path: Path):
        self.calls = calls = ctypes.CDLL(str(path))
        calls.espalierLastError.restype = c_char_p
        calls.espalierOpen.restype = c_void_p
        calls.espalierOpen.argtypes = [c_char_p, c_char_p, c_char_p, c_int32, c_int32]
        calls.espalierDescribe.restype = c_char_p
        calls.espalierDescribe.argtypes = [c_void_p]
        calls.espalierClose.argtypes = [c_void_p]
        calls.espalierModel.restype = c_void_p
        calls.espalierModel.argtypes = [c_void_p, POINTER(_Shape), POINTER(_Weight), c_int32, c_int32]
        calls.espalierFreeModel.argtypes = [c_void_p]
        calls.espalierForward.argtypes = [c_void_p, POINTER(_Batch), POINTER(c_float)]
        calls.espalierMaskGradients.argtypes = [
            c_void_p,
            POINTER(_Batch),
            *[POINTER(c_int32)] * 2,
            *[POINTER(POINTER(c_float))] * 3,
        ]

    def error(self) -> EngineError:
        return EngineError(self.calls.espalierLastError().decode())

    def check(self, status: int) -> None:
        if status != 0:
            raise self.error()


class Model:
    """A model with an engine of its own; both end with close()."""

    def __init__(
        self,
        library: Library,
        shape: Shape,
        weights: dict[str, np.ndarray],
        *,
        backend: str,
        dtype: str,
        products: str,
        threads: int,
        device: int,
        gradients: bool,
    ):
        self.library, self.shape = library, shape
        self.model = None
        self.engine = library.calls.espalierOpen(backend.encode(), dtype.encode(), products.encode(), threads, device)
        if self.engine is None:
            raise library.error()
        self.model = library.calls.espalierModel(
            self.engine, self._native_shape(), _native_weights(weights), len(weights), gradients
        )
        if self.model is None:
            error = library.error()
            self.close()
            raise error

    def _native_shape(self) -> _Shape:
        shape, layers = self.shape, len(self.shape.heads)
        integers = c_int32 * layers
        return _Shape(
            layers,
            shape.hidden,
            shape.head_size,
            shape.vocabulary,
            shape.positions,
            shape.token_types,
            shape.labels,
            shape.epsilon,
            integers(*shape.heads),
            integers(*shape.neurons),
        )

    def close(self) -> None:
        if self.model is not None:
            self.library.calls.espalierFreeModel(self.model)
        if self.engine is not None:
            self.library.calls.espalierClose(self.engine)
        self.model = self.engine = None

    def describe(self) -> str:
        return self.library.calls.espalierDescribe(self.engine).decode()

    def forward(self, batch: PackedBatch) -> np.ndarray:
        """Logits [sequences, labels]."""
        logits = np.empty((batch.sequences, self.shape.labels), np.float32)
        self.library.check(self.library.calls.espalierForward(self.model, batch.native(), _floats(logits)))
        return logits

    def mask_gradients(
        self, batch: PackedBatch, classes: np.ndarray, groups: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Losses [sequences], gradients [groups, all heads] and [groups, all neurons], valid until the next call."""
        results = [POINTER(c_float)() for _ in range(3)]
        self.library.check(
            self.library.calls.espalierMaskGradients(
                self.model, batch.native(), _integers(classes), _integers(groups), *map(ctypes.byref, results)
            )
        )
        rows = int(groups[-1]) + 1
        shapes = [(batch.sequences,), (rows, sum(self.shape.heads)), (rows, sum(self.shape.neurons))]
        losses, heads, neurons = (np.ctypeslib.as_array(*result) for result in zip(results, shapes, strict=True))
        return losses, heads, neurons


def _native_weights(weights: dict[str, np.ndarray]):
    """The arrays must outlive the call."""
    return (_Weight * len(weights))(
        *(_Weight(role.encode(), _floats(values), values.size) for role, values in weights.items())
    )
