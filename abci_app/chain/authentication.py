"""Who may send a transaction and who pays for it: policy, delegation, sequence, expiry, fee.

Everything here reads the state as it stands at the moment of execution. Only the pure fact "this signature of this
key over these bytes is valid" is cached (`Transaction.verified`): a cache of whole transactions would let a rotated
key act on nodes whose cache is warm, and fork the chain.
"""

from collections.abc import Callable
from dataclasses import dataclass

from msgspec import structs

from abci_app.accounts import (
    ACCOUNTS,
    DELEGATIONS,
    Account,
    Delegation,
    get_account,
    policy_id_of,
    show_address,
)
from abci_app.chain.chain_module import FEE_PER_BYTE, FEE_PER_WEIGHT
from abci_app.chain.registry import TAG_OF
from abci_app.chain.transaction import Auth, Transaction
from abci_app.chain.weight import require_fits_a_block
from abci_app.errors import Code, Rejected
from abci_app.module import BlockContext
from abci_app.parameters import Parameters
from abci_app.policy import (
    DelegatedKey,
    address_of,
    check_indices,
    decode_stored_policy,
    signature_is_valid,
)
from abci_app.state.overlay import Overlay
from abci_app.state.store import StateView

AccountOf = Callable[[StateView, bytes], Account]


@dataclass(slots=True)
class Agreed:
    """One account that agreed to the transaction, as far as this state is concerned."""

    account: Account
    # The policy to store with the account's first transaction; equals account.policy afterwards.
    policy: bytes
    delegation: Delegation | None


def check_chain_and_expiry(transaction: Transaction, chain_id: str, height: int) -> None:
    """Raises unless the transaction is for this chain and still valid at `height`."""
    body = transaction.body
    if body.chain_id != chain_id:
        raise Rejected(Code.WRONG_CHAIN, f"transaction is for chain {body.chain_id!r}, this is {chain_id!r}")
    if body.expiry_height and height > body.expiry_height:
        raise Rejected(
            Code.EXPIRED, f"transaction expired at height {body.expiry_height}, now {height}: build and sign it again"
        )


def fee_of(parameters: Parameters, transaction: Transaction) -> int:
    """Compute a transaction's fee in nopen: for its bytes, for its work, and the surcharges of its messages."""
    fee = parameters[FEE_PER_BYTE] * transaction.size_bytes + parameters[FEE_PER_WEIGHT] * transaction.weight
    for message in transaction.body.messages:
        fee += parameters.surcharge_nopen(TAG_OF[type(message)]) * message.list_items()
    return fee


def fee_nopen(transaction: Transaction, block: BlockContext) -> int:
    """The fee (`fee_of`); raises when the sender's limit is lower."""
    fee = fee_of(block.parameters, transaction)
    if fee > transaction.body.fee_limit_nopen:
        raise Rejected(
            Code.INSUFFICIENT_FEE,
            f"fee is {fee} nopen, the transaction allows {transaction.body.fee_limit_nopen} nopen: raise the fee limit",
        )
    return fee


def authenticate(view: StateView, transaction: Transaction, height: int, account_of: AccountOf = get_account) -> Agreed:
    """Check the policies and signatures of sender and sponsor; returns the sender's side.

    `account_of` gives an account's record where the caller has read it already.
    """
    sender = judge_auth(view, transaction, 0, height, account_of)
    if transaction.body.sponsor:
        sponsor = judge_auth(view, transaction, 1, height, account_of)
        if sponsor.delegation is not None:
            raise Rejected(Code.DELEGATION, "a delegated key cannot sponsor: the sponsor's own policy must sign")
    return sender


def judge_auth(
    view: StateView, transaction: Transaction, position: int, height: int, account_of: AccountOf = get_account
) -> Agreed:
    """Check one account's policy and signatures against the state.

    A policy must be presented exactly when none is stored: it is not signed, so that anybody who relays the transaction
    could otherwise add or drop it, and change hash, size and fee.
    """
    auth, presented = transaction.auths[position], transaction.presented[position]
    account = account_of(view, auth.account)
    if isinstance(presented, DelegatedKey):
        return _judge_delegated(view, transaction, auth, presented, account, height)
    if auth.policy and address_of(auth.policy) != auth.account:
        raise Rejected(Code.BAD_POLICY, f"the presented policy is not the first policy of {show_address(auth.account)}")
    if auth.policy and account.policy:
        raise Rejected(
            Code.BAD_POLICY, f"the policy of {show_address(auth.account)} is stored: send the transaction without it"
        )
    policy = decode_stored_policy(account.policy) if account.policy else presented
    if policy is None:
        raise Rejected(Code.BAD_POLICY, f"{show_address(auth.account)} is new: its first transaction brings its policy")
    check_indices(policy, [signature.key_index for signature in auth.signatures])
    for signature in auth.signatures:
        _check_signature(transaction, policy.keys[signature.key_index].public_key, signature.signature)
    return Agreed(account, account.policy or auth.policy, None)


def _check_signature(transaction: Transaction, public_key: bytes, signature: bytes) -> None:
    fact = (public_key, signature)
    if fact in transaction.verified:
        return
    if not signature_is_valid(public_key, signature, transaction.signed_digest):
        raise Rejected(
            Code.BAD_SIGNATURE,
            f"signature of key {public_key.hex()} is not valid for this transaction: sign exactly these bytes",
        )
    transaction.verified.add(fact)


def _judge_delegated(
    view: StateView, transaction: Transaction, auth: Auth, key: DelegatedKey, account: Account, height: int
) -> Agreed:
    delegation = DELEGATIONS.get(view, auth.account, key.public_key)
    if delegation is None:
        raise Rejected(Code.DELEGATION, f"key {key.public_key.hex()} is not delegated by {show_address(auth.account)}")
    if delegation.policy_id != policy_id_of(view, auth.account, account.policy):
        raise Rejected(
            Code.DELEGATION,
            f"key {key.public_key.hex()} was delegated by an earlier policy of {show_address(auth.account)} and ended "
            "with it: let the present one delegate it again",
        )
    if height > delegation.expiry_height:
        raise Rejected(Code.DELEGATION, f"the delegation expired at height {delegation.expiry_height}")
    for message in transaction.body.messages:
        if TAG_OF[type(message)] not in delegation.message_types:
            raise Rejected(Code.DELEGATION, f"the delegated key may not send {type(message).__name__}")
    if len(auth.signatures) != 1 or auth.signatures[0].key_index:
        raise Rejected(Code.BAD_SIGNATURE, "a delegated key signs alone, with key index 0")
    _check_signature(transaction, key.public_key, auth.signatures[0].signature)
    return Agreed(account, account.policy, delegation)


def take_fee_and_sequence(state: Overlay, transaction: Transaction, block: BlockContext) -> int:
    """The part of execution that stays even if the messages fail; returns the fee. Raises `Rejected` untouched."""
    body = transaction.body
    check_chain_and_expiry(transaction, block.chain_id, block.height)
    require_fits_a_block(transaction.weight)
    fee = fee_nopen(transaction, block)
    account = get_account(state, body.sender)
    if body.sequence != account.sequence:
        raise Rejected(
            Code.WRONG_SEQUENCE,
            f"sequence is {body.sequence}, the account's next is {account.sequence}: query the account and sign again",
        )
    own_fee = 0 if body.sponsor else fee
    if account.balance_nopen < own_fee:
        raise _cannot_pay(body.sender, account.balance_nopen, own_fee)
    if body.sponsor:
        sponsor_nopen = get_account(state, body.sponsor).balance_nopen
        if sponsor_nopen < fee:
            raise _cannot_pay(body.sponsor, sponsor_nopen, fee)
    # The dear checks come last: who cannot pay must not make anybody verify a signature, let alone ten keys.
    sender = authenticate(
        state,
        transaction,
        block.height,
        lambda view, address: account if address == body.sender else get_account(view, address),
    )
    delegation = sender.delegation
    if delegation is not None:
        delegation = _spend(delegation, own_fee + transaction.maximum_spend_nopen())
    transaction.check_keys()
    if body.sponsor:
        _charge_sponsor(state, transaction, fee)
    if delegation is not None:
        DELEGATIONS.set(state, body.sender, delegation.public_key, delegation)
    ACCOUNTS.set(state, body.sender, Account(account.sequence + 1, account.balance_nopen - own_fee, sender.policy))
    return fee


def _charge_sponsor(state: Overlay, transaction: Transaction, fee: int) -> None:
    sponsor = transaction.body.sponsor
    account = get_account(state, sponsor)
    policy = account.policy or transaction.auths[1].policy
    ACCOUNTS.set(state, sponsor, Account(account.sequence, account.balance_nopen - fee, policy))


def _spend(delegation: Delegation, spend_nopen: int) -> Delegation:
    """Count the fee and the messages' maximum spend against a delegation, whether or not they succeed."""
    spent_nopen = delegation.spent_nopen + spend_nopen
    if spent_nopen > delegation.spend_limit_nopen:
        raise Rejected(
            Code.DELEGATION,
            f"the delegated key may spend {delegation.spend_limit_nopen} nopen in total, this would make "
            f"{spent_nopen} nopen",
        )
    return structs.replace(delegation, spent_nopen=spent_nopen)


def _cannot_pay(address: bytes, balance_nopen: int, fee: int) -> Rejected:
    return Rejected(
        Code.INSUFFICIENT_FUNDS,
        f"{show_address(address)} has {balance_nopen} nopen and cannot pay the fee of {fee} nopen: fund the account "
        "first",
    )
