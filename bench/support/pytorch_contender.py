"""PyTorch's side of the benchmarks: reads one JSON request a line, answers one JSON line, times itself."""
import json
import sys
import time

import torch
import transformers

torch.set_num_threads(int(sys.argv[1]))


class Contender:
    model = None
    batches = []

    def versions(self):
        return {"torch": torch.__version__, "transformers": transformers.__version__, "python": sys.version.split()[0]}

    def load(self, directory):
        # Scaled-dot-product attention, the default and the fastest; the hooks mask its context vectors.
        self.model = transformers.BertForSequenceClassification.from_pretrained(directory, dtype=torch.float32)
        self.model.eval().requires_grad_(False)
        self.masks = []
        self.layers = self.model.bert.encoder.layer
        config = self.model.config
        self.head_size = config.hidden_size // config.num_attention_heads
        for index, layer in enumerate(self.layers):
            layer.attention.output.register_forward_pre_hook(self.hook(index, 0, self.head_size))
            layer.output.register_forward_pre_hook(self.hook(index, 1, 1))
        return {}

    def hook(self, index, kind, unit_size):
        def mask(_module, args):
            if not self.masks:
                return None
            values = self.masks[index][kind]
            return args[0] * (values.repeat_interleave(unit_size) if unit_size > 1 else values), args[1]

        return mask

    def prepare(self, batches):
        self.batches = [self.pad(**batch) for batch in batches]
        return {}

    @staticmethod
    def pad(ids, types, offsets, longest, labels):
        shape = len(offsets) - 1, longest
        inputs = {name: torch.zeros(shape, dtype=torch.long) for name in ("input_ids", "token_type_ids", "attention_mask")}
        for row, (first, last) in enumerate(zip(offsets, offsets[1:])):
            inputs["input_ids"][row, : last - first] = torch.tensor(ids[first:last])
            inputs["token_type_ids"][row, : last - first] = torch.tensor(types[first:last])
            inputs["attention_mask"][row, : last - first] = 1
        return inputs, torch.tensor(labels)

    def forward(self):
        self.masks = []
        start = time.perf_counter()
        with torch.inference_mode():
            logits = [self.model(**inputs).logits for inputs, _ in self.batches]
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "logits": torch.cat(logits).flatten().tolist()}

    def gradients(self):
        config = self.model.config
        ones = lambda width: torch.ones(width, requires_grad=True)
        self.masks = [(ones(config.num_attention_heads), ones(config.intermediate_size)) for _ in self.layers]
        flat = [mask for pair in self.masks for mask in pair]
        start = time.perf_counter()
        gradients = [
            torch.autograd.grad(torch.nn.functional.cross_entropy(self.model(**inputs).logits, labels), flat)
            for inputs, labels in self.batches
        ]
        seconds = time.perf_counter() - start
        rows = lambda kind: torch.stack([torch.cat(row[kind::2]) for row in gradients]).flatten().tolist()
        return {"seconds": seconds, "heads": rows(0), "neurons": rows(1)}


contender = Contender()
for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps(getattr(contender, request.pop("request"))(**request)), flush=True)
