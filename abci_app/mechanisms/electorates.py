"""Electorates: who may decide how much, counted by the epoch in which it came.

    electorates/power/ | electorate ID | H(member) -> Power(base_epoch, base, recent [(epoch, amount)]<=64)
    electorates/total/ | electorate ID -> Power              the same for all members together

An electorate is a set of accounts with amounts: gOPEN (id zero), or the contributors of a DataNet (its id). An amount
comes under the epoch that runs and goes under the epoch under which it came, exactly. A decision that was put forward
in epoch E counts what came before E: nobody gets power for a decision that he has seen, and what moves from one member
to another comes anew, so that nothing is counted twice.

What came more than 63 epochs ago is merged into `base`, all of it up to `base_epoch`; decisions last at most 62 epochs
(check of the governance's parameters). Should epochs become so much shorter meanwhile that a decision outlives that,
`base` may hold what came later and is not counted for it: never too much.
"""

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta

from abci_app.errors import InvariantBroken
from abci_app.state.codec import Record
from abci_app.state.store import StateView
from abci_app.state.table import HASHED, ID, Map, MutableState
from abci_app.types import ID_BYTES, U32, Integer

# Epochs that are kept apart, the running one among them.
MAX_RECENT = 64
GOPEN = bytes(ID_BYTES)


class EpochAmount(Record, frozen=True, array_like=True, gc=False):
    """An amount that came in an epoch."""

    epoch: U32
    amount: Integer


class Power(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Amounts by the epoch in which they came: `base` is everything up to `base_epoch`, `recent` comes after it."""

    base_epoch: U32
    base: Integer
    recent: Annotated[tuple[EpochAmount, ...], Meta(max_length=MAX_RECENT)]

    @property
    def amount(self) -> int:
        """Everything, also what came in the running epoch."""
        return self.base + sum([each.amount for each in self.recent])

    def before(self, epoch: int) -> int:
        """Everything that came before an epoch, as far as that is known exactly."""
        base = self.base if self.base_epoch < epoch else 0
        return base + sum([each.amount for each in self.recent if each.epoch < epoch])


NO_POWER = Power(0, 0, ())
POWERS = Map("electorates/power/", (ID, HASHED), Power)
TOTALS = Map("electorates/total/", (ID,), Power)

# (epoch under which it comes or goes, amount added or, below zero, removed)
Change = tuple[int, int]


def change(state: MutableState, electorate: bytes, member: bytes, changes: Iterable[Change], now: int) -> None:
    """Add and remove amounts of a member, each under its epoch; the total follows. `now` is the running epoch."""
    listed = list(changes)
    changed = _changed(POWERS.get(state, electorate, member) or NO_POWER, listed, now)
    if changed.amount:
        POWERS.set(state, electorate, member, changed)
    else:
        POWERS.delete(state, electorate, member)
    total = _changed(TOTALS.get(state, electorate) or NO_POWER, listed, now)
    if total.amount:
        TOTALS.set(state, electorate, total)
    else:
        TOTALS.delete(state, electorate)


def power_before(view: StateView, electorate: bytes, member: bytes, epoch: int) -> int:
    """A member's amount that came before an epoch."""
    return (POWERS.get(view, electorate, member) or NO_POWER).before(epoch)


def total_before(view: StateView, electorate: bytes, epoch: int) -> int:
    """The amount of all members that came before an epoch."""
    return (TOTALS.get(view, electorate) or NO_POWER).before(epoch)


def find_power(view: StateView, electorate: bytes, member: bytes) -> Power | None:
    """A member's amounts, or None where there are none."""
    return POWERS.get(view, electorate, member)


def find_total(view: StateView, electorate: bytes) -> Power | None:
    """The amounts of all members together, or None where there are none."""
    return TOTALS.get(view, electorate)


def _changed(power: Power, changes: list[Change], now: int) -> Power:
    """The record after some changes, with what became old merged into its base."""
    base_epoch = max(power.base_epoch, now - MAX_RECENT)
    amounts = {each.epoch: each.amount for each in power.recent}
    base = power.base
    for epoch, amount in changes:
        if epoch <= power.base_epoch:
            base += amount
        else:
            amounts[epoch] = amounts.get(epoch, 0) + amount
    base += sum([amount for epoch, amount in amounts.items() if epoch <= base_epoch])
    recent = [EpochAmount(epoch, amount) for epoch, amount in sorted(amounts.items()) if epoch > base_epoch and amount]
    if base < 0 or any(each.amount < 0 for each in recent):
        raise InvariantBroken(f"an electorate loses more than came: {changes} of {power}")
    return Power(base_epoch, base, tuple(recent))


def totals_match(view: StateView) -> list[str]:
    """Each electorate's total is the sum of its members, in all and before every epoch that both keep apart."""
    sums: dict[bytes, list[Power]] = {}
    for (electorate, _), power in POWERS.iterate(view):
        sums.setdefault(electorate, []).append(power)
    totals = {electorate: total for (electorate,), total in TOTALS.iterate(view)}
    faults = []
    for electorate in sorted({**sums, **totals}):
        members, total = sums.get(electorate, []), totals.get(electorate, NO_POWER)
        if sum([power.amount for power in members]) != total.amount:
            faults.append(f"electorate {electorate.hex()} has a total of {total.amount}, its members another")
        for epoch in [each.epoch for each in total.recent]:
            counted = sum([power.before(epoch) for power in members])
            if counted > total.before(epoch):
                faults.append(f"members of electorate {electorate.hex()} had {counted} before epoch {epoch}")
    return faults
