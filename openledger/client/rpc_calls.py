"""CometBFT's RPC as data: a `Call` is a method, its parameters and how to read the result. Opens nothing.

`rpc.py` sends calls; the light client's pure core yields them. Encodings: cometbft.md 5.4.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from openledger.errors import NodeFailure, NodeUnreachable

T = TypeVar("T")
MAX_BATCH_CALLS = 10
VALIDATORS_PER_PAGE = 100


class RpcError(NodeFailure):
    """A node could not be asked, or refused; one line that says which node, what and what to do."""


class NodeDown(NodeUnreachable, RpcError):
    """Nobody answers at the address, or the connection broke."""


class RpcTimeout(RpcError):
    """No complete answer in time."""


class AnswerTooLarge(RpcError):
    """The answer is larger than the caller accepts."""


class BadAnswer(RpcError):
    """Not what CometBFT's RPC would answer."""


class RpcRejected(RpcError):
    """The node answered with a JSON-RPC error."""

    def __init__(self, method: str, code: int, message: str, data: str) -> None:
        super().__init__(f"{method}: {message}{': ' if data else ''}{data}")
        self.method = method
        self.code = code
        self.message = message
        self.data = data


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request and the reader of its result."""

    method: str
    params: Mapping[str, object]
    read: Callable[[bytes], T]

    @property
    def may_repeat(self) -> bool:
        """Whether sending it twice does no harm."""
        return not self.method.startswith("broadcast_")


def _reader(type_: type[T]) -> Callable[[bytes], T]:
    """Typed reader; numbers may stand in strings, as CometBFT writes 64-bit ones."""
    decoder = msgspec.json.Decoder(type_, strict=False)

    def read(data: bytes) -> T:
        try:
            return decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise BadAnswer(f"the node's answer is malformed: {error}") from error

    return read


class NodeInfo(Struct, frozen=True):
    """Identity of a node."""

    id: str
    network: str
    version: str
    moniker: str = ""


class SyncInfo(Struct, frozen=True):
    """How far a node is; times are RFC 3339."""

    latest_block_hash: str
    latest_app_hash: str
    latest_block_height: int
    latest_block_time: str
    catching_up: bool
    earliest_block_height: int = 0


class RpcStatus(Struct, frozen=True):
    """Result of `status`: the node's word."""

    node_info: NodeInfo
    sync_info: SyncInfo


class ProofOp(Struct, frozen=True):
    """Merkle proof operator."""

    type: str
    key: bytes | None = None
    data: bytes | None = None


class _ProofOps(Struct, frozen=True):
    ops: list[ProofOp] | None = None


class _QueryResponse(Struct, frozen=True, rename={"proof_ops": "proofOps"}):
    code: int = 0
    log: str = ""
    key: bytes | None = None
    value: bytes | None = None
    proof_ops: _ProofOps | None = None
    height: int = 0
    codespace: str = ""


class _QueryAnswer(Struct, frozen=True):
    response: _QueryResponse


class QueryAnswer(Struct, frozen=True):
    """Result of `abci_query`; `height` is the one whose state was read."""

    code: int
    log: str
    codespace: str
    height: int
    key: bytes
    value: bytes
    proof_ops: tuple[ProofOp, ...]


class BroadcastAnswer(Struct, frozen=True):
    """Result of `broadcast_tx_*`; `hash` is upper-case hex."""

    code: int
    hash: str
    log: str = ""
    codespace: str = ""


class EventAttribute(Struct, frozen=True):
    """One attribute."""

    key: str
    value: str | None = None
    index: bool = False


class RpcEvent(Struct, frozen=True):
    """One event."""

    type: str
    attributes: list[EventAttribute] = []


class RpcResult(Struct, frozen=True):
    """How a transaction went; code 0 is success."""

    code: int = 0
    log: str | None = ""
    codespace: str = ""
    events: list[RpcEvent] | None = None


class TransactionAnswer(Struct, frozen=True):
    """A committed transaction: the node's word."""

    hash: str
    height: int
    index: int
    tx: bytes
    tx_result: RpcResult


class TransactionPage(Struct, frozen=True):
    """Result of `tx_search`."""

    txs: list[TransactionAnswer]
    total_count: int


class BlockResults(Struct, frozen=True):
    """Result of `block_results`."""

    height: int
    txs_results: list[RpcResult] | None = None


class AbciInfo(Struct, frozen=True):
    """The application's own facts about its last commit."""

    last_block_height: int = 0
    last_block_app_hash: bytes | None = None
    app_version: int = 0
    data: str = ""
    version: str = ""


class _AbciInfoAnswer(Struct, frozen=True):
    response: AbciInfo


class MempoolSize(Struct, frozen=True):
    """Pending transactions."""

    n_txs: int
    total: int
    total_bytes: int


def status() -> Call[RpcStatus]:
    """Who the node is and how far it is."""
    return Call("status", {}, _reader(RpcStatus))


def abci_query(path: str, data: bytes, height: int = 0, prove: bool = False) -> Call[QueryAnswer]:
    """Ask the application."""
    params = {"path": path, "data": data.hex(), "height": str(height), "prove": prove}
    return Call("abci_query", params, _read_query)


def abci_info() -> Call[AbciInfo]:
    """The application's last commit."""
    read = _reader(_AbciInfoAnswer)
    return Call("abci_info", {}, lambda data: read(data).response)


def broadcast_tx_sync(transaction: bytes) -> Call[BroadcastAnswer]:
    """Submit, with the answer of CheckTx."""
    return Call("broadcast_tx_sync", {"tx": _base64(transaction)}, _reader(BroadcastAnswer))


def broadcast_tx_async(transaction: bytes) -> Call[BroadcastAnswer]:
    """Submit without waiting for CheckTx."""
    return Call("broadcast_tx_async", {"tx": _base64(transaction)}, _reader(BroadcastAnswer))


def transaction(transaction_hash: bytes) -> Call[TransactionAnswer]:
    """A committed transaction by CometBFT's hash (SHA-256 of its bytes); the indexer lags a little behind."""
    return Call("tx", {"hash": _base64(transaction_hash), "prove": False}, _reader(TransactionAnswer))


def transaction_search(
    query: str, page: int = 1, per_page: int = 30, newest_first: bool = True
) -> Call[TransactionPage]:
    """Committed transactions by indexed event attributes; at most 100 a page."""
    order = "desc" if newest_first else "asc"
    params = {"query": query, "prove": False, "page": str(page), "per_page": str(per_page), "order_by": order}
    return Call("tx_search", params, _reader(TransactionPage))


def block_results(height: int) -> Call[BlockResults]:
    """Results of a block's transactions."""
    return Call("block_results", {"height": str(height)}, _reader(BlockResults))


def raw(method: str, params: Mapping[str, object] | None = None) -> Call[Any]:
    """Any other method, its result as plain JSON values."""
    return Call(method, params or {}, _reader(Any))


def _read_query(data: bytes) -> QueryAnswer:
    answer = _read_query_answer(data).response
    operators = answer.proof_ops.ops if answer.proof_ops else None
    return QueryAnswer(
        code=answer.code,
        log=answer.log,
        codespace=answer.codespace,
        height=answer.height,
        key=answer.key or b"",
        value=answer.value or b"",
        proof_ops=tuple(operators or ()),
    )


_read_query_answer = _reader(_QueryAnswer)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
