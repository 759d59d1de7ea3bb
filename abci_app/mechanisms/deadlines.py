"""Deadlines: work that must happen at a height although nobody sends a transaction for it.

    deadlines/entry/ | lane U8 | height U64 | index U32 -> Deadline(kind, object, number)
    deadlines/count/ | lane U8 | height U64 -> Count(count)
    deadlines/cursor/ | lane U8 -> Cursor(height, index)        only while the lane has a backlog
    deadlines/stuck/ | number U64 -> Stuck(...)                 bugs that were put aside
    deadlines/stuck-count/value -> Count(count)

Modules register a handler for each kind of deadline; nothing here knows them. At the end of each block a lane runs what
is due, in the order in which it was scheduled, up to its budget; the cursor goes on in the next block. So the work of
every block is bounded, however much is due, and a lane with a backlog delays no other lane. Late work lengthens no
window: rules compare heights with the deadline that an object records, not with when it was resolved.

Entries are never moved. An object that gets another deadline schedules another entry and records its height; an entry
that its object no longer names is stale and ignored.

Each entry runs protected (`protection.py`). Refused: dropped, said in an event, then the kind's fallback, which only
writes. A bug, in handler or fallback: dropped, kept in `deadlines/stuck/`, said in an event, alarmed. All reads are of
single keys: iterating a range costs a pass over the block's writes.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from abci_app.errors import Rejected
from abci_app.mechanisms.protection import Action, alarm, run_protected
from abci_app.module import DeadlineKind, Event, HookContext
from abci_app.state.codec import Record
from abci_app.state.overlay import Overlay
from abci_app.state.table import U8 as U8_PART
from abci_app.state.table import U32 as U32_PART
from abci_app.state.table import U64 as U64_PART
from abci_app.state.table import Item, Map, MutableState
from abci_app.types import U8, U32, Bytes32, Height, Integer

# Lane -> entries that it runs a block. Lane 0 holds few and important things (an epoch, validators, proposals: four
# kinds of at most 64), so its budget only ends what no rule should bring about; lane 1 cases and proposals of DataNets
# (64 take some 30 ms), lane 2 what is dear.
BUDGETS: Mapping[int, int] = {0: 256, 1: 64, 2: 4}
# Heights without work and stale entries cost a read each: bounded too, so that neither holds up a block.
LOOKS_AN_ENTRY = 16


class Deadline(Record, frozen=True, array_like=True, tag=1, gc=False):
    """A piece of work that is due: a kind of work, on which object, and a number that the kind gives its meaning."""

    kind: U8
    object: Bytes32
    number: Integer


class Count(Record, frozen=True, array_like=True, tag=1, gc=False):
    """How many."""

    count: U32


class Cursor(Record, frozen=True, array_like=True, tag=1, gc=False):
    """The entry of a lane that is looked at next."""

    height: Height
    index: U32


class Stuck(Record, frozen=True, array_like=True, tag=1, gc=False):
    """A deadline that met a bug: what was due, when, and in which block it was put aside."""

    number: Integer
    lane: U8
    due_height: Height
    stuck_height: Height
    deadline: Deadline


ENTRIES = Map("deadlines/entry/", (U8_PART, U64_PART, U32_PART), Deadline)
COUNTS = Map("deadlines/count/", (U8_PART, U64_PART), Count)
CURSORS = Map("deadlines/cursor/", (U8_PART,), Cursor)
STUCK = Map("deadlines/stuck/", (U64_PART,), Stuck)
STUCK_COUNT = Item("deadlines/stuck-count/", Count)


class DeadlinesCode(IntEnum):
    """Codes of the deadlines."""

    NOT_STUCK = 1200


class DeadlineRefused(Event, frozen=True, gc=False):
    """A deadline's work was refused as expected: dropped, its fallback taken."""

    kind: int
    object: bytes
    number: int
    code: int


class DeadlineStuck(Event, frozen=True, gc=False):
    """A deadline's work met a bug: kept aside under `stuck`."""

    kind: int
    object: bytes
    number: int
    stuck: int


def schedule(
    state: MutableState, block_height: int, kind: DeadlineKind, height: int, object_id: bytes, number: int = 0
) -> int:
    """Put work into its kind's lane for a height after this block; returns the height, which its object must record.

    What would be due already is due in the next block: a lane never looks back.
    """
    due_height = max(height, block_height + 1)
    count = COUNTS.get(state, kind.lane, due_height) or Count(0)
    ENTRIES.set(state, kind.lane, due_height, count.count, Deadline(kind.number, object_id, number))
    COUNTS.set(state, kind.lane, due_height, Count(count.count + 1))
    return due_height


def kinds_by_number(kinds: Iterable[DeadlineKind]) -> dict[int, DeadlineKind]:
    """The kinds that modules declare; raises ValueError for a number used twice or a lane that does not exist."""
    known: dict[int, DeadlineKind] = {}
    for kind in kinds:
        if kind.number in known or kind.lane not in BUDGETS:
            raise ValueError(f"deadline kind {kind.name!r}: number {kind.number} is taken, or no lane {kind.lane}")
        known[kind.number] = kind
    return known


def run_deadlines(state: Overlay, context: HookContext, kinds: Mapping[int, DeadlineKind]) -> None:
    """The end hook: every lane runs what is due, up to its budget."""
    for lane, budget in BUDGETS.items():
        _Lane(state=state, context=context, kinds=kinds, lane=lane, budget=budget, looks=budget * LOOKS_AN_ENTRY).run()


@dataclass(slots=True)
class _Lane:
    """One lane's run in one block."""

    state: Overlay
    context: HookContext
    kinds: Mapping[int, DeadlineKind]
    lane: int
    budget: int
    looks: int

    def run(self) -> None:
        """Run from the cursor to this height, or until the budget is spent."""
        stored = CURSORS.get(self.state, self.lane)
        height, index = (stored.height, stored.index) if stored else (self.context.height, 0)
        while height <= self.context.height:
            if self.budget <= 0 or self.looks <= 0:
                CURSORS.set(self.state, self.lane, Cursor(height, index))
                return
            self.looks -= 1
            count = COUNTS.get(self.state, self.lane, height)
            if count is None or index >= count.count:
                if count is not None:
                    COUNTS.delete(self.state, self.lane, height)
                height, index = height + 1, 0
                continue
            self._take(height, index)
            index += 1
        if stored is not None:
            CURSORS.delete(self.state, self.lane)

    def _take(self, height: int, index: int) -> None:
        """Remove one entry and run it, unless it is stale."""
        deadline = ENTRIES.get(self.state, self.lane, height, index)
        if deadline is None:
            missing = LookupError(f"entry {index} of height {height} is counted and not there")
            alarm(self.context, f"lane {self.lane} of the deadlines", missing)
            return
        ENTRIES.delete(self.state, self.lane, height, index)
        if run_one(self.state, self.context, self.kinds, self.lane, height, deadline):
            self.budget -= 1


def run_one(
    state: Overlay,
    context: HookContext,
    kinds: Mapping[int, DeadlineKind],
    lane: int,
    height: int,
    deadline: Deadline,
) -> bool:
    """Run one entry, protected; False when it is stale: its object names another deadline, or none."""
    kind = kinds.get(deadline.kind)
    if kind is None:
        _put_aside(state, context, lane, height, deadline, LookupError(f"no kind {deadline.kind} of deadline"))
        return True
    stale = _Stale(kind, deadline, height)
    outcome = run_protected(state, context, stale)
    if outcome.counts and stale.found:
        return False
    if outcome.counts:
        outcome = run_protected(state, context, _bind(kind.handler, deadline))
    if outcome.refusal is not None:
        code = int(outcome.refusal.code)
        context.emit(DeadlineRefused(kind=deadline.kind, object=deadline.object, number=deadline.number, code=code))
        outcome = run_protected(state, context, _bind(kind.fallback, deadline))
    # A fallback only writes: what refuses there is as unexpected as any other exception.
    bug = outcome.bug or outcome.refusal
    if bug is not None:
        _put_aside(state, context, lane, height, deadline, bug)
    return True


@dataclass(slots=True)
class _Stale:
    """Asks an entry's object whether it still waits for this height."""

    kind: DeadlineKind
    deadline: Deadline
    height: int
    found: bool = field(default=False)

    def __call__(self, state: Overlay, context: HookContext) -> None:
        due_height = self.kind.due_height(state, self.deadline.object, self.deadline.number)
        self.found = due_height != self.height


def _bind(handler: Callable[[Overlay, HookContext, bytes, int], None], deadline: Deadline) -> Action:
    def action(state: Overlay, context: HookContext) -> None:
        handler(state, context, deadline.object, deadline.number)

    return action


def _put_aside(
    state: Overlay, context: HookContext, lane: int, height: int, deadline: Deadline, bug: Exception
) -> None:
    number = (STUCK_COUNT.get(state) or Count(0)).count + 1
    STUCK_COUNT.set(state, Count(number))
    stuck = Stuck(number=number, lane=lane, due_height=height, stuck_height=context.height, deadline=deadline)
    STUCK.set(state, number, stuck)
    context.emit(DeadlineStuck(kind=deadline.kind, object=deadline.object, number=deadline.number, stuck=number))
    alarm(context, f"deadline of kind {deadline.kind} for {deadline.object.hex()} ({deadline.number})", bug)


def retry_stuck(state: Overlay, context: HookContext, kinds: Mapping[int, DeadlineKind], number: int) -> None:
    """Run again what was put aside, as if its height were now; raises `Rejected` for a number that does not wait.

    A second failure puts it aside again, under a new number.
    """
    stuck = STUCK.get(state, number)
    if stuck is None:
        raise Rejected(DeadlinesCode.NOT_STUCK, f"no deadline is stuck under number {number}: see the list")
    STUCK.delete(state, number)
    run_one(state, context, kinds, stuck.lane, stuck.due_height, stuck.deadline)
