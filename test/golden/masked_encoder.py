"""A transformers encoder whose sub-layer inputs can be masked and looked at, for make_golden.py."""
import torch

# Of a layer: each sub-layer's output projection and the LayerNorm that ends it.
BERT_LAYER = {
    "attention": ("attention.output.dense", "attention.output.LayerNorm"),
    "ffn": ("output.dense", "output.LayerNorm"),
}
DISTILBERT_LAYER = {"attention": ("attention.out_lin", "sa_layer_norm"), "ffn": ("ffn.lin2", "output_layer_norm")}
FAMILIES = {
    "bert": ("encoder.layer", BERT_LAYER),
    "roberta": ("encoder.layer", BERT_LAYER),
    "distilbert": ("transformer.layer", DISTILBERT_LAYER),
}


class MaskedEncoder:
    """Runs padded batches of sequences; masks multiply the inputs of both output projections.

    Masking a head's context vector is the same as masking its attention probabilities.
    """

    def __init__(self, model):
        self.model = model.eval().requires_grad_(False)
        self.config = model.config
        self.span = hasattr(model, "qa_outputs")
        layers, self.sublayers = FAMILIES[self.config.model_type]
        self.layers = model.base_model.get_submodule(layers)
        self.neurons = self.projection(0, "ffn").in_features
        self.head_size = self.config.hidden_size // self.config.num_attention_heads
        self.units, self.sums = {}, {}
        self._head_masks = self._neuron_masks = None
        for index, layer in enumerate(self.layers):
            for sublayer, (_, norm) in self.sublayers.items():
                self.projection(index, sublayer).register_forward_pre_hook(self._mask_units(index, sublayer))
                layer.get_submodule(norm).register_forward_pre_hook(self._keep_sum(index, sublayer))

    def _mask_units(self, index, sublayer):
        def mask(_module, args):
            if sublayer == "attention":
                mask = self._head_masks[index].repeat_interleave(self.head_size, dim=-1)
            else:
                mask = self._neuron_masks[index]
            units = args[0] * (mask[:, None, :] if mask.dim() == 2 else mask)
            self.units[index, sublayer] = units
            return (units,)

        return mask

    def _keep_sum(self, index, sublayer):
        def keep(_module, args):
            self.sums[index, sublayer] = args[0]

        return keep

    def ones(self):
        shape = (len(self.layers), self.config.num_attention_heads), (len(self.layers), self.neurons)
        return tuple(torch.ones(s, dtype=self.model.dtype) for s in shape)

    def logits(self, sequences, heads, neurons, **more):
        """[sequences, labels], of a span head [tokens, 2]. heads, neurons: per layer one vector for all sequences, or
        one row a sequence."""
        self._head_masks, self._neuron_masks = heads, neurons
        batch = self.pad(sequences)
        output = self.model(**batch, **more)
        if not self.span:
            return output.logits
        both = torch.stack([output.start_logits, output.end_logits], dim=2)
        return both[batch["attention_mask"].bool()]

    def sublayer_sum(self, index, sublayer):
        """What the last forward gave the LayerNorm that ends the sub-layer."""
        return self.sums[index, sublayer]

    def residual(self, index, sublayer):
        """The sub-layer's input of the last forward."""
        return self.sums[index, sublayer] - self.projection(index, sublayer)(self.units[index, sublayer])

    def projection(self, index, sublayer):
        return self.layers[index].get_submodule(self.sublayers[sublayer][0])

    def pad(self, sequences):
        """sequences: list of {ids, types} -> the padded tensors that the model takes."""
        longest = max(len(s["ids"]) for s in sequences)
        rows = lambda values, padding: torch.tensor([list(v) + [padding] * (longest - len(v)) for v in values])
        batch = {
            "input_ids": rows((s["ids"] for s in sequences), self.config.pad_token_id),
            "attention_mask": rows(([1] * len(s["ids"]) for s in sequences), 0),
        }
        if getattr(self.config, "type_vocab_size", 0) > 1:
            batch["token_type_ids"] = rows((s["types"] for s in sequences), 0)
        return batch


def sample_losses(encoder, logits, sequences, labels):
    cross_entropy = torch.nn.functional.cross_entropy
    if encoder.span:
        # Only the sequence's own tokens can be its start and end.
        parts = logits.split([len(s["ids"]) for s in sequences])
        losses = [cross_entropy(part.T, torch.tensor(ends)) for part, ends in zip(parts, labels)]  # mean of both ends
        return torch.stack(losses)
    if logits.shape[1] == 1:
        return (logits[:, 0] - torch.tensor(labels, dtype=logits.dtype)) ** 2
    return cross_entropy(logits, torch.tensor(labels), reduction="none")


def mask_gradients(encoder, sequences, labels, heads, neurons):
    """Logits, losses and the gradient of each sample's own loss with respect to its masks, layers side by side."""
    each = lambda mask: [row.repeat(len(sequences), 1).requires_grad_(True) for row in mask]
    heads, neurons = each(heads), each(neurons)
    logits = encoder.logits(sequences, heads, neurons)
    losses = sample_losses(encoder, logits, sequences, labels)
    losses.sum().backward()
    beside = lambda masks: torch.cat([mask.grad for mask in masks], dim=1)
    return logits.detach(), losses.detach(), beside(heads), beside(neurons)
