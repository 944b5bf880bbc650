"""Post-training pruning of Kwon et al. 2022 (arXiv 2204.09656) in plain float64, for make_golden.py."""
import numpy as np
import torch

from masked_encoder import mask_gradients


def batches(items, size):
    return [items[i : i + size] for i in range(0, len(items), size)]


def batch_gradients(encoder, sequences, labels, size):
    """Gradients of every mini-batch's mean loss: [batches, layers, heads] and [batches, layers, neurons]."""
    heads, neurons = [], []
    for part, part_labels in zip(batches(sequences, size), batches(labels, size)):
        _, _, head, neuron = mask_gradients(encoder, part, part_labels, *encoder.ones())
        heads.append(head.mean(0))
        neurons.append(neuron.mean(0))
    layers = len(encoder.layers)
    return tuple(torch.stack(rows).reshape(len(rows), layers, -1) for rows in (heads, neurons))


def unit_macs(config, length):
    hidden, size = config.hidden_size, config.hidden_size // config.num_attention_heads
    return 4 * length * hidden * size + 2 * length**2 * size, 2 * length * hidden


def search(head_fisher, neuron_fisher, head_macs, neuron_macs, keep):
    """0/1 masks of the most important heads and neurons whose MACs fit (algorithm 1)."""
    budget = keep * (head_fisher.numel() * head_macs + neuron_fisher.numel() * neuron_macs)
    head_order = head_fisher.flatten().argsort(descending=True)
    neuron_order = neuron_fisher.flatten().argsort(descending=True)
    best = (-1.0, 0, 0)
    for heads in range(head_order.numel() + 1):
        neurons = min(int((budget - heads * head_macs) // neuron_macs), neuron_order.numel())
        if neurons < 0:
            break
        kept = head_fisher.flatten()[head_order[:heads]].sum() + neuron_fisher.flatten()[neuron_order[:neurons]].sum()
        best = max(best, (kept.item(), heads, neurons))
    masks = torch.zeros_like(head_fisher), torch.zeros_like(neuron_fisher)
    for mask, order, count in zip(masks, (head_order, neuron_order), best[1:]):
        mask.view(-1)[order[:count]] = 1
    return masks


def rearrange(mask, gradients):
    """mask: [units] of 0/1; gradients: [batches, units]. As many units stay (algorithm 2). Also the smallest relative
    distance between the best and the second best choice."""
    masked_count = int((mask == 0).sum())
    order = gradients.pow(2).sum(0).argsort().tolist()
    masked, margin = order[:masked_count], 1.0
    if masked_count in (0, mask.numel()):
        return mask, margin
    for unit in order[masked_count:]:
        masked.append(unit)
        left = gradients[:, masked].sum(1, keepdim=True) - gradients[:, masked]
        norms = left.pow(2).sum(0)
        first, second = norms.sort().values[:2].tolist() if len(masked) > 1 else (0.0, 1.0)
        margin = min(margin, (second - first) / second)
        del masked[int(norms.argmin())]
    result = torch.ones_like(mask)
    result[masked] = 0
    return result, margin


def scale_system(encoder, index, sublayer, sequences, teacher_masks, student_masks, size=32):
    """A'A and A'b in float64 of one scale per kept unit, over real tokens; heads have a last column of ones.

    As in the public code the teacher is masked up to here and in its heads, but the target of an FFN comes from all of
    that layer's neurons.
    """
    config = encoder.config
    teacher_heads, teacher_neurons = teacher_masks
    if sublayer == "ffn":
        teacher_neurons = teacher_neurons.clone()
        teacher_neurons[index] = 1
    kept = student_masks[0 if sublayer == "attention" else 1][index].nonzero().flatten()
    projection = encoder.projection(index, sublayer)
    first_only = sublayer == "ffn" and index + 1 == len(encoder.layers) and not encoder.span
    matrix = rhs = 0
    for part in batches(sequences, size):
        real = encoder.pad(part)["attention_mask"].bool()
        if first_only:
            real[:, 1:] = False
        encoder.logits(part, teacher_heads, teacher_neurons)
        target = encoder.sublayer_sum(index, sublayer)
        encoder.logits(part, *student_masks)
        units, residual = encoder.units[index, sublayer], encoder.residual(index, sublayer)
        b = (target - residual - projection.bias)[real]
        x = units[real]
        if sublayer == "attention":
            weight = projection.weight.reshape(config.hidden_size, -1, encoder.head_size)
            a = torch.einsum("nhk,dhk->ndh", x.reshape(len(x), -1, encoder.head_size)[:, kept], weight[:, kept])
            a = torch.cat([a, torch.ones_like(a[:, :, :1])], dim=2).reshape(-1, len(kept) + 1)
            matrix = matrix + (a.T @ a).double()
            rhs = rhs + (a.T @ b.reshape(-1)).double()
        else:
            weight = projection.weight[:, kept]
            matrix = matrix + (x[:, kept].T @ x[:, kept]).double() * (weight.T @ weight).double()
            rhs = rhs + (x[:, kept] * (b @ weight)).sum(0).double()
    return kept, matrix.numpy(), rhs.numpy()


def solve_filtered(matrix, rhs):
    """Scales 1 + z with (M^2 + 1) z = M (A'b - M 1): where the public code's LSMR with damp = 1 converges to."""
    residual = rhs - matrix.sum(1)
    values, vectors = np.linalg.eigh(matrix)
    return 1 + vectors @ (values / (values**2 + 1) * (vectors.T @ residual))


def tune(encoder, sequences, teacher_masks, masks):
    """Scales of the kept units, layer by layer; a layer whose scales leave [-10, 10] keeps its mask."""
    heads, neurons = (mask.clone() for mask in masks)
    for index in range(len(encoder.layers)):
        for sublayer, mask in (("attention", heads), ("ffn", neurons)):
            if not mask[index].any() or (sublayer == "attention" and index == 0):
                continue
            kept, matrix, rhs = scale_system(encoder, index, sublayer, sequences, teacher_masks, (heads, neurons))
            scales = solve_filtered(matrix, rhs)[: len(kept)]
            if np.abs(scales).max() <= 10:
                mask[index, kept] *= torch.from_numpy(scales).to(mask.dtype)
    return heads, neurons
