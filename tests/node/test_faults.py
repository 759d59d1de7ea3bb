"""Fault injection: the text form, and that only development chains have it."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from abci_app.pb import abci_pb2 as pb
from node.errors import NodeError
from node.faults import Fault, FaultyApplication, parse_source
from tests.kit.node.small_application import SmallApplication
from tests.kit.repository import ROOT


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("before_finalize_block_answer:5", Fault("before_finalize_block_answer", 5, "application")),
        ("after_store_write:12:cometbft", Fault("after_store_write", 12, "cometbft")),
        ("after_commit_answer:3:both", Fault("after_commit_answer", 3, "both")),
    ],
)
def test_a_fault_is_read_from_its_text(text: str, fault: Fault) -> None:
    assert Fault.parse(text) == fault


@pytest.mark.parametrize(
    "text", ["", "before_commit", "before_store_write", "after_store_write:x", "a:1", "after_store_write:1:me"]
)
def test_any_other_text_is_refused_with_the_known_points(text: str) -> None:
    with pytest.raises(NodeError, match="give POINT:HEIGHT or POINT:HEIGHT:WHO, POINT one of before_finalize_block,"):
        Fault.parse(text)


def test_a_running_node_takes_a_fault_from_a_file_and_removes_it(tmp_path: Path) -> None:
    source = parse_source(f"file:{tmp_path / 'fault'}")
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        threading.Thread(target=child.wait).start()
        faulty = FaultyApplication(SmallApplication(), source, lambda: child.pid)
        faulty.finalize_block(pb.RequestFinalizeBlock(height=1))
        (tmp_path / "fault").write_text("before_finalize_block_answer:3:cometbft\n")
        faulty.finalize_block(pb.RequestFinalizeBlock(height=2))
        assert (child.poll(), list(tmp_path.iterdir())) == (None, [])
        faulty.finalize_block(pb.RequestFinalizeBlock(height=3))
        assert child.wait(5) == -9


def test_only_the_named_child_is_killed_once_and_the_application_goes_on() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        threading.Thread(target=child.wait).start()  # as the supervisor does
        small = SmallApplication()
        faulty = FaultyApplication(small, Fault("after_store_write", 2, "cometbft"), lambda: child.pid)
        for height in (1, 2):
            faulty.finalize_block(pb.RequestFinalizeBlock(height=height))
            assert child.poll() is None
            faulty.commit(pb.RequestCommit())
        assert child.wait(5) == -9
        assert small.height == 2
        assert faulty.check_tx(b"passed on", False) == (0, "", "")


@pytest.mark.parametrize(
    ("point", "calls"),
    [
        ("before_finalize_block", []),
        ("before_finalize_block_answer", ["finalize_block"]),
        ("after_finalize_block_answer", ["finalize_block"]),
        ("before_store_write", ["finalize_block"]),
        ("after_store_write", ["finalize_block", "commit"]),
        ("after_commit_answer", ["finalize_block", "commit"]),
    ],
)
def test_each_point_kills_the_process_exactly_there(tmp_path: Path, point: str, calls: list[str]) -> None:
    program = f"""
from abci_app.pb import abci_pb2 as pb
from node.faults import Fault, FaultyApplication, parse_source
from tests.kit.node.small_application import SmallApplication
class Told(SmallApplication):
    def _note(self, call): print(call, flush=True)
faulty = FaultyApplication(Told(), Fault.parse({point + ":7"!r}), lambda: None)
faulty.finalize_block(pb.RequestFinalizeBlock(height=7))
faulty.after_answer("finalize_block")
faulty.commit(pb.RequestCommit())
faulty.after_answer("commit")
print("alive")
"""
    root = ROOT
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (-9, calls)
