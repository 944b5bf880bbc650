"""espalier's engine in this process, through the library of contender.cpp."""
import ctypes
from ctypes import POINTER, c_char_p, c_double, c_float, c_int32, c_int64, c_uint64, c_void_p
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


class _Step(ctypes.Structure):
    _fields_ = [
        *((name, c_double) for name in ("learning_rate", "weight_decay", "max_gradient_norm", "dropout")),
        ("seed", c_uint64),
    ]


class _Thresholds(ctypes.Structure):
    _fields_ = [("values", POINTER(c_double)), ("padded_length", c_int32)]


class _Statistics(ctypes.Structure):
    _fields_ = [
        ("rows", c_double),
        ("inputs", c_int64),
        ("hidden", c_int64),
        *((name, POINTER(c_double)) for name in ("gram", "cross", "input_sums", "target_sums")),
        ("weight", POINTER(c_float)),
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


@dataclass
class Step:
    """Of training: AdamW with clipping. `seed` is of what is dropped out."""

    learning_rate: float
    weight_decay: float
    max_gradient_norm: float
    dropout: float
    seed: int = 0


@dataclass
class Statistics:
    """Sums over `rows` tokens of a projection's inputs x and targets b: gram [inputs, inputs], cross [inputs, hidden],
    input_sums [inputs] and target_sums [hidden] in float64; weight [hidden, inputs] in float32."""

    rows: int
    gram: np.ndarray
    cross: np.ndarray
    input_sums: np.ndarray
    target_sums: np.ndarray
    weight: np.ndarray

    def native(self) -> _Statistics:
        sums = (self.gram, self.cross, self.input_sums, self.target_sums)
        hidden, inputs = self.weight.shape
        return _Statistics(self.rows, inputs, hidden, *map(_doubles, sums), _floats(self.weight))


def _integers(values: np.ndarray):
    return values.ctypes.data_as(POINTER(c_int32))


def _doubles(values: np.ndarray):
    return values.ctypes.data_as(POINTER(c_double))


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
        calls.espalierForwardDropping.argtypes = [
            c_void_p,
            POINTER(_Batch),
            POINTER(_Thresholds),
            POINTER(c_float),
            POINTER(c_int32),
        ]
        calls.espalierTraining.restype = c_void_p
        calls.espalierTraining.argtypes = [c_void_p]
        calls.espalierFreeTraining.argtypes = [c_void_p]
        calls.espalierTrain.argtypes = [
            c_void_p,
            POINTER(_Batch),
            POINTER(c_int32),
            POINTER(_Step),
            POINTER(c_float),
            POINTER(c_double),
        ]
        calls.espalierParameter.argtypes = [c_void_p, c_char_p, POINTER(c_float)]
        statistics, doubles = POINTER(_Statistics), POINTER(c_double)
        calls.espalierSolveProjection.argtypes = [c_void_p, statistics, c_double, *[POINTER(c_float)] * 2]
        calls.espalierBestRidge.argtypes = [c_void_p, statistics, statistics, doubles, c_int32, doubles]
        calls.espalierSolveScales.argtypes = [c_void_p, statistics, doubles]
        calls.espalierEliminationOrder.argtypes = [c_void_p, statistics, doubles, c_double, POINTER(c_int32), doubles]

    def error(self) -> EngineError:
        return EngineError(self.calls.espalierLastError().decode())

    def check(self, status: int) -> None:
        if status != 0:
            raise self.error()


class Engine:
    """A device opened for use. What is made on it ends before it does."""

    def __init__(self, library: Library, *, backend: str, dtype: str, products: str, threads: int, device: int):
        self.library = library
        self.engine = library.calls.espalierOpen(backend.encode(), dtype.encode(), products.encode(), threads, device)
        if self.engine is None:
            raise library.error()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_error) -> None:
        self.library.calls.espalierClose(self.engine)

    def describe(self) -> str:
        return self.library.calls.espalierDescribe(self.engine).decode()

    def model(self, shape: Shape, weights: dict[str, np.ndarray], *, gradients: bool) -> "Model":
        return Model(self, shape, weights, gradients)

    # The solver, native/solver/solver.h.

    def solve_projection(self, statistics: Statistics, ridge: float) -> tuple[np.ndarray, np.ndarray]:
        """Weight [hidden, inputs] and what is to be added to the bias [hidden]."""
        weight, shift = np.empty_like(statistics.weight), np.empty(len(statistics.weight), np.float32)
        self.library.check(
            self.library.calls.espalierSolveProjection(
                self.engine, statistics.native(), ridge, _floats(weight), _floats(shift)
            )
        )
        return weight, shift

    def best_ridge(self, fit: Statistics, held_out: Statistics, ridges: list[float]) -> float:
        best = c_double()
        values = (c_double * len(ridges))(*ridges)
        self.library.check(
            self.library.calls.espalierBestRidge(
                self.engine, fit.native(), held_out.native(), values, len(ridges), ctypes.byref(best)
            )
        )
        return best.value

    def solve_scales(self, statistics: Statistics) -> np.ndarray:
        """One scale 1 + z of every input: z [inputs]."""
        scales = np.empty(len(statistics.gram))
        self.library.check(self.library.calls.espalierSolveScales(self.engine, statistics.native(), _doubles(scales)))
        return scales

    def elimination_order(
        self, statistics: Statistics, output_moments: np.ndarray, ridge: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """The inputs, the first to do without first, and the errors once so many are gone: [inputs] each."""
        order, errors = np.empty(len(statistics.gram), np.int32), np.empty(len(statistics.gram))
        self.library.check(
            self.library.calls.espalierEliminationOrder(
                self.engine, statistics.native(), _doubles(output_moments), ridge, _integers(order), _doubles(errors)
            )
        )
        return order, errors


class Model:
    def __init__(self, engine: Engine, shape: Shape, weights: dict[str, np.ndarray], gradients: bool):
        self.library, self.shape = engine.library, shape
        self.model = self.library.calls.espalierModel(
            engine.engine, self._native_shape(), _native_weights(weights), len(weights), gradients
        )
        if self.model is None:
            raise self.library.error()

    def __enter__(self) -> "Model":
        return self

    def __exit__(self, *_error) -> None:
        self.library.calls.espalierFreeModel(self.model)

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

    def forward(self, batch: PackedBatch) -> np.ndarray:
        """Logits [sequences, labels]."""
        logits = np.empty((batch.sequences, self.shape.labels), np.float32)
        self.library.check(self.library.calls.espalierForward(self.model, batch.native(), _floats(logits)))
        return logits

    def forward_dropping(
        self, batch: PackedBatch, thresholds: list[float], padded_length: int, depths: np.ndarray | None = None
    ) -> np.ndarray:
        """Logits [sequences, labels]. depths, where it is given, receives the layers that let each token go on: int32
        [tokens]."""
        logits = np.empty((batch.sequences, self.shape.labels), np.float32)
        values = _Thresholds((c_double * len(thresholds))(*thresholds), padded_length)
        self.library.check(
            self.library.calls.espalierForwardDropping(
                self.model, batch.native(), values, _floats(logits), None if depths is None else _integers(depths)
            )
        )
        return logits

    def training(self) -> "Training":
        return Training(self)

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


class Training:
    """Of a copy of a model."""

    def __init__(self, model: Model):
        self.library = model.library
        self.training = self.library.calls.espalierTraining(model.model)
        if self.training is None:
            raise self.library.error()

    def __enter__(self) -> "Training":
        return self

    def __exit__(self, *_error) -> None:
        self.library.calls.espalierFreeTraining(self.training)

    def train(self, batch: PackedBatch, classes: np.ndarray, step: Step) -> tuple[np.ndarray, float]:
        """One step. The losses before it [sequences], and the gradients' norm before it was clipped."""
        losses, norm = np.empty(batch.sequences, np.float32), c_double()
        native = _Step(step.learning_rate, step.weight_decay, step.max_gradient_norm, step.dropout, step.seed)
        self.library.check(
            self.library.calls.espalierTrain(
                self.training, batch.native(), _integers(classes), native, _floats(losses), ctypes.byref(norm)
            )
        )
        return losses, norm.value

    def parameters(self, like: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """By role, in the shapes of the weights."""
        values = {role: np.empty_like(weight) for role, weight in like.items()}
        for role, array in values.items():
            self.library.check(self.library.calls.espalierParameter(self.training, role.encode(), _floats(array)))
        return values


def _native_weights(weights: dict[str, np.ndarray]):
    """The arrays must outlive the call."""
    return (_Weight * len(weights))(
        *(_Weight(role.encode(), _floats(values), values.size) for role, values in weights.items())
    )
