"""Loads this checkpoint, which espalier pruned, at its true size in transformers:

    AutoModelForSequenceClassification.from_pretrained(directory, trust_remote_code=True)

config.espalier says how many heads and neurons each layer has left, and how layers drop tokens: masked here, with
espalier's results but not its speed. The classes bear the names of the stock ones, so that a model saved from here
(after further training, say) is again one that espalier reads.
"""

import functools
import inspect
import math
import threading

import torch
import transformers
from torch import nn


def probabilities_of_no_heads(states):
    batch, length, _ = states.shape
    return states.new_empty(batch, 0, length, length)


class EmptiedBertAttention(nn.Module):
    """Without heads there is no context, and the output projection adds its bias alone; BERT's and RoBERTa's."""

    def __init__(self, attention):
        super().__init__()
        self.query, self.key, self.value = attention.query, attention.key, attention.value

    def forward(self, hidden_states, *args, **kwargs):
        return hidden_states[..., :0], probabilities_of_no_heads(hidden_states)


class EmptiedDistilBertAttention(nn.Module):
    """The same as DistilBERT has it, with the output projection inside."""

    def __init__(self, attention):
        super().__init__()
        self.q_lin, self.k_lin, self.v_lin = attention.q_lin, attention.k_lin, attention.v_lin
        self.out_lin = attention.out_lin

    def forward(self, query, *args, **kwargs):
        return self.out_lin(query[..., :0]), probabilities_of_no_heads(query)


class Tokens(threading.local):
    """The tokens of a batch that are still alive, bool [batch, length]: of alive[l] those that enter layer l.

    Every thread has its own: a model may answer several at once.
    """

    def __init__(self, espalier, layers, span):
        self.arguments = espalier, layers, span
        self.thresholds, self.keep_rates = espalier.get("token_thresholds"), espalier.get("token_keep_rates")
        self.padded_length = espalier.get("token_padded_length")
        self.dropping_layers = layers if span else layers - 1  # after a last one a sequence head reads the first token
        self.alive = [None] * (layers + 1)

    def __reduce__(self):  # what a thread has is neither copied nor saved with the model
        return Tokens, self.arguments

    def enter_model(self, model, args, kwargs):
        given = inspect.signature(model.forward).bind(*args, **kwargs).arguments
        if given.get("head_mask") is not None:
            raise ValueError("a checkpoint that drops tokens takes no head_mask")
        mask = given.get("attention_mask")
        if mask is not None and mask.dim() != 2:
            raise ValueError("a checkpoint that drops tokens takes an attention_mask of [batch, length] alone")
        if mask is None:
            ids = given.get("input_ids")
            mask = torch.ones_like(given["inputs_embeds"][..., 0] if ids is None else ids)
        self.alive = [mask.bool()] * len(self.alive)

    def attend(self, layer, head_size, query, key, value, dropout):
        """Context [batch, length, width] and probabilities; drops tokens for all that comes after this attention."""
        query, key, value = (x.unflatten(-1, (-1, head_size)).transpose(1, 2) for x in (query, key, value))
        scores = query @ key.transpose(2, 3) / math.sqrt(head_size)
        scores = scores.masked_fill(~self.alive[layer][:, None, None], torch.finfo(scores.dtype).min)
        probabilities = scores.softmax(-1)
        if layer < self.dropping_layers:
            later = slice(layer + 1, None)
            self.alive[later] = [self.kept(layer, probabilities.detach().float())] * len(self.alive[later])
        return (dropout(probabilities) @ value).transpose(1, 2).flatten(2), probabilities

    def kept(self, layer, probabilities):
        """Those alive that all alive attend to enough, and always the first."""
        alive, lengths = self.alive[layer], self.alive[0].sum(-1, keepdim=True)
        # Sums stay in float32 under autocast, which products do not.
        sums = probabilities.sum(1).masked_fill(~alive[..., None], 0).sum(1)
        importance = sums / (probabilities.shape[1] * (self.padded_length or lengths))
        first = self.alive[0].long().cumsum(-1) == 1
        importance = importance.masked_fill(first, math.inf).masked_fill(~alive, -math.inf)
        if self.thresholds is not None:
            return importance >= self.thresholds[layer]
        # Counted, not sorted: exporters know no stable sort. Of equal ones the earlier comes first.
        others, own = importance[:, None], importance[..., None]
        ranks = ((others > own) | (others == own).tril(-1)).sum(-1)
        # In integers, since float32 is too coarse and not every device has float64: rates in trillionths, and 1000 of
        # them less, so that no rounding error keeps a further token.
        kept = round(self.keep_rates[layer] * 10**12) * lengths - 1000
        return alive & (ranks * 10**12 < kept.clamp(min=1))

    def enter_layer(self, layer, args):
        self.states = args[0]

    def leave_layer(self, layer, norm, args, output):
        """Tokens that are not alive any more keep the states that they had: a span head reads them."""
        states, self.states = self.states, None
        return torch.where(self.alive[layer + 1][..., None], output, states)


class DroppingBertAttention(nn.Module):
    """Attention among the tokens that are alive; BERT's and RoBERTa's."""

    def __init__(self, attention, attend):
        super().__init__()
        self.query, self.key, self.value = attention.query, attention.key, attention.value
        self.dropout = attention.dropout
        self.attend = functools.partial(attend, attention.attention_head_size)

    def forward(self, hidden_states, *args, **kwargs):
        projections = self.query(hidden_states), self.key(hidden_states), self.value(hidden_states)
        return self.attend(*projections, self.dropout)


class DroppingDistilBertAttention(nn.Module):
    """The same as DistilBERT has it, with the output projection inside."""

    def __init__(self, attention, attend):
        super().__init__()
        self.q_lin, self.k_lin, self.v_lin = attention.q_lin, attention.k_lin, attention.v_lin
        self.out_lin, self.dropout = attention.out_lin, attention.dropout
        self.attend = functools.partial(attend, attention.attention_head_size)

    def forward(self, query, *args, **kwargs):
        context, probabilities = self.attend(self.q_lin(query), self.k_lin(query), self.v_lin(query), self.dropout)
        return self.out_lin(context), probabilities


def narrow(linear, outputs=None, inputs=None):
    """Leaves the first outputs and inputs of a linear layer; the checkpoint brings its weights."""
    linear.weight = nn.Parameter(linear.weight.detach()[:outputs, :inputs].clone())
    linear.bias = nn.Parameter(linear.bias.detach()[:outputs].clone())
    linear.out_features, linear.in_features = linear.weight.shape


def narrow_bert_layer(layer, heads, neurons):
    attention = layer.attention.self
    width = heads * attention.attention_head_size
    for projection in (attention.query, attention.key, attention.value):
        narrow(projection, outputs=width)
    narrow(layer.attention.output.dense, inputs=width)
    attention.num_attention_heads, attention.all_head_size = heads, width
    if heads == 0:
        layer.attention.self = EmptiedBertAttention(attention)
    narrow(layer.intermediate.dense, outputs=neurons)
    narrow(layer.output.dense, inputs=neurons)


def narrow_distilbert_layer(layer, heads, neurons):
    attention = layer.attention
    width = heads * attention.attention_head_size
    for projection in (attention.q_lin, attention.k_lin, attention.v_lin):
        narrow(projection, outputs=width)
    narrow(attention.out_lin, inputs=width)
    attention.n_heads, attention.dim = heads, width
    if heads == 0:
        layer.attention = EmptiedDistilBertAttention(attention)
    narrow(layer.ffn.lin1, outputs=neurons)
    narrow(layer.ffn.lin2, inputs=neurons)


def drop_tokens(model, layers):
    espalier, span = model.config.espalier, hasattr(model, "qa_outputs")
    # What is computed again for the backward pass would see the tokens of whichever forward pass was the last.
    model.supports_gradient_checkpointing = False
    tokens = Tokens(espalier, len(layers), span)
    model.base_model.register_forward_pre_hook(tokens.enter_model, with_kwargs=True)
    for index, (layer, heads) in enumerate(zip(layers, espalier["heads_per_layer"])):
        attend = functools.partial(tokens.attend, index)
        if model.config.model_type == "distilbert":
            norm = layer.output_layer_norm
            if heads > 0:
                layer.attention = DroppingDistilBertAttention(layer.attention, attend)
        else:
            norm = layer.output.LayerNorm
            if heads > 0:
                layer.attention.self = DroppingBertAttention(layer.attention.self, attend)
        if span:
            layer.register_forward_pre_hook(tokens.enter_layer)
            norm.register_forward_hook(functools.partial(tokens.leave_layer, index))


class Pruned:
    """Comes before a stock class."""

    def __init__(self, config):
        super().__init__(config)
        if config.model_type == "distilbert":
            layers, narrow_layer = self.base_model.transformer.layer, narrow_distilbert_layer
        else:
            layers, narrow_layer = self.base_model.encoder.layer, narrow_bert_layer
        widths = zip(config.espalier["heads_per_layer"], config.espalier["neurons_per_layer"])
        for layer, (heads, neurons) in zip(layers, widths):
            narrow_layer(layer, heads, neurons)
        if "token_thresholds" in config.espalier or "token_keep_rates" in config.espalier:
            drop_tokens(self, layers)


class BertForSequenceClassification(Pruned, transformers.BertForSequenceClassification):
    _auto_class = "AutoModelForSequenceClassification"  # save_pretrained copies this file too


class DistilBertForSequenceClassification(Pruned, transformers.DistilBertForSequenceClassification):
    _auto_class = "AutoModelForSequenceClassification"  # save_pretrained copies this file too


class RobertaForSequenceClassification(Pruned, transformers.RobertaForSequenceClassification):
    _auto_class = "AutoModelForSequenceClassification"  # save_pretrained copies this file too


class BertForQuestionAnswering(Pruned, transformers.BertForQuestionAnswering):
    _auto_class = "AutoModelForQuestionAnswering"  # save_pretrained copies this file too


class DistilBertForQuestionAnswering(Pruned, transformers.DistilBertForQuestionAnswering):
    _auto_class = "AutoModelForQuestionAnswering"  # save_pretrained copies this file too


class RobertaForQuestionAnswering(Pruned, transformers.RobertaForQuestionAnswering):
    _auto_class = "AutoModelForQuestionAnswering"  # save_pretrained copies this file too
