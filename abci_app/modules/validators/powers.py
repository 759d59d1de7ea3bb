"""Powers: what CometBFT is told, within the limits of an epoch.

A validator's target is its admitted power while it is active, else 0. Where targets differ from live powers, the end
hook changes them: first what is lost, then what is gained, each in the order of consensus keys. With four live
validators or more, T being the power at the epoch's start:

- an epoch loses at most (T-1)//3 and gains at most (T-1)//3; a rotated key counts in both;
- nobody is raised above a third of all power, and nobody goes when only four are live;
- what does not fit is done in part and waits for the next epoch with the rest.

A double signer's power goes at once, counted and not limited, unless nobody would be left. With fewer than four live
there are no limits but that one: such a set bears no fault anyway.

Between any two blocks of an epoch, more than two thirds of the later set's power then hold more than a third of the
earlier set's: T - L - (T-L+G)/3 > T/3 for L, G < T/3. So light clients can always skip inside an epoch.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from msgspec import structs

from abci_app.errors import Rejected
from abci_app.mechanisms import beacon, epochs, locks
from abci_app.module import Context, HookContext
from abci_app.modules.validators.parameters import UNBOND_BLOCKS, UNBOND_SECONDS
from abci_app.modules.validators.records import (
    LIST,
    OWN_PEERS,
    TURNOVER,
    VALIDATORS,
    PowerChanged,
    Turnover,
    ValidatorChanged,
    ValidatorList,
    ValidatorRecord,
    ValidatorsCode,
    ValidatorStatus,
    all_listed,
    bond_key,
    listed,
    target_of,
)
from abci_app.state.store import StateView
from abci_app.state.table import MutableState

# Fewer validators than this bear no faulty one.
MIN_LIVE = 4


def limit_of(power_total: int) -> int:
    """The most power that an epoch may lose, and gain, when it begins with this much."""
    return max(power_total - 1, 0) // 3


def turnover_of(view: StateView, validators: Sequence[ValidatorRecord]) -> Turnover:
    """The present epoch's turnover; a new one, of all that are listed, when nothing was written in this epoch yet.

    Keys rotated in the block of a tick count in the epoch that begins.
    """
    number = epochs.current(view).number
    stored = TURNOVER.get(view)
    if stored is not None and stored.epoch == number:
        return stored
    rotated = sum([each.live for each in validators if each.retiring_key])
    power = sum([each.live for each in validators])
    return Turnover(epoch=number, power_total=power, lost=rotated, gained=rotated)


def live_count(validators: Iterable[ValidatorRecord]) -> int:
    """How many of them have power now."""
    return len([each for each in validators if each.live])


def book_rotation(context: Context, validator: ValidatorRecord) -> None:
    """Count a rotated key's power as lost and gained; raises `Rejected` where this epoch has no room for it."""
    if not validator.live:
        return
    state, validators = context.state, all_listed(context.state)
    turnover = turnover_of(state, validators)
    if live_count(validators) >= MIN_LIVE:
        limit = limit_of(turnover.power_total)
        room = limit - max(turnover.lost, turnover.gained)
        if validator.live > room:
            advice = "wait for the next epoch" if validator.live <= limit else "ask governance for less power first"
            raise Rejected(
                ValidatorsCode.ROTATION_TOO_LARGE,
                f"power {validator.live} would change hands, this epoch has room for {max(room, 0)} of {limit}: "
                f"{advice}",
            )
    lost, gained = turnover.lost + validator.live, turnover.gained + validator.live
    TURNOVER.set(state, structs.replace(turnover, lost=lost, gained=gained))


@dataclass(slots=True)
class _Changes:
    """The changes of one block under way: running totals, and what every validator is to become."""

    context: HookContext
    turnover: Turnover
    live: int
    power: int

    @property
    def limited(self) -> bool:
        """Whether the limits hold now."""
        return self.live >= MIN_LIVE

    def lower(self, validator: ValidatorRecord) -> int:
        """The power to lower to, at least the target; the same as now when nothing fits."""
        target = target_of(validator)
        if validator.status == ValidatorStatus.TOMBSTONED or not self.limited:
            return target if target or self.live > 1 else validator.live
        if not target and self.live <= MIN_LIVE:
            return validator.live
        room = max(limit_of(self.turnover.power_total) - self.turnover.lost, 0)
        return max(target, validator.live - room)

    def raised(self, validator: ValidatorRecord) -> int:
        """The power to raise to, at most the target; the same as now when nothing fits."""
        target = target_of(validator)
        if not self.limited:
            return target
        room = max(limit_of(self.turnover.power_total) - self.turnover.gained, 0)
        # p is at most a third of all that are then: 3p <= others + p.
        third = (self.power - validator.live) // 2
        return max(validator.live, min(target, validator.live + room, third))

    def change(self, validator: ValidatorRecord, power: int) -> ValidatorRecord:
        """Tell CometBFT of a power, and count it."""
        difference = power - validator.live
        lost, gained = self.turnover.lost + max(-difference, 0), self.turnover.gained + max(difference, 0)
        self.turnover = structs.replace(self.turnover, lost=lost, gained=gained)
        self.live += bool(power) - bool(validator.live)
        self.power += difference
        self.context.set_power(validator.consensus_key, power)
        self.context.emit(PowerChanged(validator.operator, validator.consensus_key, power))
        return structs.replace(validator, live=power)


def update_powers(state: MutableState, context: HookContext) -> None:
    """Run the end hook: rotated keys, then what is lost, then what is gained, then who has no power left leaves."""
    before = {each.operator: each for each in all_listed(state)}
    if not before:
        return
    turnover = turnover_of(state, list(before.values()))
    validators = {operator: _rotated(context, each) for operator, each in before.items()}
    settled = [each for operator, each in validators.items() if each is before[operator]]
    changes = _Changes(
        context=context,
        turnover=turnover,
        live=live_count(before.values()),
        power=sum([each.live for each in before.values()]),
    )
    in_order = sorted(settled, key=lambda each: each.consensus_key)
    for each in in_order:
        if target_of(each) < each.live and (power := changes.lower(each)) != each.live:
            validators[each.operator] = changes.change(each, power)
    for each in in_order:
        if target_of(each) > each.live and (power := changes.raised(each)) != each.live:
            validators[each.operator] = changes.change(each, power)
    # Who signed twice was kept only because nobody else was there; perhaps somebody came just now.
    for each in in_order:
        kept = validators[each.operator]
        if kept.status == ValidatorStatus.TOMBSTONED and kept.live and (power := changes.lower(kept)) != kept.live:
            validators[each.operator] = changes.change(kept, power)
    if changes.turnover != TURNOVER.get(state):
        TURNOVER.set(state, changes.turnover)
    for operator, each in validators.items():
        if each is not before[operator]:
            VALIDATORS.set(state, operator, each)
        if each.status in (ValidatorStatus.LEAVING, ValidatorStatus.TOMBSTONED) and not each.live:
            retire(state, context, each)


def _rotated(context: HookContext, validator: ValidatorRecord) -> ValidatorRecord:
    """Tell CometBFT of a rotated key, old and new in one block; the record is the same when there is none."""
    if not validator.retiring_key:
        return validator
    if validator.live:
        context.set_power(validator.retiring_key, 0)
        context.set_power(validator.consensus_key, validator.live)
        context.emit(PowerChanged(validator.operator, validator.consensus_key, validator.live))
    return structs.replace(validator, retiring_key=b"")


def retire(state: MutableState, context: HookContext, validator: ValidatorRecord) -> None:
    """Take a validator without power off the list; its bond leaves. Waits while too many parts of it leave already."""
    key = bond_key(validator.operator)
    lock = locks.find(state, key)
    if lock is not None and lock.amount_nopen:
        if len(lock.leaving) >= locks.MAX_LEAVING:
            return
        parameters = context.block.parameters
        locks.leave(state, context.block, key, lock.amount_nopen, parameters[UNBOND_BLOCKS], parameters[UNBOND_SECONDS])
    LIST.set(state, ValidatorList(tuple([each for each in listed(state) if each != validator.operator])))
    OWN_PEERS.delete(state, validator.operator)
    beacon.remove_onion(state, validator.operator)
    if validator.status == ValidatorStatus.LEAVING:
        VALIDATORS.set(state, validator.operator, structs.replace(validator, status=int(ValidatorStatus.LEFT)))
        context.emit(ValidatorChanged(validator.operator, "left", "no power is left, the bond leaves"))
