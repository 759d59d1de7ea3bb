"""The node's own log in both formats: what programs read from it is the same."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.home import Home, NodeSettings
from node.log_tail import NODE_LOG, last_lines
from node.logs import ALARM, set_up_logging
from node.put_aside import log_alarm
from node.status import last_critical_line


@pytest.fixture(autouse=True)
def logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("openledger")
    before = logger.handlers[:], logger.level, logger.propagate
    yield logger
    for handler in logger.handlers:
        handler.close()
    logger.handlers[:], logger.level, logger.propagate = before


def write(home: Home, log_format: str) -> int:
    """Lines of all kinds; how many of them are alarms."""
    count = set_up_logging(home, NodeSettings(log_format=log_format))
    log = logging.getLogger("openledger.node")
    log.info("node started: RPC at %s", "x")
    log.warning('no "block"\u2028 after height 3', extra=ALARM)
    try:
        raise KeyError("a bug")
    except KeyError:
        log.critical("CheckTx failed:\x1b[0m\nwith details", exc_info=True)
    log.critical("stopped: the application failed")
    for handler in logging.getLogger("openledger").handlers:
        handler.close()
    return count.alarms


def test_each_line_is_one_object_and_alarms_are_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = Home(tmp_path)
    assert write(home, "json") == 3
    text = (home.log_folder / NODE_LOG).read_text()
    documents = [json.loads(line) for line in text.split("\n")[:-1]]
    assert capsys.readouterr().err == text
    assert text.isascii()
    found = [(each["level"], each["logger"], each["message"], each["alarm"]) for each in documents]
    assert found == [
        ("INFO", "openledger.node", "node started: RPC at x", False),
        ("WARNING", "openledger.node", 'no "block"\u2028 after height 3', True),
        ("CRITICAL", "openledger.node", "CheckTx failed:\x1b[0m", True),
        ("CRITICAL", "openledger.node", "stopped: the application failed", True),
    ]
    assert documents[2]["details"].startswith("with details\nTraceback (most recent call last):\n")
    assert documents[2]["details"].endswith("KeyError: 'a bug'")
    assert [set(each) for each in documents[:2]] == [{"time", "level", "logger", "message", "alarm"}] * 2
    assert documents[0]["time"].endswith("Z")


def test_text_is_one_line_a_message_on_the_console_and_whole_in_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path)
    assert write(home, "text") == 3
    assert capsys.readouterr().err == (
        'node started: RPC at x\nwarning: no "block"\u2028 after height 3\ncritical: CheckTx failed:\x1b[0m\n'
        "critical: stopped: the application failed\n"
    )
    assert "\nwith details\nTraceback" in (home.log_folder / NODE_LOG).read_text()


def test_who_asks_how_a_node_is_reads_the_same_from_both(tmp_path: Path) -> None:
    said = []
    for log_format in ("text", "json"):
        home = Home(tmp_path / log_format)
        home.folder.mkdir()
        write(home, log_format)
        log = home.log_folder / NODE_LOG
        said.append((log_alarm(log), last_critical_line(log)))
    assert said[0] == said[1]
    assert said[0][1] == "stopped: the application failed"
    assert said[0][0].startswith("critical lines in node.log since this start: 2, the last: stopped: ")


@pytest.mark.parametrize("line", ['{"time": "cut', "{}", '{"a": 1}', "[1]", '{"time":1,"level":2,"logger":3}'])
def test_a_line_that_is_none_of_ours_is_left_as_it_is(line: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(f"{line}\nnext\n")
    assert last_lines(tmp_path / "log") == [line, "next"]
