"""The disk ends while a block is being committed: the node halts with its code and says so, and nothing is lost."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import plyvel
import pytest

from abci_app.chain.application import Application
from abci_app.pb import abci_pb2 as pb
from node import disk
from node.abci_server import AbciServer, Address, Halt
from node.child_log import is_disk_full
from node.devnet import Devnet, DevnetNode
from node.leveldb.store import LevelDBStore
from node.maintenance import check
from node.run import EXIT_DISK_FULL
from node.status import State, status_of
from openledger.exit_codes import ExitCode
from openledger_cli.main import main
from tests.kit.chain import GENESIS_SECONDS, Chain, accounts_with
from tests.kit.node.fake_comet import FakeConnection, request, wait_until
from tests.kit.signing import Signer

FULL = plyvel.IOError(b"IO error: 000003.log: No space left on device")
ALICE, BOB = Signer.named("alice"), Signer.named("bob")


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """Put a file system of its own there; skips the test where none can be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=False)
    if done.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.integration
def test_a_node_whose_commit_meets_the_end_of_the_disk_ends_with_its_code_and_goes_on_after_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only the application's store lies on the small disk, so that neither CometBFT nor the pause comes before it."""
    net = Devnet.create(tmp_path / "net")
    node = net.nodes[0]
    with small_disk(node.home.store_folder, "4m"):
        try:
            height, app_hash = _fill_up(node)
            assert node.wait(60.0) == EXIT_DISK_FULL
            line = (node.home.log_folder / "console.log").read_text().strip().splitlines()[-1]
            assert line.startswith(
                "critical: stopped: the disk is full: the application failed in commit at height "
            ), line
            assert line.endswith("free space and start again, nothing is lost")
            found = status_of(node.home)
            assert (found.state, found.why.startswith("stopped: the disk is full: ")) == (State.NOT_RUNNING, True)
            capsys.readouterr()
            assert main(["node", "status", "--home", str(node.home.folder)]) == ExitCode.NODE
            assert "the disk is full" in capsys.readouterr().err
            (node.home.store_folder / "filler").unlink()
            node.start()
            wait_until(lambda: node.height() > height + 2, 60.0)
            assert node.app_hash_at(height) == app_hash
            node.stop()
            assert check(node.home) > height
        finally:
            net.stop()


def _fill_up(node: DevnetNode) -> tuple[int, str]:
    """Leave no page free, so that the next few blocks meet the end; the height before, and its app hash."""
    node.start()
    wait_until(lambda: node.height() >= 3, 60.0)
    height = node.height() - 1
    app_hash = node.app_hash_at(height)
    folder = node.home.store_folder
    (folder / "filler").write_bytes(bytes(disk.free_bytes(folder)))
    return height, app_hash


class FullAtCommit:
    """The part of `plyvel.DB` that the store uses, on a disk that is full once `full` says so."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.full = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def write_batch(self, **options: Any) -> Any:
        """The real one, or one that takes everything and cannot be written."""
        return _Unwritable() if self.full else self._real.write_batch(**options)


class _Unwritable:
    def put(self, key: bytes, value: bytes) -> None:
        """Taken."""

    def delete(self, key: bytes) -> None:
        """Taken."""

    def write(self) -> None:
        raise FULL


def test_a_commit_on_a_full_disk_halts_and_the_same_block_is_executed_again_after_a_start(tmp_path: Path) -> None:
    """Through the socket, as CometBFT asks: Commit is answered with an exception, so CometBFT keeps the block."""
    store = LevelDBStore.open(tmp_path / "db")
    chain = Chain.start(accounts_with(10**12, [ALICE, BOB]), store=store)
    chain.block()
    before = (store.height, store.app_hash)
    halts: list[Halt] = []
    server = AbciServer(chain.application, Address(tmp_path / "socket"), on_halt=halts.append)
    server.start()
    opened = [FakeConnection(tmp_path / "socket", 10.0) for _ in range(4)]
    for connection in opened:
        connection.call(request("echo", message="here"))
    database = FullAtCommit(store._database)
    store._database = database
    database.full = True
    finalize = _finalize(before[0] + 1)
    told = opened[3].call(finalize).finalize_block.app_hash
    opened[3].send(request("commit"))
    refused = opened[3].receive()
    assert refused is not None
    assert refused.exception.error.startswith("the application failed in commit at height 2: IOError: ")
    wait_until(lambda: bool(halts), 10.0)
    server.stop()
    assert [(halt.method, is_disk_full(str(halt))) for halt in halts] == [("commit", True)]
    assert (store.height, store.app_hash) == before
    database.full = False
    store.close()
    with LevelDBStore.open(tmp_path / "db") as again:
        assert (again.height, again.app_hash) == before
        application = Application(again)
        assert application.finalize_block(finalize.finalize_block).app_hash == told
        application.commit(pb.RequestCommit())
        assert (again.height, again.app_hash) == (before[0] + 1, told)


def _finalize(height: int) -> pb.Request:
    finalize = pb.Request()
    finalize.finalize_block.height = height
    finalize.finalize_block.time.seconds = GENESIS_SECONDS + height
    return finalize
