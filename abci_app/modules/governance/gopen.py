"""gOPEN: locked OPEN, who votes with it, and the lots in which it came.

A lot is an amount under the epoch in which it came to the account that votes with it. Lots add up to the lock. A lot
beyond the sixteenth is merged with the one before it, under the later epoch; unlocking takes the newest first, so what
has voted for long stays.
"""

from collections.abc import Sequence

from msgspec import structs

from abci_app.accounts import show_address
from abci_app.errors import InvariantBroken, Rejected
from abci_app.mechanisms import electorates, epochs, locks
from abci_app.mechanisms.electorates import Change
from abci_app.mechanisms.locks import LockKey, Purpose
from abci_app.module import Context
from abci_app.modules.governance.codes import GopenChanged, GovernanceCode
from abci_app.modules.governance.messages import Delegate, LockGopen, UnlockGopen
from abci_app.modules.governance.parameters import UNLOCK_BLOCKS
from abci_app.modules.governance.records import HOLDERS, MAX_LOTS, Holder, Lot
from abci_app.state.table import MutableState
from abci_app.types import Address


def gopen_key(owner: bytes) -> LockKey:
    """The lock that holds somebody's gOPEN."""
    return LockKey(Purpose.GOPEN, locks.NO_OBJECT, owner)


def execute_lock_gopen(context: Context, message: LockGopen) -> None:
    """The lot comes in the running epoch, and votes on what is proposed from the next one on."""
    state, sender = context.state, context.sender
    locks.take(state, gopen_key(sender), message.amount_nopen)
    now = epochs.current(state).number
    holder = HOLDERS.get(state, sender)
    delegate, known = (holder.delegate, holder.lots) if holder else (bytes(sender), ())
    lots, changes = _with_lot(known, Lot(now, message.amount_nopen))
    electorates.change(state, electorates.GOPEN, delegate, changes, now)
    _store(context, Holder(delegate, lots))


def execute_unlock_gopen(context: Context, message: UnlockGopen) -> None:
    """Power goes at once, under the epochs under which it came; the amount leaves for `unlock_blocks`."""
    state, sender = context.state, context.sender
    holder = _holder(context)
    if message.amount_nopen > holder.amount_nopen:
        raise Rejected(
            GovernanceCode.TOO_LITTLE_LOCKED,
            f"{show_address(sender)} has {holder.amount_nopen} nopen locked as gOPEN, {message.amount_nopen} are asked "
            "for: unlock less",
        )
    blocks = context.block.parameters[UNLOCK_BLOCKS]
    locks.leave(state, context.block, gopen_key(sender), message.amount_nopen, blocks=blocks, seconds=0)
    kept, changes = _without(holder.lots, message.amount_nopen)
    electorates.change(state, electorates.GOPEN, holder.delegate, changes, epochs.current(state).number)
    _store(context, Holder(holder.delegate, kept) if kept else None)


def execute_delegate(context: Context, message: Delegate) -> None:
    """All lots go from who voted with them and come to the new delegate in the running epoch."""
    state, holder = context.state, _holder(context)
    if message.delegate == holder.delegate:
        raise Rejected(
            GovernanceCode.ALREADY_DELEGATED, f"{show_address(holder.delegate)} votes with your gOPEN already"
        )
    now = epochs.current(state).number
    gone: list[Change] = [(lot.epoch, -lot.amount_nopen) for lot in holder.lots]
    electorates.change(state, electorates.GOPEN, holder.delegate, gone, now)
    electorates.change(state, electorates.GOPEN, message.delegate, [(now, holder.amount_nopen)], now)
    context.involved.append(Address(message.delegate))
    _store(context, Holder(message.delegate, (Lot(now, holder.amount_nopen),)))


def _holder(context: Context) -> Holder:
    holder = HOLDERS.get(context.state, context.sender)
    if holder is None:
        raise Rejected(
            GovernanceCode.NOTHING_LOCKED,
            f"{show_address(context.sender)} has no gOPEN: lock some first (`openledger gov lock`)",
        )
    return holder


def _store(context: Context, holder: Holder | None) -> None:
    """Write the holder, or forget who voted for him when nothing is left."""
    state: MutableState = context.state
    if holder is None:
        HOLDERS.delete(state, context.sender)
    else:
        HOLDERS.set(state, context.sender, holder)
    context.emit(
        GopenChanged(
            holder=context.sender,
            delegate=holder.delegate if holder else context.sender,
            locked_nopen=holder.amount_nopen if holder else 0,
        )
    )


def _with_lot(lots: Sequence[Lot], lot: Lot) -> tuple[tuple[Lot, ...], list[Change]]:
    """The lots with one that comes now, and what changes for who votes with them."""
    changes: list[Change] = [(lot.epoch, lot.amount_nopen)]
    kept = list(lots)
    if kept and kept[-1].epoch == lot.epoch:
        kept[-1] = structs.replace(kept[-1], amount_nopen=kept[-1].amount_nopen + lot.amount_nopen)
    elif len(kept) == MAX_LOTS:
        before = kept.pop()
        kept.append(Lot(lot.epoch, before.amount_nopen + lot.amount_nopen))
        changes += [(before.epoch, -before.amount_nopen), (lot.epoch, before.amount_nopen)]
    else:
        kept.append(lot)
    return tuple(kept), changes


def _without(lots: Sequence[Lot], amount_nopen: int) -> tuple[tuple[Lot, ...], list[Change]]:
    """The lots without an amount, the newest gone first, and what changes for who votes with them."""
    kept, changes, left_nopen = list(lots), list[Change](), amount_nopen
    while left_nopen:
        newest = kept.pop()
        taken_nopen = min(left_nopen, newest.amount_nopen)
        left_nopen -= taken_nopen
        changes.append((newest.epoch, -taken_nopen))
        if newest.amount_nopen > taken_nopen:
            kept.append(Lot(newest.epoch, newest.amount_nopen - taken_nopen))
    if len(kept) > MAX_LOTS:
        raise InvariantBroken(f"{len(kept)} lots of gOPEN")
    return tuple(kept), changes
