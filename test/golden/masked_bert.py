"""A transformers BERT classifier whose sub-layer inputs can be masked and looked at, for make_golden.py."""
import torch


class MaskedBert:
    """Runs padded batches of sequences; masks multiply the inputs of both output projections.

    Masking a head's context vector is the same as masking its attention probabilities.
    """

    def __init__(self, model):
        self.model = model.eval().requires_grad_(False)
        self.layers = model.bert.encoder.layer
        self.config = model.config
        self.head_size = model.config.hidden_size // model.config.num_attention_heads
        self.captured = {}
        self._head_masks = self._neuron_masks = None
        for index, layer in enumerate(self.layers):
            layer.attention.output.register_forward_pre_hook(self._hook(index, "attention"))
            layer.output.register_forward_pre_hook(self._hook(index, "ffn"))

    def _hook(self, index, sublayer):
        def mask_and_capture(_module, args):
            units, residual = args
            if sublayer == "attention":
                mask = self._head_masks[index].repeat_interleave(self.head_size, dim=-1)
            else:
                mask = self._neuron_masks[index]
            units = units * (mask[:, None, :] if mask.dim() == 2 else mask)
            self.captured[index, sublayer] = (units, residual)
            return units, residual

        return mask_and_capture

    def ones(self):
        shape = (len(self.layers), self.config.num_attention_heads), (len(self.layers), self.config.intermediate_size)
        return tuple(torch.ones(s, dtype=self.model.dtype) for s in shape)

    def logits(self, batch, heads, neurons):
        """heads, neurons: per layer one vector for all sequences, or one row a sequence."""
        self._head_masks, self._neuron_masks = heads, neurons
        return self.model(**batch).logits

    def sublayer_sum(self, index, sublayer):
        """What the last forward gave the LayerNorm that ends the sub-layer."""
        units, residual = self.captured[index, sublayer]
        return self.projection(index, sublayer)(units) + residual

    def projection(self, index, sublayer):
        layer = self.layers[index]
        return layer.attention.output.dense if sublayer == "attention" else layer.output.dense


def pad(sequences):
    """sequences: list of {ids, types} -> the padded tensors that transformers models take."""
    longest = max(len(s["ids"]) for s in sequences)
    rows = lambda values: torch.tensor([list(v) + [0] * (longest - len(v)) for v in values])
    return {
        "input_ids": rows(s["ids"] for s in sequences),
        "token_type_ids": rows(s["types"] for s in sequences),
        "attention_mask": rows([1] * len(s["ids"]) for s in sequences),
    }


def sample_losses(logits, labels):
    if logits.shape[1] == 1:
        return (logits[:, 0] - torch.tensor(labels, dtype=logits.dtype)) ** 2
    return torch.nn.functional.cross_entropy(logits, torch.tensor(labels), reduction="none")


def mask_gradients(bert, sequences, labels, heads, neurons):
    """Logits, losses and the gradient of each sample's own loss with respect to its masks, layers side by side."""
    each = lambda mask: [row.repeat(len(sequences), 1).requires_grad_(True) for row in mask]
    heads, neurons = each(heads), each(neurons)
    logits = bert.logits(pad(sequences), heads, neurons)
    losses = sample_losses(logits, labels)
    losses.sum().backward()
    beside = lambda masks: torch.cat([mask.grad for mask in masks], dim=1)
    return logits.detach(), losses.detach(), beside(heads), beside(neurons)
