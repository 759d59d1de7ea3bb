"""Answers to what the beacon asks of proposers: whose key it was, what the owner has at stake, how a fine is taken."""

from abci_app.mechanisms import beacon, locks
from abci_app.module import TREASURY_ACCOUNT, BlockContext, HookContext, Revealers
from abci_app.modules.validators.records import BY_KEY, ValidatorSlashed, bond_key
from abci_app.state.overlay import Overlay
from abci_app.state.store import StateView
from abci_app.types import PPB


def owner_of(view: StateView, address: bytes) -> bytes | None:
    """The operator that a consensus key's address belongs to, or belonged to when the key was in use."""
    owner = BY_KEY.get(view, address)
    return owner.operator if owner is not None else None


def bond_nopen(view: StateView, operator: bytes) -> int:
    """An operator's bond, without what leaves of it."""
    return locks.amount_of(view, bond_key(operator))


def fine_silence(state: Overlay, context: HookContext, operator: bytes, fine_nopen: int) -> None:
    """Take the price of silence from a bond, for the treasury."""
    taken_nopen = locks.fine(state, bond_key(operator), fine_nopen, [(TREASURY_ACCOUNT, PPB)])
    context.emit(ValidatorSlashed(operator, "was silent while a draw waited", taken_nopen))


def proposer_is_silent(view: StateView, block: BlockContext) -> bool:
    """Whether the block's proposer owed a reveal and gave none."""
    operator = owner_of(view, block.proposer) if block.proposer else None
    return operator is not None and beacon.is_silent(view, block, operator)


REVEALERS = Revealers(owner_of=owner_of, bond_nopen=bond_nopen, fine=fine_silence)
