"""Contenders that take turns."""
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Contender:
    """run() returns what it computed, on the host."""

    name: str
    run: Callable[[], object]
    seconds: list[float] = field(default_factory=list)


def interleave(
    contenders: list[Contender],
    synchronize: Callable[[], None],
    budget: float,
    rounds: tuple[int, int],
    warm_ups: int = 2,
) -> None:
    """Warms up so many times, then lets all take turns, beginning with another one every round, until `budget` seconds
    are over; at least and at most as many rounds as `rounds` says."""
    for contender in contenders:
        for _ in range(warm_ups):
            contender.run()
    fewest, most = rounds
    end = time.perf_counter() + budget
    for number in range(most):
        if number >= fewest and time.perf_counter() > end:
            break
        first = number % len(contenders)
        for contender in contenders[first:] + contenders[:first]:
            synchronize()
            start = time.perf_counter()
            contender.run()
            synchronize()
            contender.seconds.append(time.perf_counter() - start)


def ratio(contender: Contender, base: Contender) -> float:
    """How many times as long as `base` it takes: the median of the rounds' own ratios."""
    return statistics.median(own / other for own, other in zip(contender.seconds, base.seconds))
