"""Turns of a key: programs on one machine wait for each other, and nobody waits for one that was killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from openledger.errors import TimedOut
from openledger.keys.turns import KeyTurns
from tests.kit.repository import ROOT

OLGA, REMY = b"\x01" * 32, b"\x02" * 32
_HOLDS = """
import sys, time
from pathlib import Path
from openledger.keys.turns import KeyTurns
with KeyTurns(Path(sys.argv[1])).of(b"\\x01" * 32, "dev-1"):
    print("held", flush=True)
    time.sleep(60)
"""


def _holder(home: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", _HOLDS, str(home)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_one_turn_follows_the_other(tmp_path: Path) -> None:
    seen: list[str] = []

    def work(name: str) -> None:
        with KeyTurns(tmp_path).of(OLGA, "dev-1"):
            seen.append(f"{name} begins")
            time.sleep(0.05)
            seen.append(f"{name} ends")

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pairs = list(zip(seen[::2], seen[1::2], strict=True))
    assert len(pairs) == 5
    assert all(first.replace("begins", "ends") == second for first, second in pairs)


def test_other_keys_and_other_chains_do_not_wait(tmp_path: Path) -> None:
    turns = KeyTurns(tmp_path, patience_seconds=0.2)
    with (
        turns.of(OLGA, "dev-1"),
        turns.of(REMY, "dev-1"),
        turns.of(OLGA, "dev-2"),
        pytest.raises(TimedOut, match="another command signs with this key"),
        turns.of(OLGA, "dev-1"),
    ):
        pass


def test_a_killed_holder_stands_in_nobodys_way(tmp_path: Path) -> None:
    process = _holder(tmp_path)
    with pytest.raises(TimedOut), KeyTurns(tmp_path, patience_seconds=0.2).of(OLGA, "dev-1"):
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with KeyTurns(tmp_path, patience_seconds=5.0).of(OLGA, "dev-1"):
        assert len(list((tmp_path / "turns").iterdir())) == 1


def test_who_waits_hears_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openledger.keys.turns._FIRST_SECONDS", 0.1)
    said: list[str] = []
    with (
        KeyTurns(tmp_path).of(OLGA, "dev-1"),
        pytest.raises(TimedOut),
        KeyTurns(tmp_path, said.append, 0.4).of(OLGA, "dev-1"),
    ):
        pass
    assert said == ["waiting for another command that signs with this key (0 s)"]


def test_a_home_that_cannot_be_written_to_has_no_turns(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with KeyTurns(tmp_path / "home").of(OLGA, "dev-1"), KeyTurns(tmp_path / "home").of(OLGA, "dev-1"):
        assert (tmp_path / "home").read_text() == "a file"
