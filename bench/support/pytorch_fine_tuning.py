"""A whole fine-tuning by PyTorch for the benchmarks: answers as the contender of src/ does."""
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src/contenders"))

import transformers
from pytorch_contender import serve, torch


class FineTuningContender:
    def load(self, directory, auto_class, threads):
        torch.set_num_threads(threads)
        self.directory, self.auto_class = directory, getattr(transformers, auto_class)
        return {"torch": torch.__version__}

    def data(self, train, labels, dev):
        """train, dev: lists of {ids, types}."""
        self.train, self.labels, self.dev = train, torch.tensor(labels), dev
        return {}

    def fine_tune(self, recipe, seed):
        """From a head that has learnt nothing; the logits of dev, row by row."""
        torch.manual_seed(seed)
        settings = dict(hidden_dropout_prob=recipe["dropout"], attention_probs_dropout_prob=recipe["dropout"])
        model = self.auto_class.from_pretrained(self.directory, **settings).float()
        for linear in (model.bert.pooler.dense, model.classifier):
            torch.nn.init.normal_(linear.weight, std=0.02)
            torch.nn.init.zeros_(linear.bias)
        plain = lambda name: not name.endswith("bias") and "LayerNorm" not in name
        groups = [
            {"params": [p for n, p in model.named_parameters() if plain(n)], "weight_decay": recipe["weightDecay"]},
            {"params": [p for n, p in model.named_parameters() if not plain(n)], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=recipe["learningRate"])
        count, size = len(self.train), recipe["batch"]
        steps = recipe["epochs"] * -(-count // size)
        warmup = int(recipe["warmup"] * steps)
        schedule = transformers.get_linear_schedule_with_warmup(optimizer, warmup, steps)
        model.train()
        for _ in range(recipe["epochs"]):
            for rows in torch.randperm(count).split(size):
                logits = model(**padded([self.train[row] for row in rows])).logits
                loss = torch.nn.functional.cross_entropy(logits, self.labels[rows])
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), recipe["maxGradientNorm"])
                optimizer.step()
                schedule.step()
        model.eval()
        with torch.inference_mode():
            parts = [model(**padded(self.dev[i : i + 64])).logits for i in range(0, len(self.dev), 64)]
        return {"logits": torch.cat(parts).flatten().tolist()}


def padded(sequences):
    longest = max(len(sequence["ids"]) for sequence in sequences)
    fill = lambda values: values + [0] * (longest - len(values))
    return {
        "input_ids": torch.tensor([fill(s["ids"]) for s in sequences]),
        "token_type_ids": torch.tensor([fill(s["types"]) for s in sequences]),
        "attention_mask": torch.tensor([fill([1] * len(s["ids"])) for s in sequences]),
    }


serve(FineTuningContender())
