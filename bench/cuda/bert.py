"""The model that is measured, on PyTorch's side: transformers' BERT with random weights, and ways to run it."""
import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import transformers

from engine import PackedBatch, Shape

Inputs = dict[str, torch.Tensor]
Gradients = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Size:
    layers: int
    hidden: int
    heads: int
    neurons: int
    vocabulary: int
    labels: int = 2


BASE = Size(layers=12, hidden=768, heads=12, neurons=3072, vocabulary=30522)
TINY = Size(layers=2, hidden=128, heads=2, neurons=256, vocabulary=1000)


def random_model(size: Size) -> torch.nn.Module:
    """In f32. Biases and norms are random too, so that a weight in the wrong place is seen."""
    torch.manual_seed(0)
    config = transformers.BertConfig(
        num_hidden_layers=size.layers,
        hidden_size=size.hidden,
        num_attention_heads=size.heads,
        intermediate_size=size.neurons,
        vocab_size=size.vocabulary,
        num_labels=size.labels,
    )
    config._attn_implementation = "sdpa"
    model = transformers.BertForSequenceClassification(config).eval().requires_grad_(False)
    for parameter in model.parameters():
        if parameter.dim() == 1:
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def in_dtype(model: torch.nn.Module, dtype: torch.dtype, device: str) -> torch.nn.Module:
    return copy.deepcopy(model).to(device=device, dtype=dtype)


def let_drop_out(model: torch.nn.Module, rate: float) -> None:
    """As espalier's training does: hidden states only, not attention probabilities."""
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = rate
    for layer in model.bert.encoder.layer:
        layer.attention.self.dropout.p = 0.0
        layer.attention.self.dropout_prob = 0.0


def shape_of(model: torch.nn.Module) -> Shape:
    config = model.config
    return Shape(
        hidden=config.hidden_size,
        head_size=config.hidden_size // config.num_attention_heads,
        vocabulary=config.vocab_size,
        positions=config.max_position_embeddings,
        token_types=config.type_vocab_size,
        labels=config.num_labels,
        epsilon=config.layer_norm_eps,
        heads=[config.num_attention_heads] * config.num_hidden_layers,
        neurons=[config.intermediate_size] * config.num_hidden_layers,
    )


def weights_of(model: torch.nn.Module) -> dict[str, np.ndarray]:
    """By espalier's roles, in f32."""
    embeddings = model.bert.embeddings
    modules = {
        "embeddings.norm": embeddings.LayerNorm,
        "pooler": model.bert.pooler.dense,
        "classifier": model.classifier,
    }
    for index, layer in enumerate(model.bert.encoder.layer):
        modules |= {
            f"layers.{index}.attention.query": layer.attention.self.query,
            f"layers.{index}.attention.key": layer.attention.self.key,
            f"layers.{index}.attention.value": layer.attention.self.value,
            f"layers.{index}.attention.output": layer.attention.output.dense,
            f"layers.{index}.attention.norm": layer.attention.output.LayerNorm,
            f"layers.{index}.ffn.in": layer.intermediate.dense,
            f"layers.{index}.ffn.out": layer.output.dense,
            f"layers.{index}.ffn.norm": layer.output.LayerNorm,
        }
    tensors = {
        "embeddings.word": embeddings.word_embeddings.weight,
        "embeddings.position": embeddings.position_embeddings.weight,
        "embeddings.tokenType": embeddings.token_type_embeddings.weight,
    }
    for role, module in modules.items():
        tensors |= {f"{role}.weight": module.weight, f"{role}.bias": module.bias}
    return {role: np.ascontiguousarray(tensor.detach().float().cpu().numpy()) for role, tensor in tensors.items()}


def sequences_of(batch: PackedBatch) -> list[torch.Tensor]:
    return list(torch.from_numpy(batch.ids).long().split(np.diff(batch.offsets).tolist()))


def padded(sequences: list[torch.Tensor]) -> Inputs:
    """On the host, padded to the longest. No mask where there is no padding, so that PyTorch may leave it out."""
    ids = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True)
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    inputs = {"input_ids": ids, "token_type_ids": torch.zeros_like(ids)}
    if lengths.min() < lengths.max():
        inputs["attention_mask"] = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
    return inputs


def pin(inputs: Inputs) -> Inputs:
    return {name: tensor.pin_memory() for name, tensor in inputs.items()} if torch.cuda.is_available() else inputs


def to_device(inputs: Inputs, device: str) -> Inputs:
    return {name: tensor.to(device, non_blocking=True) for name, tensor in inputs.items()}


@torch.inference_mode()
def logits(model: Callable, inputs: Inputs, device: str) -> torch.Tensor:
    return model(**to_device(inputs, device)).logits.to("cpu")


def unpadded(batch: PackedBatch) -> Inputs:
    """On the host, all sequences in one row."""
    lengths = np.diff(batch.offsets)
    positions = np.concatenate([np.arange(length) for length in lengths])
    return {
        "input_ids": torch.from_numpy(batch.ids).long()[None],
        "token_type_ids": torch.zeros((1, len(batch.ids)), dtype=torch.long),
        "position_ids": torch.from_numpy(positions).long()[None],
        "offsets": torch.from_numpy(batch.offsets),
    }


@torch.inference_mode()
def unpadded_logits(model: torch.nn.Module, inputs: Inputs, longest: int, device: str) -> torch.Tensor:
    """What transformers' BERT computes, on tokens without padding, its modules called one by one."""
    inputs = to_device(inputs, device)
    offsets = inputs.pop("offsets")
    hidden = model.bert.embeddings(**inputs)
    heads = model.config.num_attention_heads
    for layer in model.bert.encoder.layer:
        attention = layer.attention.self
        query, key, value = (
            projection(hidden)[0].unflatten(-1, (heads, -1))
            for projection in (attention.query, attention.key, attention.value)
        )
        context = unpadded_attention(query, key, value, offsets, longest)
        attended = layer.attention.output(context.flatten(1)[None], hidden)
        hidden = layer.output(layer.intermediate(attended), attended)
    return model.classifier(model.bert.pooler(hidden[0, offsets[:-1]][:, None])).to("cpu")


def unpadded_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, offsets: torch.Tensor, longest: int
) -> torch.Tensor:
    """[tokens, heads, head size] each. PyTorch's flash attention of unequal lengths, which takes half types on a GPU
    only; else nested tensors."""
    if query.is_cuda and query.dtype in (torch.float16, torch.bfloat16):
        from torch.nn.attention.varlen import varlen_attn

        return varlen_attn(query, key, value, offsets, offsets, longest, longest)
    nested = (
        torch.nested.nested_tensor_from_jagged(tensor, offsets.long(), min_seqlen=1, max_seqlen=longest).transpose(1, 2)
        for tensor in (query, key, value)
    )
    context = torch.nn.functional.scaled_dot_product_attention(*nested)
    return context.transpose(1, 2).values()


class MaskedModel:
    """A model whose heads and neurons every sequence masks for itself."""

    def __init__(self, model: torch.nn.Module, device: str):
        self.model, self.device = model, device
        config = model.config
        self.units = (config.num_attention_heads, config.intermediate_size)
        self.layers = model.bert.encoder.layer
        self.masks: list[tuple[torch.Tensor, torch.Tensor]] = []
        head_size = config.hidden_size // config.num_attention_heads
        for index, layer in enumerate(self.layers):
            layer.attention.output.register_forward_pre_hook(self.hook(index, 0, head_size))
            layer.output.register_forward_pre_hook(self.hook(index, 1, 1))

    def hook(self, index: int, kind: int, unit_size: int):
        """Multiplies [sequences, tokens, units * unit_size] by the masks [sequences, units]."""

        def mask(_module, args):
            values = self.masks[index][kind].to(args[0].dtype)
            return args[0] * values.repeat_interleave(unit_size, dim=1)[:, None], args[1]

        return mask

    def gradients(self, batches: list[Inputs], classes: torch.Tensor) -> Gradients:
        """Of every sequence its loss [sequences] and gradients [sequences, all heads] and [sequences, all neurons]."""
        parts = []
        for inputs, labels in zip(batches, classes.split(len(batches[0]["input_ids"]))):
            parts.append(self._gradients(to_device(inputs, self.device), labels.to(self.device)))
        return tuple(torch.cat(kind) for kind in zip(*parts))

    def _gradients(self, inputs: Inputs, labels: torch.Tensor) -> Gradients:
        ones = lambda width: torch.ones((len(labels), width), device=self.device, requires_grad=True)
        self.masks = [tuple(ones(width) for width in self.units) for _ in self.layers]
        flat = [mask for pair in self.masks for mask in pair]
        losses = torch.nn.functional.cross_entropy(self.model(**inputs).logits, labels, reduction="none")
        gradients = torch.autograd.grad(losses.sum(), flat)
        return (
            losses.detach().to("cpu"),
            torch.cat(gradients[0::2], dim=1).to("cpu"),
            torch.cat(gradients[1::2], dim=1).to("cpu"),
        )
