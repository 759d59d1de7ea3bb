"""A sign of life from every command that is silent for long, so that nobody wonders whether it hangs.

Commands that count what they do say more (openledger_cli/progress.py); this speaks only where nothing else does.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Somebody at a terminal hears of it soon; a log gets a line now and then.
_TERMINAL_SECONDS, _LOG_SECONDS = 2.0, 10.0
_LOOK_SECONDS = 0.25
_waiting_for_people = 0
# The part of the work that a command is at, in its own words; empty where it has not said.
_stage = ""


def name_stage(words: str) -> None:
    """Say at which part of its work this command is from now on; shown only while that takes long."""
    global _stage
    _stage = words


class _Watched:
    """Standard error that remembers when something was last written to it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.last = time.monotonic()

    def write(self, text: str) -> int:
        """Write through."""
        self.last = time.monotonic()
        return int(self._stream.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def pulse(what: str) -> Iterator[None]:
    """While the block works in silence: `what: reading rows: still at work (12 s)` on standard error."""
    name_stage("")
    stream, began = sys.stderr, time.monotonic()
    watched = _Watched(stream)
    done = threading.Event()

    def speak() -> None:
        said = False
        while not done.wait(_LOOK_SECONDS):
            is_first_at_terminal = not said and stream.isatty()
            pause_seconds = _TERMINAL_SECONDS if is_first_at_terminal else _LOG_SECONDS
            now = time.monotonic()
            if _waiting_for_people:
                watched.last = now
            elif now - watched.last >= pause_seconds:
                said = True
                stage = f": {_stage}" if _stage else ""
                watched.write(f"{what}{stage}: still at work ({now - began:.0f} s)\n")
                watched.flush()

    thread = threading.Thread(target=speak, name="pulse", daemon=True)
    sys.stderr = watched
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        if sys.stderr is watched:
            sys.stderr = stream


@contextmanager
def waiting_for_people() -> Iterator[None]:
    """While somebody is asked, or standard input is read, silence is no sign of work."""
    global _waiting_for_people
    _waiting_for_people += 1
    try:
        yield
    finally:
        _waiting_for_people -= 1
