"""Duties: who signed, proposed and revealed in an epoch, what is done about it at the tick, and who is paid.

Every block adds its last commit and its proposer to one record, which the tick reads and begins anew. A commit is of
the set that was told three blocks before, so keys that were just rotated away or removed still count for their owner.
"""

from dataclasses import dataclass

from msgspec import structs

from abci_app.mechanisms import epochs, locks
from abci_app.mechanisms.deadlines import schedule
from abci_app.module import FEES_ACCOUNT, BlockContext, DeadlineKind, HookContext, is_module_account
from abci_app.modules.validators.evidence import slash
from abci_app.modules.validators.handlers import begin_leaving
from abci_app.modules.validators.parameters import DOWNTIME_SLASH, JAIL_LIMIT, MAX_MISSED, VALIDATOR_BOND
from abci_app.modules.validators.powers import MIN_LIVE, limit_of
from abci_app.modules.validators.records import (
    BY_KEY,
    CONSENSUS_ADDRESS_BYTES,
    DUTIES,
    MAX_DUTIES,
    NO_DUTIES,
    VALIDATORS,
    Duties,
    Duty,
    JailReason,
    ValidatorChanged,
    ValidatorRecord,
    ValidatorStatus,
    all_listed,
    bond_key,
    target_of,
)
from abci_app.state.overlay import Overlay
from abci_app.state.store import StateView
from abci_app.state.table import MutableState
from abci_app.types import MAX_INTEGER, PPB

# Silent in more than this part of the own proposals, and at least so often: a node that restarts may miss one.
SILENT_PART = 10
MIN_SILENT = 3
_WHY = {
    JailReason.MISSED: "missed too many blocks",
    JailReason.SILENT: "proposed without revealing",
    JailReason.BOND: "bond fell below half",
}


# --- Every block


def count_duties(state: MutableState, block: BlockContext, silent: bool) -> None:
    """Add the block's last commit, and its proposer with `silent` for a reveal that was due and is not there."""
    stored = DUTIES.get(state) or NO_DUTIES
    rows = {each.address: each for each in stored.duties}
    for vote in block.last_commit.votes:
        row = _row(state, rows, vote.address)
        if row is not None:
            signed, missed = (vote.power, 0) if vote.signed else (0, 1)
            signed_power = min(row.signed_power + signed, MAX_INTEGER)
            rows[vote.address] = structs.replace(row, signed_power=signed_power, missed=row.missed + missed)
    row = _row(state, rows, block.proposer)
    if row is not None:
        rows[block.proposer] = structs.replace(row, proposed=row.proposed + 1, silent=row.silent + int(silent))
    counted = Duties(tuple([rows[address] for address in sorted(rows)]))
    if counted != stored:
        DUTIES.set(state, counted)


def _row(state: StateView, rows: dict[bytes, Duty], address: bytes) -> Duty | None:
    """The row of a key that belongs to a validator of this module; None for any other, or where there is no room."""
    known = rows.get(address)
    if known is not None:
        return known
    if len(rows) >= MAX_DUTIES or len(address) != CONSENSUS_ADDRESS_BYTES or not BY_KEY.has(state, address):
        return None
    return Duty(address=address, signed_power=0, missed=0, proposed=0, silent=0)


# --- At the tick


@dataclass(slots=True)
class Deeds:
    """One operator's duties of an epoch, under all keys that it had."""

    signed_power: int = 0
    missed: int = 0
    proposed: int = 0
    silent: int = 0

    def add(self, duty: Duty) -> None:
        """Count one key's."""
        self.signed_power += duty.signed_power
        self.missed += duty.missed
        self.proposed += duty.proposed
        self.silent += duty.silent


def deeds_by_operator(view: StateView) -> dict[bytes, Deeds]:
    """Who did what in this epoch so far, in the order of their keys' addresses."""
    found: dict[bytes, Deeds] = {}
    for duty in (DUTIES.get(view) or NO_DUTIES).duties:
        owner = BY_KEY.get(view, duty.address)
        if owner is not None:
            found.setdefault(owner.operator, Deeds()).add(duty)
    return found


def end_epoch(state: Overlay, context: HookContext) -> None:
    """Run at the tick: jail who was away, share the fees, begin to count anew."""
    deeds = deeds_by_operator(state)
    blocks = context.height - epochs.current(state).start_height
    _jail_absent(state, context, deeds, blocks)
    _share_fees(state, context.block, deeds)
    if DUTIES.get(state) is not None:
        DUTIES.set(state, NO_DUTIES)


def _share_fees(state: Overlay, block: BlockContext, deeds: dict[bytes, Deeds]) -> None:
    """Divide the fees among those who signed, by power times blocks; the first of them where they are too many."""
    weights = [
        (operator, each.signed_power)
        for operator, each in deeds.items()
        if each.signed_power and not is_module_account(operator)
    ]
    weights.sort(key=lambda weight: (-weight[1], weight[0]))
    part_ppb = block.parameters[epochs.FEES_TO_VALIDATORS]
    epochs.distribute(state, FEES_ACCOUNT, part_ppb, weights[: epochs.MAX_PAYEES])


def _jail_absent(state: Overlay, context: HookContext, deeds: dict[bytes, Deeds], blocks: int) -> None:
    """Jail in the order of keys, while at least four stay and no more goes than an epoch may lose."""
    validators = sorted(all_listed(state), key=lambda each: each.consensus_key)
    room = limit_of(sum([each.live for each in validators]))
    staying = len([each for each in validators if each.live and target_of(each)])
    for each in validators:
        # Who stands in no genesis document with an operator has no bond, and nobody could ask for its return.
        if each.status != ValidatorStatus.ACTIVE or is_module_account(each.operator):
            continue
        reason = _fault(state, context.block, each, deeds.get(each.operator, Deeds()), blocks)
        stay = staying - bool(each.live)
        if reason == JailReason.NONE or stay < MIN_LIVE or each.live > room:
            continue
        staying, room = stay, room - each.live
        jail(state, context, each, reason)


def _fault(state: Overlay, block: BlockContext, validator: ValidatorRecord, deeds: Deeds, blocks: int) -> JailReason:
    parameters = block.parameters
    if validator.live and deeds.missed * PPB > parameters[MAX_MISSED] * blocks:
        return JailReason.MISSED
    if validator.live and deeds.silent >= MIN_SILENT and deeds.silent * SILENT_PART > deeds.proposed:
        return JailReason.SILENT
    if 2 * locks.amount_of(state, bond_key(validator.operator)) < parameters[VALIDATOR_BOND]:
        return JailReason.BOND
    return JailReason.NONE


def jail(state: Overlay, context: HookContext, validator: ValidatorRecord, reason: JailReason) -> None:
    """Take the power for a while, slash for what was missed, and fix when it is removed for good."""
    operator = validator.operator
    limit = context.height + context.block.parameters[JAIL_LIMIT]
    jailed = structs.replace(
        validator,
        status=int(ValidatorStatus.JAILED),
        jailed_height=context.height,
        jailed_for=int(reason),
        removal_height=schedule(state, context.height, REMOVAL, limit, operator),
    )
    VALIDATORS.set(state, operator, jailed)
    if reason != JailReason.BOND:
        slash(state, context, operator, context.block.parameters[DOWNTIME_SLASH], _WHY[reason])
    context.emit(ValidatorChanged(operator, "jailed", _WHY[reason]))


# --- Removal after a long time in jail


def _removal_height(view: StateView, operator: bytes, number: int) -> int | None:
    validator = VALIDATORS.get(view, operator)
    return validator.removal_height if validator and validator.status == ValidatorStatus.JAILED else None


def _remove_jailed(state: Overlay, context: HookContext, operator: bytes, number: int) -> None:
    validator = VALIDATORS.get(state, operator)
    if validator is not None:
        begin_leaving(state, context, validator, "was jailed too long")


REMOVAL = DeadlineKind(
    number=5,
    name="removal of a jailed validator",
    lane=0,
    due_height=_removal_height,
    handler=_remove_jailed,
    fallback=_remove_jailed,
)
