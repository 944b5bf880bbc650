"""Gradients of every sequence's own head and neuron masks, against PyTorch's autograd."""
import numpy as np
import torch

import bert
import engine
from comparison import FP32, LENGTH, TF32, Comparison, Precision, relative_error
from timing import Contender
from workloads import equal_lengths, gradient_operations


class MaskGradients:
    def __init__(self, comparison: Comparison):
        self.comparison = comparison

    def run(self) -> None:
        self.comparison.in_each([FP32, TF32], "mask gradients", self.differentiate, gradients=True)

    def differentiate(self, precision: Precision, own: engine.Model) -> None:
        self.comparison.measured_rate(precision)
        torch.set_float32_matmul_precision(precision.matmul)
        masked = self.masked_model(precision.torch_dtype)
        self.verify_gradients(precision, own, masked)
        workload = equal_lengths(self.comparison.scale.large, LENGTH, self.comparison.shape.vocabulary)
        batch = workload.batches[0]
        classes, groups = labels_of(batch)
        contenders = [Contender("espalier", lambda: own.mask_gradients(batch, classes, groups))]
        labels = torch.from_numpy(classes).long()
        sequences = bert.sequences_of(batch)
        for size in (len(sequences), self.comparison.scale.middle):
            name = f"PyTorch, {size} at a time"
            parts = [sequences[first : first + size] for first in range(0, len(sequences), size)]
            inputs = [bert.pin(bert.padded(part)) for part in parts]
            contender = Contender(name, lambda inputs=inputs: masked.gradients(inputs, labels))
            with self.comparison.attempt(f"{name}, {precision.name}", essential=False):
                contender.run()
                contenders.append(contender)
        self.comparison.measure(contenders)
        operations = gradient_operations(self.comparison.shape, batch)
        self.comparison.report("mask gradients", precision, workload, contenders, operations)

    def masked_model(self, dtype: torch.dtype) -> bert.MaskedModel:
        device = self.comparison.device
        return bert.MaskedModel(bert.in_dtype(self.comparison.base, dtype, device), device)

    def verify_gradients(self, precision: Precision, own: engine.Model, masked: bert.MaskedModel) -> None:
        batch = self.comparison.verification_batch()
        inputs = [bert.padded(bert.sequences_of(batch))]
        classes, groups = labels_of(batch)
        labels = torch.from_numpy(classes).long()
        exact = self.masked_model(torch.float64)
        expected = [values.double().numpy() for values in exact.gradients(inputs, labels)]
        theirs = [values.float().numpy() for values in masked.gradients(inputs, labels)]
        ours = own.mask_gradients(batch, classes, groups)
        for name, own_values, their_values, exact_values in zip(("losses", "heads", "neurons"), ours, theirs, expected):
            error, other = relative_error(own_values, exact_values), relative_error(their_values, exact_values)
            what = f"mask gradients in {precision.name}, {name}, against float64"
            self.comparison.verify(what, error, 2 * other + 5 * precision.slack, other)


def labels_of(batch: engine.PackedBatch) -> tuple[np.ndarray, np.ndarray]:
    """Classes, and a group of its own for each sequence."""
    groups = np.arange(batch.sequences, dtype=np.int32)
    return groups % 2, groups
