"""Loads pruned checkpoints in every form that docs/compatibility.md lists, and compares logits with the engine's.

    pip install torch transformers onnx onnxruntime
    python test/interop/check_transformers.py PRUNED...

PRUNED are directories that `espalier prune` wrote; the project must be built.
"""
import inspect
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
import onnx
import onnxruntime
import torch
import transformers

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = 1e-4  # absolute; weights are the same numbers everywhere, and everyone computes in float32
TEXTS = [
    ("When was the bridge built?", "The old stone bridge over the river was built in 1912 and widened in 1974."),
    ("A film of rare beauty, quite simply.", None),
    ("", None),
    ("this is not a good movie , not even a bad one", "It is neither very good nor all that bad, " * 12),
]


def main(directories):
    transformers.logging.set_verbosity_error()
    worst = 0.0
    for directory in directories:
        with tempfile.TemporaryDirectory() as scratch:
            for form, difference in check(directory, Path(scratch)):
                worst = max(worst, difference)
                print(f"{Path(directory).name:24}{form:52}{difference:.1e}")
    sys.exit(0 if worst <= TOLERANCE else f"logits differ by {worst}")


def check(pruned, scratch):
    """Yields what was loaded, and the largest difference from the engine's logits."""
    dense, file, again = scratch / "dense", scratch / "model.onnx", scratch / "again"
    espalier("export", pruned, "--onnx", file, "--dense", dense)
    inputs = tokenize(pruned)
    expected = engine_logits(pruned, inputs)

    def difference(logits):
        return float(numpy.abs(logits - expected).max())

    yield "dense copy, engine", difference(engine_logits(dense, inputs))
    yield "dense copy, stock transformers", difference(torch_logits(auto_class(dense).from_pretrained(dense), inputs))
    refuse_without_trust(pruned)
    model = auto_class(pruned).from_pretrained(pruned, trust_remote_code=True)
    yield "pruned, transformers with trust_remote_code", difference(torch_logits(model, inputs))
    model.save_pretrained(again)
    yield "saved again by transformers, engine", difference(engine_logits(again, inputs))
    onnx.checker.check_model(str(file), full_check=True)
    yield "ONNX, onnxruntime", difference(onnx_logits(file, inputs))


def espalier(*arguments):
    subprocess.run(["node", ROOT / "dist/src/cli/main.js", *arguments, "--json"], check=True, stdout=subprocess.DEVNULL)


def auto_class(directory):
    config = json.loads(Path(directory, "config.json").read_text())
    span = config["architectures"][0].endswith("QuestionAnswering")
    return transformers.AutoModelForQuestionAnswering if span else transformers.AutoModelForSequenceClassification


def refuse_without_trust(pruned):
    try:
        auto_class(pruned).from_pretrained(pruned)
    except RuntimeError as error:
        assert "mismatch" in str(error), error
    else:
        sys.exit(f"{pruned}: stock transformers loaded it without its code")


def tokenize(directory):
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    questions, contexts = [first for first, _ in TEXTS], [second or "" for _, second in TEXTS]
    return tokenizer(questions, contexts, padding=True, truncation=True, max_length=128, return_tensors="pt")


def real(inputs):
    return inputs["attention_mask"].bool()


def engine_logits(directory, inputs):
    types = inputs.get("token_type_ids", torch.zeros_like(inputs["input_ids"]))
    rows = zip(inputs["input_ids"], types, real(inputs))
    sequences = [{"ids": ids[mask].tolist(), "types": kinds[mask].tolist()} for ids, kinds, mask in rows]
    request = json.dumps({"checkpoint": str(directory), "sequences": sequences})
    script = ROOT / "test/interop/engine_logits.mjs"
    answer = subprocess.run(["node", script], input=request, check=True, stdout=subprocess.PIPE, text=True)
    return numpy.array(json.loads(answer.stdout))


def torch_logits(model, inputs):
    known = inspect.signature(model.forward).parameters  # a tokenizer may give more
    with torch.no_grad():
        outputs = model.float().eval()(**{name: values for name, values in inputs.items() if name in known})
    if "logits" in outputs:
        return outputs.logits.numpy().ravel()
    return torch.stack([outputs.start_logits, outputs.end_logits], -1)[real(inputs)].numpy().ravel()


def onnx_logits(file, inputs):
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    feeds = {value.name: inputs[value.name].numpy() for value in session.get_inputs()}
    outputs = session.run(None, feeds)
    if len(outputs) == 1:
        return outputs[0].ravel()
    return numpy.stack(outputs, -1)[real(inputs).numpy()].ravel()


if __name__ == "__main__":
    main(sys.argv[1:])
