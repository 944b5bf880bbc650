"""PyTorch's mask gradients for the benchmarks: answers as the contender of src/ does."""
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src/contenders"))

from pytorch_contender import Contender, serve, torch


class GradientContender(Contender):
    def load(self, **request):
        answer = super().load(**request)
        # Scaled-dot-product attention, the default and the fastest; the hooks mask its context vectors.
        self.model.requires_grad_(False)
        self.masks = []
        self.layers = self.model.bert.encoder.layer
        config = self.model.config
        head_size = config.hidden_size // config.num_attention_heads
        for index, layer in enumerate(self.layers):
            layer.attention.output.register_forward_pre_hook(self.hook(index, 0, head_size))
            layer.output.register_forward_pre_hook(self.hook(index, 1, 1))
        return answer

    def hook(self, index, kind, unit_size):
        def mask(_module, args):
            values = self.masks[index][kind]
            return args[0] * (values.repeat_interleave(unit_size) if unit_size > 1 else values), args[1]

        return mask

    def begin(self, labels):
        """Forgets the prepared batches; the next ones have these labels."""
        self.batches = []
        self.labels = [torch.tensor(batch) for batch in labels]
        return {}

    def gradients(self):
        config = self.model.config
        ones = lambda width: torch.ones(width, requires_grad=True)
        self.masks = [(ones(config.num_attention_heads), ones(config.intermediate_size)) for _ in self.layers]
        flat = [mask for pair in self.masks for mask in pair]
        start = time.perf_counter()
        gradients = [
            torch.autograd.grad(torch.nn.functional.cross_entropy(self.model(**inputs).logits, labels), flat)
            for inputs, labels in zip(self.batches, self.labels)
        ]
        seconds = time.perf_counter() - start
        rows = lambda kind: torch.stack([torch.cat(row[kind::2]) for row in gradients]).flatten().tolist()
        return {"seconds": seconds, "heads": rows(0), "neurons": rows(1)}


serve(GradientContender())
