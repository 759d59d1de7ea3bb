"""CheckTx under attack: what one sender leaves waiting neither blocks another nor slows a commit down."""

from itertools import pairwise
from typing import Any

import pytest
from nacl.bindings import crypto_core_ed25519_is_valid_point

from abci_app import policy as policy_module
from abci_app.accounts import show_address
from abci_app.chain import mempool
from abci_app.chain.block import BlockResult
from abci_app.chain.chain_module import FEE_PER_BYTE
from abci_app.chain.registry import SECTIONS
from abci_app.errors import Code
from abci_app.modules.accounts import RevokeDelegation, SetDelegation, SetPolicy
from abci_app.modules.bank import Burn, Transfer
from abci_app.parameters import read_parameters, with_changes, write_parameters
from abci_app.pb import abci_pb2 as pb
from abci_app.policy import Policy, PolicyKey, address_of, encode_policy, single_key_policy
from abci_app.state.overlay import Overlay
from tests.kit.chain import Chain, accounts_with, refused
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


# --- First policies: brought exactly when none is stored


WAIT = "the first transaction that {} agreed to is pending: wait until it is committed"


def test_behind_the_first_transaction_of_an_account_the_others_come_without_its_policy(
    chain: Chain, alice: Signer
) -> None:
    first = alice.transaction(Burn(1))
    text = f"the policy of {show_address(alice.address)} is stored: send the transaction without it"
    assert chain.check(first) == (0, "")
    assert chain.check(alice.transaction(Burn(1), sequence=1, with_policy=True)) == (Code.BAD_POLICY, text)
    waiting = [alice.transaction(Burn(1)) for _ in range(2)]
    assert [chain.check(raw) for raw in waiting] == [(0, "")] * 2
    assert chain.codes(first) == [0]
    assert [chain.check(raw, recheck=True) for raw in waiting] == [(0, "")] * 2
    assert chain.codes(*chain.propose(*waiting)) == [0, 0]


def test_two_senders_do_not_bring_the_policy_of_one_sponsor(chain: Chain, alice: Signer, bob: Signer) -> None:
    """Whichever came second in a block would be left out of it for ever."""
    carol = Signer.named("carol")
    assert chain.codes(bob.transaction(Transfer(carol.address, 5))) == [0]
    first = bob.transaction(Burn(1), sponsor=alice, expiry_height=9)
    assert chain.check(first) == (0, "")
    refusal = (Code.PENDING_POLICY_CHANGE, WAIT.format(show_address(alice.address)))
    for policy in (True, False):
        sponsored = carol.transaction(Burn(1), sponsor=alice, sponsor_policy=policy, expiry_height=9, sequence=0)
        assert chain.check(sponsored) == refusal
    assert chain.check(alice.transaction(Burn(1), sequence=0)) == refusal
    assert chain.codes(first) == [0]
    assert chain.check(alice.transaction(Burn(1), sequence=0, with_policy=False)) == (0, "")
    assert chain.check(bob.transaction(Burn(1), sponsor=alice, sponsor_policy=False, expiry_height=9)) == (0, "")


def test_what_brings_a_policy_that_another_block_stored_does_not_wait_for_ever(
    chain: Chain, alice: Signer, bob: Signer
) -> None:
    waiting = bob.transaction(Burn(1), sponsor=alice, expiry_height=50)
    behind = bob.transaction(Burn(2))
    assert [chain.check(raw) for raw in (waiting, behind)] == [(0, "")] * 2
    assert chain.codes(alice.transaction(Burn(1))) == [0], "sent to another node"
    assert chain.application.mempool.next_sequence(bob.address) == 0
    assert chain.check(waiting, recheck=True)[0] == Code.BAD_POLICY
    again = bob.transaction(Burn(1), sponsor=alice, sponsor_policy=False, expiry_height=50, sequence=0)
    assert chain.check(again) == (0, "")
    assert chain.codes(*chain.propose(again)) == [0]


# --- Dear checks last


def counted_points(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    calls: list[bytes] = []

    def is_valid(public_key: bytes) -> bool:
        calls.append(public_key)
        return bool(crypto_core_ed25519_is_valid_point(public_key))

    monkeypatch.setattr(policy_module, "crypto_core_ed25519_is_valid_point", is_valid)
    return calls


TEN_KEYS = Signer.shared(1, *[f"k{number}" for number in range(10)])


@pytest.mark.parametrize("fault", ["funds", "sequence", "signature", "fee limit", "expired", "chain", "none"])
def test_the_points_of_keys_are_checked_for_nobody_who_cannot_pay_or_did_not_sign(
    chain: Chain, alice: Signer, bob: Signer, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Sixteen policies of ten keys took CheckTx 8 ms, for an account without a coin."""
    assert chain.codes(alice.transaction(Burn(1))) == [0]
    calls = counted_points(monkeypatch)
    thief = Signer([Key.named("thief")], alice.policy, alice.address)
    sender = {"funds": TEN_KEYS, "signature": thief}.get(fault, alice)
    changes: dict[str, dict[str, Any]] = {
        "sequence": {"sequence": 5},
        "funds": {"sequence": 0},
        "fee limit": {"fee_limit_nopen": 1},
        "expired": {"expiry_height": 1},
        "chain": {"chain_id": "another"},
    }
    raw = sender.transaction(SetPolicy(TEN_KEYS.policy), **{"sequence": 1, **changes.get(fault, {})})
    code, _ = chain.check(raw)
    (result,) = chain.block(raw)
    assert (code, result.code, len(calls)) == (code, code, 10 if fault == "none" else 0)


def test_a_key_that_is_no_point_is_refused_before_anything_is_taken(chain: Chain, alice: Signer) -> None:
    bad = encode_policy(single_key_policy(bytes(32)))
    for message in (SetPolicy(bad), SetDelegation(bytes(32), (TRANSFER_TAG,), 1, 9)):
        expected = (Code.BAD_POLICY, f"public key {bytes(32).hex()} is not a valid Ed25519 point")
        assert refused(chain, alice.transaction(message, sequence=0)) == expected
    two = encode_policy(Policy(1, (PolicyKey(1, bytes(32), 1), PolicyKey(1, AGENT.public, 1))))
    stranger = Signer([AGENT, AGENT], two, address_of(two), signs_with=(1,))
    paid = alice.transaction(Transfer(stranger.address, 10**7), sequence=0)
    assert chain.codes(paid) == [0]
    assert refused(chain, stranger.transaction(Burn(1)))[0] == Code.BAD_POLICY


def test_a_transaction_changes_keys_once(chain: Chain, alice: Signer) -> None:
    change = SetPolicy(TEN_KEYS.policy)
    assert refused(chain, alice.transaction(change, RevokeDelegation(AGENT.public))) == (
        Code.MALFORMED,
        "the transaction changes keys 2 times (SetPolicy, RevokeDelegation): send one change a transaction",
    )


# --- Recheck decides what a proposal would refuse


def set_fee(chain: Chain, fee_per_byte_nopen: int) -> None:
    """A block that changes nothing but what a byte costs, as governance will."""
    overlay = Overlay(chain.application.store)
    parameters = read_parameters(overlay, SECTIONS)
    assert parameters is not None
    changed = with_changes(SECTIONS, parameters, "fees", [(FEE_PER_BYTE.index, fee_per_byte_nopen)])
    write_parameters(overlay, SECTIONS, changed)
    result = BlockResult(chain.application._context(chain.next_height, 0), [], overlay.changes())
    chain.application._decided = result, chain.application.store.stage(chain.next_height, result.changes)
    chain.application.commit(pb.RequestCommit())


def test_what_a_raised_fee_leaves_below_its_limit_is_dropped_on_recheck(
    chain: Chain, alice: Signer, bob: Signer
) -> None:
    """Else it passes every recheck, is left out of every proposal, and blocks its sender for ever."""
    chain.block()
    raw = alice.transaction(Transfer(bob.address, 1), fee_limit_nopen=5_000)
    behind = alice.transaction(Transfer(bob.address, 1))
    ample = bob.transaction(Burn(1))
    assert [chain.check(each) for each in (raw, behind, ample)] == [(0, "")] * 3
    set_fee(chain, 50)
    assert chain.check(raw, recheck=True)[0] == Code.INSUFFICIENT_FEE
    assert chain.check(behind, recheck=True)[0] == Code.WRONG_SEQUENCE
    assert chain.check(ample, recheck=True) == (0, "")
    assert chain.propose(raw, behind, ample) == [ample]
    assert chain.check(alice.transaction(Burn(1), sequence=0)) == (0, "")


def test_a_changed_fee_changes_what_a_waiting_transaction_reserves(chain: Chain, alice: Signer, bob: Signer) -> None:
    chain.block()
    raw = alice.transaction(Burn(1))
    assert chain.check(raw) == (0, "")
    books = chain.application.mempool
    reserved = [books._accounts[alice.address].reserved_nopen]
    for fee_per_byte_nopen in (20, 0):
        set_fee(chain, fee_per_byte_nopen)
        assert chain.check(raw, recheck=True) == (0, "")
        reserved.append(books._accounts[alice.address].reserved_nopen)
    assert [before - after for before, after in pairwise(reserved)] == [-10 * len(raw), 20 * len(raw)]
    assert chain.codes(*chain.propose(raw)) == [0]
    assert (len(books), books._accounts) == (0, {})
