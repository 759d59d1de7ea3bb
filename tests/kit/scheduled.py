"""A module of tests: jobs that deadlines run, and hooks, both doing at each place what a test wants them to do.

It is registered with `register`, and everything then happens on the real way of a block.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import pytest

from abci_app.chain import block as block_module
from abci_app.chain.registry import MODULES
from abci_app.mechanisms.deadlines import schedule
from abci_app.module import DeadlineKind, Event, HookContext, Module
from abci_app.state.codec import Record
from abci_app.state.overlay import Overlay
from abci_app.state.store import StateView
from abci_app.state.table import ID, Map
from abci_app.types import Height, Integer

# Lane -> kind of the jobs in it.
KIND_OF_LANE = {0: 200, 1: 201, 2: 202}


class JobCode(IntEnum):
    """Codes of jobs."""

    NOT_NOW = 9000


class Job(Record, frozen=True, array_like=True, tag=1, gc=False):
    """One job: when it is due (0: no more), how often it ran and how often it fell back."""

    due_height: Height
    runs: Integer
    fallbacks: Integer


class JobDone(Event, frozen=True, gc=False):
    """A job ran."""

    job: bytes


JOBS = Map("jobs/job/", (ID,), Job)
# (state, context, job) or nothing: what happens at a place.
Deed = Callable[[Overlay, HookContext, bytes], None]


def job_id(number: int) -> bytes:
    """Id of a job."""
    return number.to_bytes(32, "big")


@dataclass
class Jobs:
    """The jobs that are scheduled in each block, and the deeds beside a job's own work at each place."""

    # Height -> (lane, number of the job, height for which it is scheduled).
    plan: dict[int, list[tuple[int, int, int]]] = field(default_factory=dict)
    # Place ("handler", "fallback", "due", "begin", "end", "epoch") -> deed.
    deeds: dict[str, Deed] = field(default_factory=dict)

    def do(self, place: str, state: Overlay, context: HookContext, job: bytes = b"") -> None:
        """Do the deed that a test wants at this place."""
        deed = self.deeds.get(place)
        if deed is not None:
            deed(state, context, job)

    def begin(self, state: Overlay, context: HookContext) -> None:
        """Schedule what the plan says."""
        for lane, number, height in self.plan.get(context.height, []):
            due = schedule(state, context.height, self.kinds[lane], height, job_id(number))
            JOBS.set(state, job_id(number), Job(due, 0, 0))
        self.do("begin", state, context)

    def end(self, state: Overlay, context: HookContext) -> None:
        """Nothing of its own."""
        self.do("end", state, context)

    def end_epoch(self, state: Overlay, context: HookContext) -> None:
        """Nothing of its own."""
        self.do("epoch", state, context)

    def due(self, state: StateView, job: bytes, number: int) -> int | None:
        """The job's own deadline."""
        self.do("due", state, HookContext(None), job)  # type: ignore[arg-type]
        stored = JOBS.get(state, job)
        return stored.due_height if stored else None

    def run(self, state: Overlay, context: HookContext, job: bytes, number: int) -> None:
        """Count the run; all work of the deed comes after the writes, which must then vanish."""
        stored = JOBS.get(state, job) or Job(0, 0, 0)
        JOBS.set(state, job, replace_job(stored, due_height=0, runs=stored.runs + 1))
        context.emit(JobDone(job))
        self.do("handler", state, context, job)

    def fall_back(self, state: Overlay, context: HookContext, job: bytes, number: int) -> None:
        """Count the fallback."""
        stored = JOBS.get(state, job) or Job(0, 0, 0)
        JOBS.set(state, job, replace_job(stored, due_height=0, fallbacks=stored.fallbacks + 1))
        self.do("fallback", state, context, job)

    @property
    def kinds(self) -> Mapping[int, DeadlineKind]:
        """One kind a lane."""
        return {
            lane: DeadlineKind(
                number=number,
                name=f"job of lane {lane}",
                lane=lane,
                due_height=self.due,
                handler=self.run,
                fallback=self.fall_back,
            )
            for lane, number in KIND_OF_LANE.items()
        }

    def register(self, monkeypatch: pytest.MonkeyPatch) -> "Jobs":
        """Let blocks know the module; returns itself."""
        module = Module(
            name="jobs",
            tables=(JOBS,),
            errors=JobCode,
            begin_block=self.begin,
            end_block=self.end,
            epoch_end=self.end_epoch,
            deadlines=tuple(self.kinds.values()),
        )
        known = [each for each in MODULES if each.name != "jobs"]
        monkeypatch.setattr(block_module, "MODULES", (*known, module))
        block_module.codespace_of.cache_clear()
        return self


def replace_job(job: Job, **changes: int) -> Job:
    """A job with other values."""
    fields = {name: getattr(job, name) for name in job.__struct_fields__}
    return Job(**{**fields, **changes})


def raises(error: BaseException, *jobs: int) -> Deed:
    """A deed that raises for these jobs, or for all."""

    def deed(state: Overlay, context: HookContext, job: bytes) -> None:
        if not jobs or job in [job_id(number) for number in jobs]:
            raise error

    return deed
