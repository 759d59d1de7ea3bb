"""CheckTx: one account can pipeline hundreds of transactions, and none waits that will not pay."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from abci_app.accounts import show_address
from abci_app.chain import authentication
from abci_app.chain import mempool as mempool_module
from abci_app.chain.application import Application
from abci_app.chain.mempool import FORGOTTEN_AFTER_BLOCKS, MAX_PENDING_PER_ACCOUNT
from abci_app.errors import Code
from abci_app.modules.accounts import RevokeDelegation, SetDelegation, SetPolicy
from abci_app.modules.bank import Burn, Transfer
from abci_app.policy import encode_policy, signature_is_valid, single_key_policy
from abci_app.state.memory_store import MemoryStore
from tests.kit.chain import Chain, accounts_with, fee_of
from tests.kit.signing import Key, Signer

FUNDS = 10**9
AGENT = Key.named("agent")
TRANSFER_TAG, BURN_TAG = 0x0101, 0x0102


@pytest.fixture
def alice() -> Signer:
    return Signer.named("alice")


@pytest.fixture
def bob() -> Signer:
    return Signer.named("bob")


@pytest.fixture
def chain(alice: Signer, bob: Signer) -> Chain:
    return Chain.start(accounts_with(FUNDS, [alice, bob]))


def next_sequence(chain: Chain, signer: Signer) -> int:
    return int.from_bytes(chain.query("/local/next-sequence", signer.address).value, "big")


def pending(chain: Chain) -> int:
    return len(chain.application.mempool)


# --- Pipelining


def test_one_account_pipelines_512_transactions_and_not_one_more(chain: Chain, alice: Signer, bob: Signer) -> None:
    transactions = [alice.transaction(Transfer(bob.address, 1)) for _ in range(MAX_PENDING_PER_ACCOUNT)]
    assert {chain.check(raw) for raw in transactions} == {(0, "")}
    one_more = alice.transaction(Transfer(bob.address, 1))
    assert chain.check(one_more) == (Code.TOO_MANY_PENDING, "512 transactions are pending: wait for the next block")
    assert next_sequence(chain, alice) == MAX_PENDING_PER_ACCOUNT
    assert chain.codes(*chain.propose(*transactions)) == [0] * MAX_PENDING_PER_ACCOUNT
    assert pending(chain) == 0
    assert chain.check(one_more) == (0, "")


def test_sequences_come_in_order_pending_ones_counted(chain: Chain, alice: Signer, bob: Signer) -> None:
    first, second, third = [alice.transaction(Transfer(bob.address, 1)) for _ in range(3)]
    text = "sequence is {}, expected {} (pending ones counted): use the expected one"
    assert chain.check(second) == (Code.WRONG_SEQUENCE, text.format(1, 0))
    assert chain.check(first) == (0, "")
    assert chain.check(third) == (Code.WRONG_SEQUENCE, text.format(2, 1))
    assert chain.check(second) == (0, "")
    assert chain.check(alice.transaction(Burn(1), sequence=1)) == (Code.WRONG_SEQUENCE, text.format(1, 2))


def test_identical_bytes_may_be_offered_again_while_they_wait(chain: Chain, alice: Signer, bob: Signer) -> None:
    raw = alice.transaction(Transfer(bob.address, 1))
    assert [chain.check(raw) for _ in range(3)] == [(0, "")] * 3
    assert (pending(chain), next_sequence(chain, alice)) == (1, 1)


def test_a_refused_transaction_reserves_nothing(chain: Chain, alice: Signer, bob: Signer) -> None:
    forged = Signer.named("alice")
    forged.keys = [Key.named("thief")]
    raw = forged.transaction(Transfer(bob.address, FUNDS - 10**6))
    assert chain.check(raw)[0] == Code.BAD_SIGNATURE
    assert (pending(chain), next_sequence(chain, alice)) == (0, 0)
    assert chain.check(alice.transaction(Transfer(bob.address, FUNDS - 10**6))) == (0, "")


# --- Funds


def test_pending_spends_and_fees_are_reserved(alice: Signer, bob: Signer) -> None:
    first, second = [alice.transaction(Transfer(bob.address, 1_000)) for _ in range(2)]
    chain = Chain.start({alice.address: 2 * 1_000 + fee_of(first) + fee_of(second) - 1})
    assert chain.check(first) == (0, "")
    code, log = chain.check(second)
    assert code == Code.INSUFFICIENT_FUNDS
    needed = 1_000 + fee_of(second)
    assert f"has {needed - 1} nopen left beside its pending transactions, needs {needed}" in log


def test_exactly_enough_funds_suffice(alice: Signer, bob: Signer) -> None:
    transactions = [alice.transaction(Transfer(bob.address, 1_000)) for _ in range(2)]
    chain = Chain.start({alice.address: sum([1_000 + fee_of(raw) for raw in transactions])})
    assert [chain.check(raw) for raw in transactions] == [(0, "")] * 2
    assert chain.codes(*transactions) == [0, 0]
    assert chain.balance(alice) == 0


def test_income_that_is_only_pending_cannot_be_spent(alice: Signer, bob: Signer) -> None:
    chain = Chain.start({alice.address: FUNDS})
    assert chain.check(alice.transaction(Transfer(bob.address, FUNDS // 2))) == (0, "")
    assert chain.check(bob.transaction(Transfer(alice.address, 1)))[0] == Code.INSUFFICIENT_FUNDS


def test_a_sponsors_funds_are_reserved_across_senders(alice: Signer, bob: Signer) -> None:
    carol = Signer.named("carol")
    first = alice.transaction(Burn(1), sponsor=bob, expiry_height=9)
    second = carol.transaction(Burn(1), sponsor=bob, expiry_height=9)
    chain = Chain.start({alice.address: 1, carol.address: 1, bob.address: 2 * fee_of(first) - 1})
    assert chain.check(first) == (0, "")
    assert chain.check(second)[0] == Code.INSUFFICIENT_FUNDS
    assert chain.check(bob.transaction(Burn(fee_of(first))))[0] == Code.INSUFFICIENT_FUNDS
    assert chain.codes(first) == [0]
    assert chain.check(second)[0] == Code.INSUFFICIENT_FUNDS


def test_a_delegations_limit_counts_pending_spends(chain: Chain, alice: Signer, bob: Signer) -> None:
    assert chain.codes(alice.transaction(SetDelegation(AGENT.public, (TRANSFER_TAG,), 12_000, 500))) == [0]
    transactions = [alice.delegated_transaction(AGENT, Transfer(bob.address, 1_500)) for _ in range(3)]
    assert [chain.check(raw)[0] for raw in transactions] == [0, 0, Code.DELEGATION]
    assert chain.codes(*transactions[:2]) == [0, 0]
    assert chain.check(transactions[2])[0] == Code.DELEGATION


# --- Changes of keys


@pytest.mark.parametrize(
    "message",
    [
        SetPolicy(encode_policy(single_key_policy(AGENT.public))),
        SetDelegation(AGENT.public, (TRANSFER_TAG,), 1, 500),
        RevokeDelegation(AGENT.public),
    ],
    ids=lambda message: type(message).__name__,
)
def test_nothing_waits_behind_a_pending_change_of_keys(
    chain: Chain, alice: Signer, bob: Signer, message: SetPolicy | SetDelegation | RevokeDelegation
) -> None:
    change = alice.transaction(Burn(1), message)
    behind = alice.transaction(Transfer(bob.address, 1))
    assert chain.check(change) == (0, "")
    refusal = (
        Code.PENDING_POLICY_CHANGE,
        f"a change of keys is pending for {show_address(alice.address)}: wait until it is committed",
    )
    assert chain.check(behind) == refusal
    sponsored = bob.transaction(Burn(1), sponsor=alice, expiry_height=9)
    assert chain.check(sponsored) == refusal, "the sponsor's keys are about to change as well"
    assert chain.check(bob.transaction(Burn(1), sequence=0)) == (0, "")


def rotated_elsewhere(chain: Chain, alice: Signer, sequence: int) -> bytes:
    """A rotation that this node's mempool never saw."""
    return alice.transaction(SetPolicy(encode_policy(single_key_policy(Key.named("fresh").public))), sequence=sequence)


def test_what_an_old_key_left_waiting_is_dropped_when_the_keys_change(chain: Chain, alice: Signer, bob: Signer) -> None:
    """Otherwise a stolen key could fill the queue and lock the owner out of this node after the rotation."""
    assert chain.codes(alice.transaction(Burn(1))) == [0]
    waiting = [alice.transaction(Transfer(bob.address, 1)) for _ in range(3)]
    sponsored = bob.transaction(Burn(1), sponsor=alice, sponsor_policy=False, expiry_height=50)
    own = bob.transaction(Burn(2))
    assert [chain.check(raw) for raw in [*waiting, sponsored, own]] == [(0, "")] * 5
    assert chain.codes(rotated_elsewhere(chain, alice, 1)) == [0]
    assert (next_sequence(chain, alice), next_sequence(chain, bob)) == (2, 0)
    assert [chain.check(raw, recheck=True)[0] for raw in waiting[1:]] == [Code.BAD_SIGNATURE, Code.WRONG_SEQUENCE]
    assert chain.check(sponsored, recheck=True)[0] == Code.BAD_SIGNATURE
    fresh = Signer([Key.named("fresh")], alice.policy, alice.address, 2)
    assert chain.check(fresh.transaction(Burn(1), with_policy=False)) == (0, "")
    assert chain.check(bob.transaction(Burn(3), sequence=0)) == (0, "")


def test_storing_the_first_policy_is_no_change_of_keys(chain: Chain, alice: Signer, bob: Signer) -> None:
    waiting = [alice.transaction(Transfer(bob.address, 1)) for _ in range(3)]
    assert [chain.check(raw) for raw in waiting] == [(0, "")] * 3
    assert chain.codes(waiting[0]) == [0]
    assert (pending(chain), next_sequence(chain, alice)) == (2, 3)


@pytest.mark.parametrize(
    "change",
    [RevokeDelegation(AGENT.public), SetDelegation(AGENT.public, (0x0102,), 10**9, 500),
     SetDelegation(AGENT.public, (TRANSFER_TAG,), 10, 500)],
    ids=["revoked", "other types", "lower limit"],
)  # fmt: skip
def test_what_a_delegated_key_left_waiting_is_dropped_when_its_bounds_change(
    chain: Chain, alice: Signer, bob: Signer, change: RevokeDelegation | SetDelegation
) -> None:
    assert chain.codes(alice.transaction(SetDelegation(AGENT.public, (TRANSFER_TAG,), 10**9, 500))) == [0]
    waiting = [alice.delegated_transaction(AGENT, Transfer(bob.address, 1)) for _ in range(3)]
    assert [chain.check(raw) for raw in waiting] == [(0, "")] * 3
    assert chain.codes(alice.transaction(change, sequence=1)) == [0]
    assert (pending(chain), next_sequence(chain, alice)) == (0, 2)
    assert [chain.check(raw, recheck=True)[0] for raw in waiting[1:]] == [Code.DELEGATION, Code.WRONG_SEQUENCE]


def test_two_delegated_keys_can_be_revoked_at_once_while_both_have_transactions_waiting(
    chain: Chain, alice: Signer
) -> None:
    second = Key.named("second agent")
    grants = [alice.transaction(SetDelegation(key.public, (BURN_TAG,), 10**9, 500)) for key in (AGENT, second)]
    assert chain.codes(*grants) == [0, 0]
    waiting = [alice.delegated_transaction(key, Burn(1)) for key in (AGENT, second, AGENT, second)]
    assert [chain.check(raw) for raw in waiting] == [(0, "")] * 4
    revocations = [
        alice.transaction(RevokeDelegation(key.public), sequence=sequence)
        for sequence, key in enumerate((AGENT, second), 2)
    ]
    assert chain.codes(*revocations) == [0, 0]
    assert (pending(chain), next_sequence(chain, alice)) == (0, 4)


def test_a_delegated_keys_own_spending_is_no_change_of_its_bounds(chain: Chain, alice: Signer, bob: Signer) -> None:
    assert chain.codes(alice.transaction(SetDelegation(AGENT.public, (TRANSFER_TAG,), 10**9, 500))) == [0]
    waiting = [alice.delegated_transaction(AGENT, Transfer(bob.address, 1)) for _ in range(3)]
    assert [chain.check(raw) for raw in waiting] == [(0, "")] * 3
    assert chain.codes(waiting[0]) == [0]
    assert [chain.check(raw, recheck=True) for raw in waiting[1:]] == [(0, "")] * 2
    assert chain.codes(*waiting[1:]) == [0, 0]


def test_a_delegation_that_expires_while_its_transactions_wait_drops_them_on_recheck(
    chain: Chain, alice: Signer, bob: Signer
) -> None:
    assert chain.codes(alice.transaction(SetDelegation(AGENT.public, (TRANSFER_TAG,), 10**9, 2))) == [0]
    raw = alice.delegated_transaction(AGENT, Transfer(bob.address, 1))
    assert chain.check(raw) == (0, "")
    chain.block()
    assert chain.check(raw, recheck=True)[0] == Code.EXPIRED
    assert pending(chain) == 0


# --- Commit and recheck


def test_what_still_waits_keeps_its_place_over_a_commit_without_recheck(
    chain: Chain, alice: Signer, bob: Signer
) -> None:
    transactions = [alice.transaction(Transfer(bob.address, 1)) for _ in range(4)]
    assert [chain.check(raw) for raw in transactions] == [(0, "")] * 4
    assert chain.codes(*transactions[:2]) == [0, 0]
    assert (pending(chain), next_sequence(chain, alice)) == (2, 4)
    assert chain.check(alice.transaction(Transfer(bob.address, 1))) == (0, "")
    assert chain.codes(*transactions[2:]) == [0, 0]


def test_another_transaction_of_the_same_sequence_replaces_the_waiting_one_and_keeps_those_behind_it(
    chain: Chain, alice: Signer, bob: Signer
) -> None:
    waiting = [alice.transaction(Transfer(bob.address, 1)) for _ in range(3)]
    assert [chain.check(raw) for raw in waiting] == [(0, "")] * 3
    assert chain.codes(alice.transaction(Burn(1), sequence=0)) == [0]
    assert [chain.check(raw, recheck=True)[0] for raw in waiting] == [Code.WRONG_SEQUENCE, 0, 0]
    assert (pending(chain), next_sequence(chain, alice)) == (2, 3)
    assert chain.codes(*waiting[1:]) == [0, 0]


def test_funds_that_a_failed_transfer_did_not_spend_are_free_again(chain: Chain, alice: Signer, bob: Signer) -> None:
    all_but_fees = FUNDS - 10**6
    raw = alice.transaction(Transfer(alice.address, all_but_fees))
    assert chain.check(raw) == (0, "")
    assert chain.check(alice.transaction(Transfer(bob.address, all_but_fees), sequence=1))[0] == (
        Code.INSUFFICIENT_FUNDS
    )
    assert chain.codes(raw) == [101]
    assert chain.check(alice.transaction(Transfer(bob.address, all_but_fees), sequence=1)) == (0, "")


@contextmanager
def counted_verifications(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    calls: list[bytes] = []

    def verify(public_key: bytes, signature: bytes, message: bytes) -> bool:
        calls.append(public_key)
        return signature_is_valid(public_key, signature, message)

    with monkeypatch.context() as patch:
        patch.setattr(authentication, "signature_is_valid", verify)
        yield calls


def test_each_signature_is_verified_once_over_checktx_proposal_execution_and_recheck(
    chain: Chain, alice: Signer, bob: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    transactions = [alice.transaction(Transfer(bob.address, 1)) for _ in range(2)]
    with counted_verifications(monkeypatch) as calls:
        assert [chain.check(raw) for raw in transactions] == [(0, "")] * 2
        assert chain.propose(*transactions) == transactions
        assert chain.codes(transactions[0]) == [0]
        assert chain.check(transactions[1], recheck=True) == (0, "")
        assert chain.codes(transactions[1]) == [0]
    assert calls == [alice.keys[0].public] * 2


def test_recheck_drops_what_can_no_longer_pay(chain: Chain, alice: Signer, bob: Signer) -> None:
    """Another node's block emptied the account: its first transaction there has this one's place in the sequence."""
    waiting = [alice.transaction(Transfer(bob.address, FUNDS // 4)) for _ in range(3)]
    assert [chain.check(raw) for raw in waiting] == [(0, "")] * 3
    assert chain.codes(alice.transaction(Burn(FUNDS - 10**6), sequence=0)) == [0]
    assert pending(chain) == 2
    assert [chain.check(raw, recheck=True)[0] for raw in waiting] == [
        Code.WRONG_SEQUENCE, Code.INSUFFICIENT_FUNDS, Code.WRONG_SEQUENCE,
    ]  # fmt: skip
    assert pending(chain) == 0


def test_recheck_drops_what_expired(chain: Chain, alice: Signer, bob: Signer) -> None:
    raw = alice.transaction(Transfer(bob.address, 1), expiry_height=1)
    assert chain.check(raw) == (0, "")
    chain.block()
    assert chain.check(raw, recheck=True) == (Code.EXPIRED, "transaction expired at height 1")
    assert (pending(chain), next_sequence(chain, alice)) == (0, 0)


def test_recheck_of_something_unknown_is_a_first_check(chain: Chain, alice: Signer, bob: Signer) -> None:
    raw = alice.transaction(Transfer(bob.address, 1))
    assert chain.check(raw, recheck=True) == (0, "")
    assert pending(chain) == 1


def test_what_cometbft_forgot_is_forgotten_after_a_hundred_blocks(chain: Chain, alice: Signer, bob: Signer) -> None:
    lost, kept = alice.transaction(Transfer(bob.address, 1)), bob.transaction(Transfer(alice.address, 1))
    assert [chain.check(lost), chain.check(kept)] == [(0, ""), (0, "")]
    for _ in range(FORGOTTEN_AFTER_BLOCKS + 2):
        chain.block()
        assert chain.check(kept, recheck=True) == (0, "")
    assert (pending(chain), next_sequence(chain, alice), next_sequence(chain, bob)) == (1, 0, 1)
    assert chain.check(lost) == (0, "")


def test_a_free_sponsored_transaction_survives_commits_that_do_not_include_it(alice: Signer, bob: Signer) -> None:
    """With fees of zero a sponsor has nothing reserved, and yet it is part of the books."""
    parameters = {"fees": {"fee_per_byte_nopen": 0, "fee_per_weight_nopen": 0}}
    chain = Chain.start(accounts_with(FUNDS, [alice, bob]), parameters=parameters)
    raw = alice.transaction(Transfer(bob.address, 1), sponsor=bob, expiry_height=50)
    assert chain.check(raw) == (0, "")
    chain.block()
    assert chain.check(raw, recheck=True) == (0, "")
    assert chain.codes(raw) == [0]
    assert pending(chain) == 0


def test_nothing_is_remembered_of_accounts_that_wait_for_nothing(alice: Signer, bob: Signer) -> None:
    carol = Signer.named("carol")
    chain = Chain.start(accounts_with(FUNDS, [alice, bob, carol]))
    transactions = [
        alice.transaction(Transfer(bob.address, 1)),
        bob.transaction(Burn(1), sponsor=carol, expiry_height=9),
    ]
    assert [chain.check(raw) for raw in transactions] == [(0, "")] * 2
    assert chain.codes(*transactions) == [0, 0]
    books = chain.application.mempool
    assert (books._accounts, books._by_digest, books._delegated) == ({}, {}, {})


# --- Exclusion


def test_an_excluded_transaction_is_not_taken_again_and_its_followers_are_dropped(
    chain: Chain, alice: Signer, bob: Signer
) -> None:
    poisoned, behind = [alice.transaction(Transfer(bob.address, 1)) for _ in range(2)]
    assert [chain.check(poisoned), chain.check(behind)] == [(0, ""), (0, "")]
    chain.application.mempool.exclude(poisoned)
    chain.block()
    assert (pending(chain), next_sequence(chain, alice)) == (0, 0)
    assert chain.check(poisoned) == (
        Code.EXCLUDED, "this transaction made a rule of the node fail: it is not taken again"
    )  # fmt: skip
    assert chain.propose(poisoned, behind) == []
    assert chain.check(alice.transaction(Burn(1), sequence=0)) == (0, "")


def test_the_exclusion_set_is_bounded_and_forgets_the_oldest(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mempool_module, "MAX_EXCLUDED", 3)
    books = chain.application.mempool
    for number in range(5):
        books.exclude(b"%d" % number)
    assert [books.is_excluded(b"%d" % number) for number in range(5)] == [False, False, True, True, True]


def test_before_the_chain_starts_every_transaction_is_told_to_wait(alice: Signer) -> None:
    assert Application(MemoryStore()).check_tx(alice.transaction(Burn(1)), False) == (
        Code.HEIGHT_UNAVAILABLE, "the chain has not started yet: try again", "openledger",
    )  # fmt: skip
