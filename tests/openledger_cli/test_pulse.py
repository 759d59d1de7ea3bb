"""Signs of life: a command that is silent for long says that it works; nothing is said while somebody is asked."""

import io
import sys
import time

import pytest

from openledger_cli import pulse as pulse_module
from openledger_cli.main import parsed_name
from openledger_cli.pulse import name_stage, pulse, waiting_for_people


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse_module, "_TERMINAL_SECONDS", 0.1)
    monkeypatch.setattr(pulse_module, "_LOG_SECONDS", 0.5)
    monkeypatch.setattr(pulse_module, "_LOOK_SECONDS", 0.02)


def _said(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, seconds: float) -> list[str]:
    monkeypatch.setattr(sys, "stderr", stream)
    with pulse("openledger query lineage"):
        time.sleep(seconds)
    assert sys.stderr is stream
    return stream.getvalue().splitlines()


def test_a_log_hears_of_long_silence_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    said = _said(monkeypatch, io.StringIO(), 1.3)
    assert said == ["openledger query lineage: still at work (1 s)"] * len(said)
    assert 1 <= len(said) <= 2


def test_a_command_that_has_said_at_what_it_is_is_heard_to_be_at_that(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with pulse("openledger train"):
        name_stage("preparing rows")
        time.sleep(0.7)
    assert stream.getvalue() == "openledger train: preparing rows: still at work (1 s)\n"
    # The next command begins with nothing said.
    assert _said(monkeypatch, _Terminal(), 0.3) == ["openledger query lineage: still at work (0 s)"]


def test_a_terminal_hears_of_it_soon_and_short_work_passes_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _said(monkeypatch, _Terminal(), 0.3) == ["openledger query lineage: still at work (0 s)"]
    assert _said(monkeypatch, io.StringIO(), 0.1) == []


def test_a_command_that_speaks_for_itself_is_not_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with pulse("openledger train"):
        for step in range(8):
            print(f"step {step}", file=sys.stderr)
            time.sleep(0.1)
    assert stream.getvalue().splitlines() == [f"step {step}" for step in range(8)]


def test_nothing_is_said_while_somebody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = _Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with pulse("openledger keys add"), waiting_for_people():
        time.sleep(0.4)
    assert stream.getvalue() == ""


def test_a_command_is_called_by_its_words() -> None:
    assert parsed_name(["query", "lineage", "my-model"]) == "openledger query lineage"
    assert parsed_name(["status"]) == "openledger status"
    assert parsed_name(["verify", "--genesis", "x", "b.json"]) == "openledger verify"
