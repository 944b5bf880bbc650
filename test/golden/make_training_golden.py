"""Makes training/*: what PyTorch computes in float64 when the tiny checkpoints train with learned token pruning.

    pip install torch "transformers<5" safetensors
    python test/golden/make_training_golden.py [NAME...]

Of every model a JSON file of inputs and results and a safetensors file of float32 tensors: `CASE.ROLE` is the gradient of
the sum of the case's objectives over its sequences, `steps.ROLE` the weight after the optimiser's last step. Rows of an
embedding table's gradient after the last one that is not zero are left out. The last threshold of a sequence head takes
no part in anything. The teacher of a distilled case drops nothing; its weights are the checkpoint's, those of layers times
`teacherScale`, rounded to float32.
"""
import sys
from dataclasses import dataclass

import numpy as np
import torch
import transformers
from safetensors.torch import save_file

from make_golden import HERE, loss_name, random_labels, random_sequences, rounded, write
from masked_encoder import sample_losses
from token_pruning import TABLES, HookedEncoder, PackedEncoder, distillation_losses, role_of

MODELS = ("gelu", "gelu-new", "regression", "bert-span", "distilbert", "roberta")
VECTORS_ONLY = "gelu"  # the most layers, too many weights
DISTILLED = {"regression": "hard", "bert-span": "hard", "roberta": "plain"}
STEPPED = "distilbert"
LENGTHS = (5, 1, 14, 2, 23, 9)
# transformers gives padding tokens, 0 and 1, no gradient of their embeddings; few ids come up several times.
IDS = (2, 48)

# Numbers of float32.
TEMPERATURE, REGULARISATION = 1 / 32, 0.5
DISTILLATION = {"hardWeight": 0.5, "logitWeight": 0.25, "hiddenWeight": 2.0, "temperature": 2.0}
TEACHER_SCALE = 1.125

OPTIMISER = {"learningRate": 1e-3, "betas": (0.9, 0.999), "epsilon": 1e-8, "weightDecay": 0.01, "maxGradientNorm": 1.0}
STEPS = 3


@dataclass
class Case:
    name: str
    thresholds: torch.Tensor = None  # [layers]
    temperature: float = None  # of soft masks; without one tokens are dropped
    teacher: dict = None  # weights to distil from

    @property
    def soft(self):
        return self.temperature is not None

    def settings(self):
        settings = {"name": self.name}
        if self.thresholds is not None:
            settings["thresholds"] = self.thresholds.tolist()
        if self.soft:
            settings |= {"temperature": self.temperature, "regularisation": REGULARISATION}
        if self.teacher:
            settings["distillation"] = {**DISTILLATION, "teacherScale": TEACHER_SCALE}
        return settings


@dataclass
class Outcome:
    """Of every sequence."""

    logits: torch.Tensor  # [sequences, labels], of a span head [tokens, 2]
    losses: torch.Tensor
    objectives: torch.Tensor  # what training minimises
    traces: list
    parts: dict  # of a distilled objective, without their weights


class Problem:
    def __init__(self, name, seed):
        rng = np.random.default_rng(seed)
        self.encoder = PackedEncoder(open_model(name))
        self.sequences = random_sequences(rng, LENGTHS, *IDS)
        self.labels = random_labels(rng, self.encoder, self.sequences)

    def traces(self, weights, *pruning):
        return [self.encoder.forward(weights, sequence, *pruning) for sequence in self.sequences]

    def losses(self, logits):
        return sample_losses(self.encoder, logits, self.sequences, self.labels)

    def outcome(self, case, weights, thresholds):
        traces = self.traces(weights, thresholds, case.temperature)
        logits = torch.cat([trace.logits.reshape(-1, self.encoder.config.num_labels) for trace in traces])
        losses = self.losses(logits)
        if case.soft:
            kept = torch.stack([torch.stack([mask.mean() for mask in trace.masks]).mean() for trace in traces])
            return Outcome(logits, losses, losses + REGULARISATION * kept, traces, {})
        if not case.teacher:
            return Outcome(logits, losses, losses, traces, {})
        pairs = zip(traces, self.traces(case.teacher))
        both = [distillation_losses(self.encoder, *pair, DISTILLATION["temperature"]) for pair in pairs]
        logit, hidden = (torch.stack(part) for part in zip(*both))
        weight = lambda part: DISTILLATION[f"{part}Weight"]
        objectives = weight("hard") * losses + weight("logit") * logit + weight("hidden") * hidden
        return Outcome(logits, losses, objectives, traces, {"logitLosses": logit, "hiddenLosses": hidden})

    def gradients(self, case):
        """Outcome, {role: gradient}, and the thresholds' gradient."""
        weights = {name: weight.clone().requires_grad_(True) for name, weight in self.encoder.weights.items()}
        thresholds = None if case.thresholds is None else case.thresholds.clone().requires_grad_(case.soft)
        outcome = self.outcome(case, weights, thresholds)
        leaves = [*weights.values(), *([thresholds] if case.soft else [])]
        gradients = torch.autograd.grad(outcome.objectives.sum(), leaves)
        return outcome, dict(zip(weights, gradients)), gradients[-1] if case.soft else None


def open_model(name):
    kind = getattr(transformers, transformers.AutoConfig.from_pretrained(HERE / name).architectures[0])
    return kind.from_pretrained(HERE / name, dtype=torch.float64, attn_implementation="eager").eval()


def hard_thresholds(problem):
    """[layers] that drop about two fifths of what may be dropped, each in a gap between scores; float32 numbers."""
    encoder = problem.encoder
    thresholds = torch.ones(encoder.layers, dtype=torch.float64)
    thresholds[: encoder.pruning_layers] = 0
    for layer in range(encoder.pruning_layers):
        traces = problem.traces(encoder.weights, thresholds)
        scores = torch.cat([trace.scores[layer][1:] for trace in traces]).sort().values
        low, high = int(0.3 * len(scores)), int(0.5 * len(scores))
        gap = low + (scores[low + 1 : high + 1] / scores[low:high]).argmax()
        thresholds[layer] = (scores[gap] * scores[gap + 1]).sqrt().float()
    return thresholds


def cases_of(name, problem):
    thresholds = hard_thresholds(problem)
    cases = [Case("plain"), Case("soft", thresholds, TEMPERATURE), Case("hard", thresholds)]
    if name in DISTILLED:
        scale = lambda role, weight: (weight.float() * TEACHER_SCALE).double() if role.startswith("layers.") else weight
        teacher = {role: scale(role, weight) for role, weight in problem.encoder.weights.items()}
        cases.append(Case("distilled", thresholds if DISTILLED[name] == "hard" else None, teacher=teacher))
    return cases


def kept_counts(traces):
    """[layers][sequences] tokens of each layer's output."""
    return [[len(tokens) for tokens in layer] for layer in zip(*(trace.tokens for trace in traces))]


def train(problem):
    """Losses of every step, gradient norms before clipping, and the weights after the last step."""
    weights = {name: weight.clone().requires_grad_(True) for name, weight in problem.encoder.weights.items()}
    matrices = [weight for weight in weights.values() if weight.dim() == 2]
    vectors = [weight for weight in weights.values() if weight.dim() == 1]
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": OPTIMISER["weightDecay"]}, {"params": vectors, "weight_decay": 0.0}],
        lr=OPTIMISER["learningRate"],
        betas=OPTIMISER["betas"],
        eps=OPTIMISER["epsilon"],
    )
    losses, norms = [], []
    for _ in range(STEPS):
        outcome = problem.outcome(Case("plain"), weights, None)
        optimiser.zero_grad()
        outcome.losses.mean().backward()
        norms.append(torch.nn.utils.clip_grad_norm_(weights.values(), OPTIMISER["maxGradientNorm"]))
        optimiser.step()
        losses.append(outcome.losses.detach())
    assert max(norms) > OPTIMISER["maxGradientNorm"], "nothing was clipped"
    return losses, norms, {name: weight.detach() for name, weight in weights.items()}


def check_model(name, problem):
    """Both implementations are transformers' own where they prune nothing."""
    encoder, layers = problem.encoder, problem.encoder.layers
    plain = HookedEncoder(open_model(name)).forward(problem.sequences, None, None)[0]
    everything = Case("hard", torch.zeros(layers)), Case("soft", torch.full((layers,), -1e9), TEMPERATURE)
    for case in (Case("plain"), *everything):
        error = (problem.outcome(case, encoder.weights, case.thresholds).logits - plain).abs().max()
        assert error < 1e-12, f"{case.name} differs from transformers by {error:.1e}"


def check_thresholds(problem, traces, thresholds):
    """Every layer drops and keeps tokens, and rounding cannot change which. Returns the smallest relative margin."""
    margin = torch.inf
    for layer in range(problem.encoder.pruning_layers):
        ratios = torch.cat([trace.scores[layer][1:] for trace in traces]) / thresholds[layer]
        assert 2 < (ratios < 1).sum() < len(ratios) - 2
        margin = min(margin, (ratios - 1).abs().min().item())
    assert margin > 1e-3
    return margin


def check_against_hooks(name, problem, case, expected):
    """Transformers with hooks computes the same logits and, relative to the largest one, gradients."""
    outcome, gradients, threshold_gradient = expected
    encoder = HookedEncoder(open_model(name))
    thresholds = None if case.thresholds is None else case.thresholds.clone().requires_grad_(case.soft)
    logits, mask_means = encoder.forward(problem.sequences, thresholds, case.temperature)
    objective = problem.losses(logits).sum()
    if case.soft:
        objective = objective + REGULARISATION * torch.stack(mask_means).mean(0).sum()
    objective.backward()
    assert (logits - outcome.logits).abs().max() < 1e-12
    parameters = {role_of(name): parameter.grad for name, parameter in encoder.model.named_parameters()}
    assert parameters.keys() == gradients.keys()
    pairs = [(parameters[name], gradient) for name, gradient in gradients.items()]
    if case.soft:
        pairs.append((thresholds.grad, threshold_gradient))
    largest = max(mine.abs().max() for _, mine in pairs)
    error = max((mine - theirs).abs().max() for theirs, mine in pairs) / largest
    assert error < 1e-12, f"{case.name}: gradients differ from those of transformers by {error:.1e}"


def check_differences(problem, case, gradients, threshold_gradient):
    """Gradients along a random direction of every parameter, and of every threshold, are what finite differences say."""
    generator = torch.Generator().manual_seed(0)
    leaves = dict(problem.encoder.weights)
    directions = [(name, torch.randn(leaves[name].shape, generator=generator).double()) for name in leaves]
    slopes = [(gradients[name] * direction).sum() / direction.norm() for name, direction in directions]
    if case.soft:
        leaves["thresholds"] = case.thresholds
        directions += [("thresholds", direction) for direction in torch.eye(len(case.thresholds)).double()]
        slopes += threshold_gradient
    step = 1e-5

    def objective(name, change):
        moved = {**leaves, name: leaves[name] + change}
        return problem.outcome(case, moved, moved.get("thresholds", case.thresholds)).objectives.sum()

    for (name, direction), slope in zip(directions, slopes):
        change = direction * (step / direction.norm())
        difference = (objective(name, change) - objective(name, -change)) / (2 * step)
        assert abs(difference - slope) < 1e-7 * (1 + abs(slope)), f"{case.name} {name}: {slope} is not {difference}"


def stored_gradients(model, case, gradients):
    for name, gradient in gradients.items():
        if model == VECTORS_ONLY and gradient.dim() == 2:
            continue
        if name in TABLES:
            gradient = gradient[: gradient.any(1).nonzero().max() + 1]
        yield f"{case.name}.{name}", gradient.float().contiguous()


def write_training(name, problem):
    cases, tensors = [], {}
    check_model(name, problem)
    for case in cases_of(name, problem):
        outcome, gradients, threshold_gradient = results = problem.gradients(case)
        content = {**case.settings(), "logits": rounded(outcome.logits), "losses": rounded(outcome.losses)}
        content["objectives"] = rounded(outcome.objectives)
        content |= {part: rounded(values) for part, values in outcome.parts.items()}
        checked = "finite differences"
        check_differences(problem, case, gradients, threshold_gradient)
        if not case.teacher:
            check_against_hooks(name, problem, case, results)
            checked += ", transformers with hooks"
        if case.soft:
            content["thresholdGradients"] = rounded(threshold_gradient)
        elif case.thresholds is not None:
            content["kept"] = kept_counts(outcome.traces)
            margin = check_thresholds(problem, outcome.traces, case.thresholds)
            checked += f", margin of thresholds {margin:.1e}, kept {content['kept']}"
        print(f"{name} {case.name}: {checked}")
        cases.append(content)
        tensors.update(stored_gradients(name, case, gradients))
    content = {"loss": loss_name(problem.encoder), "sequences": problem.sequences, "labels": problem.labels}
    content["cases"] = cases
    if name == STEPPED:
        losses, norms, weights = train(problem)
        content["steps"] = {**OPTIMISER, "losses": rounded(losses), "gradientNorms": rounded(norms)}
        tensors.update({f"steps.{role}": weight.float() for role, weight in weights.items()})
        print(f"{name} steps: gradient norms {rounded(norms, 3)}")
    write(f"training/{name}.json", content)
    save_file(tensors, HERE / "training" / f"{name}.safetensors")


def main():
    torch.set_num_threads(1)
    (HERE / "training").mkdir(exist_ok=True)
    for number, name in enumerate(MODELS):
        if len(sys.argv) > 1 and name not in sys.argv[1:]:
            continue
        write_training(name, Problem(name, number))


if __name__ == "__main__":
    main()
