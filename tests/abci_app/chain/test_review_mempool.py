"""CheckTx under attack: what one sender leaves waiting neither blocks another nor slows a commit down."""

from typing import Any

import pytest

from abci_app.chain import mempool
from abci_app.errors import Code
from abci_app.modules.accounts import SetDelegation, SetPolicy
from abci_app.modules.bank import Burn, Transfer
from abci_app.policy import encode_policy, single_key_policy
from tests.kit.chain import Chain, accounts_with
from tests.kit.signing import Key, Signer

FUNDS = 10**9
AGENT = Key.named("agent")
TRANSFER_TAG = 0x0101


@pytest.fixture
def alice() -> Signer:
    return Signer.named("alice")


@pytest.fixture
def bob() -> Signer:
    return Signer.named("bob")


@pytest.fixture
def chain(alice: Signer, bob: Signer) -> Chain:
    return Chain.start(accounts_with(FUNDS, [alice, bob]))


def test_what_a_delegated_key_can_no_longer_spend_is_dropped_on_recheck(
    chain: Chain, alice: Signer, bob: Signer
) -> None:
    """Else the transaction, never included and never dropped, would keep its owner's place in the queue for ever."""
    assert chain.codes(alice.transaction(SetDelegation(AGENT.public, (TRANSFER_TAG,), 50_000, 500))) == [0]
    waiting = [alice.delegated_transaction(AGENT, Transfer(bob.address, 15_000)) for _ in range(2)]
    assert [chain.check(raw) for raw in waiting] == [(0, "")] * 2
    alice.sequence = 1
    elsewhere = alice.delegated_transaction(AGENT, Transfer(bob.address, 35_000))
    assert chain.codes(elsewhere) == [0], "sent to another node, with the sequence of the first that waits here"
    code, log = chain.check(waiting[1], recheck=True)
    assert (code, log.startswith("the delegated key may spend 50000 nopen in total, with what waits")) == (
        Code.DELEGATION, True,
    )  # fmt: skip
    assert (len(chain.application.mempool), chain.application.mempool.next_sequence(alice.address)) == (0, 2)
    assert chain.propose(waiting[1]) == []


def test_transactions_that_cometbft_does_not_hold_make_room_for_others(
    chain: Chain, alice: Signer, bob: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CometBFT's RPC `check_tx` asks and keeps nothing: such transactions never pay, and stay until in the way."""
    monkeypatch.setattr(mempool, "MAX_PENDING", 3)
    held = bob.transaction(Burn(1))
    never_held = [alice.transaction(Burn(1)) for _ in range(3)]
    assert [chain.check(raw) for raw in (held, *never_held[:2])] == [(0, "")] * 3
    full = (Code.TOO_MANY_PENDING, "3 transactions are pending here: try again later")
    assert chain.check(never_held[2]) == full
    for _ in range(2):
        chain.block()
        assert chain.check(held, recheck=True) == (0, "")
    assert chain.check(bob.transaction(Burn(1))) == (0, "")
    assert (len(chain.application.mempool), chain.application.mempool.next_sequence(alice.address)) == (2, 0)
    assert chain.check(never_held[0]) == (0, "")
    assert chain.check(never_held[1]) == full, "one look for what can go in each block"


def test_a_block_that_changes_the_keys_of_many_looks_at_what_waits_once(
    chain: Chain, alice: Signer, bob: Signer
) -> None:
    class Counted(dict[bytes, Any]):
        looks = 0

        def values(self) -> Any:
            self.looks += 1
            return super().values()

    waiting = [signer.transaction(Burn(1), sequence=sequence) for signer in (alice, bob) for sequence in (0, 1)]
    assert [chain.check(raw) for raw in waiting] == [(0, "")] * 4
    books = chain.application.mempool
    books._by_digest = counted = Counted(books._by_digest)
    other = encode_policy(single_key_policy(AGENT.public))
    assert chain.codes(*[signer.transaction(SetPolicy(other), sequence=0) for signer in (alice, bob)]) == [0, 0]
    assert (len(books), counted.looks) == (0, 1)
