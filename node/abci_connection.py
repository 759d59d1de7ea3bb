"""One connection of CometBFT: requests in, the application's answers out, in order.

Which connection may ask what is fixed by who asks first (ADR 22): the connection that sends the first consensus request
of a generation owns consensus, the one that sends the first CheckTx owns the mempool, and no other may send such
requests while it lives. CometBFT keeps to this; for anybody else it is the end of the connection.

All callers of CometBFT's RPC, and its filter of peers, share one connection for their queries, strictly in order. One
query costs a bounded time (state/work.py). One that had to wait for others is answered only if it is small, and told to
come again otherwise: so nobody waits longer than for two dear queries, however many are asked.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import select
import socket
import threading
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from google.protobuf.message import DecodeError, Message

from abci_app.errors import Code
from abci_app.pb import abci_pb2 as pb
from abci_app.versions import UnknownVersion
from node.arrivals import Arrivals
from node.errors import in_one_line
from node.framing import FrameDecoder, FrameError, field_frame

if TYPE_CHECKING:
    from node.abci_server import AbciServer

_LOG = logging.getLogger("openledger.abci")

# One read; below the size from which the allocator asks the system for pages at every read.
_READ_BYTES = 64 * 1024
# One read while a frame of megabytes (a block, the genesis state) is under way.
_LARGE_READ_BYTES = 1024 * 1024
# CometBFT's writer spins when the application does not take what it writes (its flush timer is 20 ns), so a connection
# that carries CheckTx is drained while they are handled. More would lengthen Commit, which waits for all of them.
_DRAIN_BYTES = 256 * 1024
_DRAIN_EVERY_REQUESTS = 8
# The same for queries, so that each one's time of arrival is known; one query has at most some 200 kB.
_DRAIN_QUERIES_BYTES = 8 * 1024 * 1024
# A query that waited longer than this for those before it is hurried.
PATIENCE_SECONDS: Final = 0.02
# A query's own flush, which follows it.
_FLUSH_REQUEST_BYTES = 3
# Answers that took so long together are written although more input waits.
_WRITE_EVERY_SECONDS = 0.005
# Answers are written when the input is used up or this many wait: large writes, and no answer waits for long.
_WRITE_EVERY_ANSWERS = 64

_ACCEPTED_CHECK_TX = field_frame(9, b"")
# Between the last block of the old rules and the stop: CometBFT goes on handing that block to peers meanwhile.
UPGRADE_GRACE_SECONDS = 5
_FLUSH_FRAME = field_frame(3, b"")
_EXCEPTION_FIELD = 1
_CHECK_TX_FIELD = 9
_QUERY_FIELD = 7
_QUERY_REQUEST = b"\x32"  # how a request that holds a query begins: field 6
# Answered to a query that raised: the query is at fault or a bug is, the committed state is not.
QUERY_FAILED_CODE = 1


class AbciApplication(Protocol):
    """The methods of an application that the server calls. One thread per connection: see each group."""

    # Any connection's thread; reads the last commit only.
    def info(self, request: pb.RequestInfo) -> pb.ResponseInfo: ...
    # Hurried: others wait, so only what is small is answered; passed on only when it is so.
    def query(self, request: pb.RequestQuery, *, hurried: bool = False) -> pb.ResponseQuery: ...
    def list_snapshots(self, request: pb.RequestListSnapshots) -> pb.ResponseListSnapshots: ...
    def offer_snapshot(self, request: pb.RequestOfferSnapshot) -> pb.ResponseOfferSnapshot: ...
    def load_snapshot_chunk(self, request: pb.RequestLoadSnapshotChunk) -> pb.ResponseLoadSnapshotChunk: ...
    def apply_snapshot_chunk(self, request: pb.RequestApplySnapshotChunk) -> pb.ResponseApplySnapshotChunk: ...

    # The mempool connection's thread; RPC `check_tx` calls it beside Commit.
    def check_tx(self, tx: bytes, recheck: bool) -> tuple[int, str, str]:
        """(code, log, codespace); code 0 admits the transaction. One that raised is not taken again."""
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


# Requests that change what consensus owns. Everything else but CheckTx reads committed state only.
_CONSENSUS_KINDS: Final = frozenset(
    {"init_chain", "prepare_proposal", "process_proposal", "extend_vote", "verify_vote_extension", "finalize_block",
     "commit"}
)  # fmt: skip
_CONSENSUS, _MEMPOOL = "consensus", "mempool"


@dataclass(frozen=True, slots=True)
class Halt:
    """Why the application cannot go on: in which call, at which height (None outside blocks), in words."""

    method: str
    height: int | None
    detail: str
    # Nothing is broken: the chain goes on with rules that this program does not have.
    is_upgrade: bool = False

    def __str__(self) -> str:
        if self.is_upgrade:
            return self.detail
        where = self.method if self.height is None else f"{self.method} at height {self.height}"
        return f"the application failed in {where}: {self.detail}"


class _Stopped(Exception):
    """The connection's peer is gone, or the server is stopping."""


class Connection:
    """One accepted connection and the thread that serves it."""

    def __init__(self, server: AbciServer, stream: socket.socket, number: int) -> None:
        self._server = server
        self._application = server.application
        self._stream = stream
        self._decoder = FrameDecoder(server.max_frame_bytes)
        self._arrivals = Arrivals()
        self._written_seconds = 0.0
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
        except Exception as error:  # noqa: BLE001 - a fault of this thread itself; silence would leave CometBFT waiting
            self._halt("the connection's own thread", error)
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
                if not self._pipelined:
                    self._own(_MEMPOOL)
                self._answers.append(self._check_tx(request.check_tx))
                self._pipelined = True
            elif kind == "flush":
                self._answers.append(_FLUSH_FRAME)
            elif kind is None:
                raise FrameError(f"an ABCI request of {len(payload)} bytes of unknown kind")
            else:
                self._answers.append(self._answer(kind, request))
                self._answered_kinds.append(kind)
                if kind == "query":
                    self._take_queries()
            if len(self._answers) >= _WRITE_EVERY_ANSWERS:
                self._write()
            if self._pipelined:
                self._drain()

    def _own(self, part: str) -> None:
        """Claim a part of the application; raises FrameError where another connection of this generation has it."""
        if not self._server.is_owner(part, self):
            raise FrameError(f"a request of the {part} connection: another connection is that one")

    def _check_tx(self, request: pb.RequestCheckTx) -> bytes:
        tx = request.tx
        try:
            code, log, codespace = self._application.check_tx(tx, request.type == pb.CHECK_TX_TYPE_RECHECK)
        except (MemoryError, OSError) as error:
            raise self._halt("check_tx", error, tx) from error
        except Exception:  # noqa: BLE001 - anybody can send a transaction, and it is in no block: it must not stop a node
            digest = hashlib.sha256(tx).hexdigest().upper()
            _LOG.critical(
                "CheckTx failed: transaction %s, %d bytes, is not taken again", digest, len(tx), exc_info=True
            )
            code, codespace = int(Code.EXCLUDED), "openledger"
            log = "this transaction made a rule of the node fail: it is not taken again; the node's log has the details"
        if code == 0 and not log:
            return _ACCEPTED_CHECK_TX
        answer = pb.ResponseCheckTx(code=code, log=log, codespace=codespace)
        return field_frame(_CHECK_TX_FIELD, answer.SerializeToString())

    def _answer(self, kind: str, request: pb.Request) -> bytes:
        message = getattr(request, kind)
        if kind in _CONSENSUS_KINDS:
            self._own(_CONSENSUS)
        self._height = getattr(message, "height", self._height)
        if kind == "finalize_block":
            self._server.last_block_seconds = message.time.seconds
        if kind == "echo":
            return field_frame(2, pb.ResponseEcho(message=message.message).SerializeToString())
        try:
            if kind == "query" and self._is_late():
                answer: Message = self._application.query(message, hurried=True)
            else:
                answer = getattr(self._application, kind)(message)
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

    def _is_late(self) -> bool:
        """Whether the request that was taken last has waited for others longer than anybody should."""
        arrived_seconds = self._arrivals.last_taken(self._decoder.pending_bytes)
        return self._server.clock() - arrived_seconds > PATIENCE_SECONDS

    def _take_queries(self) -> None:
        """Note what arrived during a query, and let its answer go if it took long."""
        while self._decoder.pending_bytes < _DRAIN_QUERIES_BYTES and self._receive_now(_LARGE_READ_BYTES):
            pass
        others_wait = self._decoder.pending_bytes > _FLUSH_REQUEST_BYTES
        if others_wait and self._server.clock() - self._written_seconds > _WRITE_EVERY_SECONDS:
            self._write()

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
        if isinstance(error, UnknownVersion):
            halt = Halt(method, self._height, str(error), is_upgrade=True)
            _LOG.info("%s is not answered: this program lacks the rules for it", method)
            self._server.pause(UPGRADE_GRACE_SECONDS)
        else:
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
        self._written_seconds = self._server.clock()
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
        self._feed(self._stream.recv(size))

    def _feed(self, data: bytes) -> None:
        if not data:
            raise _Stopped
        self._decoder.feed(data)
        self._arrivals.fed(len(data), self._decoder.pending_bytes, self._server.clock())

    def _drain(self) -> None:
        """Now and then take what CometBFT has written, without waiting, up to a bound."""
        self._since_drain += 1
        if self._since_drain < _DRAIN_EVERY_REQUESTS:
            return
        self._since_drain = 0
        if self._decoder.pending_bytes >= _DRAIN_BYTES:
            return
        self._receive_now(_READ_BYTES)

    def _receive_now(self, size: int) -> bool:
        """Take what has arrived, without waiting; whether anything had. The end is left to the next read that waits."""
        try:
            data = self._stream.recv(size, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        if data:
            self._feed(data)
        return bool(data)
