"""What the sections of against_pytorch.py share: the model, what is measured of it, and the report."""
import argparse
import contextlib
import datetime
import gc
import json
import platform
import statistics
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import transformers

import bert
import engine
from compile_budget import CompileBudget
from timing import Contender, interleave, ratio
from workloads import FORMULA, Workload, random_batch

MATRIX = 8192  # of the product whose rate the shares refer to


@dataclass(frozen=True)
class Precision:
    name: str
    torch_dtype: torch.dtype
    matmul: str  # of torch.set_float32_matmul_precision
    dtype: str
    products: str
    slack: float  # error that is allowed beyond twice PyTorch's own, as a part of the largest value
    agreement: float  # largest difference of two contenders, as a part of the largest value


BF16 = Precision("bf16", torch.bfloat16, "highest", "bf16", "full", 8e-3, 2e-1)
FP16 = Precision("fp16", torch.float16, "highest", "f16", "full", 1e-3, 1e-2)
TF32 = Precision("tf32", torch.float32, "high", "f32", "tf32", 1e-3, 1e-2)
FP32 = Precision("fp32", torch.float32, "highest", "f32", "full", 1e-5, 1e-4)


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    size: bert.Size
    large: int  # sequences of the large batches
    middle: int
    mix_batches: int
    seconds: float  # a workload's rounds
    rounds: tuple[int, int]
    matrix: int


DEFAULT = Scale(bert.BASE, 256, 32, 3, 1.5, (5, 40), MATRIX)
QUICK = Scale(bert.TINY, 16, 8, 1, 0.2, (2, 3), 512)
LENGTH = 128


def relative_error(values: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(values.astype(np.float64) - expected).max() / np.abs(expected).max())


def product_rate(precision: Precision, size: int, device: str) -> float:
    """FLOP a second of PyTorch's product of two random matrices [size, size]."""
    torch.set_float32_matmul_precision(precision.matmul)
    left, right = (torch.randn(size, size, device=device, dtype=precision.torch_dtype) for _ in range(2))
    synchronize = torch.cuda.synchronize if device == "cuda" else lambda: None

    def seconds(repeats: int) -> float:
        synchronize()
        start = time.perf_counter()
        for _ in range(repeats):
            left @ right
        synchronize()
        return time.perf_counter() - start

    seconds(1)
    repeats = max(3, int(0.3 / seconds(3) * 3))
    seconds(repeats)  # until the clocks are up
    return 2 * size**3 * repeats / seconds(repeats)


class Comparison:
    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.device = options.device
        self.scale = QUICK if options.quick else DEFAULT
        self.library = engine.Library(options.library)
        self.base = bert.random_model(self.scale.size)
        self.shape = bert.shape_of(self.base)
        self.weights = bert.weights_of(self.base)
        self.budget = CompileBudget(options.compile_seconds)
        self.rows: list[dict] = []
        self.verifications: list[dict] = []
        self.rates: dict[str, float] = {}
        self.notes: list[str] = []
        self.failures: list[str] = []
        self.environment = environment(options)

    # Reporting

    def say(self, text: str) -> None:
        print(text, flush=True)

    @contextlib.contextmanager
    def attempt(self, what: str, essential: bool = True) -> Iterator[None]:
        """A failure is written down, and the rest goes on. What is not essential may be absent on some machines."""
        try:
            yield
        except Exception as error:
            lines = str(error).strip().splitlines() or [""]
            message = f"{what}: {type(error).__name__}: {lines[0][:300]}"
            (self.failures if essential else self.notes).append(message)
            self.say(f"{'FAILED' if essential else 'not available'}: {message}")
            if essential and not isinstance(error, engine.EngineError):
                traceback.print_exc()

    def save(self) -> None:
        content = {
            "environment": self.environment,
            "operations": FORMULA,
            "product rates, FLOP/s": self.rates,
            "verifications": self.verifications,
            "rows": self.rows,
            "notes": self.notes,
            "failures": self.failures,
        }
        self.options.output.write_text(json.dumps(content, indent=1) + "\n")

    def report(
        self,
        section: str,
        precision: Precision,
        workload: Workload,
        contenders: list[Contender],
        operations: int | None = None,
    ) -> None:
        """The first contender is espalier, which needs so many operations."""
        padding = workload.padded_tokens / workload.tokens
        self.say(f"\n{section}, {precision.name}, {workload.name} (padded/real {padding:.2f})")
        about = {
            "section": section,
            "precision": precision.name,
            "workload": workload.name,
            "padded/real": padding,
        }
        for contender in contenders:
            seconds = statistics.median(contender.seconds)
            row = about | times(contender, contenders[0]) | {"tokens/s": workload.tokens / seconds}
            extra = ""
            if contender is contenders[0] and operations is not None:
                row["FLOP/s"] = operations / seconds
                row["share of product rate"] = operations / seconds / self.rates[precision.name]
                extra = f"{row['FLOP/s'] / 1e12:8.2f} TFLOP/s, {row['share of product rate']:.1%} of the product's rate"
            self.say(f"{described(row)}  {row['tokens/s']:12,.0f} tokens/s  {extra}")
            self.rows.append(row)
        self.save()

    def report_work(self, section: str, work: str, contenders: list[Contender]) -> None:
        """Of work that is not counted in tokens."""
        self.say(f"\n{section}, {work}")
        for contender in contenders:
            row = {"section": section, "workload": work} | times(contender, contenders[0])
            self.say(described(row))
            self.rows.append(row)
        self.save()

    def verify(self, what: str, error: float, allowed: float, other: float | None = None) -> None:
        self.verifications.append({"what": what, "error": error, "allowed": allowed, "PyTorch's error": other})
        good = error <= allowed
        beside = "" if other is None else f", PyTorch's own {other:.2e}"
        self.say(f"{'verified' if good else 'NOT VERIFIED'}: {what}: error {error:.2e}, allowed {allowed:.2e}{beside}")
        if not good:
            self.failures.append(f"{what}: error {error:.2e}, allowed {allowed:.2e}")

    # Contenders

    def synchronize(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()

    def release_memory(self) -> None:
        """PyTorch keeps what it freed, which espalier's next model may need."""
        gc.collect()
        if self.device == "cuda":
            torch.cuda.empty_cache()

    def open_engine(self, precision: Precision) -> engine.Engine:
        return engine.Engine(
            self.library,
            backend=self.options.backend,
            dtype=precision.dtype,
            products=precision.products,
            threads=torch.get_num_threads(),
            device=0,
        )

    def in_each(
        self,
        wanted: list[Precision],
        section: str,
        work: Callable[[Precision, engine.Model], None],
        *,
        gradients: bool = False,
    ) -> None:
        """work() with espalier's model in every precision."""
        for precision in self.precisions(wanted):
            with (
                self.attempt(f"{section} in {precision.name}"),
                self.open_engine(precision) as opened,
                opened.model(self.shape, self.weights, gradients=gradients) as own,
            ):
                work(precision, own)
            self.release_memory()

    def precisions(self, wanted: list[Precision]) -> list[Precision]:
        return wanted if self.options.backend == "cuda" else [FP32]

    def measure(self, contenders: list[Contender], *, few: bool = False) -> None:
        """In few rounds what takes seconds by itself."""
        rounds, warm_ups = ((2, 5), 1) if few else (self.scale.rounds, 2)
        interleave(contenders, self.synchronize, self.scale.seconds, rounds, warm_ups)

    def measured_rate(self, precision: Precision) -> None:
        """The better of all measurements of this run, clocks being what they are."""
        rate = product_rate(precision, self.scale.matrix, self.device)
        self.rates[precision.name] = max(rate, self.rates.get(precision.name, 0))
        self.say(f"\n{precision.name} product of {self.scale.matrix}^3 in PyTorch: {rate / 1e12:.2f} TFLOP/s")

    def verification_batch(self) -> engine.PackedBatch:
        random = np.random.default_rng(1)
        return random_batch([LENGTH, 1, 37, 2, 64, 17, 100, LENGTH], self.shape.vocabulary, random)


def times(contender: Contender, first: Contender) -> dict:
    return {
        "contender": contender.name,
        "rounds": len(contender.seconds),
        "ms": 1000 * statistics.median(contender.seconds),
        "lowest ms": 1000 * min(contender.seconds),
        "highest ms": 1000 * max(contender.seconds),
        "times as long": ratio(contender, first),
    }


def described(row: dict) -> str:
    spread = f"{row['lowest ms']:.2f}-{row['highest ms']:.2f}"
    return f"  {row['contender']:42} {row['ms']:10.3f} ms  {spread:>21}  x{row['times as long']:6.3f}"


def environment(options: argparse.Namespace) -> dict[str, str]:
    found = {
        "date": datetime.date.today().isoformat(),
        "backend": options.backend,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
        "threads": str(torch.get_num_threads()),
    }
    if options.device != "cuda":
        return found | {"device": platform.processor() or platform.machine()}
    properties = torch.cuda.get_device_properties(0)
    return found | {
        "device": properties.name,
        "multiprocessors": str(properties.multi_processor_count),
        "memory": f"{properties.total_memory / 2**30:.0f} GiB",
        "cuda": str(torch.version.cuda),
        "driver, clocks": nvidia_smi("driver_version,clocks.sm,clocks.max.sm,power.limit"),
    }


def nvidia_smi(fields: str) -> str:
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader", "--id=0"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        return f"unknown ({error})"
