"""Bugs that the chain put aside reach whoever watches a node: a line and an exit code, not only a query."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from abci_app.chain.validator_set import UPDATES_NAME
from abci_app.module import HookContext
from abci_app.state.overlay import Overlay
from node import rpc
from node.home import Home
from node.put_aside import log_alarm, put_aside
from node.status import NodeStatus, State
from openledger.exit_codes import ExitCode
from openledger_cli.main import main
from tests.kit.chain import Chain
from tests.kit.scheduled import Jobs, raises

SEE = "see `openledger query deadlines stuck` and `failing`"
HOOK = "hook jobs.end_block fails since height 1 (3 times)"
STUCK = "2 scheduled works are stuck (the first at height 2)"


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Jobs:
    return Jobs().register(monkeypatch)


def answering(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer the calls to CometBFT from this chain's application."""

    def call(url: str, method: str, *, path: str, data: str) -> dict[str, Any]:
        assert (url, method) == ("url", "abci_query")
        answer = chain.query(path, bytes.fromhex(data))
        value = base64.b64encode(answer.value).decode()
        return {"response": {"code": answer.code, "log": answer.log, "value": value}}

    monkeypatch.setattr(rpc, "call", call)


def test_a_chain_without_bugs_raises_no_alarm(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Chain.start({})
    answering(chain, monkeypatch)
    assert put_aside("url") == (0, "")
    chain.block()
    assert put_aside("url") == (0, "")


def test_a_failing_hook_and_stuck_work_are_counted_and_named_until_they_are_mended(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = Chain.start({})
    answering(chain, monkeypatch)
    jobs.deeds |= {"end": raises(KeyError("a bug")), "handler": raises(KeyError("another"))}
    jobs.plan = {1: [(0, 1, 2), (0, 2, 2)]}
    for _ in range(3):
        chain.block()
    count, line = put_aside("url")
    assert (count, line) == (3, f"put aside because of a bug: {HOOK}; {STUCK}: {SEE}")
    del jobs.deeds["end"]
    chain.block()
    assert put_aside("url") == (2, f"put aside because of a bug: {STUCK}: {SEE}")


def test_validator_updates_that_were_put_aside_stay_listed_until_some_are_passed_on(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = Chain.start({})
    answering(chain, monkeypatch)
    key = bytes([1]) * 32

    def end(state: Overlay, context: HookContext, job: bytes) -> None:
        if context.height == 1:
            context.set_power(key, 0)
        if context.height == 3:
            context.set_power(key, 5)

    jobs.deeds["end"] = end
    listed = (1, f"put aside because of a bug: hook {UPDATES_NAME} fails since height 1 (once): {SEE}")
    for expected in (listed, listed, (0, "")):
        chain.block()
        assert put_aside("url") == expected


@pytest.mark.parametrize("value", ["", "AA==", "!"])
def test_a_node_that_does_not_tell_is_an_alarm(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "call", lambda *_, **__: {"response": {"code": 0, "value": value}})
    count, line = put_aside("url")
    assert (count, line.startswith("the node does not tell what was put aside (")) == (0, True)


def test_critical_lines_since_the_start_count_unless_the_state_tells_of_them(tmp_path: Path) -> None:
    log = tmp_path / "node.log"
    assert log_alarm(log) == ""
    began = "2026-01-01 00:00:00,1 INFO openledger.node: node started: RPC"
    old = "2026-01-01 00:00:00,1 CRITICAL openledger.abci: CheckTx failed: transaction 00"
    hook = "2026-01-01 00:00:01,1 CRITICAL openledger.node: hook jobs.end_block at height 3 raised KeyError: put aside"
    log.write_text(f"{old}\n{began}\n{hook}\n")
    assert log_alarm(log) == ""
    lines = [f"{began[:20]}1 CRITICAL openledger.abci: CheckTx failed: transaction {number}: no" for number in "AB"]
    log.write_text("\n".join([old, began, hook, *lines, "Traceback"]))
    assert log_alarm(log) == (
        "critical lines in node.log since this start: 2, the last: CheckTx failed: transaction B: no"
    )


@pytest.mark.parametrize(
    ("state", "alarm", "code"),
    [
        (State.MAKING_BLOCKS, "", ExitCode.OK),
        (State.MAKING_BLOCKS, "put aside because of a bug: hook", ExitCode.ALARM),
        (State.SYNCING, "put aside because of a bug: hook", ExitCode.ALARM),
        (State.DISK_FULL, "put aside because of a bug: hook", ExitCode.STANDS_STILL),
    ],
)
def test_the_exit_code_of_node_status_says_that_there_is_an_alarm(
    state: State,
    alarm: str,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(Home, "require_initialised", lambda home: None)
    found = NodeStatus(state, "", "url", put_aside=1, alarm=alarm)
    monkeypatch.setattr("node.status.status_of", lambda home: found)
    assert main(["node", "status", "--home", str(tmp_path), "--output", "json"]) == code
    assert json.loads(capsys.readouterr().out)["alarm"] == alarm
