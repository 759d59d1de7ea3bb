"""`openledger runs`: what was recorded, newest first, proven, and what comes."""

import json

import pytest

from openledger.errors import NodeFailure
from openledger.exit_codes import ExitCode
from openledger_cli.query import runs
from tests.kit.openledger.local_node import Run


def test_runs_are_listed_newest_first_with_model_and_recorder(run: Run) -> None:
    code, out, error = run("runs")
    lines = [line.split() for line in out.splitlines() if "olrun1" in line]
    assert (code, [line[0] for line in lines]) == (0, ["4", "3", "2", "1"])
    assert [line[2] for line in lines] == ["lora,", "lora", "lora", "import"]
    assert "tutor@2" in out
    assert "base@1" in out
    assert "from outside" in out
    assert "verified: state after block 4" in error


def test_runs_of_one_model_and_so_many_of_them(run: Run) -> None:
    document = json.loads(run("runs", "--model", "tutor", "--limit", "1", "--output", "json")[1])
    assert [item["model"] for item in document["runs"]] == ["tutor@2"]
    assert document["verified"] is True
    assert run("runs", "--limit", "0")[0] == ExitCode.USAGE
    assert run("runs", "--seconds", "1")[0] == ExitCode.USAGE


def test_new_runs_are_printed_as_they_come_and_a_node_that_stumbles_is_asked_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = runs.RunBook.later
    asked: list[int] = []

    def from_the_first(book: runs.RunBook, number: int) -> object:
        asked.append(number)
        if len(asked) == 1:
            raise NodeFailure("the node is busy")
        return whole(book, 2 if len(asked) == 2 else number)

    monkeypatch.setattr(runs.RunBook, "later", from_the_first)
    monkeypatch.setattr(runs, "_RETRY_SECONDS", 0)
    code, out, error = run("runs", "--limit", "1", "--follow", "--seconds", "0.2", "--output", "json")
    assert (code, "the node is busy; trying again" in error) == (0, True)
    followed = [json.loads(line) for line in out.splitlines() if line.startswith('{"height"')]
    assert [(item["model"], item["verified"]) for item in followed] == [("tutor@2", True), ("", True)]
    assert asked[:2] == [4, 4]
