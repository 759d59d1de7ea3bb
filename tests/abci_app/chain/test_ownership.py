"""CheckTx, Commit and queries in threads of their own: each has its own state, and RPC `check_tx` leaves nothing."""

import random
import threading

import pytest

from abci_app.chain import mempool as mempool_module
from abci_app.errors import Code
from abci_app.modules.accounts import RevokeDelegation, SetDelegation, SetPolicy
from abci_app.modules.bank import Burn, Transfer
from abci_app.pb import abci_pb2 as pb
from abci_app.policy import encode_policy, single_key_policy
from tests.kit.chain import Chain, accounts_with
from tests.kit.signing import Key, Signer

FUNDS = 10**9
AGENT = Key.named("agent")
BURN_TAG = 0x0102


def consistent(chain: Chain) -> bool:
    """Whether every pending transaction stands in its account, and the other way round."""
    books = chain.application.mempool
    listed = [item.digest for entry in books._accounts.values() for item in entry.pending.values()]
    return sorted(listed) == sorted(books._by_digest)


def test_check_tx_runs_beside_commits_of_another_thread() -> None:
    """CometBFT's RPC `check_tx` takes no lock: its CheckTx reaches the application while Commit runs."""
    waiting, asking = ([Signer.named(f"{name}{number}") for number in range(400)] for name in ("w", "a"))
    bob = Signer.named("bob")
    chain = Chain.start(accounts_with(FUNDS, [*waiting, *asking]))
    chain.block()
    transactions = [signer.transaction(Burn(1)) for signer in waiting]
    asked = [signer.transaction(Transfer(bob.address, 1)) for signer in asking for _ in range(3)]
    codes: list[int] = []
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            codes.extend([chain.application.check_tx(raw, recheck=False)[0] for raw in [*transactions, *asked]])
        except BaseException as error:  # noqa: BLE001 - what comes out of the thread is what is tested
            failures.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    blocks = 0
    while thread.is_alive():
        chain.block(*transactions[blocks * 5 : (blocks + 1) * 5])
        blocks += 1
    thread.join()
    assert (failures, consistent(chain), blocks > 1) == ([], True, True)
    assert set(codes) <= {0, Code.WRONG_SEQUENCE}


def test_what_was_only_asked_is_gone_after_the_second_commit() -> None:
    alice, bob = Signer.named("alice"), Signer.named("bob")
    chain = Chain.start(accounts_with(FUNDS, [alice, bob]))
    asked, held = alice.transaction(Burn(1)), bob.transaction(Burn(1))
    assert [chain.check(asked), chain.check(held)] == [(0, ""), (0, "")]
    for _ in range(2):
        chain.block()
        assert chain.check(held, recheck=True) == (0, "")
        if chain.height == 1:
            assert chain.check(asked) == (0, ""), "answered, and says nothing about what CometBFT holds"
    assert (len(chain.application.mempool), chain.application.mempool.next_sequence(alice.address)) == (1, 0)
    assert chain.check(alice.transaction(Burn(2), sequence=0)) == (0, "")


def test_asking_again_and_again_does_not_keep_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mempool_module, "MAX_PENDING", 20)
    mallory, alice = Signer.named("mallory"), Signer.named("alice")
    chain = Chain.start(accounts_with(FUNDS, [mallory, alice]))
    chain.block()
    asked = [mallory.transaction(Burn(1)) for _ in range(20)]
    assert [chain.check(raw)[0] for raw in asked] == [0] * 20
    victim = alice.transaction(Burn(1))
    answers = []
    for _ in range(10):
        chain.check(asked[0])
        answers.append(chain.check(victim)[0])
        chain.block()
    assert answers == [Code.TOO_MANY_PENDING] * 2 + [0] * 8


def test_what_lies_behind_a_transaction_that_was_only_asked_goes_with_it() -> None:
    alice = Signer.named("alice")
    chain = Chain.start(accounts_with(FUNDS, [alice]))
    first, asked, behind = [alice.transaction(Burn(1)) for _ in range(3)]
    assert [chain.check(raw)[0] for raw in (first, asked, behind)] == [0, 0, 0]
    chain.block()
    assert [chain.check(raw, recheck=True)[0] for raw in (first, behind)] == [0, 0]
    chain.block()
    codes = [chain.check(raw, recheck=True)[0] for raw in (first, behind)]
    assert (codes, chain.application.mempool.next_sequence(alice.address)) == ([0, Code.WRONG_SEQUENCE], 1)


def test_the_owner_that_slept_through_two_commits_begins_with_nothing_waiting() -> None:
    alice = Signer.named("alice")
    chain = Chain.start(accounts_with(FUNDS, [alice]))
    raw = alice.transaction(Burn(1))
    assert chain.check(raw) == (0, "")
    chain.block()
    chain.block()
    assert chain.query("/local/next-sequence", alice.address).value == bytes(8)
    assert chain.check(alice.transaction(Burn(2), sequence=0)) == (0, "")


def test_the_next_sequence_that_another_thread_reads_is_what_the_owner_finds() -> None:
    """The reader takes no lock and changes nothing, after any commit that the owner has not followed yet."""
    rng = random.Random(5)
    for _ in range(40):
        people = [Signer.named(name) for name in ("a", "b", "c")]
        chain = Chain.start(accounts_with(rng.choice([60_000, 10**6]), people))
        grant = SetDelegation(AGENT.public, (BURN_TAG,), rng.choice([9_000, 10**6]), 9)
        chain.block(*[signer.transaction(grant) for signer in people])
        for _ in range(12):
            signer, sponsor = rng.sample(people, 2)
            signer.sequence = chain.application.mempool.next_sequence(signer.address)
            kind = rng.random()
            if kind < 0.3:
                raw = signer.delegated_transaction(AGENT, Burn(1))
            elif kind < 0.5:
                raw = signer.transaction(Burn(1), sponsor=sponsor, expiry_height=9)
            else:
                raw = signer.transaction(Burn(1))
            chain.check(raw)
            if rng.random() < 0.1:
                chain.application.mempool.exclude(raw)
        changes = [SetPolicy(encode_policy(single_key_policy(AGENT.public))), RevokeDelegation(AGENT.public), Burn(1)]
        for signer in rng.sample(people, rng.randrange(3)):
            signer.sequence = chain.account(signer.address).sequence
            chain.finalize(signer.transaction(rng.choice(changes)))
        chain.block(*[signer.transaction(rng.choice(changes), sequence=1) for signer in rng.sample(people, 2)])
        read = [int.from_bytes(chain.query("/local/next-sequence", who.address).value, "big") for who in people]
        assert read == [chain.application.mempool.next_sequence(who.address) for who in people]


def test_info_names_height_and_hash_of_one_commit() -> None:
    chain = Chain.start({})
    done = threading.Event()
    seen: set[tuple[int, bytes]] = set()

    def ask() -> None:
        while not done.is_set():
            info = chain.application.info(pb.RequestInfo())
            seen.add((info.last_block_height, info.last_block_app_hash))

    thread = threading.Thread(target=ask)
    thread.start()
    signer = Signer.named("alice")
    for _ in range(150):
        chain.block(signer.transaction(Burn(1)))
    done.set()
    thread.join()
    assert seen <= {(0, b""), *chain.hashes}


def test_an_exception_excludes_the_transaction_that_led_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    alice = Signer.named("alice")
    chain = Chain.start(accounts_with(FUNDS, [alice]))
    raw = alice.transaction(Burn(1))

    def fail(self: Burn) -> int:
        raise ValueError("a bug in a rule")

    with monkeypatch.context() as patch:
        patch.setattr(Burn, "maximum_spend_nopen", fail)
        with pytest.raises(ValueError, match="a bug in a rule"):
            chain.check(raw)
    refusal = (Code.EXCLUDED, "this transaction made a rule of the node fail: it is not taken again")
    assert chain.check(raw) == refusal
    assert chain.propose(raw) == []
    assert chain.check(alice.transaction(Burn(2), sequence=0)) == (0, "")


def test_books_that_an_exception_left_half_written_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob = Signer.named("alice"), Signer.named("bob")
    chain = Chain.start(accounts_with(FUNDS, [alice, bob]))
    held = [alice.transaction(Burn(1)) for _ in range(2)]
    assert [chain.check(raw)[0] for raw in held] == [0, 0]

    class Full(dict[bytes, object]):
        def __setitem__(self, key: bytes, value: object) -> None:
            raise RuntimeError("no place")

    monkeypatch.setattr(chain.application.mempool, "_by_digest", Full(chain.application.mempool._by_digest))
    with pytest.raises(RuntimeError, match="no place"):
        chain.check(bob.transaction(Burn(1)))
    assert [chain.check(raw, recheck=True)[0] for raw in held] == [0, 0]
    assert (consistent(chain), len(chain.application.mempool)) == (True, 2)
    assert chain.check(bob.transaction(Burn(2), sequence=0)) == (0, "")
