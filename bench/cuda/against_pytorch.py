"""espalier against PyTorch in one process, in turns, on a BERT with random weights: inference, mask gradients, training
steps and the least squares of pruning; and espalier dropping tokens against itself.

Every contender gets token ids (or statistics) on the host and gives its results back there; all that lies between is
timed."""
import argparse
import sys
import time
from pathlib import Path

from comparison import Comparison
from inference import Inference
from least_squares import LeastSquares
from mask_gradients import MaskGradients
from token_dropping import TokenDropping
from training import Training

SECTIONS = {
    "inference": Inference,
    "gradients": MaskGradients,
    "training": Training,
    "dropping": TokenDropping,
    "least-squares": LeastSquares,
}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", type=Path, required=True, help="libespalier_contender.so of a native build")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="PyTorch's device")
    parser.add_argument("--backend", help="espalier's backend (default: the device's name)")
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, separated by commas")
    parser.add_argument("--quick", action="store_true", help="a tiny model and few rounds, to see that all runs")
    parser.add_argument("--full", action="store_true", help="torch.compile in every precision, and of length mixes")
    parser.add_argument("--no-compile", action="store_true", help="without torch.compile")
    parser.add_argument("--compile-seconds", type=float, default=55, help="all that torch.compile may take")
    parser.add_argument("--output", type=Path, default=Path("against-pytorch.json"), help="JSON file to write")
    options = parser.parse_args()
    options.backend = options.backend or options.device
    return options


def main() -> None:
    options = parse()
    start = time.perf_counter()
    comparison = Comparison(options)
    for name, value in comparison.environment.items():
        comparison.say(f"{name:16} {value}")
    for name in options.only.split(","):
        SECTIONS[name](comparison).run()
    comparison.save()
    comparison.say(f"\n{time.perf_counter() - start:.1f} s, {len(comparison.failures)} failures: {options.output}")
    for failure in comparison.failures:
        comparison.say(f"  {failure}")
    sys.exit(1 if comparison.failures else 0)


if __name__ == "__main__":
    main()
