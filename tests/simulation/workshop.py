"""A module of the simulation that does deeds in begin hooks: it uses every mechanism as later modules will.

    workshop/job/ | job -> Job(due_height, runs, fallbacks)         deadlines of each lane
    workshop/drawn/ | object -> Drawn(value, weak, height)          draws that its work took

Deeds of a height stay written down, so that every proposal of the height, and every replay, does the same.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum

from abci_app.chain import block as block_module
from abci_app.chain import registry
from abci_app.errors import Rejected
from abci_app.mechanisms import beacon, locks
from abci_app.mechanisms.deadlines import schedule
from abci_app.mechanisms.locks import LockKey, Receiver
from abci_app.module import DeadlineKind, HookContext, Module
from abci_app.modules import validators
from abci_app.state.codec import Record
from abci_app.state.overlay import Overlay
from abci_app.state.store import StateView
from abci_app.state.table import ID, Map, Table
from abci_app.types import Bytes32, Flag, Height, Integer
from tests.simulation import deeds
from tests.simulation.deeds import Deed, Key, Receivers

# Lane -> kind of the jobs in it.
KIND_OF_LANE = {0: 200, 1: 201, 2: 202}
DRAW_KIND, DRAW_LANE = 210, 1


class WorkshopCode(IntEnum):
    """Codes of the workshop."""

    NOT_NOW = 9200


class Job(Record, frozen=True, array_like=True, tag=1, gc=False):
    """A job: when it is due (0: no more), how often it ran and how often it fell back."""

    due_height: Height
    runs: Integer
    fallbacks: Integer


class Drawn(Record, frozen=True, array_like=True, tag=1, gc=False):
    """A draw that was taken, and the height at which it was."""

    value: Bytes32
    weak: Flag
    height: Height


JOBS = Map("workshop/job/", (ID,), Job)
DRAWN = Map("workshop/drawn/", (ID,), Drawn)


def _due_height(view: StateView, job: bytes, number: int) -> int | None:
    stored = JOBS.get(view, job)
    return stored.due_height if stored else None


def _run(state: Overlay, context: HookContext, job: bytes, number: int) -> None:
    """Count the run, then end as the job does: what was written before must vanish with a refusal or a bug."""
    stored = JOBS.get(state, job) or Job(0, 0, 0)
    JOBS.set(state, job, Job(0, stored.runs + 1, stored.fallbacks))
    if job[0] in (deeds.REFUSES, deeds.BREAKS_TWICE):
        raise Rejected(WorkshopCode.NOT_NOW, "this job refuses")
    if job[0] == deeds.BREAKS:
        raise LookupError("a bug in a job")


def _fall_back(state: Overlay, context: HookContext, job: bytes, number: int) -> None:
    stored = JOBS.get(state, job) or Job(0, 0, 0)
    JOBS.set(state, job, Job(0, stored.runs, stored.fallbacks + 1))
    if job[0] == deeds.BREAKS_TWICE:
        raise LookupError("a bug in a fallback")


def _take_draw(state: Overlay, context: HookContext, object_id: bytes, number: int) -> None:
    draw = beacon.take_draw(state, DRAW_KIND, object_id, number)
    DRAWN.set(state, object_id, Drawn(draw.value, draw.weak, context.height))


KINDS = {
    lane: DeadlineKind(
        number=number,
        name=f"job of lane {lane}",
        lane=lane,
        due_height=_due_height,
        handler=_run,
        fallback=_fall_back,
    )
    for lane, number in KIND_OF_LANE.items()
}
DRAW = DeadlineKind(
    number=DRAW_KIND,
    name="work that needs a draw",
    lane=DRAW_LANE,
    due_height=lambda view, object_id, number: beacon.drawn_height(view, DRAW_KIND, object_id, number),
    handler=_take_draw,
    fallback=_take_draw,
)


def perform(state: Overlay, context: HookContext, deed: Deed) -> None:
    """Do one deed on the chain; raises `Rejected` where its mechanism refuses it."""
    match deed:
        case deeds.Take(key, amount_nopen):
            locks.take(state, _lock(key), amount_nopen)
        case deeds.GiveBack(key, amount_nopen):
            locks.give_back(state, _lock(key), amount_nopen)
        case deeds.Pay(key, recipient, amount_nopen):
            locks.pay(state, _lock(key), recipient, amount_nopen)
        case deeds.Move(key, target, amount_nopen):
            locks.move(state, _lock(key), _lock(target), amount_nopen)
        case deeds.Release(key, amount_nopen, blocks, seconds):
            locks.leave(state, context.block, _lock(key), amount_nopen, blocks, seconds)
        case deeds.Slash(key, part_ppb, receivers):
            locks.slash(state, _lock(key), part_ppb, _receivers(receivers))
        case deeds.Fine(key, amount_nopen, receivers):
            locks.fine(state, _lock(key), amount_nopen, _receivers(receivers))
        case deeds.Schedule(lane, job, height):
            stored = JOBS.get(state, job) or Job(0, 0, 0)
            due_height = schedule(state, context.height, KINDS[lane], height, job)
            JOBS.set(state, job, Job(due_height, stored.runs, stored.fallbacks))
        case deeds.AskDraw(object_id, at_stake_nopen):
            beacon.request_draw(state, context.block, DRAW, object_id, 0, at_stake_nopen)
        case deeds.Admit(operator, power) if power:
            validators.set_admitted(state, context, operator, power)
        case deeds.Admit(operator, _):
            validators.remove(state, context, operator)


def _lock(key: Key) -> LockKey:
    return LockKey(*key)


def _receivers(receivers: Receivers) -> list[Receiver]:
    return [(_lock(who) if isinstance(who, tuple) else who, part_ppb) for who, part_ppb in receivers]


def _let_know(modules: tuple[Module, ...], tables: tuple[Table, ...]) -> None:
    """Let blocks and checks of this process know these modules and tables."""
    vars(block_module)["MODULES"] = modules
    registry.TABLES = tables
    block_module.codespace_of.cache_clear()


@dataclass
class Workshop:
    """The module, and the deeds of every height."""

    deeds: dict[int, list[Deed]] = field(default_factory=dict)

    def begin(self, state: Overlay, context: HookContext) -> None:
        """Do this height's deeds, each whole or not at all."""
        for deed in self.deeds.get(context.height, []):
            attempt = Overlay(state)
            try:
                perform(attempt, context, deed)
            except Rejected:
                continue
            attempt.merge_into(state)

    @contextmanager
    def registered(self) -> Iterator[None]:
        """Let chains of this process know the module for a while."""
        module = Module(
            name="workshop",
            tables=(JOBS, DRAWN),
            errors=WorkshopCode,
            begin_block=self.begin,
            deadlines=(*KINDS.values(), DRAW),
        )
        known_modules, known_tables = vars(block_module)["MODULES"], registry.TABLES
        others = tuple([each for each in known_modules if each.name != "workshop"])
        _let_know((*others, module), (*[each for each in known_tables if each not in (JOBS, DRAWN)], JOBS, DRAWN))
        try:
            yield
        finally:
            _let_know(known_modules, known_tables)
