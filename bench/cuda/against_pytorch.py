"""espalier against PyTorch in one process, in turns: inference and mask gradients of a BERT with random weights.

Every contender gets token ids on the host and gives its results back there; all that lies between is timed."""
import argparse
import contextlib
import datetime
import gc
import json
import platform
import signal
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import transformers

import bert
import engine
from timing import Contender, interleave, ratio
from workloads import (
    FORMULA,
    Workload,
    equal_lengths,
    forward_operations,
    gradient_operations,
    length_mix,
    random_batch,
)

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


BF16 = Precision("bf16", torch.bfloat16, "highest", "bf16", "full", 8e-3, 6e-2)
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


class CompileTimeout(Exception):
    """Of a class of its own: the compiler catches timeouts that it takes for its own."""


class CompileBudget:
    """Seconds that torch.compile may take, all models together."""

    def __init__(self, seconds: float):
        self.left = seconds

    @contextlib.contextmanager
    def spend(self) -> Iterator[None]:
        if self.left < 1:
            raise CompileTimeout("no time left to compile")
        start = time.perf_counter()
        previous = signal.signal(signal.SIGALRM, self._give_up)
        signal.setitimer(signal.ITIMER_REAL, self.left)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)
            self.left -= time.perf_counter() - start

    @staticmethod
    def _give_up(_signal, _frame):
        raise CompileTimeout("compiling took too long")


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
        self, section: str, precision: Precision, workload: Workload, contenders: list[Contender], operations: int
    ) -> None:
        """The first contender is espalier."""
        first = contenders[0]
        padding = workload.padded_tokens / workload.tokens
        self.say(f"\n{section}, {precision.name}, {workload.name} (padded/real {padding:.2f})")
        for contender in contenders:
            seconds = statistics.median(contender.seconds)
            row = {
                "section": section,
                "precision": precision.name,
                "workload": workload.name,
                "padded/real": padding,
                "contender": contender.name,
                "rounds": len(contender.seconds),
                "ms": 1000 * seconds,
                "lowest ms": 1000 * min(contender.seconds),
                "highest ms": 1000 * max(contender.seconds),
                "tokens/s": workload.tokens / seconds,
                "times as long": ratio(contender, first),
            }
            extra = ""
            if contender is first:
                row["FLOP/s"] = operations / seconds
                row["share of product rate"] = operations / seconds / self.rates[precision.name]
                extra = f"{row['FLOP/s'] / 1e12:8.2f} TFLOP/s, {row['share of product rate']:.1%} of the product's rate"
            spread = f"{row['lowest ms']:.2f}-{row['highest ms']:.2f}"
            self.say(
                f"  {contender.name:42} {row['ms']:10.3f} ms  {spread:>21}  {row['tokens/s']:12,.0f} tokens/s"
                f"  x{row['times as long']:6.2f}  {extra}"
            )
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

    def open_model(self, precision: Precision, gradients: bool) -> engine.Model:
        return engine.Model(
            self.library,
            self.shape,
            self.weights,
            backend=self.options.backend,
            dtype=precision.dtype,
            products=precision.products,
            threads=torch.get_num_threads(),
            device=0,
            gradients=gradients,
        )

    def precisions(self, wanted: list[Precision]) -> list[Precision]:
        return wanted if self.options.backend == "cuda" else [FP32]

    def measure(self, contenders: list[Contender]) -> None:
        interleave(contenders, self.synchronize, self.scale.seconds, self.scale.rounds)

    def measured_rate(self, precision: Precision) -> None:
        """The better of all measurements of this run, clocks being what they are."""
        rate = product_rate(precision, self.scale.matrix, self.device)
        self.rates[precision.name] = max(rate, self.rates.get(precision.name, 0))
        self.say(f"\n{precision.name} product of {self.scale.matrix}^3 in PyTorch: {rate / 1e12:.2f} TFLOP/s")

    def verification_batch(self) -> engine.PackedBatch:
        random = np.random.default_rng(1)
        return random_batch([LENGTH, 1, 37, 2, 64, 17, 100, LENGTH], self.shape.vocabulary, random)

    # Inference

    def inference(self) -> None:
        for precision in self.precisions([BF16, FP16, TF32, FP32]):
            with self.attempt(f"inference in {precision.name}"):
                self.measured_rate(precision)
                own = self.open_model(precision, gradients=False)
                try:
                    self.infer(precision, own)
                finally:
                    own.close()
            self.release_memory()

    def infer(self, precision: Precision, own: engine.Model) -> None:
        torch.set_float32_matmul_precision(precision.matmul)
        model = bert.in_dtype(self.base, precision.torch_dtype, self.device)
        self.verify_logits(precision, own, model)
        scale, vocabulary = self.scale, self.shape.vocabulary
        compiled = not self.options.no_compile and (precision is BF16 or self.options.full)
        default = ["default"] if compiled else []
        lone = ["default", "reduce-overhead"] if compiled else []
        mixes = ["default"] if compiled and self.options.full else []
        plan = [
            (equal_lengths(scale.large, LENGTH, vocabulary), default),
            (equal_lengths(1, LENGTH, vocabulary), lone),
            (equal_lengths(scale.middle, LENGTH, vocabulary), default),
            *((length_mix(task, vocabulary, scale.mix_batches), mixes) for task in ("sst2", "mrpc")),
        ]
        if compiled:
            plan.append((plan[0][0], ["max-autotune-no-cudagraphs"]))
        for workload, modes in plan:
            with self.attempt(f"inference in {precision.name}, {workload.name}"):
                self.infer_workload(precision, workload, own, model, modes)

    def verify_logits(self, precision: Precision, own: engine.Model, model: torch.nn.Module) -> None:
        batch = self.verification_batch()
        inputs = bert.padded(bert.sequences_of(batch))
        exact = bert.in_dtype(self.base, torch.float64, self.device)
        expected = bert.logits(exact, inputs, self.device).numpy()
        self.usual_logit = float(np.abs(expected).max())
        theirs = relative_error(bert.logits(model, inputs, self.device).float().numpy(), expected)
        ours = relative_error(own.forward(batch), expected)
        self.verify(f"logits in {precision.name} against float64", ours, 2 * theirs + precision.slack, theirs)

    def infer_workload(
        self,
        precision: Precision,
        workload: Workload,
        own: engine.Model,
        model: torch.nn.Module,
        modes: list[str],
    ) -> None:
        contenders = [Contender("espalier", lambda: np.concatenate([own.forward(b) for b in workload.batches]))]
        expected = contenders[0].run()
        for contender in self.pytorch_contenders(workload, model):
            with self.attempt(f"{contender.name}, {precision.name}, {workload.name}", essential=False):
                self.compare(precision, workload, contender, expected)
                contenders.append(contender)
        for mode in modes:
            name = f"torch.compile, {mode}"
            with self.attempt(f"{name}, {precision.name}, {workload.name}", essential=False):
                compiled = torch.compile(model, mode=mode, dynamic=False)
                contender = Contender(name, self.padded_run(workload, compiled))
                with self.budget.spend():
                    self.compare(precision, workload, contender, expected)
                contenders.append(contender)
        self.measure(contenders)
        operations = sum(forward_operations(self.shape, batch) for batch in workload.batches)
        self.report("inference", precision, workload, contenders, operations)

    def compare(self, precision: Precision, workload: Workload, contender: Contender, expected: np.ndarray) -> None:
        """Runs the contender once; a disagreement is a failure."""
        # Two logits of one sequence may both be small by chance: errors are as large as logits usually are.
        error = float(np.abs(contender.run().astype(np.float64) - expected).max()) / self.usual_logit
        if error > precision.agreement:
            what = f"{contender.name} and espalier, {precision.name}, {workload.name}"
            self.verify(what, error, precision.agreement)

    def pytorch_contenders(self, workload: Workload, model: torch.nn.Module) -> list[Contender]:
        contenders = [Contender("PyTorch", self.padded_run(workload, model))]
        if not workload.equal_lengths:
            contenders.append(Contender("PyTorch, sorted by length", self.sorted_run(workload, model)))
            contenders.append(Contender("PyTorch, without padding by hand", self.unpadded_run(workload, model)))
        return contenders

    def padded_run(self, workload: Workload, model):
        inputs = [bert.pin(bert.padded(bert.sequences_of(batch))) for batch in workload.batches]
        return lambda: self.all_logits(model, inputs).numpy()

    def sorted_run(self, workload: Workload, model: torch.nn.Module):
        """Batches of sequences of similar length."""
        sequences = [sequence for batch in workload.batches for sequence in bert.sequences_of(batch)]
        order = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))
        size = workload.batches[0].sequences
        batches = [order[first : first + size] for first in range(0, len(order), size)]
        inputs = [bert.pin(bert.padded([sequences[index] for index in batch])) for batch in batches]
        places = np.argsort(order)
        return lambda: self.all_logits(model, inputs).numpy()[places]

    def unpadded_run(self, workload: Workload, model: torch.nn.Module):
        inputs = [
            (bert.pin(bert.unpadded(batch)), int(np.diff(batch.offsets).max())) for batch in workload.batches
        ]
        return lambda: torch.cat(
            [bert.unpadded_logits(model, tensors, longest, self.device) for tensors, longest in inputs]
        ).float().numpy()

    def all_logits(self, model, inputs: list[bert.Inputs]) -> torch.Tensor:
        return torch.cat([bert.logits(model, part, self.device) for part in inputs]).float()

    # Mask gradients

    def gradients(self) -> None:
        for precision in self.precisions([FP32, TF32]):
            with self.attempt(f"mask gradients in {precision.name}"):
                self.measured_rate(precision)
                own = self.open_model(precision, gradients=True)
                try:
                    self.differentiate(precision, own)
                finally:
                    own.close()
            self.release_memory()

    def differentiate(self, precision: Precision, own: engine.Model) -> None:
        torch.set_float32_matmul_precision(precision.matmul)
        masked = bert.MaskedModel(bert.in_dtype(self.base, precision.torch_dtype, self.device), self.device)
        self.verify_gradients(precision, own, masked)
        workload = equal_lengths(self.scale.large, LENGTH, self.shape.vocabulary)
        batch = workload.batches[0]
        classes, groups = labels_of(batch)
        contenders = [Contender("espalier", lambda: own.mask_gradients(batch, classes, groups))]
        labels = torch.from_numpy(classes).long()
        sequences = bert.sequences_of(batch)
        for size in (len(sequences), self.scale.middle):
            name = f"PyTorch, {size} at a time"
            parts = [sequences[first : first + size] for first in range(0, len(sequences), size)]
            inputs = [bert.pin(bert.padded(part)) for part in parts]
            contender = Contender(name, lambda inputs=inputs: masked.gradients(inputs, labels))
            with self.attempt(f"{name}, {precision.name}", essential=False):
                contender.run()
                contenders.append(contender)
        self.measure(contenders)
        self.report("mask gradients", precision, workload, contenders, gradient_operations(self.shape, batch))

    def verify_gradients(self, precision: Precision, own: engine.Model, masked: bert.MaskedModel) -> None:
        batch = self.verification_batch()
        inputs = [bert.padded(bert.sequences_of(batch))]
        classes, groups = labels_of(batch)
        labels = torch.from_numpy(classes).long()
        exact = bert.MaskedModel(bert.in_dtype(self.base, torch.float64, self.device), self.device)
        expected = [values.double().numpy() for values in exact.gradients(inputs, labels)]
        theirs = [values.float().numpy() for values in masked.gradients(inputs, labels)]
        ours = own.mask_gradients(batch, classes, groups)
        for name, own_values, their_values, exact_values in zip(("losses", "heads", "neurons"), ours, theirs, expected):
            error, other = relative_error(own_values, exact_values), relative_error(their_values, exact_values)
            what = f"mask gradients in {precision.name}, {name}, against float64"
            self.verify(what, error, 2 * other + 5 * precision.slack, other)


def labels_of(batch: engine.PackedBatch) -> tuple[np.ndarray, np.ndarray]:
    """Classes, and a group of its own for each sequence."""
    groups = np.arange(batch.sequences, dtype=np.int32)
    return groups % 2, groups


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


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", type=Path, required=True, help="libespalier_contender.so of a native build")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="PyTorch's device")
    parser.add_argument("--backend", help="espalier's backend (default: the device's name)")
    parser.add_argument("--only", default="inference,gradients", help="sections, separated by commas")
    parser.add_argument("--quick", action="store_true", help="a tiny model and few rounds, to see that all runs")
    parser.add_argument("--full", action="store_true", help="torch.compile in every precision, and of length mixes")
    parser.add_argument("--no-compile", action="store_true", help="without torch.compile")
    parser.add_argument("--compile-seconds", type=float, default=55, help="all that torch.compile may take")
    parser.add_argument("--output", type=Path, default=Path("against-pytorch.json"), help="JSON file to write")
    options = parser.parse_args()
    options.backend = options.backend or options.device
    return options


def main() -> None:
    options = parse()
    start = time.perf_counter()
    comparison = Comparison(options)
    for name, value in comparison.environment.items():
        comparison.say(f"{name:16} {value}")
    sections = {"inference": comparison.inference, "gradients": comparison.gradients}
    for name in options.only.split(","):
        sections[name]()
    comparison.save()
    comparison.say(f"\n{time.perf_counter() - start:.1f} s, {len(comparison.failures)} failures: {options.output}")
    for failure in comparison.failures:
        comparison.say(f"  {failure}")
    sys.exit(1 if comparison.failures else 0)


if __name__ == "__main__":
    main()
