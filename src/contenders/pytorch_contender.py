"""PyTorch's side of `espalier bench`: reads one JSON request a line, answers one JSON line, times itself."""
import json
import os
import queue
import signal
import sys
import threading
import time

signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this process ends it
os.environ["HF_HUB_OFFLINE"] = "1"  # the checkpoint is a directory: there is nothing to fetch
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what libraries print is no answer
requests = queue.SimpleQueue()


def answer(content):
    print(json.dumps(content, allow_nan=False), file=answers, flush=True)


def fail(kind, error, _traceback):
    answer({"error": f"{kind.__name__}: {error}"})
    os._exit(1)


def read():
    for line in sys.stdin:
        requests.put(json.loads(line))
    os._exit(0)


sys.excepthook = fail
# In a thread, and before the slow imports: this process ends with the one that started it, whatever it is doing.
threading.Thread(target=read, daemon=True).start()

import torch
import transformers


class Contender:
    def load(self, directory, auto_class, threads):
        torch.set_num_threads(threads)
        model = getattr(transformers, auto_class).from_pretrained(directory, trust_remote_code=True)
        self.model = model.float().eval()
        self.batches = []
        return {"torch": torch.__version__}

    def prepare(self, inputs, shape):
        self.batches.append({name: torch.tensor(values).reshape(shape) for name, values in inputs.items()})
        return {}

    def run(self, batch):
        start = time.perf_counter()
        with torch.inference_mode():
            self.outputs = self.model(**self.batches[batch], return_dict=True)
        return {"seconds": time.perf_counter() - start}

    def logits(self):
        """Of the last run, by transformers' names."""
        return {name: values.flatten().tolist() for name, values in self.outputs.items() if name.endswith("logits")}


def serve(contender):
    while True:
        request = requests.get()
        answer(getattr(contender, request.pop("request"))(**request))


if __name__ == "__main__":
    serve(Contender())
