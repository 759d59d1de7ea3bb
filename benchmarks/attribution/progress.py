"""One line on standard error that says how far a long piece of work is."""

import sys
import time

from attribution.measure.retrain import Progress


def progress_of(what: str) -> Progress:
    """A function of (done, total) that shows both and the time left; work that was done before passes in silence."""
    started = time.monotonic()

    def progress(done: int, total: int) -> None:
        left_seconds = (time.monotonic() - started) / done * (total - done)
        if left_seconds >= 1:
            print(f"\r{what}: {done} of {total}, {left_seconds:.0f} s left   ", end="", file=sys.stderr, flush=True)
        if done == total and time.monotonic() - started > 1:
            print(f"\r{what}: {total} done              ", file=sys.stderr)

    return progress
