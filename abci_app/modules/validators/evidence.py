"""Double signing: what CometBFT's evidence does to a validator, whichever of its keys signed.

Evidence of an unknown key is ignored, and so is what is older than both limits of unbonding, since nothing of the bond
of that time can be left, and all further evidence against who was punished already.
"""

from abci_app.mechanisms import locks
from abci_app.module import TREASURY_ACCOUNT, BlockContext, HookContext, Misbehaviour
from abci_app.modules.validators.parameters import DOUBLE_SIGN_SLASH, UNBOND_BLOCKS, UNBOND_SECONDS
from abci_app.modules.validators.records import (
    BY_KEY,
    VALIDATORS,
    ValidatorChanged,
    ValidatorRecord,
    ValidatorSlashed,
    ValidatorStatus,
    bond_key,
    out_of_jail,
)
from abci_app.state.overlay import Overlay
from abci_app.state.table import MutableState
from abci_app.types import PPB

DOUBLE_SIGNED = "signed twice"


def punish_misbehaviour(state: Overlay, context: HookContext) -> None:
    """Run the begin hook: each piece of evidence that the block carries."""
    for evidence in context.block.misbehaviour:
        validator = _find_culprit(state, context.block, evidence)
        if validator is not None:
            _tombstone(state, context, validator)


def _find_culprit(state: MutableState, block: BlockContext, evidence: Misbehaviour) -> ValidatorRecord | None:
    if _is_too_old(block, evidence):
        return None
    owner = BY_KEY.get(state, evidence.address)
    validator = VALIDATORS.get(state, owner.operator) if owner is not None else None
    if validator is None or validator.status == ValidatorStatus.TOMBSTONED:
        return None
    return validator


def _is_too_old(block: BlockContext, evidence: Misbehaviour) -> bool:
    """Whether every bond of the time of the evidence may have been withdrawn."""
    blocks, seconds = block.parameters[UNBOND_BLOCKS], block.parameters[UNBOND_SECONDS]
    old_blocks, old_seconds = block.height - evidence.height, block.time_seconds - evidence.time_seconds
    return old_blocks > blocks and old_seconds > seconds


def _tombstone(state: MutableState, context: HookContext, validator: ValidatorRecord) -> None:
    """Slash, and never again: the end hook takes all power."""
    operator = validator.operator
    VALIDATORS.set(state, operator, out_of_jail(validator, ValidatorStatus.TOMBSTONED, admitted=0))
    slash(state, context, operator, context.block.parameters[DOUBLE_SIGN_SLASH], DOUBLE_SIGNED)
    context.emit(ValidatorChanged(operator, "tombstoned", DOUBLE_SIGNED))


def slash(state: MutableState, context: HookContext, operator: bytes, part_ppb: int, why: str) -> None:
    """Take a part of a bond and of what leaves of it, for the treasury."""
    key = bond_key(operator)
    if not part_ppb or locks.find(state, key) is None:
        return
    amount_nopen = locks.slash(state, key, part_ppb, [(TREASURY_ACCOUNT, PPB)])
    context.emit(ValidatorSlashed(operator, why, amount_nopen))
