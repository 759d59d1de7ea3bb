"""A person who waits longer than a moment is told the reason."""

from __future__ import annotations

import threading
import time

import pytest

from node.progress import BEHIND_SECONDS, BlockWatch, every, while_waiting


def test_short_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with while_waiting("counting"):
        pass
    assert capsys.readouterr() == ("", "")


def test_long_work_says_what_it_is_and_for_how_long_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with while_waiting("counting", first_seconds=0.01, next_seconds=0.01):
        time.sleep(0.2)
    said = capsys.readouterr()
    assert said.out == ""
    assert set(said.err.splitlines()) == {"counting (0 s)"}
    assert len(said.err.splitlines()) >= 2


def test_a_failure_of_the_work_comes_through_and_ends_the_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="no"), while_waiting("counting", first_seconds=0.01, next_seconds=0.01):
        raise ValueError("no")
    time.sleep(0.05)
    assert capsys.readouterr().err == ""


def test_a_node_that_is_behind_says_how_far_and_says_once_that_no_block_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    monkeypatch.setattr("node.progress._LOG.info", lambda text, *values, **_: said.append(text % values))
    monkeypatch.setattr("node.progress._LOG.warning", lambda text, *values, **_: said.append(text % values))
    looks = [(0, None), (5, 7200), (9, 7000), (9, 7010), (9, 7020), (10, 3), (10, BEHIND_SECONDS), (10, 61)]
    height, behind = iter([one for one, _ in looks]), iter([one for _, one in looks])
    watch = BlockWatch(lambda: next(height), lambda: next(behind))
    for _ in looks:
        watch.look()
    still = (
        "no block after height {} for {} s: more than two thirds of the validators' power must be running and "
        "reachable; see `openledger node status` for the power and the peers that are seen"
    )
    catching_up = ["catching up: height 5, 7200 s behind", "catching up: height 9, 7000 s behind"]
    assert said == [*catching_up, still.format(9, 7010), still.format(10, 61)]


def test_a_node_without_any_block_says_so_once_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("node.progress._LOG.warning", lambda text, *values, **_: said.append(text % values))
    now = [0.0]
    watch = BlockWatch(lambda: 0, lambda: None, lambda: now[0])
    for seconds in (10, BEHIND_SECONDS, BEHIND_SECONDS + 1, 2 * BEHIND_SECONDS):
        now[0] = seconds
        watch.look()
    assert len(said) == 1
    assert said[0].startswith("no block since the start 61 s ago, at height 0: more than two thirds of the")


def test_a_look_that_fails_does_not_end_the_looking() -> None:
    looks: list[None] = []
    enough = threading.Event()

    def look() -> None:
        looks.append(None)
        if len(looks) == 3:
            enough.set()
        raise ValueError("a bug in a look")

    with every(0.005, look):
        assert enough.wait(5)


def test_a_look_is_repeated_until_the_end() -> None:
    looks: list[None] = []
    enough = threading.Event()

    def look() -> None:
        looks.append(None)
        if len(looks) == 3:
            enough.set()

    with every(0.005, look):
        assert enough.wait(5)
    count = len(looks)
    time.sleep(0.05)
    assert len(looks) == count
