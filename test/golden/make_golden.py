"""Makes the golden fixtures beside it: tiny random checkpoints and what PyTorch computes with them in float64.

    pip install torch "transformers<5"
    python test/golden/make_golden.py [NAME...]
"""
import json
import re
import sys
from pathlib import Path

import numpy as np
import torch
import transformers

import kwon
from masked_encoder import MaskedEncoder, mask_gradients

HERE = Path(__file__).resolve().parent
FORMAT = 1  # test/model/support/golden.ts expects this version

# Few positions keep the files small; the first models show the full length.
MODELS = {
    "gelu": (
        "BertForSequenceClassification",
        dict(hidden_size=40, num_attention_heads=5, intermediate_size=61, num_hidden_layers=3, num_labels=3),
    ),
    "gelu-new": (
        "BertForSequenceClassification",
        dict(hidden_size=32, num_attention_heads=2, intermediate_size=37, hidden_act="gelu_new"),
    ),
    "relu": (
        "BertForSequenceClassification",
        dict(hidden_size=48, num_attention_heads=3, intermediate_size=51, hidden_act="relu", layer_norm_eps=1e-5),
    ),
    "regression": (
        "BertForSequenceClassification",
        dict(hidden_size=32, num_attention_heads=4, intermediate_size=45, num_labels=1),
    ),
    "bert-span": (
        "BertForQuestionAnswering",
        dict(hidden_size=24, num_attention_heads=3, intermediate_size=29, max_position_embeddings=64),
    ),
    "distilbert": ("DistilBertForSequenceClassification", dict(dim=24, n_heads=3, hidden_dim=29, num_labels=3)),
    "distilbert-span": ("DistilBertForQuestionAnswering", dict(dim=24, n_heads=3, hidden_dim=29, activation="relu")),
    "roberta": ("RobertaForSequenceClassification", dict(hidden_size=24, num_attention_heads=3, intermediate_size=29)),
    "roberta-span": ("RobertaForQuestionAnswering", dict(hidden_size=24, num_attention_heads=2, intermediate_size=31)),
}
VOCABULARY = 97
BERT = dict(
    vocab_size=VOCABULARY,
    type_vocab_size=2,
    num_hidden_layers=2,
    num_labels=2,
    hidden_act="gelu",
    max_position_embeddings=512,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)
COMMON = {
    "Bert": BERT,
    "DistilBert": dict(
        vocab_size=VOCABULARY, n_layers=2, max_position_embeddings=64, dropout=0.0, attention_dropout=0.0
    ),
    "Roberta": dict(BERT, max_position_embeddings=66, type_vocab_size=1, layer_norm_eps=1e-5, pad_token_id=1),
}
PRUNED = {"gelu": (0.7, 0.5), "regression": (0.6,), "bert-span": (0.6,)}  # MACs to keep


def random_model(name, generator):
    """A checkpoint whose attention and activations are far from linear, its weights float32 numbers."""
    kind, settings = MODELS[name]
    family, _ = kind.split("For")
    config = getattr(transformers, f"{family}Config")(**{**COMMON[family], **settings})
    config._attn_implementation = "eager"
    model = getattr(transformers, kind)(config)
    for key, weight in model.named_parameters():
        noise = torch.randn(weight.shape, generator=generator)
        if re.search("(LayerNorm|layer_norm).weight", key):
            values = 1 + 0.2 * noise
        elif weight.dim() == 1:
            values = 0.1 * noise
        else:
            values = noise * (0.5 if "embeddings" in key else 1.3 / weight.shape[1] ** 0.5)
        weight.data.copy_(values)
    model.save_pretrained(HERE / name)
    return MaskedEncoder(model.double())


def random_sequences(rng, lengths, lowest=0, end=VOCABULARY):
    sequences = []
    for length in lengths:
        first = int(rng.integers(1, length + 1))
        sequences.append(
            {"ids": rng.integers(lowest, end, length).tolist(), "types": [0] * first + [1] * (length - first)}
        )
    return sequences


def random_labels(rng, encoder, sequences):
    count, classes = len(sequences), encoder.config.num_labels
    if encoder.span:
        return [rng.integers(0, len(s["ids"]), 2).tolist() for s in sequences]
    if classes == 1:
        return rng.uniform(-2, 2, count).round(3).tolist()
    return rng.integers(0, classes, count).tolist()


def masks_to_try(encoder, rng):
    """All ones; values of a search or a tuning, float32 numbers; one sub-layer of either kind emptied."""
    partial = [torch.from_numpy(rng.integers(-8, 81, mask.shape) / 64).clamp(min=0) for mask in encoder.ones()]
    emptied = encoder.ones()
    emptied[0][0] = 0
    emptied[0][1, 1:] = 0
    emptied[1][:, ::3] = 0
    emptied[1][-1] = 0
    return {"ones": encoder.ones(), "partial": partial, "emptied": emptied}


def check_head_mask(encoder, sequences):
    """The hooks' head mask is the one of transformers, which multiplies attention probabilities."""
    heads = torch.rand(encoder.ones()[0].shape, dtype=torch.float64)
    masked = encoder.logits(sequences, heads, encoder.ones()[1])
    plain = encoder.logits(sequences, *encoder.ones(), head_mask=heads)
    assert (masked - plain).abs().max() < 1e-12


def rounded(values, digits=10):
    """Nested lists of numbers with so many significant digits."""
    if isinstance(values, (list, tuple)):
        return [rounded(value, digits) for value in values]
    if isinstance(values, (torch.Tensor, np.ndarray)):
        return rounded(values.tolist(), digits)
    return float(f"{values:.{digits}g}")


def write(name, content):
    header = {"format": FORMAT, "torch": torch.__version__, "transformers": transformers.__version__}
    (HERE / name).write_text(json.dumps({**header, **content}, separators=(",", ":")) + "\n")


def loss_name(encoder):
    if encoder.span:
        return "span"
    return "meanSquared" if encoder.config.num_labels == 1 else "crossEntropy"


def write_gradients(name, encoder, rng):
    positions = encoder.config.max_position_embeddings
    longest = positions - positions % 64  # RoBERTa's first two belong to no token
    sequences = random_sequences(rng, [1, 2, longest, 17, 7, 1, 33, 12, 64, 5, 9, 3])
    labels = random_labels(rng, encoder, sequences)
    check_head_mask(encoder, sequences)
    cases = []
    for case, masks in masks_to_try(encoder, rng).items():
        logits, losses, heads, neurons = mask_gradients(encoder, sequences, labels, *masks)
        cases.append(
            {
                "name": case,
                "mask": {"heads": masks[0].flatten().tolist(), "neurons": masks[1].flatten().tolist()},
                "logits": rounded(logits),
                "losses": rounded(losses),
                "headGradients": rounded(heads),
                "neuronGradients": rounded(neurons),
            }
        )
    write(f"{name}.json", {"loss": loss_name(encoder), "sequences": sequences, "labels": labels, "cases": cases})


def as_lists(masks):
    return {"heads": masks[0].int().tolist(), "neurons": masks[1].int().tolist()}


def prune(encoder, sequences, gradients, keep, macs):
    fisher = [rows.pow(2).sum(0) for rows in gradients]
    searched = kwon.search(*fisher, *macs, keep)
    teacher = kwon.search(*fisher, *macs, keep**0.5)
    pairs = [
        [kwon.rearrange(row, rows[:, index]) for index, row in enumerate(mask)] for mask, rows in zip(searched, gradients)
    ]
    margin = min(margin for pair in pairs for _, margin in pair)
    assert margin > 1e-4, f"a choice of the rearrangement hangs on {margin:.1e}: too close for float32, change the seed"
    rearranged = [torch.stack([row for row, _ in pair]) for pair in pairs]
    tuned = kwon.tune(encoder, sequences, teacher, rearranged)
    with torch.no_grad():
        logits = encoder.logits(sequences, *tuned)
    return {
        "keep": keep,
        "searched": as_lists(searched),
        "teacher": as_lists(teacher),
        "rearranged": as_lists(rearranged),
        "scales": {"heads": rounded(tuned[0]), "neurons": rounded(tuned[1])},
        "logits": rounded(logits),
    }


def check_gaps(fisher):
    """No two units are as important as each other, within float32."""
    values = fisher.flatten().sort().values
    assert ((values[1:] - values[:-1]) / values[1:]).min() > 2e-6


def write_pruning(name, encoder, rng):
    batch_size, samples = 8, 64
    sequences = random_sequences(rng, rng.integers(2, 24, samples))
    labels = random_labels(rng, encoder, sequences)
    length = sum(len(s["ids"]) for s in sequences) / samples
    macs = kwon.unit_macs(encoder.config, length)
    gradients = kwon.batch_gradients(encoder, sequences, labels, batch_size)
    fisher = [rows.pow(2).sum(0) for rows in gradients]
    for values in fisher:
        check_gaps(values)
    write(
        f"{name}-kwon.json",
        {
            "loss": loss_name(encoder),
            "sequences": sequences,
            "labels": labels,
            "batchSize": batch_size,
            "sequenceLength": length,
            "macs": {"head": macs[0], "neuron": macs[1]},
            "headGradients": rounded(gradients[0]),
            "neuronGradients": rounded(gradients[1]),
            "fisher": {"heads": rounded(fisher[0]), "neurons": rounded(fisher[1])},
            "runs": [prune(encoder, sequences, gradients, keep, macs) for keep in PRUNED[name]],
        },
    )


def main():
    for number, name in enumerate(MODELS):
        if len(sys.argv) > 1 and name not in sys.argv[1:]:
            continue
        rng = np.random.default_rng(number)
        encoder = random_model(name, torch.Generator().manual_seed(number))
        write_gradients(name, encoder, rng)
        if name in PRUNED:
            write_pruning(name, encoder, rng)


if __name__ == "__main__":
    main()
