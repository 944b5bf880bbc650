"""Loads this checkpoint, which espalier pruned, at its true size in transformers:

    AutoModelForSequenceClassification.from_pretrained(directory, trust_remote_code=True)

config.espalier says how many heads and neurons each layer has left. The classes bear the names of the stock ones, so
that a model saved from here (after further training, say) is again one that espalier reads.
"""

import transformers
from torch import nn


class EmptiedBertAttention(nn.Module):
    """Without heads there is no context, and the output projection adds its bias alone; BERT's and RoBERTa's."""

    def __init__(self, attention):
        super().__init__()
        self.query, self.key, self.value = attention.query, attention.key, attention.value

    def forward(self, hidden_states, *args, **kwargs):
        return hidden_states[..., :0], None


class EmptiedDistilBertAttention(nn.Module):
    """The same as DistilBERT has it, with the output projection inside."""

    def __init__(self, attention):
        super().__init__()
        self.q_lin, self.k_lin, self.v_lin = attention.q_lin, attention.k_lin, attention.v_lin
        self.out_lin = attention.out_lin

    def forward(self, query, *args, **kwargs):
        return self.out_lin(query[..., :0]), None


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
