"""The ABCI 2.0 socket server: CometBFT's requests in, the application's answers out, in order.

CometBFT opens four connections (query, snapshot, mempool, consensus) and does not label them. Each gets a thread, so
a slow query delays neither consensus nor CheckTx. Rules that follow from CometBFT's client (`abci/client`):
- Answers of one connection come back in the order of its requests, each of the matching kind.
- Closing any of the four, or answering ResponseException, ends the CometBFT process. A bad transaction or query is
  therefore an ordinary answer with a code; an exception means that this replica must stop.
- CometBFT never reconnects. New connections after old ones are gone are a new *generation*: the application throws
  away all work that is not committed before the first of them is served.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import select
import socket
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from google.protobuf.message import DecodeError, Message

from abci_app.pb import abci_pb2 as pb
from node.errors import in_one_line
from node.framing import MAX_FRAME_BYTES, FrameDecoder, FrameError, field_frame

_LOG = logging.getLogger("openledger.abci")

# CometBFT opens exactly this many connections; a further one while all are alive is somebody else's.
_CONNECTIONS = 4
# One read; below the size from which the allocator asks the system for pages at every read.
_READ_BYTES = 64 * 1024
# One read while a frame of megabytes (a block, the genesis state) is under way.
_LARGE_READ_BYTES = 1024 * 1024
# CometBFT's writer spins when the application does not take what it writes (its flush timer is 20 ns), so a connection
# that carries CheckTx is drained while they are handled. More would lengthen Commit, which waits for all of them.
_DRAIN_BYTES = 256 * 1024
_DRAIN_EVERY_REQUESTS = 8
# Answers are written when the input is used up or this many wait: large writes, and no answer waits for long.
_WRITE_EVERY_ANSWERS = 64
# How long `stop` waits for a request under way before it leaves it behind.
_STOP_SECONDS = 30.0

_ACCEPTED_CHECK_TX = field_frame(9, b"")
_FLUSH_FRAME = field_frame(3, b"")
_EXCEPTION_FIELD = 1
_CHECK_TX_FIELD = 9
_QUERY_FIELD = 7
_QUERY_REQUEST = b"\x32"  # how a request that holds a query begins: field 6
# Answered to a query that raised: the query is at fault or a bug is, the committed state is not.
QUERY_FAILED_CODE = 1


class AbciApplication(Protocol):
    """What the server calls. One thread per connection: see each group."""

    # Any connection's thread; reads the last commit only.
    def info(self, request: pb.RequestInfo) -> pb.ResponseInfo: ...
    def query(self, request: pb.RequestQuery) -> pb.ResponseQuery: ...
    def list_snapshots(self, request: pb.RequestListSnapshots) -> pb.ResponseListSnapshots: ...
    def offer_snapshot(self, request: pb.RequestOfferSnapshot) -> pb.ResponseOfferSnapshot: ...
    def load_snapshot_chunk(self, request: pb.RequestLoadSnapshotChunk) -> pb.ResponseLoadSnapshotChunk: ...
    def apply_snapshot_chunk(self, request: pb.RequestApplySnapshotChunk) -> pb.ResponseApplySnapshotChunk: ...

    # The mempool connection's thread; never during Commit.
    def check_tx(self, tx: bytes, recheck: bool) -> tuple[int, str, str]:
        """(code, log, codespace); code 0 admits the transaction."""
        ...

    # The consensus connection's thread.
    def init_chain(self, request: pb.RequestInitChain) -> pb.ResponseInitChain: ...
    def prepare_proposal(self, request: pb.RequestPrepareProposal) -> pb.ResponsePrepareProposal: ...
    def process_proposal(self, request: pb.RequestProcessProposal) -> pb.ResponseProcessProposal: ...
    def extend_vote(self, request: pb.RequestExtendVote) -> pb.ResponseExtendVote: ...
    def verify_vote_extension(self, request: pb.RequestVerifyVoteExtension) -> pb.ResponseVerifyVoteExtension: ...
    def work_ahead(self) -> None: ...  # right after the answer to ProcessProposal
    def finalize_block(self, request: pb.RequestFinalizeBlock) -> pb.ResponseFinalizeBlock: ...
    def commit(self, request: pb.RequestCommit) -> pb.ResponseCommit: ...

    # No connection is being served.
    def discard_uncommitted(self) -> None:
        """Forget candidate blocks and executed but uncommitted blocks."""
        ...


# Request kind -> field number of its answer. Flush, CheckTx and Echo are answered without this table.
_ANSWER_FIELDS = {
    "info": 4, "init_chain": 6, "query": _QUERY_FIELD, "commit": 12, "list_snapshots": 13, "offer_snapshot": 14,
    "load_snapshot_chunk": 15, "apply_snapshot_chunk": 16, "prepare_proposal": 17, "process_proposal": 18,
    "extend_vote": 19, "verify_vote_extension": 20, "finalize_block": 21,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Halt:
    """Why the application cannot go on: in which call, at which height (None outside blocks), in words."""

    method: str
    height: int | None
    detail: str

    def __str__(self) -> str:
        where = self.method if self.height is None else f"{self.method} at height {self.height}"
        return f"the application failed in {where}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server listens: a unix socket's path, or a port of the loopback interface."""

    path: Path | None
    port: int = 0

    def __str__(self) -> str:
        return f"tcp://127.0.0.1:{self.port}" if self.path is None else f"unix://{self.path}"


class _Stopped(Exception):
    """The connection's peer is gone, or the server is stopping."""


class _Connection:
    """One accepted connection and the thread that serves it."""

    def __init__(self, server: AbciServer, stream: socket.socket, number: int) -> None:
        self._server = server
        self._application = server.application
        self._stream = stream
        self._decoder = FrameDecoder(server.max_frame_bytes)
        self._answers: list[bytes] = []
        self._answered_kinds: list[str] = []
        self._pipelined = False
        self._since_drain = 0
        self._height: int | None = None
        self._thread = threading.Thread(target=self._run, name=f"abci-{number}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def gone(self) -> bool:
        """Whether the peer has closed, even while unread requests of it are still here."""
        descriptor = self._stream.fileno()
        if descriptor < 0 or not self._thread.is_alive():
            return True
        poll = select.poll()
        poll.register(descriptor, getattr(select, "POLLRDHUP", select.POLLHUP))
        return bool(poll.poll(0))

    def close(self, wait_seconds: float | None) -> None:
        """End the connection and wait until the request that is being handled has ended (None: however long)."""
        with contextlib.suppress(OSError):  # already disconnected, which is what is wanted
            self._stream.shutdown(socket.SHUT_RDWR)
        if self._thread is not threading.current_thread():
            self._thread.join(wait_seconds)

    def _run(self) -> None:
        try:
            self._serve()
        except _Stopped:
            pass
        except (FrameError, DecodeError) as error:
            _LOG.error("closing an ABCI connection: %s", error)
            self._refuse(str(error))
        except OSError as error:
            _LOG.info("an ABCI connection ended: %s", error)
        finally:
            self._stream.close()

    def _serve(self) -> None:
        """Read, handle, answer, until the peer is gone."""
        while True:
            payload = self._decoder.next()
            if payload is None:
                self._write()
                self._read()
                continue
            try:
                request = pb.Request.FromString(payload)
            except DecodeError as error:
                if not payload.startswith(_QUERY_REQUEST):
                    raise
                self._answers.append(self._unreadable_query(error))
                self._answered_kinds.append("query")
                continue
            kind = request.WhichOneof("value")
            if kind == "check_tx":
                self._answers.append(self._check_tx(request.check_tx))
                self._pipelined = True
            elif kind == "flush":
                self._answers.append(_FLUSH_FRAME)
            elif kind is None:
                raise FrameError(f"an ABCI request of {len(payload)} bytes of unknown kind")
            else:
                self._answers.append(self._answer(kind, request))
                self._answered_kinds.append(kind)
            if len(self._answers) >= _WRITE_EVERY_ANSWERS:
                self._write()
            if self._pipelined:
                self._drain()

    def _check_tx(self, request: pb.RequestCheckTx) -> bytes:
        tx = request.tx
        try:
            code, log, codespace = self._application.check_tx(tx, request.type == pb.CHECK_TX_TYPE_RECHECK)
        except Exception as error:
            raise self._halt("check_tx", error, tx) from error
        if code == 0 and not log:
            return _ACCEPTED_CHECK_TX
        answer = pb.ResponseCheckTx(code=code, log=log, codespace=codespace)
        return field_frame(_CHECK_TX_FIELD, answer.SerializeToString())

    def _answer(self, kind: str, request: pb.Request) -> bytes:
        message = getattr(request, kind)
        self._height = getattr(message, "height", self._height)
        if kind == "finalize_block":
            self._server.last_block_seconds = message.time.seconds
        if kind == "echo":
            return field_frame(2, pb.ResponseEcho(message=message.message).SerializeToString())
        try:
            answer: Message = getattr(self._application, kind)(message)
        except (MemoryError, OSError) as error:
            raise self._halt(kind, error) from error
        except Exception as error:
            if kind != "query":
                raise self._halt(kind, error) from error
            # Anybody who reaches the RPC can send any query, and a query changes nothing: it must not stop a node.
            _LOG.exception("a query failed: path %r, %d bytes of data", message.path, len(message.data))
            answer = pb.ResponseQuery(
                code=QUERY_FAILED_CODE, codespace="node", log="internal error; the node's log has the details"
            )
        return field_frame(_ANSWER_FIELDS[kind], answer.SerializeToString())

    def _unreadable_query(self, error: DecodeError) -> bytes:
        """CometBFT's RPC hands on any bytes as a query's path (`/abci_query?path=0xff`): anybody can send this."""
        _LOG.warning("refused a query that is not readable: %s", error)
        answer = pb.ResponseQuery(code=QUERY_FAILED_CODE, codespace="node", log="the query's path is not UTF-8 text")
        return field_frame(_QUERY_FIELD, answer.SerializeToString())

    def _halt(self, method: str, error: Exception, tx: bytes | None = None) -> _Stopped:
        """Report that the application is broken, tell CometBFT, and stop serving."""
        notes = [*getattr(error, "__notes__", ())]
        if tx is not None:
            notes.append(f"transaction {hashlib.sha256(tx).hexdigest().upper()}")
        halt = Halt(method, self._height, "; ".join([in_one_line(error), *notes]))
        _LOG.critical("%s\n%s", halt, "".join(traceback.format_exception(error)))
        self._server.report_halt(halt)
        self._refuse(str(halt))
        return _Stopped()

    def _refuse(self, reason: str) -> None:
        """Answer everything handled so far, then the exception that ends CometBFT."""
        answer = pb.ResponseException(error=reason).SerializeToString()
        self._answers.append(field_frame(_EXCEPTION_FIELD, answer))
        with contextlib.suppress(OSError):  # the peer is already gone; nothing is left to tell it
            self._write()

    def _write(self) -> None:
        if not self._answers:
            return
        data = b"".join(self._answers)
        self._answers.clear()
        self._stream.sendall(data)
        kinds, self._answered_kinds = self._answered_kinds, []
        for kind in kinds:
            if self._server.after_answer is not None:
                self._server.after_answer(kind)
            if kind == "process_proposal":
                try:
                    self._application.work_ahead()
                except Exception as error:
                    raise self._halt(kind, error) from error

    def _read(self) -> None:
        size = _LARGE_READ_BYTES if self._decoder.missing_bytes > _READ_BYTES else _READ_BYTES
        data = self._stream.recv(size)
        if not data:
            raise _Stopped
        self._decoder.feed(data)

    def _drain(self) -> None:
        """Now and then take what CometBFT has written, without waiting, up to a bound."""
        self._since_drain += 1
        if self._since_drain < _DRAIN_EVERY_REQUESTS:
            return
        self._since_drain = 0
        if self._decoder.pending_bytes >= _DRAIN_BYTES:
            return
        try:
            data = self._stream.recv(_READ_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        if not data:
            raise _Stopped
        self._decoder.feed(data)


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
    ) -> None:
        self.application = application
        self.address = address
        self.after_answer = after_answer
        self.max_frame_bytes = max_frame_bytes
        self._on_halt = on_halt
        self._halted = threading.Lock()
        self._generation: list[_Connection] = []
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

    def report_halt(self, halt: Halt) -> None:
        """Pass the first halt on; later ones are its consequences."""
        if self._halted.acquire(blocking=False):
            self._on_halt(halt)

    def _accept(self) -> None:
        assert self._listener is not None
        while not self._stopping.is_set():
            try:
                stream, _ = self._listener.accept()
            except OSError:
                return  # the listener was closed
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
        connection = _Connection(self, stream, self._number)
        self._generation.append(connection)
        connection.start()

    def _end_generation(self, wait_seconds: float | None) -> None:
        for connection in self._generation:
            connection.close(wait_seconds)
        self._generation.clear()
