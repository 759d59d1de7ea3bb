"""accounts: what changes when keys change, and what is refused. How keys then act: test_authentication.py."""

import pytest

from abci_app.accounts import (
    ACCOUNTS,
    DELEGATIONS,
    MAX_DELEGATED_TYPES,
    POLICY_CHANGES,
    Account,
    Delegation,
    PolicyChanges,
    policy_id_of,
)
from abci_app.errors import Code
from abci_app.mechanisms.payees import PAYEES, payee_of
from abci_app.module import Message
from abci_app.modules.accounts import (
    AccountsCode,
    DelegationsQuery,
    DelegationsView,
    DelegationView,
    RevokeDelegation,
    SetDelegation,
    SetPolicy,
)
from abci_app.modules.bank import Burn, SetPayee
from abci_app.policy import DelegatedKey, Policy, PolicyKey, encode_policy
from abci_app.state.codec import encode
from abci_app.state.table import hash_key_part
from abci_app.state.views import EmptyView
from tests.kit.chain import changed
from tests.kit.modules.ledger import ALICE, BOB, FUNDS, Ledger
from tests.kit.signing import Key

AGENT, OTHER_AGENT = Key.named("agent").public, Key.named("other agent").public
BURN = 0x0102
POLICY_ID = policy_id_of(EmptyView(), ALICE.address, ALICE.policy)
# The neutral element: a point that every signature check would wrongly like.
NO_POINT = b"\x01" + bytes(31)
NOT_CANONICAL = encode_policy(Policy(1, (PolicyKey(1, AGENT, 1),))) + b"\x00"


@pytest.fixture
def ledger() -> Ledger:
    return Ledger.start()


def test_set_policy_changes_the_policy_and_nothing_else(ledger: Ledger) -> None:
    before = ledger.chain.state()
    assert ledger.accept(ALICE, SetPolicy(BOB.policy)) == [("policy_changed", {"account": ALICE.address.hex()})]
    assert changed(before, ledger.chain.state()) == {
        ACCOUNTS.key(ALICE.address): encode(Account(1, FUNDS, BOB.policy)),
        POLICY_CHANGES.key(ALICE.address): encode(PolicyChanges(1)),
    }


def test_a_payee_ends_with_the_policy_that_named_it(ledger: Ledger) -> None:
    """Before, a thief who set it once would have been paid for ever, although the owner had changed keys."""
    ledger.accept(ALICE, SetPayee(BOB.address))
    before = ledger.chain.state()
    ledger.accept(ALICE, SetPolicy(BOB.policy))
    assert changed(before, ledger.chain.state()) == {
        ACCOUNTS.key(ALICE.address): encode(Account(2, FUNDS, BOB.policy)),
        POLICY_CHANGES.key(ALICE.address): encode(PolicyChanges(1)),
        PAYEES.key(ALICE.address): None,
    }
    assert payee_of(ledger.store, ALICE.address) == ALICE.address


def test_a_delegation_is_stored_with_nothing_spent(ledger: Ledger) -> None:
    delegation = Delegation(AGENT, (0x0101, BURN), 50, 0, 9, POLICY_ID)
    assert ledger.effects(ALICE, SetDelegation(AGENT, (0x0101, BURN), 50, 9)) == {
        DELEGATIONS.key(ALICE.address, AGENT): encode(delegation)
    }


def test_setting_it_again_replaces_the_bounds_and_resets_the_spend(ledger: Ledger) -> None:
    ledger.accept(ALICE, SetDelegation(AGENT, (BURN,), 10**6, 9))
    ALICE.sequence = 1
    assert ledger.chain.codes(ALICE.delegated_transaction(Key.named("agent"), Burn(40))) == [0]
    assert DELEGATIONS.get(ledger.store, ALICE.address, AGENT) == Delegation(AGENT, (BURN,), 10**6, 40, 9, POLICY_ID)
    assert ledger.effects(ALICE, SetDelegation(AGENT, (BURN,), 60, 8)) == {
        DELEGATIONS.key(ALICE.address, AGENT): encode(Delegation(AGENT, (BURN,), 60, 0, 8, POLICY_ID))
    }


def test_a_revoked_delegation_is_gone(ledger: Ledger) -> None:
    ledger.accept(ALICE, SetDelegation(AGENT, (BURN,), 50, 9))
    assert ledger.effects(ALICE, RevokeDelegation(AGENT)) == {DELEGATIONS.key(ALICE.address, AGENT): None}


def test_a_delegation_is_shown_as_ended_once_its_policy_is_gone(ledger: Ledger) -> None:
    ledger.accept(ALICE, SetDelegation(AGENT, (BURN,), 50, 9))
    ledger.accept(ALICE, SetPolicy(BOB.policy))
    delegation = Delegation(AGENT, (BURN,), 50, 0, 9, POLICY_ID)
    assert ledger.ask("accounts", "delegations", DelegationsQuery(ALICE.address)) == DelegationsView(
        (DelegationView(delegation, ended=1),)
    )


def test_the_query_lists_the_delegations_of_one_account(ledger: Ledger) -> None:
    agents = sorted([AGENT, OTHER_AGENT], key=hash_key_part)
    for agent in agents:
        ledger.accept(ALICE, SetDelegation(agent, (BURN,), 50, 9))
    ledger.accept(BOB, SetDelegation(AGENT, (BURN,), 1, 9))
    expected = DelegationsView(
        tuple([DelegationView(Delegation(agent, (BURN,), 50, 0, 9, POLICY_ID), ended=0) for agent in agents])
    )
    assert ledger.ask("accounts", "delegations", DelegationsQuery(ALICE.address)) == expected


@pytest.mark.parametrize(
    ("message", "code", "log"),
    [
        (
            SetDelegation(AGENT, (BURN, 0x0101), 1, 9),
            AccountsCode.BAD_DELEGATION,
            "delegated message types must be sorted and unique",
        ),
        (
            SetDelegation(AGENT, (BURN, BURN), 1, 9),
            AccountsCode.BAD_DELEGATION,
            "delegated message types must be sorted and unique",
        ),
        (
            SetDelegation(AGENT, (0x0011,), 1, 9),
            AccountsCode.BAD_DELEGATION,
            "changing policies and delegations cannot be delegated",
        ),
        (
            SetDelegation(AGENT, (0x0013, BURN), 1, 9),
            AccountsCode.BAD_DELEGATION,
            "changing policies and delegations cannot be delegated",
        ),
        (SetDelegation(AGENT, (BURN,), 1, 0), AccountsCode.BAD_DELEGATION, "expiry height 0 is already past"),
        (
            SetDelegation(NO_POINT, (BURN,), 1, 9),
            Code.BAD_POLICY,
            f"public key {NO_POINT.hex()} is not a valid Ed25519 point",
        ),
        (RevokeDelegation(AGENT), AccountsCode.UNKNOWN_DELEGATION, "this key is not delegated: nothing to revoke"),
    ],
)
def test_what_is_refused(ledger: Ledger, message: Message, code: int, log: str) -> None:
    assert ledger.refuse(ALICE, message) == (code, log)


@pytest.mark.parametrize("policy", [b"", b"\x93\x01\x01\x90", NOT_CANONICAL, b"\x00" * 512])
def test_a_policy_that_nobody_could_satisfy_is_refused(ledger: Ledger, policy: bytes) -> None:
    code, _ = ledger.refuse(ALICE, SetPolicy(policy))
    assert code in (Code.BAD_POLICY, Code.MALFORMED)


def test_a_delegated_key_is_no_policy(ledger: Ledger) -> None:
    assert ledger.refuse(ALICE, SetPolicy(encode(DelegatedKey(AGENT)))) == (
        Code.BAD_POLICY,
        "a delegated key cannot be an account's policy",
    )


@pytest.mark.parametrize("types", [(), tuple(range(0x0100, 0x0100 + MAX_DELEGATED_TYPES + 1))])
def test_delegated_message_types_are_one_to_a_limit(ledger: Ledger, types: tuple[int, ...]) -> None:
    code, log = ledger.refuse(ALICE, SetDelegation(AGENT, types, 1, 9))
    assert (code, log.startswith("transaction is malformed: ")) == (Code.MALFORMED, True)


def test_a_delegation_may_end_with_the_block_that_makes_it(ledger: Ledger) -> None:
    assert ledger.accept(ALICE, SetDelegation(AGENT, (BURN,), 1, 1)) == []
    assert ledger.refuse(ALICE, SetDelegation(AGENT, (BURN,), 1, 1)) == (
        AccountsCode.BAD_DELEGATION,
        "expiry height 1 is already past",
    )
