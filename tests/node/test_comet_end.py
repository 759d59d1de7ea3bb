"""Each way in which CometBFT ends has its verdict."""

from __future__ import annotations

import pytest

from node.comet_end import GIVE_UP_AFTER_RUNS, End, Verdict, judge


def end(code: int = 0, reason: str = "", *, full: bool = False, consensus: bool = False, fruitless: bool = True) -> End:
    return End(code, reason, full, consensus, fruitless)


BAD_CONFIG = end(1, "ERROR: error in config file: size can't be negative")
BUSY_PORT = end(1, "ERROR: failed to start node: listen tcp 127.0.0.1:1: bind: address already in use")
PANIC = end(0, "CONSENSUS FAILURE!!!", consensus=True)
FULL = end(0, "CONSENSUS FAILURE!!! no space left on device", full=True, consensus=True)


@pytest.mark.parametrize(
    ("ended", "fruitless_runs", "space", "verdict"),
    [
        (BAD_CONFIG, 1, True, Verdict.RESTART),
        (BAD_CONFIG, 2, True, Verdict.GIVE_UP),
        (BUSY_PORT, 2, True, Verdict.RESTART),
        (BUSY_PORT, GIVE_UP_AFTER_RUNS - 1, True, Verdict.RESTART),
        (BUSY_PORT, GIVE_UP_AFTER_RUNS, True, Verdict.GIVE_UP),
        (PANIC, 1, True, Verdict.RESTART),
        (PANIC, 2, True, Verdict.GIVE_UP),
        (end(0, "x", consensus=True, fruitless=False), 0, True, Verdict.RESTART),
        (FULL, 1, False, Verdict.WAIT_FOR_SPACE),
        (FULL, GIVE_UP_AFTER_RUNS, False, Verdict.WAIT_FOR_SPACE),
        (FULL, GIVE_UP_AFTER_RUNS, True, Verdict.GIVE_UP),  # a quota: there is space, and yet nothing can be written
        (end(-9, "killed"), 5, True, Verdict.RESTART),
        (end(0, "the application closed"), 1, True, Verdict.RESTART),
    ],
)
def test_the_end_of_a_run_has_its_verdict(ended: End, fruitless_runs: int, space: bool, verdict: Verdict) -> None:
    assert judge(ended, fruitless_runs, space_is_left=space) is verdict
