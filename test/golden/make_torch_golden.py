"""Makes test/golden/torch: a tiny random BERT as torch.save writes it in several ways, and the same as safetensors.

    pip install torch "transformers<5" safetensors
    python test/golden/make_torch_golden.py
"""
import os
import zipfile
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

OUTPUT = Path(__file__).resolve().parent / "torch"


def tiny_bert():
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12,
        max_position_embeddings=16, num_labels=2,
    )
    config.architectures = ["BertForSequenceClassification"]
    return transformers.BertForSequenceClassification(config)


def as_views(state):
    """The same weights stored otherwise: matrices transposed, vectors in one storage, all Parameters, some with notes."""
    vectors = torch.cat([value for value in state.values() if value.dim() == 1])
    views, offset = {}, 0
    for name, value in state.items():
        if value.dim() == 1:
            view, offset = vectors[offset : offset + len(value)], offset + len(value)
        else:
            view = value.t().contiguous().t()
        views[name] = torch.nn.Parameter(view)
        if value.dim() == 1:
            views[name].notes = {"rate": 0.5}
    return views


def old_names(state):
    """Names of the first BERT checkpoints, without the encoder's prefix and with its buffer."""
    current = {name.removeprefix("bert."): value for name, value in state.items()}
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in current.items()
    }
    return {"embeddings.position_ids": torch.arange(16).expand(1, -1), **old}


def as_zip64(source, target):
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "w") as wide:
        for name in archive.namelist():
            with wide.open(name, "w", force_zip64=True) as entry:
                entry.write(archive.read(name))


class Hostile:
    def __reduce__(self):
        return os.system, ("touch /tmp/espalier-was-here",)


OUTPUT.mkdir(exist_ok=True)
model = tiny_bert()
model.config.to_json_file(OUTPUT / "config.json")
state = model.state_dict()
save_file({name: value.contiguous() for name, value in state.items()}, OUTPUT / "model.safetensors", {"format": "pt"})
torch.save(state, OUTPUT / "plain.bin")
torch.save(as_views(state), OUTPUT / "views.bin", pickle_protocol=4)
torch.save(old_names(state), OUTPUT / "old-names.bin")
as_zip64(OUTPUT / "plain.bin", OUTPUT / "zip64.bin")
torch.save({"weight": torch.zeros(2)}, OUTPUT / "before-1.6.bin", _use_new_zipfile_serialization=False)
torch.save({"weight": Hostile()}, OUTPUT / "hostile.bin")

dtypes = [
    torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.int16, torch.int8,
    torch.uint8, torch.bool,
]
cube = torch.arange(24).reshape(2, 3, 4)
tensors = {str(dtype).removeprefix("torch."): cube.to(dtype).permute(2, 0, 1) for dtype in dtypes}
tensors |= {"scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3), "part": torch.arange(12.0).reshape(3, 4)[1:, ::2]}
torch.save(tensors, OUTPUT / "dtypes.bin")
save_file({name: value.contiguous() for name, value in tensors.items()}, OUTPUT / "dtypes.safetensors")
