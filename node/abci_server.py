"""The ABCI 2.0 socket server: CometBFT's requests in, the application's answers out, in order.

CometBFT opens four connections (query, snapshot, mempool, consensus) and does not label them. Each gets a thread, so
a slow query delays neither consensus nor CheckTx; which one owns what is told by what it sends. Rules that follow from
CometBFT's client (`abci/client`):
- Answers of one connection come back in the order of its requests, each of the matching kind.
- Closing any of the four, or answering ResponseException, ends the CometBFT process. A bad transaction or query is
  therefore an ordinary answer with a code; an exception means that this replica must stop.
- CometBFT never reconnects. New connections after old ones are gone are a new *generation*: the application throws
  away all work that is not committed before the first of them is served.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from node.abci_connection import AbciApplication, Connection, Halt
from node.framing import MAX_FRAME_BYTES

_LOG = logging.getLogger("openledger.abci")

# CometBFT opens exactly this many connections; a further one while all are alive is somebody else's.
_CONNECTIONS = 4
# How long `stop` waits for a request under way before it leaves it behind.
_STOP_SECONDS = 30.0
# Want of descriptors or memory may pass; a server that stopped listening for it would be found by nobody.
_ACCEPT_AGAIN_SECONDS = 0.2

__all__ = ["AbciApplication", "AbciServer", "Address", "Halt"]


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server listens: a unix socket's path, or a port of the loopback interface."""

    path: Path | None
    port: int = 0

    def __str__(self) -> str:
        return f"tcp://127.0.0.1:{self.port}" if self.path is None else f"unix://{self.path}"


class AbciServer:
    """Serves one application. Listens from `start` to `stop`.

    `on_halt` is called once, from the failing connection's thread, when a call of the application raised.
    `after_answer` is called with a request's kind after its answer was written (fault injection in tests).
    `last_block_seconds` is the header time of the last block that was executed since `start`, if any.
    """

    def __init__(
        self,
        application: AbciApplication,
        address: Address,
        *,
        on_halt: Callable[[Halt], None],
        after_answer: Callable[[str], None] | None = None,
        max_frame_bytes: int = MAX_FRAME_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.application = application
        self.address = address
        self.after_answer = after_answer
        self.max_frame_bytes = max_frame_bytes
        self.clock = clock
        self._on_halt = on_halt
        self._halted = threading.Lock()
        self._generation: list[Connection] = []
        # Which connection of the generation changes which part of the application.
        self._owners: dict[str, Connection] = {}
        self._number = 0
        self.last_block_seconds: int | None = None
        self._stopping = threading.Event()
        self._listener: socket.socket | None = None
        self._thread = threading.Thread(target=self._accept, name="abci-accept", daemon=True)

    def start(self) -> None:
        """Bind and listen; connections are served in threads. Raises OSError when the address cannot be had."""
        if self.address.path is None:
            listener = socket.create_server(("127.0.0.1", self.address.port))
            self.address = Address(None, listener.getsockname()[1])
        else:
            listener = socket.socket(socket.AF_UNIX)
            self.address.path.unlink(missing_ok=True)  # left by a killed node; the home's lock excludes a live one
            listener.bind(str(self.address.path))
            self.address.path.chmod(0o600)
            listener.listen()
        self._listener = listener
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, end all connections, wait for the requests under way."""
        self._stopping.set()
        if self._listener is not None:
            with contextlib.suppress(OSError):  # some systems refuse this; there, closing is enough
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._thread.join(_STOP_SECONDS)
        self._end_generation(_STOP_SECONDS)
        if self.address.path is not None:
            self.address.path.unlink(missing_ok=True)

    def is_owner(self, part: str, connection: Connection) -> bool:
        """Whether this connection owns a part of the application; who asks first does, until the generation ends."""
        return self._owners.setdefault(part, connection) is connection

    def pause(self, seconds: float) -> None:
        """Wait so long, or until the server stops."""
        self._stopping.wait(seconds)

    def report_halt(self, halt: Halt) -> None:
        """Pass the first halt on; later ones are its consequences."""
        if self._halted.acquire(blocking=False):
            self._on_halt(halt)

    def _accept(self) -> None:
        assert self._listener is not None
        while not self._stopping.is_set():
            try:
                stream, _ = self._listener.accept()
            except OSError as error:
                if self._stopping.is_set():
                    return  # the listener was closed
                _LOG.error("cannot accept a connection: %s; trying again", error)  # no descriptors or memory left
                self._stopping.wait(_ACCEPT_AGAIN_SECONDS)
                continue
            if self._stopping.is_set():
                stream.close()
                return
            self._admit(stream)

    def _admit(self, stream: socket.socket) -> None:
        """Add a connection to the generation, or begin a new one if the old one is gone."""
        if not self._generation or any(connection.gone() for connection in self._generation):
            self._end_generation(None)  # discarding while a block is being executed would not discard it
            try:
                self.application.discard_uncommitted()
            except Exception as error:  # noqa: BLE001 - reported as a halt, like every failing call
                _LOG.critical("discarding uncommitted work failed", exc_info=True)
                self.report_halt(Halt("discard_uncommitted", None, f"{type(error).__name__}: {error}"))
                stream.close()
                return
        elif len(self._generation) == _CONNECTIONS:
            _LOG.warning("refused a connection: CometBFT's %d are already here", _CONNECTIONS)
            stream.close()
            return
        if self.address.path is None:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._number += 1
        connection = Connection(self, stream, self._number)
        self._generation.append(connection)
        connection.start()

    def _end_generation(self, wait_seconds: float | None) -> None:
        for connection in self._generation:
            connection.close(wait_seconds)
        self._generation.clear()
        self._owners.clear()
