"""How long torch.compile may take."""
import contextlib
import signal
import time
from collections.abc import Iterator


class CompileTimeout(Exception):
    """Of a class of its own: the compiler catches timeouts that it takes for its own."""


class CompileBudget:
    """Seconds that torch.compile may take, all models together."""

    def __init__(self, seconds: float):
        self.left = seconds

    @contextlib.contextmanager
    def spend(self) -> Iterator[None]:
        if self.left < 1:
            raise CompileTimeout("no time left to compile")
        start = time.perf_counter()
        previous = signal.signal(signal.SIGALRM, self._give_up)
        signal.setitimer(signal.ITIMER_REAL, self.left)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)
            self.left -= time.perf_counter() - start

    @staticmethod
    def _give_up(_signal, _frame):
        raise CompileTimeout("compiling took too long")
