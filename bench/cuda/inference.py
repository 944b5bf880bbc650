"""Inference against PyTorch: padded, sorted by length, without padding, compiled."""
import numpy as np
import torch

import bert
import engine
from comparison import BF16, FP16, FP32, LENGTH, TF32, Comparison, Precision, relative_error
from timing import Contender
from workloads import Workload, equal_lengths, forward_operations, length_mix


class Inference:
    def __init__(self, comparison: Comparison):
        self.comparison = comparison

    def run(self) -> None:
        self.comparison.in_each([BF16, FP16, TF32, FP32], "inference", self.infer)

    def infer(self, precision: Precision, own: engine.Model) -> None:
        self.comparison.measured_rate(precision)
        torch.set_float32_matmul_precision(precision.matmul)
        model = bert.in_dtype(self.comparison.base, precision.torch_dtype, self.comparison.device)
        self.verify_logits(precision, own, model)
        options, scale, vocabulary = self.comparison.options, self.comparison.scale, self.comparison.shape.vocabulary
        compiled = not options.no_compile and (precision is BF16 or options.full)
        default = ["default"] if compiled else []
        lone = ["default", "reduce-overhead"] if compiled else []
        mixes = ["default"] if compiled and options.full else []
        plan = [
            (equal_lengths(scale.large, LENGTH, vocabulary), default),
            (equal_lengths(1, LENGTH, vocabulary), lone),
            (equal_lengths(scale.middle, LENGTH, vocabulary), default),
            *((length_mix(task, vocabulary, scale.mix_batches), mixes) for task in ("sst2", "mrpc")),
        ]
        if compiled:
            plan.append((plan[0][0], ["max-autotune-no-cudagraphs"]))
        for workload, modes in plan:
            with self.comparison.attempt(f"inference in {precision.name}, {workload.name}"):
                self.infer_workload(precision, workload, own, model, modes)

    def verify_logits(self, precision: Precision, own: engine.Model, model: torch.nn.Module) -> None:
        batch = self.comparison.verification_batch()
        inputs = bert.padded(bert.sequences_of(batch))
        exact = bert.in_dtype(self.comparison.base, torch.float64, self.comparison.device)
        expected = bert.logits(exact, inputs, self.comparison.device).numpy()
        self.usual_logit = float(np.abs(expected).max())
        theirs = relative_error(bert.logits(model, inputs, self.comparison.device).float().numpy(), expected)
        ours = relative_error(own.forward(batch), expected)
        what = f"logits in {precision.name} against float64"
        self.comparison.verify(what, ours, 2 * theirs + precision.slack, theirs)

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
            with self.comparison.attempt(f"{contender.name}, {precision.name}, {workload.name}", essential=False):
                self.compare(precision, workload, contender, expected)
                contenders.append(contender)
        for mode in modes:
            name = f"torch.compile, {mode}"
            with self.comparison.attempt(f"{name}, {precision.name}, {workload.name}", essential=False):
                compiled = torch.compile(model, mode=mode, dynamic=False)
                contender = Contender(name, self.padded_run(workload, compiled))
                with self.comparison.budget.spend():
                    self.compare(precision, workload, contender, expected)
                contenders.append(contender)
        self.comparison.measure(contenders)
        operations = sum(forward_operations(self.comparison.shape, batch) for batch in workload.batches)
        self.comparison.report("inference", precision, workload, contenders, operations)

    def compare(self, precision: Precision, workload: Workload, contender: Contender, expected: np.ndarray) -> None:
        """Runs the contender once; a disagreement is a failure."""
        # Two logits of one sequence may both be small by chance: errors are as large as logits usually are.
        error = float(np.abs(contender.run().astype(np.float64) - expected).max()) / self.usual_logit
        if error > precision.agreement:
            what = f"{contender.name} and espalier, {precision.name}, {workload.name}"
            self.comparison.verify(what, error, precision.agreement)

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
        inputs = [(bert.pin(bert.unpadded(batch)), int(np.diff(batch.offsets).max())) for batch in workload.batches]
        return lambda: torch.cat(
            [bert.unpadded_logits(model, tensors, longest, self.comparison.device) for tensors, longest in inputs]
        ).float().numpy()

    def all_logits(self, model, inputs: list[bert.Inputs]) -> torch.Tensor:
        return torch.cat([bert.logits(model, part, self.comparison.device) for part in inputs]).float()
