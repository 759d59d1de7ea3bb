"""How far long work is, on standard error: one line that is rewritten on a terminal, lines now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

# A terminal can be told often; a log only now and then.
_TERMINAL_SECONDS, _LOG_SECONDS = 0.2, 10.0
# Stages that are done at once pass in silence.
_SHORT_SECONDS = 1.0


def counting(what: str, *, started: float | None = None, silent_seconds: float = 0.0) -> Callable[[int, int], None]:
    """A function of (done, total) that shows both, and the time left; `started` is on the monotonic clock (now).

    Work that ends within `silent_seconds` shows nothing.
    """
    began = told = time.monotonic() if started is None else started

    def report(done: int, total: int) -> None:
        nonlocal told
        now = time.monotonic()
        pause = _TERMINAL_SECONDS if sys.stderr.isatty() else _LOG_SECONDS
        if now - began < silent_seconds or (done < total and now - told < pause):
            return
        told = now
        left = (now - began) / done * (total - done)
        ending = "\n" if done == total or not sys.stderr.isatty() else "\r"
        print(f"{what}: {done} of {total}, {left:.0f} s left   ", end=ending, file=sys.stderr, flush=True)

    return report


class Stages:
    """Work in named stages one after the other, each counted alone."""

    def __init__(self) -> None:
        self._stage = ""
        self._since = time.monotonic()
        self._report: Callable[[int, int], None] = counting("")

    def __call__(self, stage: str, done: int, total: int) -> None:
        """A part of a stage is done."""
        if stage != self._stage:
            self._stage = stage
            self._report = counting(stage, started=self._since, silent_seconds=_SHORT_SECONDS)
        self._report(done, total)
        self._since = time.monotonic()
