"""A failure in the ABCI server's own threads is tried again or reported, never silent."""

from __future__ import annotations

import errno
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from abci_app.pb import abci_pb2 as pb
from node.abci_server import AbciServer, Address, Halt
from tests.kit.node.fake_comet import FakeConnection, request, wait_until
from tests.kit.node.small_application import SmallApplication


class Listening:
    """A server of the small application, and the halts that it reported."""

    def __init__(self, folder: Path) -> None:
        self.halts: list[Halt] = []
        self.path = folder / "abci.sock"
        self.server = AbciServer(SmallApplication(), Address(self.path), on_halt=self.halts.append)
        self.server.start()

    def connect(self) -> FakeConnection:
        connection = FakeConnection(self.path)
        connection.call(request("echo", message="accepted?"))
        return connection


@pytest.fixture
def served() -> Iterator[Listening]:
    with tempfile.TemporaryDirectory() as folder:
        served = Listening(Path(folder))
        yield served
        served.server.stop()


class NoDescriptors:
    """A listener that cannot hand out its first connection."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.refusals = 0

    def accept(self) -> tuple[socket.socket, object]:
        self.refusals += 1
        if self.refusals == 1:
            raise OSError(errno.EMFILE, "Too many open files")
        return self._listener.accept()

    def __getattr__(self, name: str) -> object:
        return getattr(self._listener, name)


def test_a_moment_without_descriptors_does_not_end_the_listening(served: Listening) -> None:
    assert served.server._listener is not None
    scarce = NoDescriptors(served.server._listener)
    served.server._listener = scarce  # type: ignore[assignment]
    served.connect()  # the accept that was under way
    assert served.connect().call(request("echo", message="hello")) == pb.Response(echo=pb.ResponseEcho(message="hello"))
    assert scarce.refusals >= 2


def test_a_fault_of_a_connections_own_thread_is_reported_as_a_halt(
    served: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = served.connect()
    monkeypatch.setattr(served.server, "after_answer", lambda kind: 1 // 0)
    connection.send(request("info", version="0.38.25"))
    wait_until(lambda: bool(served.halts))
    assert "ZeroDivisionError" in served.halts[0].detail
