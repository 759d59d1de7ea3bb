"""Lines about long work: not too many of them, and none about what is done at once."""

import pytest

from openledger_cli.progress import Stages, counting


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock, set by hand; standard error is no terminal."""
    now = [100.0]
    monkeypatch.setattr("openledger_cli.progress.time.monotonic", lambda: now[0])
    return now


def test_a_log_is_told_every_ten_seconds_and_at_the_end(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    report = counting("rows")
    for done in range(1, 6):
        clock[0] += 6
        report(done, 5)
    assert capsys.readouterr().err.splitlines() == [
        "rows: 2 of 5, 18 s left   ",
        "rows: 4 of 5, 6 s left   ",
        "rows: 5 of 5, 0 s left   ",
    ]


def test_a_terminal_shows_one_line_that_is_rewritten(
    clock: list[float], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    report = counting("rows")
    for done in range(1, 4):
        clock[0] += 1
        report(done, 3)
    assert capsys.readouterr().err == (
        "rows: 1 of 3, 2 s left   \rrows: 2 of 3, 1 s left   \rrows: 3 of 3, 0 s left   \n"
    )


def test_stages_count_from_the_end_of_the_one_before_and_short_ones_pass_in_silence(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    report = Stages()
    clock[0] += 0.5
    report("short", 1, 1)
    clock[0] += 20
    report("long", 1, 2)
    clock[0] += 20
    report("long", 2, 2)
    assert capsys.readouterr().err.splitlines() == ["long: 1 of 2, 20 s left   ", "long: 2 of 2, 0 s left   "]
