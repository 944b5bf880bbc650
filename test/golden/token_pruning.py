"""Training with learned token pruning, Kim et al. 2021 (arXiv 2107.00910), for make_training_golden.py.

Sequences run one by one without padding. The plain functions of weights here and the layers of transformers with hooks
on padded batches are two implementations that share nothing but the losses.
"""
import re
from dataclasses import dataclass, field

import torch
from torch.nn import functional

from masked_encoder import MaskedEncoder

# What the native code calls the parts of all families.
ROLES = {
    "embeddings.word_embeddings": "embeddings.word",
    "embeddings.position_embeddings": "embeddings.position",
    "embeddings.token_type_embeddings": "embeddings.tokenType",
    "embeddings.LayerNorm": "embeddings.norm",
    "attention.self.query": "attention.query",
    "attention.self.key": "attention.key",
    "attention.self.value": "attention.value",
    "attention.output.dense": "attention.output",
    "attention.output.LayerNorm": "attention.norm",
    "intermediate.dense": "ffn.in",
    "output.dense": "ffn.out",
    "output.LayerNorm": "ffn.norm",
    "attention.q_lin": "attention.query",
    "attention.k_lin": "attention.key",
    "attention.v_lin": "attention.value",
    "attention.out_lin": "attention.output",
    "sa_layer_norm": "attention.norm",
    "ffn.lin1": "ffn.in",
    "ffn.lin2": "ffn.out",
    "output_layer_norm": "ffn.norm",
    "pooler.dense": "pooler",
    "pre_classifier": "pooler",
    "classifier.dense": "pooler",
    "classifier": "classifier",
    "classifier.out_proj": "classifier",
    "qa_outputs": "classifier",
}
TABLES = ("embeddings.word", "embeddings.position", "embeddings.tokenType")
PARAMETER = re.compile(r"(?:(?:bert|distilbert|roberta)\.)?(?:(?:encoder|transformer)\.layer\.(\d+)\.)?(.+)\.(\w+)")
ACTIVATIONS = {"gelu": functional.gelu, "gelu_new": lambda x: functional.gelu(x, approximate="tanh")}


def role_of(parameter_name):
    layer, part, kind = PARAMETER.fullmatch(parameter_name).groups()
    name = ROLES[part] if layer is None else f"layers.{layer}.{ROLES[part]}"
    return name if name in TABLES else f"{name}.{kind}"


@dataclass
class Trace:
    """What a forward of one sequence leaves behind."""

    logits: torch.Tensor = None  # [labels], of a span head [tokens, 2]
    tokens: list = field(default_factory=list)  # per layer, the tokens of its output: indices into the sequence
    states: list = field(default_factory=list)  # per layer, their states
    scores: list = field(default_factory=list)  # per layer, importance of the tokens that entered it
    masks: list = field(default_factory=list)  # soft ones, per layer that has one


class PackedEncoder:
    """A checkpoint as functions of its weights, {role: tensor}."""

    def __init__(self, model):
        self.weights = {role_of(name): weight.detach().clone() for name, weight in model.named_parameters()}
        self.config = config = model.config
        self.span = hasattr(model, "qa_outputs")
        self.layers, self.heads = config.num_hidden_layers, config.num_attention_heads
        # A sequence head reads the first token only: its last layer has nothing to prune.
        self.pruning_layers = self.layers if self.span else self.layers - 1
        distilbert = config.model_type == "distilbert"
        self.activation = ACTIVATIONS[config.activation if distilbert else config.hidden_act]
        self.head_activation = torch.relu if distilbert else torch.tanh
        self.epsilon = getattr(config, "layer_norm_eps", 1e-12)
        self.first_position = config.pad_token_id + 1 if config.model_type == "roberta" else 0

    def forward(self, weights, sequence, thresholds=None, temperature=None):
        """Trace of one sequence. thresholds: [layers]; with a temperature they make soft masks, without they drop."""
        trace = Trace()
        hidden = self._embed(weights, sequence)
        length = len(hidden)
        tokens, latest = torch.arange(length), hidden
        for layer in range(self.layers):
            at = f"layers.{layer}"
            context, scores = self._attend(weights, at, hidden, length)
            trace.scores.append(scores)
            prunes = thresholds is not None and layer < self.pruning_layers
            if prunes and temperature is None:
                kept = scores >= thresholds[layer]
                kept[0] = True
                context, hidden, tokens = context[kept], hidden[kept], tokens[kept]
            hidden = self._finish_layer(weights, at, context, hidden)
            if prunes and temperature is not None:
                mask = torch.sigmoid((scores - thresholds[layer]) / temperature)
                mask = torch.cat([mask.new_ones(1), mask[1:]])
                trace.masks.append(mask)
                hidden = hidden * mask[:, None]
            latest = latest.index_copy(0, tokens, hidden)
            trace.tokens.append(tokens)
            trace.states.append(hidden)
        trace.logits = self._head(weights, latest)
        return trace

    def _embed(self, weights, sequence):
        ids = torch.tensor(sequence["ids"])
        positions = self.first_position + torch.arange(len(ids))
        summed = weights["embeddings.word"][ids] + weights["embeddings.position"][positions]
        types = weights.get("embeddings.tokenType")
        if types is not None:
            summed = summed + types[torch.tensor(sequence["types"]).clamp(max=len(types) - 1)]
        return self._norm(weights, "embeddings.norm", summed)

    def _attend(self, weights, at, hidden, length):
        """[tokens, hidden] context, and [tokens] the share that each token has of the sequence's attention."""
        split = lambda part: self._linear(weights, f"{at}.attention.{part}", hidden).unflatten(1, (self.heads, -1))
        query, key, value = split("query"), split("key"), split("value")
        logits = torch.einsum("qhd,khd->hqk", query, key) / query.shape[2] ** 0.5
        probabilities = logits.softmax(2)
        context = torch.einsum("hqk,khd->qhd", probabilities, value).flatten(1)
        return context, probabilities.sum((0, 1)) / (self.heads * length)

    def _finish_layer(self, weights, at, context, residual):
        output = self._linear(weights, f"{at}.attention.output", context)
        hidden = self._norm(weights, f"{at}.attention.norm", output + residual)
        neurons = self.activation(self._linear(weights, f"{at}.ffn.in", hidden))
        return self._norm(weights, f"{at}.ffn.norm", self._linear(weights, f"{at}.ffn.out", neurons) + hidden)

    def _head(self, weights, states):
        if not self.span:
            states = self.head_activation(self._linear(weights, "pooler", states[0]))
        return self._linear(weights, "classifier", states)

    def _linear(self, weights, name, x):
        return functional.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def _norm(self, weights, name, x):
        return functional.layer_norm(x, x.shape[1:], weights[f"{name}.weight"], weights[f"{name}.bias"], self.epsilon)


class HookedEncoder(MaskedEncoder):
    """Token pruning by hooks on the layers of transformers: a dropped token stays, but nothing attends to it."""

    def __init__(self, model):
        super().__init__(model)
        model.requires_grad_(True)
        last = None if self.span else -1
        for layer in self.layers:
            layer.register_forward_pre_hook(self._hide_absent)
        for index, layer in enumerate(self.layers[:last]):
            layer.register_forward_hook(self._prune(index))

    def forward(self, sequences, thresholds, temperature):
        """Logits, and [layers, sequences] the means of the soft masks."""
        self._present = self.pad(sequences)["attention_mask"].double()
        self._lengths = self._present.sum(1, keepdim=True)
        self._thresholds, self._temperature, self._mask_means = thresholds, temperature, []
        logits = self.logits(sequences, *self.ones(), output_attentions=True)
        return logits, self._mask_means

    def _hide_absent(self, _layer, args):
        hidden, _, *rest = args
        if self.config.model_type == "distilbert":
            return (hidden, self._present, *rest)
        return (hidden, (1 - self._present[:, None, None, :]) * torch.finfo(hidden.dtype).min, *rest)

    def _prune(self, index):
        def prune(_layer, args, output):
            if self._thresholds is None:
                return output
            states, attention = sorted(output, key=torch.Tensor.dim)  # DistilBERT's come the other way round
            attention = attention * self._present[:, None, :, None]
            scores = attention.mean(1).sum(1) / self._lengths
            first = torch.arange(scores.shape[1]) == 0
            if self._temperature is None:
                self._present = self._present * ((scores >= self._thresholds[index]) | first)
                states = torch.where(self._present[:, :, None] > 0, states, args[0])
            else:
                mask = torch.sigmoid((scores - self._thresholds[index]) / self._temperature).masked_fill(first, 1)
                self._mask_means.append((mask * self._present).sum(1) / self._lengths[:, 0])
                states = states * mask[:, :, None]
            return tuple(states if part.dim() == 3 else part for part in output)

        return prune


def distillation_losses(encoder, student, teacher, temperature):
    """T^2 KL of the logits of one sequence, or of a single one the squared difference, and the mean squared difference of
    layer outputs, mean over layers."""
    columns = lambda logits: (logits.reshape(len(logits), -1) / temperature).log_softmax(0)
    mine, theirs = columns(student.logits), columns(teacher.logits)
    divergence = functional.kl_div(mine, theirs, reduction="sum", log_target=True) / mine.shape[1]
    differences = [
        (states - teacher_states[tokens]).square()
        for tokens, states, teacher_states in zip(student.tokens, student.states, teacher.states)
    ]
    if not encoder.span:
        differences[-1] = differences[-1][:1]
    single = student.logits.numel() == 1
    logits = (student.logits - teacher.logits).square().sum() if single else temperature**2 * divergence
    return logits, torch.stack([square.mean() for square in differences]).mean()
