"""PyTorch's training steps for the benchmarks: answers as the contender of src/ does."""
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src/contenders"))

from pytorch_contender import Contender, serve, torch


class TrainingContender(Contender):
    def begin(self, labels, recipe):
        """Forgets the prepared batches; the next ones have these labels."""
        self.batches = []
        self.labels = [torch.tensor(batch) for batch in labels]
        self.recipe = recipe
        plain = lambda name: not name.endswith("bias") and "LayerNorm" not in name
        parameters = dict(self.model.named_parameters())
        groups = [
            {"params": [p for n, p in parameters.items() if plain(n)], "weight_decay": recipe["weightDecay"]},
            {"params": [p for n, p in parameters.items() if not plain(n)], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=recipe["learningRate"])
        for module in self.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = recipe["dropout"]
            if hasattr(module, "dropout_prob"):
                module.dropout_prob = recipe["dropout"]
        self.model.train()
        return {}

    def steps(self):
        """One step a batch; the losses before each."""
        start = time.perf_counter()
        losses = []
        for inputs, labels in zip(self.batches, self.labels):
            loss = torch.nn.functional.cross_entropy(self.model(**inputs).logits, labels)
            self.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe["maxGradientNorm"])
            self.optimizer.step()
            losses.append(loss.item())
        return {"seconds": time.perf_counter() - start, "losses": losses}


serve(TrainingContender())
