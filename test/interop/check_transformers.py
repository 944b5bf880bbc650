"""Loads pruned checkpoints in every form that docs/compatibility.md lists, and compares logits with the engine's.

    pip install torch transformers onnx onnxruntime
    python test/interop/check_transformers.py PRUNED...

PRUNED are directories that `espalier prune` wrote; the project must be built. Each is also checked with token
thresholds and with token keep rates in its config.json.
"""
import copy
import inspect
import json
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
import onnx
import onnxruntime
import torch
import transformers

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = 1e-4  # absolute; weights are the same numbers everywhere, and everyone computes in float32
TOKEN_SETTINGS = {"token_thresholds": (0, 0.02), "token_keep_rates": (1, 0.3)}  # of the first and the last layer
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
            for variant in variants(Path(directory), Path(scratch)):
                for form, difference in check(variant, Path(tempfile.mkdtemp(dir=scratch))):
                    worst = numpy.maximum(worst, difference)  # NaN too
                    print(f"{variant.name:40}{form:48}{difference:.1e}")
    sys.exit(0 if worst <= TOLERANCE else f"logits differ by {worst}")


def variants(pruned, scratch):
    """Yields the directory and copies of it that drop tokens, more from layer to layer."""
    yield pruned
    if drops_tokens(pruned):
        return
    for name, values in TOKEN_SETTINGS.items():
        copy = shutil.copytree(pruned, scratch / f"{pruned.name}-{name}")
        config = read_config(copy)
        layers = len(config["espalier"]["heads_per_layer"])
        config["espalier"][name] = numpy.linspace(*values, layers).tolist()
        (copy / "config.json").write_text(json.dumps(config))
        yield copy


def check(pruned, scratch):
    """Yields what was loaded, and the largest difference from the engine's logits."""
    dense, file, again = scratch / "dense", scratch / "model.onnx", scratch / "again"
    torch_file = scratch / "torch.onnx"
    inputs = tokenize(pruned)
    expected = engine_logits(pruned, inputs)

    espalier("export", pruned, "--dense", dense)
    dense_expected = engine_logits(dense, inputs)
    if not drops_tokens(pruned):
        refuse_without_trust(pruned)
        yield "dense copy, engine", difference(dense_expected, expected)
    stock = auto_class(dense).from_pretrained(dense)
    yield "dense copy, stock transformers", difference(torch_logits(stock, inputs), dense_expected)
    model = auto_class(pruned).from_pretrained(pruned, trust_remote_code=True)
    yield "pruned, transformers with trust_remote_code", difference(torch_logits(model, inputs), expected)
    yield "the same in four threads at once", max(difference(logits, expected) for logits in threads_logits(model, inputs))
    yield "compiled, a graph for all lengths", difference(torch_logits(compiled(model), inputs), expected)
    export_with_torch(model, inputs, torch_file)
    yield "exported by PyTorch, onnxruntime", difference(onnx_logits(torch_file, inputs), expected)
    if drops_tokens(pruned):
        refuse_other_masks(model, inputs)
    model.save_pretrained(again)
    yield "saved again by transformers, engine", difference(engine_logits(again, inputs), expected)
    if "token_keep_rates" not in read_config(pruned)["espalier"]:
        espalier("export", pruned, "--onnx", file)
        onnx.checker.check_model(str(file), full_check=True)
        yield "ONNX, onnxruntime", difference(onnx_logits(file, inputs), expected)


def difference(actual, expected):
    return float(numpy.abs(actual - expected).max())


def drops_tokens(directory):
    return not TOKEN_SETTINGS.keys().isdisjoint(read_config(directory)["espalier"])


def read_config(directory):
    return json.loads(Path(directory, "config.json").read_text())


def espalier(*arguments):
    subprocess.run(["node", ROOT / "dist/src/cli/main.js", *arguments, "--json"], check=True, stdout=subprocess.DEVNULL)


def auto_class(directory):
    span = read_config(directory)["architectures"][0].endswith("QuestionAnswering")
    return transformers.AutoModelForQuestionAnswering if span else transformers.AutoModelForSequenceClassification


def refuse_without_trust(pruned):
    try:
        auto_class(pruned).from_pretrained(pruned)
    except RuntimeError as error:
        assert "mismatch" in str(error), error
    else:
        sys.exit(f"{pruned}: stock transformers loaded it without its code")


def refuse_other_masks(model, inputs):
    """Which stock attention knows, and that of models which drop tokens does not."""
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    for other in ({"attention_mask": mask[:, None].expand(-1, mask.shape[1], -1)}, {"head_mask": torch.ones(1)}):
        if other.keys() <= inspect.signature(model.base_model.forward).parameters.keys():
            try:
                model(ids, **{"attention_mask": mask, **other})
            except ValueError as error:
                assert "a checkpoint that drops tokens" in str(error), error
            else:
                sys.exit(f"{[*other]} was not refused")


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


def known(model, inputs):
    """A tokenizer may give more."""
    return {name: inputs[name] for name in inspect.signature(model.forward).parameters if name in inputs}


def torch_logits(model, inputs):
    with torch.no_grad():
        outputs = model.float().eval()(**known(model, inputs))
    if "logits" in outputs:
        return outputs.logits.numpy().ravel()
    return torch.stack([outputs.start_logits, outputs.end_logits], -1)[real(inputs)].numpy().ravel()


def threads_logits(model, inputs):
    """The logits of all texts, many times, each text from whichever thread was free."""
    texts = [{name: values[i : i + 1] for name, values in inputs.items()} for i in range(len(TEXTS))]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda text: torch_logits(model, text), texts * 25))
    return [numpy.concatenate(found[start : start + len(texts)]) for start in range(0, len(found), len(texts))]


def compiled(model):
    """A copy; Inductor, which would take minutes, comes after all that a model's code can break."""
    model = copy.deepcopy(model)
    torch.compiler.reset()
    model.compile(backend="eager", dynamic=True, fullgraph=True)
    return model


def export_with_torch(model, inputs, file):
    """From the first text alone, so that other sizes of batches are tried too."""
    example = {name: values[:1, : int(inputs["attention_mask"][0].sum())] for name, values in known(model, inputs).items()}
    axes = {name: {0: "batch", 1: "length"} for name in example}
    torch.onnx.export(model, (example,), file, input_names=[*example], dynamic_axes=axes, opset_version=17, dynamo=False)


def onnx_logits(file, inputs):
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    feeds = {value.name: inputs[value.name].numpy() for value in session.get_inputs()}
    outputs = session.run(None, feeds)
    if len(outputs) == 1:
        return outputs[0].ravel()
    return numpy.stack(outputs, -1)[real(inputs).numpy()].ravel()


if __name__ == "__main__":
    main(sys.argv[1:])
