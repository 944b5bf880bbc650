"""The least squares of pruning all FFNs of a model, against PyTorch's Cholesky factors in float64 of the same systems
on the same device. Statistics and results are on the host."""
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

import engine
from comparison import FP32, Comparison
from timing import Contender

ROWS = 8192
HELD_OUT = 5  # one row in so many, while a ridge is chosen
RIDGES = [1e-2, 3e-2, 1e-1, 3e-1]
CURVE_RIDGE = 1e-3
# Results are stored in float32, and the elimination makes room for a choice between equals.
ALLOWED = 1e-5


@dataclass
class Layer:
    """The statistics of a layer's FFN: of all its neurons, and of the half that is kept, also apart."""

    whole: engine.Statistics
    kept: engine.Statistics
    fitted: engine.Statistics
    held_out: engine.Statistics


class LeastSquares:
    def __init__(self, comparison: Comparison):
        self.comparison = comparison
        self.device = comparison.device

    def run(self) -> None:
        with self.comparison.attempt("least squares"), self.comparison.open_engine(FP32) as own:
            torch.set_float32_matmul_precision("highest")
            generator = torch.Generator(self.device).manual_seed(0)
            layers = [self.random_layer(generator) for _ in self.comparison.shape.neurons]
            neurons, count = self.comparison.shape.neurons[0], len(layers)
            self.solve(
                f"{count} projections of {neurons} neurons",
                [lambda layer=layer: own.solve_projection(layer.whole, RIDGES[0])[0] for layer in layers],
                [lambda layer=layer: self.projection(layer.whole, RIDGES[0]) for layer in layers],
            )
            self.solve(
                f"{count} projections of the {neurons // 2} neurons that are kept, ridges chosen (preset espalier)",
                [lambda layer=layer: own_fit(own, layer) for layer in layers],
                [lambda layer=layer: self.best_fit(layer) for layer in layers],
            )
            self.solve(
                f"{count} scale systems of the {neurons // 2} neurons that are kept (preset kwon)",
                [lambda layer=layer: own.solve_scales(layer.kept) for layer in layers],
                [lambda layer=layer: self.scales(layer.kept) for layer in layers],
            )
            self.eliminate(f"elimination order of {neurons} neurons (preset espalier)", own, layers[0].whole, generator)
        self.comparison.release_memory()

    def solve(self, work: str, own: list[Callable], others: list[Callable]) -> None:
        """A function a layer; the first layer's results are compared."""
        expected = others[0]()
        error = np.linalg.norm(own[0]() - expected) / np.linalg.norm(expected)
        self.comparison.verify(f"least squares, {work}, against PyTorch in float64", float(error), ALLOWED)
        contenders = [
            Contender("espalier", lambda: [each() for each in own]),
            Contender("PyTorch, Cholesky in float64", lambda: [each() for each in others]),
        ]
        self.comparison.measure(contenders, few=True)
        self.comparison.report_work("least squares", work, contenders)

    def eliminate(self, work: str, own: engine.Engine, statistics: engine.Statistics, generator) -> None:
        hidden = len(statistics.weight)
        factor = self.normal(generator, hidden, hidden)
        moments = (factor @ factor.T / hidden).cpu().numpy()
        order, errors = own.elimination_order(statistics, moments, CURVE_RIDGE)
        self.verify_elimination(work, statistics, moments, order, errors)
        contenders = [Contender("espalier", lambda: own.elimination_order(statistics, moments, CURVE_RIDGE))]
        self.comparison.measure(contenders, few=True)
        self.comparison.report_work("least squares", work, contenders)

    def verify_elimination(self, work: str, statistics, moments: np.ndarray, order: np.ndarray, errors: np.ndarray):
        """The first choice, and the error once half of the neurons are gone, from the inverse of the Gram matrix."""
        gram, _ = self.centred(statistics)
        inverse = torch.linalg.inv(self.with_ridge(gram, CURVE_RIDGE)[0])
        weight, moments = (self.on_device(values).double() for values in (statistics.weight, moments))
        costs = torch.einsum("hi,hg,gi->i", weight, moments, weight) / inverse.diagonal()
        first = float(costs[order[0]] / costs.min()) - 1
        self.comparison.verify(f"{work}, cost of the first", first, ALLOWED)
        gone = torch.from_numpy(order[: len(order) // 2].astype(np.int64)).to(self.device)
        lost = weight[:, gone]
        expected = float((torch.linalg.solve(inverse[gone][:, gone], lost.T) * (moments @ lost).T).sum())
        error = abs(errors[len(gone) - 1] - expected) / expected
        self.comparison.verify(f"{work}, error without half of them", error, ALLOWED)

    # PyTorch's solutions, as native/solver describes them

    def projection(self, statistics: engine.Statistics, ridge: float) -> np.ndarray:
        return self.projections(statistics, [ridge])[0].float().cpu().numpy()

    def projections(self, statistics: engine.Statistics, ridges: list[float]) -> list[torch.Tensor]:
        """Weights [hidden, inputs]."""
        gram, cross = self.centred(statistics)
        weight = self.on_device(statistics.weight).double()
        found = []
        for ridge in ridges:
            matrix, pull = self.with_ridge(gram, ridge)
            factor = torch.linalg.cholesky(matrix)
            found.append(torch.cholesky_solve(cross + pull * weight.T, factor).T)
        return found

    def best_fit(self, layer: Layer) -> np.ndarray:
        gram, cross, sums, targets = self.sums(layer.held_out)
        rows = layer.held_out.rows
        fitted = layer.fitted
        fitted_sums, fitted_targets = self.sums(fitted)[2:]
        errors = []
        for weight in self.projections(fitted, RIDGES):
            shift = (fitted_targets - weight @ fitted_sums) / fitted.rows
            squares = (weight @ gram * weight).sum() + rows * shift @ shift
            errors.append(float(squares + 2 * shift @ (weight @ sums - targets) - 2 * (weight * cross.T).sum()))
        return self.projection(layer.kept, RIDGES[int(np.argmin(errors))])

    def scales(self, statistics: engine.Statistics) -> np.ndarray:
        """z of (M^2 + 1) z = M r."""
        gram, cross, _, _ = self.sums(statistics)
        weight = self.on_device(statistics.weight).double()
        matrix = gram * (weight.T @ weight)
        rhs = (cross * weight.T).sum(1) - matrix.sum(1)
        damped = matrix @ matrix
        damped.diagonal().add_(1)
        return torch.cholesky_solve((matrix @ rhs)[:, None], torch.linalg.cholesky(damped))[:, 0].cpu().numpy()

    def sums(self, statistics: engine.Statistics) -> list[torch.Tensor]:
        found = (statistics.gram, statistics.cross, statistics.input_sums, statistics.target_sums)
        return [self.on_device(values) for values in found]

    def centred(self, statistics: engine.Statistics) -> tuple[torch.Tensor, torch.Tensor]:
        """Gram matrix and products with the targets, the means taken out."""
        gram, cross, sums, targets = self.sums(statistics)
        mean = sums / statistics.rows
        return gram - torch.outer(sums, mean), cross - torch.outer(mean, targets)

    def with_ridge(self, gram: torch.Tensor, part: float) -> tuple[torch.Tensor, torch.Tensor]:
        """The matrix, and what was added to its diagonal: a part of the diagonal's mean."""
        pull = part * gram.diagonal().mean()
        return gram + pull * torch.eye(len(gram), dtype=gram.dtype, device=gram.device), pull

    # Data

    def random_layer(self, generator: torch.Generator) -> Layer:
        """GELUs of random sums are the inputs. The targets are what another projection makes of them: of their own one,
        least squares would give it back whatever the ridge."""
        hidden, neurons = self.comparison.shape.hidden, self.comparison.shape.neurons[0]
        sums = self.normal(generator, ROWS, hidden) @ self.normal(generator, hidden, neurons) / hidden**0.5
        inputs = torch.nn.functional.gelu(sums)
        weight, other = (0.02 * self.normal(generator, hidden, neurons) for _ in range(2))
        weight, targets = weight.float(), inputs @ (weight + other).T
        kept = torch.randperm(neurons, generator=generator, device=self.device)[: neurons // 2].sort().values
        held = torch.arange(ROWS, device=self.device) % HELD_OUT == 0
        some, some_weight = inputs[:, kept], weight[:, kept]
        return Layer(
            statistics_of(inputs, targets, weight),
            statistics_of(some, targets, some_weight),
            statistics_of(some[~held], targets[~held], some_weight),
            statistics_of(some[held], targets[held], some_weight),
        )

    def normal(self, generator: torch.Generator, rows: int, cols: int) -> torch.Tensor:
        return torch.randn(rows, cols, generator=generator, device=self.device, dtype=torch.float64)

    def on_device(self, values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values).to(self.device)


def own_fit(own: engine.Engine, layer: Layer) -> np.ndarray:
    ridge = own.best_ridge(layer.fitted, layer.held_out, RIDGES)
    return own.solve_projection(layer.kept, ridge)[0]


def statistics_of(inputs: torch.Tensor, targets: torch.Tensor, weight: torch.Tensor) -> engine.Statistics:
    """inputs [rows, inputs], targets [rows, hidden], weight [hidden, inputs]."""
    found = (inputs.T @ inputs, inputs.T @ targets, inputs.sum(0), targets.sum(0), weight)
    return engine.Statistics(len(inputs), *(values.contiguous().cpu().numpy() for values in found))
