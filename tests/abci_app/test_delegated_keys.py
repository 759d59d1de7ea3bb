"""Keys that act for an account within bounds: message types, a total spend, a last height, until they are revoked."""

import pytest

from abci_app.accounts import DELEGATIONS, Account, Delegation, policy_id_of
from abci_app.chain.transaction import Auth, Body, KeySignature, encode_envelope, signed_digest
from abci_app.errors import Code
from abci_app.modules.accounts import AccountsCode, RevokeDelegation, SetDelegation, SetPolicy
from abci_app.modules.bank import Burn, Transfer
from abci_app.policy import DelegatedKey, encode_policy, single_key_policy
from abci_app.state.codec import encode
from abci_app.state.views import EmptyView
from tests.kit.chain import Chain, accounts_with, changed, fee_of, refused
from tests.kit.signing import CHAIN_ID, Key, Signer

FUNDS = 10**9
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


AGENT = Key.named("agent")


def delegate(chain: Chain, signer: Signer, limit: int = 10**8, types: tuple[int, ...] = (TRANSFER_TAG,)) -> None:
    assert chain.codes(signer.transaction(SetDelegation(AGENT.public, types, limit, 50))) == [0]


def bounds(signer: Signer, limit: int, spent: int) -> Delegation:
    """The delegation that `delegate` makes, made by the account's first policy."""
    return Delegation(
        public_key=AGENT.public,
        message_types=(TRANSFER_TAG,),
        spend_limit_nopen=limit,
        spent_nopen=spent,
        expiry_height=50,
        policy_id=policy_id_of(EmptyView(), signer.address, signer.policy),
    )


def delegation(chain: Chain, signer: Signer) -> Delegation | None:
    return DELEGATIONS.get(chain.application.store, signer.address, AGENT.public)


def test_a_delegated_key_acts_within_its_bounds_and_its_spending_is_counted(
    chain: Chain, alice: Signer, bob: Signer
) -> None:
    delegate(chain, alice)
    before = chain.balance(alice)
    raw = alice.delegated_transaction(AGENT, Transfer(bob.address, 5))
    assert chain.check(raw) == (0, "")
    assert chain.codes(raw) == [0]
    assert chain.account(alice.address) == Account(2, before - 5 - fee_of(raw), alice.policy)
    assert delegation(chain, alice) == bounds(alice, 10**8, 5 + fee_of(raw))


def test_the_spending_of_failed_messages_counts_too(chain: Chain, alice: Signer, bob: Signer) -> None:
    delegate(chain, alice, limit=3 * FUNDS)
    raw = alice.delegated_transaction(AGENT, Transfer(bob.address, 2 * FUNDS))
    assert chain.codes(raw) == [Code.INSUFFICIENT_FUNDS]
    assert delegation(chain, alice) == bounds(alice, 3 * FUNDS, 2 * FUNDS + fee_of(raw))


def test_a_delegated_key_cannot_send_other_message_types(chain: Chain, alice: Signer, bob: Signer) -> None:
    delegate(chain, alice)
    assert refused(chain, alice.delegated_transaction(AGENT, Transfer(bob.address, 1), Burn(1))) == (
        Code.DELEGATION, "the delegated key may not send Burn",
    )  # fmt: skip


def test_a_delegated_key_cannot_change_keys_and_such_a_delegation_cannot_be_made(chain: Chain, alice: Signer) -> None:
    assert refused(chain, alice.transaction(SetDelegation(AGENT.public, (0x0011, TRANSFER_TAG), 1, 50))) == (
        AccountsCode.BAD_DELEGATION, "changing policies and delegations cannot be delegated",
    )  # fmt: skip
    alice.sequence = 0
    delegate(chain, alice)
    assert (
        refused(chain, alice.delegated_transaction(AGENT, SetPolicy(encode_policy(single_key_policy(AGENT.public)))))[0]
        == Code.DELEGATION
    )


@pytest.mark.parametrize("types", [(BURN_TAG, TRANSFER_TAG), (TRANSFER_TAG, TRANSFER_TAG)])
def test_delegated_message_types_are_sorted_and_unique(chain: Chain, alice: Signer, types: tuple[int, ...]) -> None:
    assert refused(chain, alice.transaction(SetDelegation(AGENT.public, types, 1, 50))) == (
        AccountsCode.BAD_DELEGATION, "delegated message types must be sorted and unique",
    )  # fmt: skip


def test_a_delegated_key_cannot_spend_beyond_its_limit(chain: Chain, alice: Signer, bob: Signer) -> None:
    delegate(chain, alice, limit=10_000)
    raw = alice.delegated_transaction(AGENT, Transfer(bob.address, 10_001))
    spend = 10_001 + fee_of(raw)
    refusal = f"may spend 10000 nopen in total, with this it would spend {spend} nopen (pending ones counted)"
    assert chain.check(raw) == (Code.DELEGATION, f"the delegated key {refusal}")
    before = chain.state()
    (result,) = chain.block(raw)
    assert (result.code, result.log) == (
        Code.DELEGATION, f"the delegated key may spend 10000 nopen in total, this would make {spend} nopen",
    )  # fmt: skip
    assert changed(before, chain.state()) == {}


def test_a_delegated_key_cannot_spend_beyond_its_limit_within_one_block(
    chain: Chain, alice: Signer, bob: Signer
) -> None:
    delegate(chain, alice, limit=12_000)
    transactions = [alice.delegated_transaction(AGENT, Transfer(bob.address, 1_500)) for _ in range(3)]
    spent = sum([1_500 + fee_of(raw) for raw in transactions[:2]])
    assert chain.codes(*transactions) == [0, 0, Code.DELEGATION]
    assert delegation(chain, alice) == bounds(alice, 12_000, spent)


def test_a_delegation_holds_up_to_and_at_its_expiry_height(chain: Chain, alice: Signer, bob: Signer) -> None:
    assert chain.codes(alice.transaction(SetDelegation(AGENT.public, (TRANSFER_TAG,), 10**8, 2))) == [0]
    assert chain.codes(alice.delegated_transaction(AGENT, Transfer(bob.address, 5))) == [0]
    late = alice.delegated_transaction(AGENT, Transfer(bob.address, 5))
    assert refused(chain, late) == (Code.DELEGATION, "the delegation expired at height 2")


def test_a_revoked_key_does_not_act_even_in_the_same_block(chain: Chain, alice: Signer, bob: Signer) -> None:
    delegate(chain, alice)
    revoke = alice.transaction(RevokeDelegation(AGENT.public))
    raw = alice.delegated_transaction(AGENT, Transfer(bob.address, 5))
    assert chain.codes(revoke, raw) == [0, Code.DELEGATION]
    assert delegation(chain, alice) is None


def test_a_key_that_nobody_delegated_does_not_act(chain: Chain, alice: Signer, bob: Signer) -> None:
    code, log = refused(chain, alice.delegated_transaction(AGENT, Transfer(bob.address, 5)))
    assert (code, log.startswith(f"key {AGENT.public.hex()} is not delegated by open1")) == (Code.DELEGATION, True)


@pytest.mark.parametrize("indices", [(1,), (0, 0), (0, 1)])
def test_a_delegated_key_signs_alone(chain: Chain, alice: Signer, bob: Signer, indices: tuple[int, ...]) -> None:
    delegate(chain, alice)
    body = encode(Body(CHAIN_ID, alice.address, 1, 10**6, 0, b"", b"", (Transfer(bob.address, 5),)))
    signatures = tuple([KeySignature(index, AGENT.sign(signed_digest(body))) for index in indices])
    raw = encode_envelope(body, (Auth(alice.address, encode(DelegatedKey(AGENT.public)), signatures),))
    assert refused(chain, raw) == (Code.BAD_SIGNATURE, "a delegated key signs alone, with key index 0")


def test_a_delegated_key_cannot_sponsor(chain: Chain, alice: Signer, bob: Signer) -> None:
    assert chain.codes(bob.transaction(SetDelegation(AGENT.public, (BURN_TAG,), 10**8, 50))) == [0]
    body = encode(Body(CHAIN_ID, alice.address, 0, 10**6, 9, bob.address, b"", (Burn(1),)))
    signature = KeySignature(0, AGENT.sign(signed_digest(body)))
    auth = Auth(bob.address, encode(DelegatedKey(AGENT.public)), (signature,))
    assert refused(chain, encode_envelope(body, (alice.auth(body), auth))) == (
        Code.DELEGATION, "a delegated key cannot sponsor: the sponsor's own policy must sign",
    )  # fmt: skip


# --- A delegated key dies with the policy that made it


def set_policy(*names: str) -> SetPolicy:
    """The account's keys become these."""
    return SetPolicy(Signer.shared(1, *names).policy)


def rotated(signer: Signer, *names: str) -> Signer:
    """Make a signer for the account that signs with the keys that the account has now."""
    now = Signer.shared(1, *names)
    now.address, now.sequence = signer.address, signer.sequence
    return now


def test_a_delegated_key_ends_with_the_policy_that_made_it(chain: Chain, alice: Signer, bob: Signer) -> None:
    """Before, a thief who had delegated a key to itself went on spending after its victim changed keys."""
    delegate(chain, alice)
    assert chain.codes(alice.transaction(set_policy("new"))) == [0]
    code, log = refused(chain, alice.delegated_transaction(AGENT, Transfer(bob.address, 5)))
    assert (code, log.startswith(f"key {AGENT.public.hex()} was delegated by an earlier policy of open1")) == (
        Code.DELEGATION,
        True,
    )


def test_it_ends_within_the_block_that_changes_the_keys(chain: Chain, alice: Signer, bob: Signer) -> None:
    delegate(chain, alice)
    change = alice.transaction(set_policy("new"))
    raw = alice.delegated_transaction(AGENT, Transfer(bob.address, 5))
    assert chain.codes(change, raw) == [0, Code.DELEGATION]


@pytest.mark.parametrize("in_one_block", [False, True])
def test_going_back_to_the_policy_that_made_it_does_not_bring_it_back(
    chain: Chain, alice: Signer, bob: Signer, in_one_block: bool
) -> None:
    delegate(chain, alice)
    away = alice.transaction(set_policy("new"))
    new = rotated(alice, "new")
    back = new.transaction(SetPolicy(alice.policy), with_policy=False)
    if in_one_block:
        assert chain.codes(away, back) == [0, 0]
    else:
        assert (chain.codes(away), chain.codes(back)) == ([0], [0])
    alice.sequence = new.sequence
    assert chain.account(alice.address).policy == alice.policy
    assert refused(chain, alice.delegated_transaction(AGENT, Transfer(bob.address, 5)))[0] == Code.DELEGATION
    alice.sequence = new.sequence
    delegate(chain, alice)  # delegated anew it acts again
    assert chain.codes(alice.delegated_transaction(AGENT, Transfer(bob.address, 5))) == [0]


def test_setting_the_same_policy_again_ends_it_too(chain: Chain, alice: Signer, bob: Signer) -> None:
    delegate(chain, alice)
    assert chain.codes(alice.transaction(SetPolicy(alice.policy))) == [0]
    assert refused(chain, alice.delegated_transaction(AGENT, Transfer(bob.address, 5)))[0] == Code.DELEGATION


@pytest.mark.parametrize("back", [False, True])
def test_what_it_signed_leaves_the_mempool_with_the_policy(
    chain: Chain, alice: Signer, bob: Signer, back: bool
) -> None:
    delegate(chain, alice)
    waiting = alice.delegated_transaction(AGENT, Transfer(bob.address, 5))
    assert chain.check(waiting) == (0, "")
    alice.sequence -= 1
    changes = [alice.transaction(set_policy("new"))]
    if back:
        changes.append(rotated(alice, "new").transaction(SetPolicy(alice.policy), with_policy=False))
    assert chain.codes(*changes) == [0] * len(changes)
    assert len(chain.application.mempool) == 0
    assert chain.check(waiting, recheck=True)[0] != 0
    assert chain.propose(waiting) == []


def test_a_waiting_transaction_of_a_delegated_key_outlives_changes_of_others(
    chain: Chain, alice: Signer, bob: Signer
) -> None:
    delegate(chain, alice)
    waiting = alice.delegated_transaction(AGENT, Transfer(bob.address, 5))
    assert chain.check(waiting) == (0, "")
    assert chain.codes(bob.transaction(set_policy("new"))) == [0]
    assert chain.check(waiting, recheck=True) == (0, "")
    assert chain.propose(waiting) == [waiting]
