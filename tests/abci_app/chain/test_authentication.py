"""Who may act for an account, and who pays: policies, rotation, delegated keys, sponsors, sequence, expiry, fees."""

import pytest

from abci_app.accounts import Account, show_address
from abci_app.chain.transaction import (
    Auth,
    Body,
    Envelope,
    KeySignature,
    decode_transaction,
    encode_envelope,
    signed_digest,
)
from abci_app.errors import Code
from abci_app.module import FEES_ACCOUNT
from abci_app.modules.accounts import SetPolicy
from abci_app.modules.bank import Burn, Transfer
from abci_app.policy import Policy, PolicyKey, encode_policy, single_key_policy
from abci_app.state.codec import decode, encode
from tests.kit.chain import Chain, accounts_with, changed, fee_of, refused, replay
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


# --- Policies


def test_the_first_transaction_stores_the_policy(chain: Chain, alice: Signer, bob: Signer) -> None:
    raw = alice.transaction(Transfer(bob.address, 5))
    assert chain.codes(raw) == [0]
    assert chain.account(alice.address) == Account(1, FUNDS - 5 - fee_of(raw), alice.policy)
    assert chain.account(bob.address) == Account(0, FUNDS + 5, b"")
    assert chain.account(FEES_ACCOUNT) == Account(0, fee_of(raw), b"")


def test_a_stored_policy_need_not_be_presented_again(chain: Chain, alice: Signer, bob: Signer) -> None:
    transactions = [
        alice.transaction(Transfer(bob.address, 5)), alice.transaction(Transfer(bob.address, 5), with_policy=False)
    ]  # fmt: skip
    assert chain.codes(*transactions) == [0, 0]


def test_an_unknown_account_must_present_its_policy(chain: Chain, alice: Signer, bob: Signer) -> None:
    code, log = refused(chain, alice.transaction(Transfer(bob.address, 5), with_policy=False))
    assert (code, log.endswith(" is new: its first transaction brings its policy")) == (
        Code.BAD_POLICY, True,
    )  # fmt: skip


def test_a_presented_policy_must_hash_to_the_address(chain: Chain, alice: Signer, bob: Signer) -> None:
    thief = Signer.named("thief")
    thief.address = alice.address
    code, log = refused(chain, thief.transaction(Transfer(bob.address, 5)))
    assert (code, log.startswith("the presented policy is not the first policy of open1")) == (Code.BAD_POLICY, True)


def stored_and_again(chain: Chain, alice: Signer) -> tuple[int, str]:
    """Code and log of a transaction that presents a policy although one is stored."""
    return refused(chain, alice.transaction(Burn(5), with_policy=True))


def test_another_policy_is_refused_even_if_the_stored_one_would_agree(chain: Chain, alice: Signer) -> None:
    assert chain.codes(alice.transaction(Burn(5))) == [0]
    alice.policy = encode_policy(Policy(1, (PolicyKey(1, alice.keys[0].public, 2),)))
    assert stored_and_again(chain, alice)[0] == Code.BAD_POLICY


def with_auth_policy(raw: bytes, policy: bytes, position: int = 0) -> bytes:
    """Put other policy bytes into one auth of a signed transaction, as anybody who relays it could."""
    envelope = decode(Envelope, raw)
    auths = list(envelope.auths)
    auths[position] = Auth(auths[position].account, policy, auths[position].signatures)
    return encode_envelope(envelope.body, tuple(auths))


def test_whoever_relays_a_transaction_can_neither_add_nor_drop_the_policy(
    chain: Chain, alice: Signer, bob: Signer
) -> None:
    """It is not signed: another hash, another size, and a fee up to the sender's limit."""
    first, second = alice.transaction(Burn(5)), alice.transaction(Burn(6))
    new = f"{show_address(alice.address)} is new: its first transaction brings its policy"
    assert refused(chain, with_auth_policy(first, b"")) == (Code.BAD_POLICY, new)
    assert chain.codes(first) == [0]
    text = f"the policy of {show_address(alice.address)} is stored: send the transaction without it"
    assert refused(chain, with_auth_policy(second, alice.policy)) == (Code.BAD_POLICY, text)
    assert chain.codes(second) == [0]
    sponsored = bob.transaction(Burn(5), sponsor=alice, sponsor_policy=False, expiry_height=20)
    assert refused(chain, with_auth_policy(sponsored, alice.policy, 1)) == (Code.BAD_POLICY, text)
    assert chain.codes(sponsored) == [0]


def test_the_second_transaction_of_a_block_finds_the_policy_stored_by_the_first(chain: Chain, alice: Signer) -> None:
    transactions = [alice.transaction(Burn(number), with_policy=with_policy)
                    for number, with_policy in ((1, True), (2, True), (3, False))]  # fmt: skip
    third = alice.transaction(Burn(3), sequence=1, with_policy=False)
    assert chain.codes(*transactions, third) == [0, Code.BAD_POLICY, Code.WRONG_SEQUENCE, 0]


@pytest.mark.parametrize("change", ["signature", "digest", "other key"])
def test_a_signature_that_does_not_fit_is_refused(chain: Chain, alice: Signer, bob: Signer, change: str) -> None:
    body = encode(Body(CHAIN_ID, alice.address, 0, 10**6, 0, b"", b"", (Transfer(bob.address, 5),)))
    digest = signed_digest(body)
    signature = {
        "signature": bytes([alice.keys[0].sign(digest)[0] ^ 1]) + alice.keys[0].sign(digest)[1:],
        "digest": alice.keys[0].sign(body),
        "other key": bob.keys[0].sign(digest),
    }[change]
    raw = encode_envelope(body, (Auth(alice.address, alice.policy, (KeySignature(0, signature),)),))
    code, log = refused(chain, raw)
    assert (code, log) == (
        Code.BAD_SIGNATURE,
        f"signature of key {alice.keys[0].public.hex()} is not valid for this transaction: sign exactly these bytes",
    )


@pytest.mark.parametrize(
    ("signs_with", "code", "log"),
    [
        ((0, 1), 0, ""),
        ((1, 2), 0, ""),
        ((0,), Code.BAD_SIGNATURE, "signatures weigh 1, the policy needs 2"),
        ((0, 1, 2), Code.BAD_SIGNATURE, "more signatures than the policy needs: leave the superfluous ones out"),
        ((1, 0), Code.BAD_SIGNATURE, "signature key indices must increase strictly"),
        ((1, 1), Code.BAD_SIGNATURE, "signature key indices must increase strictly"),
        ((0, 3), Code.BAD_SIGNATURE, "signature key index outside the policy's 3 keys"),
    ],
)
def test_two_of_three_keys_act_for_a_shared_account(signs_with: tuple[int, ...], code: int, log: str) -> None:
    shared = Signer.shared(2, "one", "two", "three")
    chain = Chain.start({shared.address: FUNDS})
    body = encode(Body(CHAIN_ID, shared.address, 0, 10**6, 0, b"", b"", (Burn(1),)))
    signatures = [KeySignature(index, shared.keys[index % 3].sign(signed_digest(body))) for index in signs_with]
    raw = encode_envelope(body, (Auth(shared.address, shared.policy, tuple(signatures)),))
    (result,) = chain.block(raw)
    assert (result.code, result.log) == (code, log)


# --- Sequence, chain, expiry


@pytest.mark.parametrize("sequence", [1, 2**63 - 1])
def test_the_sequence_must_be_the_next_one(chain: Chain, alice: Signer, bob: Signer, sequence: int) -> None:
    raw = alice.transaction(Transfer(bob.address, 5), sequence=sequence)
    (result,) = chain.block(raw)
    assert (result.code, result.log) == (
        Code.WRONG_SEQUENCE,
        f"sequence is {sequence}, the account's next is 0: query the account and sign again",
    )


def test_the_same_bytes_are_never_executed_twice(chain: Chain, alice: Signer, bob: Signer) -> None:
    raw = alice.transaction(Transfer(bob.address, 5))
    assert chain.codes(raw, raw) == [0, Code.WRONG_SEQUENCE]
    assert chain.codes(raw) == [Code.WRONG_SEQUENCE]
    assert chain.balance(bob) == FUNDS + 5


def test_a_transaction_for_another_chain_is_refused(chain: Chain, alice: Signer, bob: Signer) -> None:
    assert refused(chain, alice.transaction(Transfer(bob.address, 5), chain_id="another-chain")) == (
        Code.WRONG_CHAIN, f"transaction is for chain 'another-chain', this is '{CHAIN_ID}'",
    )  # fmt: skip


def test_a_transaction_is_valid_up_to_and_at_its_expiry_height(chain: Chain, alice: Signer, bob: Signer) -> None:
    assert chain.codes(alice.transaction(Transfer(bob.address, 5), expiry_height=1)) == [0]
    late = alice.transaction(Transfer(bob.address, 5), expiry_height=1)
    assert refused(chain, late) == (Code.EXPIRED, "transaction expired at height 1, now 2: build and sign it again")


# --- Fees


def test_the_fee_counts_bytes_and_weight(chain: Chain, alice: Signer, bob: Signer) -> None:
    raw = alice.transaction(Transfer(bob.address, 5), Burn(7), Burn(8))
    assert chain.codes(raw) == [0]
    assert chain.balance(alice) == FUNDS - 20 - fee_of(raw)


def test_a_message_type_can_have_a_surcharge(alice: Signer, bob: Signer) -> None:
    parameters = {"fees": {"fee_per_byte_nopen": 0, "fee_per_weight_nopen": 3}, "surcharges": {"bank.burn": 500}}
    chain = Chain.start(accounts_with(FUNDS, [alice]), parameters=parameters)
    raw = alice.transaction(Transfer(bob.address, 5), Burn(7))
    assert chain.codes(raw) == [0]
    assert chain.balance(alice) == FUNDS - 12 - 500 - 3 * decode_transaction(raw).weight


def test_a_fee_above_the_limit_is_refused_and_exactly_the_limit_accepted(
    chain: Chain, alice: Signer, bob: Signer
) -> None:
    limit = fee_of(alice.transaction(Transfer(bob.address, 5), sequence=0, fee_limit_nopen=3_000))
    below = alice.transaction(Transfer(bob.address, 5), sequence=0, fee_limit_nopen=limit - 1)
    assert refused(chain, below) == (
        Code.INSUFFICIENT_FEE, f"fee is {limit} nopen, the transaction allows {limit - 1} nopen: raise the fee limit",
    )  # fmt: skip
    assert chain.codes(alice.transaction(Transfer(bob.address, 5), fee_limit_nopen=limit)) == [0]


def test_an_account_that_cannot_pay_the_fee_leaves_no_trace(alice: Signer, bob: Signer) -> None:
    chain = Chain.start({alice.address: 3_000})
    raw = alice.transaction(Transfer(bob.address, 5))
    before = chain.state()
    (result,) = chain.block(raw)
    assert result.code == Code.INSUFFICIENT_FUNDS
    assert result.log.endswith(f"has 3000 nopen and cannot pay the fee of {fee_of(raw)} nopen: fund the account first")
    assert changed(before, chain.state()) == {}


def test_fee_and_sequence_are_taken_even_if_the_messages_fail(chain: Chain, alice: Signer, bob: Signer) -> None:
    raw = alice.transaction(Transfer(bob.address, FUNDS))
    (result,) = chain.block(raw)
    assert (result.code, result.codespace) == (Code.INSUFFICIENT_FUNDS, "openledger")
    assert chain.account(alice.address) == Account(1, FUNDS - fee_of(raw), alice.policy)
    assert chain.account(bob.address) == Account(0, FUNDS, b"")


# --- Rotation


def new_policy(name: str) -> bytes:
    return encode_policy(single_key_policy(Key.named(name).public))


def with_key(signer: Signer, name: str) -> Signer:
    """Make a signer of an equal account that signs with another key and presents nothing."""
    return Signer([Key.named(name)], signer.policy, signer.address, signer.sequence)


def test_set_policy_replaces_the_keys_and_keeps_address_and_balance(chain: Chain, alice: Signer, bob: Signer) -> None:
    rotate = alice.transaction(SetPolicy(new_policy("fresh")))
    assert chain.codes(rotate) == [0]
    assert chain.account(alice.address) == Account(1, FUNDS - fee_of(rotate), new_policy("fresh"))
    fresh = with_key(alice, "fresh")
    assert chain.codes(fresh.transaction(Transfer(bob.address, 5), with_policy=False)) == [0]


def test_the_first_policy_does_not_act_after_it_was_replaced(chain: Chain, alice: Signer, bob: Signer) -> None:
    assert chain.codes(alice.transaction(SetPolicy(new_policy("fresh")))) == [0]
    old = alice.transaction(Transfer(bob.address, 5), sequence=1)
    code, log = refused(chain, old)
    assert (code, log.startswith(f"signature of key {Key.named('fresh').public.hex()}")) == (Code.BAD_SIGNATURE, True)


def test_the_rotated_policy_cannot_be_presented_since_it_is_not_the_address(chain: Chain, alice: Signer) -> None:
    assert chain.codes(alice.transaction(SetPolicy(new_policy("fresh")))) == [0]
    fresh = with_key(alice, "fresh")
    fresh.policy = new_policy("fresh")
    assert stored_and_again(chain, fresh)[0] == Code.BAD_POLICY


@pytest.mark.parametrize(
    "policy", [b"\x93\x01\x01\x90", b"\x01", encode_policy(Policy(2, (PolicyKey(1, Key.named("x").public, 1),)))]
)
def test_an_account_cannot_lock_itself_out_with_a_policy_nobody_can_satisfy(
    chain: Chain, alice: Signer, policy: bytes
) -> None:
    assert refused(chain, alice.transaction(SetPolicy(policy)))[0] == Code.BAD_POLICY


@pytest.mark.parametrize("warm", [False, True], ids=["cold cache", "warm cache"])
def test_an_old_key_does_not_act_after_a_rotation_in_the_same_block(
    chain: Chain, alice: Signer, bob: Signer, warm: bool
) -> None:
    """A cache of valid transactions would let the old key act on the nodes that had seen it: a fork."""
    rotate = alice.transaction(SetPolicy(new_policy("fresh")))
    old = alice.transaction(Transfer(bob.address, 5), sequence=1)
    fresh = with_key(alice, "fresh").transaction(Transfer(bob.address, 6), sequence=1, with_policy=False)
    if warm:
        # Verified by CheckTx and by a proposal in another order, while the old key was the account's.
        first = alice.transaction(Burn(1), sequence=0)
        assert chain.check(first) == (0, "")
        assert chain.check(old) == (0, "")
        assert chain.accepts(first, old)
        assert not chain.accepts(rotate, old)
        assert chain.propose(rotate, old, fresh) == [rotate, fresh]
    assert chain.codes(rotate, old, fresh) == [0, Code.BAD_SIGNATURE, 0]
    cold = Chain.start(accounts_with(FUNDS, [alice, bob]))
    assert cold.codes(rotate, old, fresh) == [0, Code.BAD_SIGNATURE, 0]
    assert chain.hashes == cold.hashes == replay(chain)
    assert chain.state() == cold.state()


# --- Sponsors


def test_a_sponsor_pays_the_fee_and_its_policy_is_stored(alice: Signer, bob: Signer) -> None:
    chain = Chain.start({bob.address: FUNDS, alice.address: 5})
    raw = alice.transaction(Transfer(Signer.named("carol").address, 5), sponsor=bob, expiry_height=9)
    assert chain.check(raw) == (0, "")
    assert chain.codes(raw) == [0]
    assert chain.account(alice.address) == Account(1, 0, alice.policy)
    assert chain.account(bob.address) == Account(0, FUNDS - fee_of(raw), bob.policy)


def test_a_stranger_without_funds_can_be_sponsored(chain: Chain, bob: Signer) -> None:
    stranger = Signer.named("stranger")
    raw = stranger.transaction(Transfer(bob.address, 1), sponsor=bob, expiry_height=9)
    assert chain.codes(raw) == [Code.INSUFFICIENT_FUNDS]
    assert chain.account(stranger.address) == Account(1, 0, stranger.policy)
    assert chain.balance(bob) == FUNDS - fee_of(raw)


def test_a_sponsor_must_sign_with_its_own_policy(chain: Chain, alice: Signer, bob: Signer) -> None:
    forged = Signer.named("bob")
    forged.keys = [Key.named("thief")]
    raw = alice.transaction(Burn(1), sponsor=forged, expiry_height=9)
    assert refused(chain, raw)[0] == Code.BAD_SIGNATURE


def test_a_sponsor_that_cannot_pay_leaves_no_trace(alice: Signer, bob: Signer) -> None:
    chain = Chain.start({alice.address: FUNDS, bob.address: 10})
    before = chain.state()
    assert chain.codes(alice.transaction(Burn(1), sponsor=bob, expiry_height=9)) == [Code.INSUFFICIENT_FUNDS]
    assert changed(before, chain.state()) == {}


def test_an_account_can_sponsor_the_first_transaction_after_its_own_in_one_block(
    chain: Chain, alice: Signer, bob: Signer
) -> None:
    own = bob.transaction(Burn(3))
    sponsored = alice.transaction(Burn(4), sponsor=bob, sponsor_policy=False, expiry_height=9)
    assert chain.codes(own, sponsored) == [0, 0]
    assert chain.account(bob.address) == Account(1, FUNDS - 3 - fee_of(own) - fee_of(sponsored), bob.policy)
