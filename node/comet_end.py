"""Judges how a run of CometBFT ended: start it again, wait for space on the disk, or give up.

CometBFT ends with code 0 when the application's socket closes, with 1 when it cannot start (a line that begins with
ERROR says why), with 2 after a panic, below 0 when it was killed. Its consensus can also end while its process lives
on: the supervisor then ends the process.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

# Start errors that pass by themselves: a port or database held for a moment by what ended just before, no memory.
_PASSING = re.compile(
    r"address already in use|resource temporarily unavailable|cannot allocate memory|too many open files|"
    r"connection refused|no such file or directory.*abci|signal: killed",
    re.IGNORECASE,
)
# A start error that does not pass is the same the second time.
PERMANENT_AFTER_RUNS = 2
# Everything else: with the growing delays between them about a minute.
GIVE_UP_AFTER_RUNS = 10


class Verdict(StrEnum):
    """The step that follows the end of a run."""

    RESTART = "restart"
    WAIT_FOR_SPACE = "wait for space"
    GIVE_UP = "give up"


@dataclass(frozen=True, slots=True)
class End:
    """One run that ended without being asked to, and what it said."""

    code: int
    reason: str
    disk_full: bool
    consensus_failed: bool
    # The run made no block: what ended it stood there from its start.
    fruitless: bool


def is_permanent_start_error(end: End) -> bool:
    """Whether CometBFT named an error of its files or settings."""
    return end.code == 1 and bool(end.reason) and not end.disk_full and _PASSING.search(end.reason) is None


def judge(end: End, fruitless_runs: int, *, space_is_left: bool) -> Verdict:
    """The verdict after `fruitless_runs` runs in a row, this one included, that made no block."""
    if end.disk_full and not space_is_left:
        return Verdict.WAIT_FOR_SPACE
    if is_permanent_start_error(end) and fruitless_runs >= PERMANENT_AFTER_RUNS:
        return Verdict.GIVE_UP
    if end.consensus_failed and end.fruitless and fruitless_runs >= PERMANENT_AFTER_RUNS:
        return Verdict.GIVE_UP
    return Verdict.GIVE_UP if fruitless_runs >= GIVE_UP_AFTER_RUNS else Verdict.RESTART
