"""The cache of decoded transactions: it saves time, is bounded, and never changes an answer."""

import tracemalloc

import pytest

from abci_app.chain import transaction_cache
from abci_app.chain.transaction import Transaction, decode_transaction
from abci_app.chain.transaction_cache import TransactionCache, memory_bytes
from abci_app.errors import Rejected
from abci_app.module import Message
from abci_app.modules.bank import Burn, Transfer
from tests.golden.samples import MESSAGES
from tests.kit.chain import Chain, accounts_with
from tests.kit.signing import Signer


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Transactions that really were decoded, in order."""
    seen: list[bytes] = []

    def counting(raw: bytes) -> Transaction:
        seen.append(raw)
        return decode_transaction(raw)

    monkeypatch.setattr(transaction_cache, "decode_transaction", counting)
    return seen


def transactions(count: int) -> list[bytes]:
    alice = Signer.named("alice")
    return [alice.transaction(Burn(number + 1)) for number in range(count)]


def test_the_same_bytes_are_decoded_once(decoded: list[bytes]) -> None:
    (raw,) = transactions(1)
    cache = TransactionCache()
    first = cache.decode(raw)
    assert cache.decode(bytes(bytearray(raw))) is first
    assert (first.body, first.signed_digest) == (decode_transaction(raw).body, decode_transaction(raw).signed_digest)
    assert decoded == [raw]


def test_a_rejection_is_not_remembered(decoded: list[bytes]) -> None:
    cache = TransactionCache()
    for _ in range(2):
        with pytest.raises(Rejected, match="transaction is malformed"):
            cache.decode(b"\x00")
    assert decoded == [b"\x00", b"\x00"]


def test_what_nobody_asks_for_is_forgotten_after_two_generations(decoded: list[bytes]) -> None:
    raws = transactions(9)
    cache = TransactionCache(max_generation_bytes=2 * memory_bytes(raws[0]))
    for raw in raws:
        cache.decode(raw)
    assert decoded == raws
    cache.decode(raws[0])
    assert decoded == [*raws, raws[0]]


def test_what_is_asked_for_again_outlives_generations(decoded: list[bytes]) -> None:
    wanted, *others = transactions(20)
    cache = TransactionCache(max_generation_bytes=4 * memory_bytes(wanted))
    first = cache.decode(wanted)
    for raw in others:
        cache.decode(raw)
        assert cache.decode(wanted) is first
    assert decoded == [wanted, *others]


def test_however_many_come_two_generations_bound_the_memory() -> None:
    raws = transactions(60)
    limit_bytes = 5 * memory_bytes(raws[0])
    cache = TransactionCache(max_generation_bytes=limit_bytes)
    for raw in raws:
        cache.decode(raw)
        kept = {*cache._young, *cache._old}
        assert sum([memory_bytes(each) for each in kept]) <= 2 * (limit_bytes + memory_bytes(raw))


def taken_bytes(raw: bytes) -> int:
    """Memory that the decoded transaction takes with its key in the cache and its signatures verified."""
    decode_transaction(raw)  # what is made once for all transactions
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        key = bytes(bytearray(raw))
        transaction = decode_transaction(key)
        for auth in transaction.auths:
            for signature in auth.signatures:
                transaction.verified.add((bytes(bytearray(32)), bytes(bytearray(signature.signature))))
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
@pytest.mark.parametrize("count", [1, 16])
def test_the_memory_of_a_transaction_is_never_more_than_what_is_counted(message: Message, count: int) -> None:
    try:
        raw = Signer.named("alice").transaction(*[message] * count)
        decode_transaction(raw)
    except Rejected:  # one such message a transaction
        raw = Signer.named("alice").transaction(message)
    assert taken_bytes(raw) <= memory_bytes(raw)


def test_a_commit_forgets_what_its_block_held() -> None:
    alice, bob = Signer.named("alice"), Signer.named("bob")
    chain = Chain.start(accounts_with(10**9, [alice, bob]))
    chain.block()
    included, waiting = alice.transaction(Transfer(bob.address, 1)), bob.transaction(Transfer(alice.address, 1))
    for raw in (included, waiting):
        assert chain.check(raw)[0] == 0
    chain.block(included)
    cache = chain.application._cache
    assert [*cache._young, *cache._old] == [waiting]
    assert cache._young_bytes == memory_bytes(waiting)
