"""One step of training: forward, backward, clipping and AdamW of all parameters, against PyTorch's autograd."""
import numpy as np
import torch

import bert
import engine
from comparison import FP32, LENGTH, TF32, Comparison, Precision
from timing import Contender
from workloads import Workload, equal_lengths, length_mix, training_operations

WEIGHT_DECAY = 0.01
MAX_NORM = 1.0


class Training:
    def __init__(self, comparison: Comparison):
        self.comparison = comparison

    def run(self) -> None:
        self.comparison.in_each([FP32, TF32], "training", self.train)

    def train(self, precision: Precision, own: engine.Model) -> None:
        comparison = self.comparison
        comparison.measured_rate(precision)
        torch.set_float32_matmul_precision(precision.matmul)
        self.verify(precision, own)
        size, vocabulary = comparison.scale.middle, comparison.shape.vocabulary
        for workload in (equal_lengths(size, LENGTH, vocabulary), length_mix("mrpc", vocabulary, 1, size)):
            with comparison.attempt(f"training in {precision.name}, {workload.name}"):
                self.time(precision, workload, own)

    def time(self, precision: Precision, workload: Workload, own: engine.Model) -> None:
        comparison = self.comparison
        (batch,) = workload.batches
        classes = classes_of(batch)
        step = engine.Step(2e-5, WEIGHT_DECAY, MAX_NORM, dropout=0.1)

        def next_step() -> np.ndarray:
            step.seed += 1
            return training.train(batch, classes, step)[0]

        other = TorchTraining(bert.in_dtype(comparison.base, torch.float32, comparison.device), comparison.device, step)
        inputs, labels = bert.pin(bert.padded(bert.sequences_of(batch))), torch.from_numpy(classes).long()
        with own.training() as training:
            contenders = [
                Contender("espalier", next_step),
                Contender("PyTorch", lambda: other.train(inputs, labels)),
            ]
            comparison.measure(contenders)
        operations = training_operations(comparison.shape, batch)
        comparison.report("training", precision, workload, contenders, operations)

    def verify(self, precision: Precision, own: engine.Model) -> None:
        """Two steps without dropout, on a batch of many lengths, against float64."""
        comparison = self.comparison
        batch = comparison.verification_batch()
        classes = classes_of(batch)
        inputs, labels = bert.padded(bert.sequences_of(batch)), torch.from_numpy(classes).long()
        step = engine.Step(1e-4, WEIGHT_DECAY, MAX_NORM, dropout=0)
        found = []
        for dtype in (torch.float64, precision.torch_dtype):
            other = TorchTraining(bert.in_dtype(comparison.base, dtype, comparison.device), comparison.device, step)
            first = other.train(inputs, labels)
            change = self.change(bert.weights_of(other.model))
            found.append((first, other.norm, change, other.train(inputs, labels)))
        with own.training() as training:
            losses, norm = training.train(batch, classes, step)
            change = self.change(training.parameters(comparison.weights))
            second, _ = training.train(batch, classes, step)
        found.append((losses.mean(dtype=np.float64), norm, change, second.mean(dtype=np.float64)))
        for name, exact, theirs, ours in zip(("loss", "gradients' norm", "change of the weights", "next loss"), *found):
            error, usual = (float(np.linalg.norm(values - exact) / np.linalg.norm(exact)) for values in (ours, theirs))
            what = f"training in {precision.name}, {name}, against float64"
            comparison.verify(what, error, 2 * usual + 5 * precision.slack, usual)

    def change(self, weights: dict[str, np.ndarray]) -> np.ndarray:
        """All weights less what they began with, one after another."""
        before = self.comparison.weights
        # A query meets all keys with the same bias, which the softmax takes out: its gradient is rounding alone.
        roles = [role for role in before if not role.endswith("key.bias")]
        return np.concatenate([(weights[role] - before[role]).ravel() for role in roles])


class TorchTraining:
    """A model that learns in place."""

    def __init__(self, model: torch.nn.Module, device: str, step: engine.Step):
        self.model, self.device, self.step = model.requires_grad_(True), device, step
        self.norm = 0.0
        bert.let_drop_out(self.model, step.dropout)
        decays = lambda name: not name.endswith("bias") and "LayerNorm" not in name
        groups = [
            {
                "params": [parameter for name, parameter in model.named_parameters() if decays(name) == decayed],
                "weight_decay": step.weight_decay if decayed else 0.0,
            }
            for decayed in (True, False)
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=step.learning_rate, fused=device == "cuda")

    def train(self, inputs: bert.Inputs, labels: torch.Tensor) -> float:
        """One step. The loss before it."""
        logits = self.model(**bert.to_device(inputs, self.device)).logits
        loss = torch.nn.functional.cross_entropy(logits, labels.to(self.device))
        self.optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.step.max_gradient_norm)
        self.optimizer.step()
        self.norm = norm.item()
        return loss.item()


def classes_of(batch: engine.PackedBatch) -> np.ndarray:
    return np.arange(batch.sequences, dtype=np.int32) % 2
