"""Dropping tokens, against the same model as it is: what asking costs where all are kept, and what half of the work
saves."""
import numpy as np

import engine
from comparison import BF16, FP16, FP32, LENGTH, TF32, Comparison, Precision
from timing import Contender, ratio
from workloads import Workload, equal_lengths, length_mix, part_of_macs

# What importance is a mean over, so that one threshold suits sequences of all lengths.
PADDED_LENGTH = LENGTH
# No token gets as little attention.
KEEPS_ALL = 1e-9
TARGET = 0.5
STEPS = 12


class TokenDropping:
    def __init__(self, comparison: Comparison):
        self.comparison = comparison
        self.thresholds: dict[str, float] = {}  # by workload

    def run(self) -> None:
        self.comparison.in_each([BF16, FP16, TF32, FP32], "token dropping", self.drop)

    def drop(self, precision: Precision, own: engine.Model) -> None:
        scale, vocabulary = self.comparison.scale, self.comparison.shape.vocabulary
        for workload in (equal_lengths(scale.large, LENGTH, vocabulary), length_mix("mrpc", vocabulary, 1)):
            with self.comparison.attempt(f"token dropping in {precision.name}, {workload.name}"):
                self.drop_workload(precision, workload, own)

    def drop_workload(self, precision: Precision, workload: Workload, own: engine.Model) -> None:
        comparison = self.comparison
        (batch,) = workload.batches
        plain = own.forward(batch)
        all_kept, left = self.dropped(own, batch, KEEPS_ALL)
        what = f"{precision.name}, {workload.name}"
        comparison.verify(f"MACs that keeping all tokens saves, {what}", 1 - left, 0)
        error = float(np.abs(all_kept - plain).max() / np.abs(plain).max())
        comparison.verify(f"logits where all tokens are kept, {what}", error, precision.agreement)
        if workload.name not in self.thresholds:
            self.thresholds[workload.name] = self.halving(own, batch)
        threshold = self.thresholds[workload.name]
        _, left = self.dropped(own, batch, threshold)
        comparison.verify(f"MACs left, {left:.3f}, against {TARGET}, {what}", abs(left - TARGET), 0.05)
        halved = f"espalier, {left:.3f} of the MACs"
        contenders = [
            Contender("espalier, plain", lambda: own.forward(batch)),
            Contender("espalier, all tokens kept", lambda: self.forward(own, batch, KEEPS_ALL)),
            Contender(halved, lambda: self.forward(own, batch, threshold)),
        ]
        comparison.measure(contenders)
        comparison.report("token dropping", precision, workload, contenders)
        self.summarize(what, contenders, left)

    def summarize(self, what: str, contenders: list[Contender], left: float) -> None:
        plain, all_kept, halved = contenders
        overhead, realised = ratio(all_kept, plain) - 1, 1 / ratio(halved, plain)
        self.comparison.say(
            f"  overhead of keeping all {overhead:+.1%}; {realised:.2f}x as fast where the MACs promise "
            f"{1 / left:.2f}x: realised / promised {realised * left:.2f}"
        )
        self.comparison.rows[-1] |= {
            "overhead of keeping all": overhead,
            "MACs left": left,
            "realised / promised": realised * left,
        }
        self.comparison.save()

    def forward(
        self, own: engine.Model, batch: engine.PackedBatch, threshold: float, depths: np.ndarray | None = None
    ) -> np.ndarray:
        layers = len(self.comparison.shape.heads)
        return own.forward_dropping(batch, [threshold] * layers, PADDED_LENGTH, depths)

    def dropped(self, own: engine.Model, batch: engine.PackedBatch, threshold: float) -> tuple[np.ndarray, float]:
        """Logits, and the part of the MACs that is left."""
        depths = np.empty(len(batch.ids), np.int32)
        logits = self.forward(own, batch, threshold, depths)
        return logits, part_of_macs(self.comparison.shape, batch, depths)

    def halving(self, own: engine.Model, batch: engine.PackedBatch) -> float:
        """The threshold of all layers that leaves about half of the MACs."""
        low, high = 0.0, 4 / PADDED_LENGTH  # the mean is 1 / PADDED_LENGTH
        for _ in range(STEPS):
            threshold = (low + high) / 2
            _, left = self.dropped(own, batch, threshold)
            low, high = (threshold, high) if left > TARGET else (low, threshold)
        return threshold
