"""A word to the person who waits: nothing for short work, a line after two seconds, and one now and then after that.

A node that runs says how far behind it is, and once, when no blocks come any more.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from node.logs import ALARM

_LOG = logging.getLogger("openledger.node")

FIRST_SECONDS = 2.0
# Between later lines.
NEXT_SECONDS = 10.0


@contextmanager
def while_waiting(
    words: str, *, first_seconds: float = FIRST_SECONDS, next_seconds: float = NEXT_SECONDS
) -> Iterator[None]:
    """Say on standard error what is being done, when it takes longer than people like to wait in silence."""
    done = threading.Event()

    def speak() -> None:
        started, pause_seconds = time.monotonic(), first_seconds
        while not done.wait(pause_seconds):
            print(f"{words} ({time.monotonic() - started:.0f} s)", file=sys.stderr, flush=True)
            pause_seconds = next_seconds

    thread = threading.Thread(target=speak, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


# Blocks come every second or so; a node whose last block is older than this is behind, or the chain stands.
BEHIND_SECONDS = 60
_MORE = (
    "more than two thirds of the validators' power must be running and reachable; see `openledger node status` for "
    "the power and the peers that are seen"
)


class BlockWatch:
    """Says in the log how a node stands that is behind; asked from time to time, silent while all is well."""

    def __init__(
        self,
        height: Callable[[], int],
        seconds_behind: Callable[[], int | None],
        now_seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._height = height
        self._seconds_behind = seconds_behind
        self._now_seconds = now_seconds
        self._started_seconds = now_seconds()
        self._last_height = -1
        self._said_still = False

    def look(self) -> None:
        """One look; at most one line."""
        height, behind = self._height(), self._seconds_behind()
        moved, self._last_height = height != self._last_height, height
        waited = int(self._now_seconds() - self._started_seconds)
        if behind is None and waited <= BEHIND_SECONDS:
            return
        if behind is None and not self._said_still:  # nothing was executed since the start
            self._said_still = True
            _LOG.warning("no block since the start %d s ago, at height %d: %s", waited, height, _MORE, extra=ALARM)
        elif behind is not None and behind <= BEHIND_SECONDS:
            self._said_still = False
        elif moved and behind is not None:
            self._said_still = False
            _LOG.info("catching up: height %d, %d s behind", height, behind)
        elif not self._said_still:
            self._said_still = True
            _LOG.warning("no block after height %d for %d s: %s", height, behind, _MORE, extra=ALARM)


@contextmanager
def every(seconds: float, look: Callable[[], None]) -> Iterator[None]:
    """Call `look` from a thread of its own again and again."""
    done = threading.Event()

    def run() -> None:
        while not done.wait(seconds):
            try:
                look()
            except Exception:  # noqa: BLE001 - a watch that ended would say for ever that all is well
                _LOG.exception("a look at the node failed; the next one is tried")

    thread = threading.Thread(target=run, name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
