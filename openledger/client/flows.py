"""Plans of a client's work, without any network: generators that yield calls and pauses and receive answers.

`Client` and `AsyncClient` drive the same flows, so pipelining, waiting and retrying exist once and are tested without
a network. steps.py has their language. RPC errors are thrown into the flow at the yield.
"""

import hashlib
from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar

import msgspec

from abci_app.chain.names import ResolvedName
from abci_app.chain.registry import FEE_SECTIONS, TAG_OF, query_named
from abci_app.chain.simulation import Simulation
from abci_app.chain.transaction import Transaction, decode_transaction
from abci_app.errors import Code, Rejected
from abci_app.mechanisms import beacon
from abci_app.modules.bank import AccountQuery, AccountView
from abci_app.parameters import ParameterRecord, Parameters
from abci_app.state.codec import CodecError, decode, encode
from openledger.client import rpc_calls as calls
from openledger.client.results import Answer, Committed, HistoryPage, Sent, events_of
from openledger.client.steps import Batch, Pause
from openledger.documents import NAME_OF_TAG
from openledger.errors import NodeFailure, QueryFailed, TimedOut, TransactionFailed
from openledger.light.query import query_question

T = TypeVar("T")
Clock = Callable[[], float]

BROADCAST_MODES = ("sync", "async")
MAX_PAGE = 100
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 0.5


Step = calls.Call[Any] | Batch | Pause
Flow = Generator[Step, Any, T]


class BatchFailed(TransactionFailed):
    """A batch stopped at transaction `index`; those in `sent` were taken."""

    def __init__(self, failure: TransactionFailed, index: int, sent: list[Sent]) -> None:
        super().__init__(failure.code, failure.codespace, f"transaction {index}: {failure.text}")
        self.index = index
        self.sent = sent


# --- Unproven reads that building a transaction needs (the chain checks them again)


def status() -> Flow[calls.RpcStatus]:
    """Who the node is and how far it is."""
    found: calls.RpcStatus = yield calls.status()
    return found


def query_answer(module: str, name: str, args: Any, height: int = 0) -> Flow[Answer[Any]]:
    """Result of a module's query on the node's word; `args` may be `Named`."""
    question = query_question(module, name, args)
    answer = yield calls.abci_query(question.path, question.data, height)
    _check_answer(answer)
    ids: tuple[bytes, ...] = ()
    try:
        if question.names:
            ids, result = msgspec.msgpack.decode(answer.value, type=tuple[tuple[bytes, ...], msgspec.Raw])
        else:
            result = msgspec.Raw(answer.value)
        value = msgspec.msgpack.decode(result, type=query_named(module, name).result_type)
    except msgspec.MsgspecError as error:
        raise NodeFailure(f"the node's answer to {module}/{name} is malformed ({error}): versions may differ") from None
    if len(ids) != len(question.names):
        raise NodeFailure(f"the node's answer to {module}/{name} leaves names out: versions may differ")
    names = tuple([ResolvedName(item.kind, item.text, id_) for item, id_ in zip(question.names, ids, strict=True)])
    return Answer(value=value, height=answer.height, verified=False, note="the node's word, not verified", names=names)


def account(address: bytes) -> Flow[AccountView]:
    """Balance, sequence, stored policy, on the node's word."""
    found = (yield from query_answer("bank", "account", AccountQuery(address))).value
    assert isinstance(found, AccountView)
    return found


def next_sequence(address: bytes) -> Flow[int]:
    """The sequence of the account's next transaction, pending ones counted (this node's view)."""
    answer = yield calls.abci_query("/local/next-sequence", address)
    _check_answer(answer)
    return int.from_bytes(answer.value, "big")


def fees() -> Flow[Parameters]:
    """Ask for the parameters that set the fees of transactions now."""
    values: dict[tuple[str, int], int] = {}
    for section in FEE_SECTIONS:
        answer = yield calls.abci_query("/store/openledger/key", section.table.key())
        _check_answer(answer)
        record = _decode_state(ParameterRecord, answer.value)
        values.update([((section.name, item.index), item.value) for item in record.values])
    return Parameters(values)


def simulate(raw: bytes) -> Flow[Simulation]:
    """Dry run on the node's latest state; signatures are not looked at."""
    answer = yield calls.abci_query("/simulate", raw)
    _check_answer(answer)
    return msgspec.msgpack.decode(answer.value, type=Simulation)


def _decode_state(type_: type[T], value: bytes) -> T:
    try:
        return decode(type_, value)
    except CodecError as error:
        raise NodeFailure(f"the node's {type_.__name__} is malformed ({error}): versions may differ") from None


def _check_answer(answer: calls.QueryAnswer) -> None:
    if answer.code:
        raise QueryFailed(answer.code, answer.codespace, answer.log)


# --- Sending


def describe_sent(raw: bytes) -> Sent:
    """Describe a transaction by the facts that are known before any node is asked."""
    transaction = decode_transaction(raw)
    body = transaction.body
    return Sent(
        hash=hashlib.sha256(raw).hexdigest().upper(),
        transaction_id=transaction.signed_digest.hex(),
        sender=body.sender,
        sequence=body.sequence,
        chain_id=body.chain_id,
        expiry_height=body.expiry_height,
        fee_limit_nopen=body.fee_limit_nopen,
        raw=raw,
    )


def broadcast(raw: bytes, mode: str = "sync", *, known_is_fine: bool = True) -> Flow[Sent]:
    """Hand one transaction to the node; raises `TransactionFailed` when CheckTx refuses it (mode sync).

    A transaction that the node knows already counts as sent, unless `known_is_fine` is false: then it counts as a used
    sequence, since another client of the account may have sent the very same one.
    """
    sent = _described(raw)
    try:
        answer = yield _broadcast_call(raw, mode)
    except calls.RpcTimeout as error:
        raise TimedOut(
            f"{error}; transaction {sent.hash} may have been taken: look with `openledger query tx {sent.hash}`"
        ) from error
    except calls.RpcRejected as rejection:
        failure = _failure_of(rejection, known_is_fine)
        if failure is not None:
            raise failure from rejection
        return sent
    if answer.code == Code.WRONG_SEQUENCE and known_is_fine and (yield from _is_in_a_block(sent)):
        return sent
    if answer.code:
        raise TransactionFailed(answer.code, answer.codespace, answer.log)
    return sent


def _is_in_a_block(sent: Sent) -> Flow[bool]:
    """Whether these signed bytes were executed, perhaps in an envelope with other policies around them."""
    try:
        return (yield from _by_sequence(sent)) is not None
    except (TransactionFailed, calls.RpcRejected):
        return False


def broadcast_many(
    raws: Sequence[bytes], clock: Clock, timeout_seconds: float, mode: str = "sync", *, known_is_fine: bool = True
) -> Flow[list[Sent]]:
    """Hand over many, in order; waits while the node's pool or the account's queue is full.

    Raises `BatchFailed` at the first that is refused, with those before it in `sent`.
    """
    deadline = clock() + timeout_seconds
    sent: list[Sent] = []
    while len(sent) < len(raws):
        part = raws[len(sent) : len(sent) + calls.MAX_BATCH_CALLS]
        answers = yield Batch([_broadcast_call(raw, mode) for raw in part])
        failure: TransactionFailed | None = None
        for raw, answer in zip(part, answers, strict=True):
            failure = _failure_of(answer, known_is_fine)
            if failure is not None:
                break
            sent.append(_described(raw))
        if failure is None:
            continue
        if failure.code != Code.TOO_MANY_PENDING or clock() > deadline:
            raise BatchFailed(failure, len(sent), sent)
        yield Pause(_LONGEST_PAUSE_SECONDS / 2)
    return sent


def _failure_of(answer: object, known_is_fine: bool = True) -> TransactionFailed | None:
    """Why the node did not take a transaction; None when it did. Raises `NodeFailure` for reasons of its own."""
    if isinstance(answer, calls.BroadcastAnswer):
        return TransactionFailed(answer.code, answer.codespace, answer.log) if answer.code else None
    text = str(answer)
    if "already exists in cache" in text:
        # CometBFT remembers what it has seen: sending the same bytes again is no failure in itself.
        taken = TransactionFailed(Code.WRONG_SEQUENCE, "openledger", "the node knows this very transaction already")
        return None if known_is_fine else taken
    if "mempool is full" in text:
        return TransactionFailed(Code.TOO_MANY_PENDING, "openledger", "the node's pool is full: wait for a block")
    raise NodeFailure(f"the node did not take the transaction ({text}): check it and send it again")


def _broadcast_call(raw: bytes, mode: str) -> calls.Call[calls.BroadcastAnswer]:
    return calls.broadcast_tx_async(raw) if mode == "async" else calls.broadcast_tx_sync(raw)


def _described(raw: bytes) -> Sent:
    try:
        return describe_sent(raw)
    except Rejected as rejection:
        raise TransactionFailed(rejection.code, "openledger", rejection.text) from None


# --- Waiting


def wait(sent: Sent, clock: Clock, timeout_seconds: float) -> Flow[Committed]:
    """Until the transaction is in a block: by CometBFT's hash, and by (sender, sequence), which finds it under another
    hash too (another choice of signatures) and tells when another transaction took the sequence.

    Raises `TimedOut`, or `TransactionFailed` when it can no longer get into a block.
    """
    deadline = clock() + timeout_seconds
    pause_seconds = _FIRST_PAUSE_SECONDS
    while True:
        found = yield from find(sent)
        if found is not None:
            return found
        if clock() > deadline:
            raise TimedOut(
                f"transaction {sent.hash} was not seen in a block within {timeout_seconds:g} s; it may still come: "
                f"ask again with `openledger query tx {sent.hash}`"
            )
        yield Pause(pause_seconds)
        pause_seconds = min(pause_seconds * 1.5, _LONGEST_PAUSE_SECONDS)


def wait_all(sent: Sequence[Sent], clock: Clock, timeout_seconds: float) -> Flow[list[Committed]]:
    """Until all are in blocks; asks for accounts first and for each transaction when its sequence has passed."""
    deadline = clock() + timeout_seconds
    done: dict[int, Committed] = {}
    while len(done) < len(sent):
        senders = list(dict.fromkeys([one.sender for index, one in enumerate(sent) if index not in done]))
        passed: dict[bytes, int] = {}
        for sender in senders:
            passed[sender] = (yield from account(sender)).sequence
        ready = [index for index, one in enumerate(sent) if index not in done and one.sequence < passed[one.sender]]
        answers = yield Batch([calls.transaction(bytes.fromhex(sent[index].hash)) for index in ready])
        for index, answer in zip(ready, answers, strict=True):
            found = (yield from find(sent[index])) if isinstance(answer, calls.RpcRejected) else committed_of(answer)
            if found is not None:
                done[index] = found
        if len(done) < len(sent):
            if clock() > deadline:
                raise TimedOut(
                    f"{len(sent) - len(done)} of {len(sent)} transactions were not seen in a block within "
                    f"{timeout_seconds:g} s; they may still come"
                )
            yield Pause(_LONGEST_PAUSE_SECONDS / 2)
    return [done[index] for index in range(len(sent))]


def find(sent: Sent) -> Flow[Committed | None]:
    """The transaction if it is in a block; raises when it can no longer get into one."""
    by_hash, state = yield Batch(
        [
            calls.transaction(bytes.fromhex(sent.hash)),
            calls.abci_query("/query/bank/account", encode(AccountQuery(sent.sender))),
        ]
    )
    if isinstance(by_hash, calls.TransactionAnswer):
        return committed_of(by_hash)
    if "indexing is disabled" in str(by_hash):
        raise NodeFailure("this node keeps no transaction index: ask another one, or set its tx_index.indexer to kv")
    if not isinstance(state, calls.QueryAnswer) or state.code:
        return None
    view = msgspec.msgpack.decode(state.value, type=AccountView)
    if view.sequence > sent.sequence:
        return (yield from _by_sequence(sent))
    if sent.expiry_height and state.height >= sent.expiry_height:
        raise TransactionFailed(
            Code.EXPIRED,
            "openledger",
            f"transaction {sent.hash} expired at height {sent.expiry_height}: build it again",
        )
    return None


def _by_sequence(sent: Sent) -> Flow[Committed | None]:
    page = yield calls.transaction_search(f"tx.sequence='{sent.sender.hex()}/{sent.sequence}'", per_page=10)
    found = [committed_of(answer) for answer in page.txs]
    for one in found:
        if one.transaction_id == sent.transaction_id:
            return one
    taken = [one for one in found if (one.sender, one.sequence) == (sent.sender, sent.sequence)]
    if taken:
        raise TransactionFailed(
            Code.WRONG_SEQUENCE,
            "openledger",
            f"another transaction of this account ({taken[0].hash}) took sequence {sent.sequence}: send this one again",
        )
    return None  # the index lags a little behind the state


# --- History


def transaction(transaction_hash: str) -> Flow[Committed]:
    """A committed transaction by CometBFT's hash (hex)."""
    try:
        answer = yield calls.transaction(bytes.fromhex(transaction_hash))
    except calls.RpcRejected as rejection:
        raise QueryFailed(Code.NOT_FOUND, "openledger", f"no committed transaction {transaction_hash}") from rejection
    return committed_of(answer)


def history(address: bytes, page: int = 1, per_page: int = 30) -> Flow[HistoryPage]:
    """An account's transactions, newest first, as this node's index has them (not proven)."""
    try:
        found = yield calls.transaction_search(f"tx.account='{address.hex()}'", page, min(per_page, MAX_PAGE))
    except calls.RpcRejected as rejection:
        if "page should be within" in str(rejection):
            raise QueryFailed(Code.NOT_FOUND, "openledger", f"there is no page {page}") from rejection
        raise NodeFailure(f"the node's index cannot be asked ({rejection})") from rejection
    pages = -(-found.total_count // min(per_page, MAX_PAGE))
    return HistoryPage(
        transactions=tuple([committed_of(answer) for answer in found.txs]),
        page=page,
        pages=max(pages, 1),
        total=found.total_count,
    )


def committed_of(answer: calls.TransactionAnswer) -> Committed:
    """A node's answer as a result; what is no transaction has only hash, place and code, a beacon reveal its name."""
    result = answer.tx_result
    messages: tuple[str, ...] = ()
    decoded: Transaction | None
    try:
        decoded = decode_transaction(answer.tx)
        messages = tuple([NAME_OF_TAG[TAG_OF[type(message)]] for message in decoded.body.messages])
    except Rejected:
        decoded = None
        if beacon.is_reveal(answer.tx):
            messages = (beacon.REVEAL_IN_WORDS,)
    return Committed(
        hash=answer.hash,
        transaction_id=decoded.signed_digest.hex() if decoded else "",
        height=answer.height,
        index=answer.index,
        sender=decoded.body.sender if decoded else b"",
        sequence=decoded.body.sequence if decoded else 0,
        code=result.code,
        codespace=result.codespace,
        log=result.log or "",
        messages=messages,
        events=events_of(result),
    )
