"""Answers to ABCI queries, all from committed state.

| path | data | value |
|---|---|---|
| `/store/openledger/key` | raw key | raw value; `simple:v` operators, so the stock `cometbft light` proxy verifies it |
| `/store/openledger/multi` | MessagePack `[[key ...], [[start, end] ...]]` | native proof (state/proof.py) |
| `/store/openledger/ics23` | raw key | value; proof operator `ics23:openledger` with the CommitmentProofs |
| `/query/<module>/<name>` | MessagePack arguments | prove: native proof of all that the query read; else the result |
| `/named/<module>/<name>` | MessagePack `[arguments, [[kind, name] ...]]` | as above, names looked up (names.py) |
| `/simulate` | transaction | MessagePack `Simulation` |
| `/local/next-sequence` | address | next sequence, this node's pending transactions counted (8 bytes, unproven) |
| `/p2p/filter/addr/...`, `/p2p/filter/id/...` | | code 0 admits the peer |

The response's height is the height whose state is proven; header height + 1 holds its app hash. With `prove` and
height 0 the answer is for the last committed height - 1, whose header exists.

A query that is refused on state (no such model) has code and text, and with `prove` the proof of what was read, so that
the caller can come to the same refusal. Without `prove` a named query answers `[[id ...], result]`.

All work of a question on any path is counted against one budget (state/work.py, ADR 22).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from abci_app.chain.block import BlockResult, TransactionFailure, codespace_of
from abci_app.chain.committed import CommittedState
from abci_app.chain.mempool import Mempool
from abci_app.chain.names import NamedArguments, run_query
from abci_app.chain.registry import parameters_of, query_named
from abci_app.chain.simulation import simulate
from abci_app.errors import Code, Rejected
from abci_app.module import Alarm, BlockContext
from abci_app.modules import members, validators
from abci_app.parameters import CHAIN
from abci_app.pb import abci_pb2 as pb
from abci_app.pb import crypto_pb2
from abci_app.state import ics23
from abci_app.state.codec import CodecError, Record, decode
from abci_app.state.store import ProofTooDeep, SimpleProof, StateView, Store, UnknownHeight, Version
from abci_app.state.tree.trie import app_hash_of
from abci_app.state.views import RecordingView
from abci_app.state.work import GET_UNITS, PATH_UNITS, QUESTION_BYTES_A_UNIT, QueryBudgetExceeded, Work
from abci_app.versions import app_version_at, app_version_of

STORE_NAME = "openledger"
MAX_QUERY_BYTES = 131_072
MAX_MULTI_KEYS = 4_096
MAX_MULTI_RANGES = 64
# A path is compared, never kept: no valid one is longer.
MAX_PATH_CHARACTERS: Final = 256
# Work of one question, about a microsecond a unit: 50 ms, and as much more for proving what it read. Everybody who asks
# the node waits that long behind it, the peer filter among them.
QUERY_BUDGET_UNITS: Final = 50_000
PROOF_BUDGET_UNITS: Final = 50_000
# The same for a question whose turn comes late because of those before it: what is small is still answered.
HURRIED_BUDGET_UNITS: Final = 200
HURRIED_PROOF_BUDGET_UNITS: Final = 300
# CometBFT answers beyond this size are refused by our own client, and pages are made to fit.
MAX_ANSWER_BYTES = 8 * 1024 * 1024
# A node this far behind admits every peer, so that a chain's peer list cannot lock out who is syncing.
SYNCING_AFTER_SECONDS = 60

# Only these are looked up: the path is free text from the network.
NODE_ID = re.compile(r"\A[0-9a-f]{40}\Z")

# One byte more than a key has, so that "just above this key" can be asked.
MAX_KEY_BYTES: Final = 128
Key = Annotated[bytes, Meta(min_length=1, max_length=MAX_KEY_BYTES)]


@dataclass(frozen=True, slots=True)
class LocalNode:
    """Facts that the application knows of this node, and calls that tell the node something; local, not consensus."""

    persistent_peers: frozenset[str] = frozenset()
    seconds_behind: Callable[[], int] = lambda: 0
    # Called after each commit with what the block led to.
    committed: Callable[[BlockResult], None] = lambda _: None
    # Called after a commit for each bug that a hook or a deadline met.
    alarm: Callable[[Alarm], None] = lambda _: None
    # Called after the last commit that this program can make, with what to install: the chain goes on by other rules.
    outdated: Callable[[str], None] = lambda _: None
    # (onion, how many reveals it gave) -> the link of its chain that comes before it, None where the node has none.
    reveal: Callable[[bytes, int], bytes | None] = lambda onion, used: None


class MultiQuery(Record, frozen=True, array_like=True, gc=False):
    """Keys and ranges to prove at once."""

    keys: Annotated[tuple[Key, ...], Meta(max_length=MAX_MULTI_KEYS)]
    ranges: Annotated[tuple[tuple[Key, Key], ...], Meta(max_length=MAX_MULTI_RANGES)]


class _Question:
    """One query under way: what is asked, and the budget that all its work counts against."""

    def __init__(self, request: pb.RequestQuery, hurried: bool) -> None:
        self.path = request.path[:MAX_PATH_CHARACTERS]
        self.data, self.height, self.prove = request.data, request.height, request.prove
        self.work = Work(HURRIED_BUDGET_UNITS if hurried else QUERY_BUDGET_UNITS)
        self._proof_units = HURRIED_PROOF_BUDGET_UNITS if hurried else PROOF_BUDGET_UNITS

    def prove_read(self, version: Version, recorded: RecordingView) -> bytes:
        """Native proof of all that was read."""
        self.work.extend(self._proof_units)
        return version.prove(recorded.keys, recorded.ranges, recorded.values)


def answer_query(
    store: Store,
    local: LocalNode,
    books: Mempool,
    request: pb.RequestQuery,
    committed: CommittedState,
    hurried: bool = False,
) -> pb.ResponseQuery:
    """Answer one query; an expected failure is a coded response.

    `hurried`: others have waited long enough, so anything but a small question is told to come again.
    """
    question = _Question(request, hurried)
    try:
        if len(question.data) > MAX_QUERY_BYTES:
            raise Rejected(Code.BAD_QUERY, f"query data has {len(question.data)} bytes, at most {MAX_QUERY_BYTES}")
        if question.path.startswith("/p2p/filter/"):
            return _filter_peer(committed.view, local, question.path)
        if question.path == "/local/next-sequence":
            return _next_sequence(books, question.data)
        with _open_version(store, question) as version:
            return _answer(version, question, committed.last_block_seconds)
    except Rejected as rejection:
        return _refused(rejection.code, rejection.text)
    except UnknownHeight as error:
        return _refused(Code.HEIGHT_UNAVAILABLE, str(error))
    except ProofTooDeep as error:
        return _refused(Code.PROOF_TOO_DEEP, str(error))
    except QueryBudgetExceeded as error:
        if hurried:
            return _refused(Code.BUSY, "the node has many questions to answer: ask this one again in a moment")
        return _refused(Code.QUERY_TOO_LARGE, str(error))


def _refused(code: IntEnum, text: str) -> pb.ResponseQuery:
    return pb.ResponseQuery(code=int(code), log=text, codespace=codespace_of(code))


def _open_version(store: Store, question: _Question) -> Version:
    """The version to answer from (see the module docstring)."""
    height, spend = question.height, question.work.spend
    if height < 0:
        raise Rejected(Code.BAD_QUERY, f"height {height} is negative")
    if not store.height:
        raise Rejected(Code.HEIGHT_UNAVAILABLE, "no block is committed yet: ask again after the first block")
    if height == 0 and not question.prove:
        return store.latest(spend)
    if height == 0:
        height = store.height - 1
        latest_chain = CHAIN.get(store)
        if latest_chain is None or height < latest_chain.initial_height:
            raise Rejected(
                Code.NOT_YET_PROVABLE, "the first provable height is not followed by a header yet: ask after a block"
            )
    return store.version(height, spend)


def _answer(version: Version, question: _Question, last_block_seconds: int) -> pb.ResponseQuery:
    path = question.path
    if path == f"/store/{STORE_NAME}/key":
        return _answer_key(version, question)
    if path == f"/store/{STORE_NAME}/multi":
        return _answer_multi(version, question)
    if path == f"/store/{STORE_NAME}/ics23":
        return _answer_ics23(version, question)
    if path.startswith(("/query/", "/named/")):
        return _answer_module_query(version, question)
    if path == "/simulate":
        return _answer_simulation(version, question, last_block_seconds)
    raise Rejected(Code.UNKNOWN_QUERY, f"no query path {path[:100]!r}")


def _answer_key(version: Version, question: _Question) -> pb.ResponseQuery:
    key = question.data
    question.work.spend(GET_UNITS + (PATH_UNITS if question.prove else 0))
    value = version.get(key) if 0 < len(key) <= MAX_KEY_BYTES else None
    if value is None:
        raise Rejected(
            Code.NOT_FOUND, "no such key; absence is proven by /store/openledger/multi, which this path cannot do"
        )
    response = pb.ResponseQuery(key=key, value=value, height=version.height)
    if question.prove:
        path = version.prove_simple(key)
        response.proof_ops.ops.extend([_simple_operator(key, path), _upper_operator(path.root())])
    return response


def _simple_operator(key: bytes, path: SimpleProof) -> crypto_pb2.ProofOp:
    proof = crypto_pb2.Proof(total=path.total, index=path.index, leaf_hash=path.leaf_hash, aunts=path.aunts)
    return crypto_pb2.ProofOp(type="simple:v", key=key, data=crypto_pb2.ValueOp(proof=proof).SerializeToString())


def _upper_operator(root: bytes) -> crypto_pb2.ProofOp:
    """The one leaf above the root: total 1, index 0, no aunts."""
    name = STORE_NAME.encode("ascii")
    proof = crypto_pb2.Proof(total=1, index=0, leaf_hash=app_hash_of(root), aunts=[])
    return crypto_pb2.ProofOp(type="simple:v", key=name, data=crypto_pb2.ValueOp(proof=proof).SerializeToString())


def _answer_multi(version: Version, question: _Question) -> pb.ResponseQuery:
    question.work.spend(len(question.data) // QUESTION_BYTES_A_UNIT)
    try:
        query = decode(MultiQuery, question.data)
    except CodecError as error:
        raise Rejected(Code.BAD_QUERY, f"arguments are malformed: {error}") from error
    _require_disjoint(query.ranges)
    recorded = RecordingView(version, question.work)
    for key in query.keys:
        recorded.get(key)
    for start, end in query.ranges:
        for _ in recorded.iterate(start, end):
            pass
    return _bounded(pb.ResponseQuery(value=question.prove_read(version, recorded), height=version.height))


def _require_disjoint(ranges: Sequence[tuple[bytes, bytes]]) -> None:
    for start, end in ranges:
        if start >= end:
            raise Rejected(Code.BAD_QUERY, "a range must end above its start")
    for (_, end), (start, _) in pairwise(sorted(ranges)):
        if start < end:
            raise Rejected(Code.BAD_QUERY, "two ranges overlap: ask for each key once")


def _answer_ics23(version: Version, question: _Question) -> pb.ResponseQuery:
    key = question.data
    if not 0 < len(key) <= MAX_KEY_BYTES:
        raise Rejected(Code.BAD_QUERY, f"give a key of 1 to {MAX_KEY_BYTES} bytes")
    question.work.spend(2 * (GET_UNITS + PATH_UNITS))  # of an absent key, both neighbours are proven
    operators = [
        crypto_pb2.ProofOp(type="ics23:openledger", key=operator_key, data=data)
        for operator_key, data in ics23.commitment_proofs(version, key)
    ]
    response = pb.ResponseQuery(key=key, value=version.get(key) or b"", height=version.height)
    response.proof_ops.ops.extend(operators)
    return response


def _answer_module_query(version: Version, question: _Question) -> pb.ResponseQuery:
    parts = question.path.split("/")
    if len(parts) != 4:
        raise Rejected(Code.UNKNOWN_QUERY, f"no query path {question.path[:100]!r}: write /query/<module>/<name>")
    query = query_named(parts[2], parts[3])
    question.work.spend(len(question.data) // QUESTION_BYTES_A_UNIT)
    recorded = RecordingView(version, question.work)
    response = pb.ResponseQuery(height=version.height, info=f"app_version {app_version_of(recorded)}")
    try:
        asked = decode(NamedArguments, question.data) if parts[1] == "named" else NamedArguments(question.data, ())
        result, names = run_query(recorded, query, asked.args, asked.names, question.work.spend)
    except CodecError as error:
        raise Rejected(Code.BAD_QUERY, f"arguments of {parts[2]}/{parts[3]} are malformed: {error}") from error
    except Rejected as rejection:
        if not question.prove:
            raise
        response.code, response.log = int(rejection.code), rejection.text
        response.codespace = codespace_of(rejection.code)
        result, names = None, ()
    if question.prove:
        response.value = question.prove_read(version, recorded)
    else:
        response.value = msgspec.msgpack.encode(([item.id for item in names], result) if names else result)
    return _bounded(response)


def _answer_simulation(version: Version, question: _Question, last_block_seconds: int) -> pb.ResponseQuery:
    chain, parameters = CHAIN.get(version), parameters_of(version)
    if chain is None or parameters is None:
        raise Rejected(Code.HEIGHT_UNAVAILABLE, "the chain has not started yet")
    # The next header's time is unknown, but not below the last one's; a node that has just started knows genesis only.
    time_seconds = max(last_block_seconds, chain.genesis_time_seconds)
    height = version.height + 1
    context = BlockContext(
        chain_id=chain.chain_id,
        height=height,
        time_seconds=time_seconds,
        parameters=parameters,
        app_version=app_version_at(version, height),
    )
    try:
        simulation = simulate(RecordingView(version, question.work), context, question.data, question.work.spend)
    except TransactionFailure as failure:
        if isinstance(failure.__cause__, QueryBudgetExceeded):
            raise failure.__cause__ from failure
        # Anybody can ask this: what would be left out of a block must not stop the node here either.
        name = type(failure.__cause__).__name__
        text = f"this transaction makes a rule of the node fail: {name}; report it to the developers"
        raise Rejected(Code.EXCLUDED, text) from failure
    return pb.ResponseQuery(value=msgspec.msgpack.encode(simulation), height=version.height)


def _bounded(response: pb.ResponseQuery) -> pb.ResponseQuery:
    if len(response.value) > MAX_ANSWER_BYTES:
        raise Rejected(
            Code.QUERY_TOO_LARGE,
            f"the answer has {len(response.value)} bytes, at most {MAX_ANSWER_BYTES}: ask for less",
        )
    return response


def _next_sequence(books: Mempool, address: bytes) -> pb.ResponseQuery:
    if len(address) != 32:
        raise Rejected(Code.BAD_QUERY, "an address has 32 bytes")
    return pb.ResponseQuery(value=books.next_sequence(address).to_bytes(8, "big"))


def _filter_peer(view: StateView, local: LocalNode, path: str) -> pb.ResponseQuery:
    """Node ids are judged by the chain's list; addresses are always accepted (cometbft.md 7.13)."""
    prefix = "/p2p/filter/id/"
    if not path.startswith(prefix):
        return pb.ResponseQuery()
    node_id = path.removeprefix(prefix).lower()
    if node_id in local.persistent_peers or local.seconds_behind() > SYNCING_AFTER_SECONDS:
        return pb.ResponseQuery()
    if NODE_ID.match(node_id) and (members.peer_is_allowed(view, node_id) or validators.is_own_peer(view, node_id)):
        return pb.ResponseQuery()
    return _refused(Code.NOT_PERMITTED, f"node {node_id[:40]} is not among this chain's peers")
