"""deadlines: the mechanisms' tables and queries, as a module of the registry. It has no messages."""

from typing import Annotated

from msgspec import Meta, Struct

from abci_app.mechanisms.deadlines import (
    BUDGETS,
    COUNTS,
    CURSORS,
    ENTRIES,
    STUCK,
    STUCK_COUNT,
    Deadline,
    DeadlineRefused,
    DeadlinesCode,
    DeadlineStuck,
    Stuck,
)
from abci_app.mechanisms.hooks import (
    FAILING,
    FailingHooksQuery,
    FailingHooksView,
    HookFailed,
    HookRefused,
    query_failing,
)
from abci_app.module import Module, Query
from abci_app.state.codec import Record
from abci_app.state.store import StateView
from abci_app.types import Height, Integer

# One page of a listing.
MAX_PAGE = 200
Limit = Annotated[int, Meta(ge=1, le=MAX_PAGE)]
Lane = Annotated[int, Meta(ge=0, le=max(BUDGETS))]


class StuckQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """One page of what was put aside, after number `after_number` (0 = from the start)."""

    after_number: Integer
    limit: Limit


class StuckPage(Struct, frozen=True):
    """One page; `next_number` is 0 on the last one."""

    stuck: tuple[Stuck, ...]
    next_number: int


class DueQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Ask which work a lane will run at a height."""

    lane: Lane
    height: Height


class DueView(Struct, frozen=True):
    """Entries of one height in their order, complete; `next_height` and `next_index`: where a backlog goes on, or 0."""

    deadlines: tuple[Deadline, ...]
    next_height: int
    next_index: int


def query_stuck(view: StateView, args: StuckQuery) -> StuckPage:
    """Deadlines that met a bug and were put aside, oldest first."""
    page: list[Stuck] = []
    after = (args.after_number,) if args.after_number else None
    for _, stuck in STUCK.iterate(view, after=after):
        if len(page) == args.limit:
            return StuckPage(tuple(page), page[-1].number)
        page.append(stuck)
    return StuckPage(tuple(page), 0)


def query_due(view: StateView, args: DueQuery) -> DueView:
    """List the work that waits for a height in a lane, and say how far the lane is behind."""
    cursor = CURSORS.get(view, args.lane)
    waiting = tuple([deadline for _, deadline in ENTRIES.iterate(view, args.lane, args.height)])
    return DueView(waiting, cursor.height if cursor else 0, cursor.index if cursor else 0)


def entries_are_counted(view: StateView) -> list[str]:
    """Each entry is below the count of its height, and each count belongs to entries that wait."""
    waiting: dict[tuple[int, int], list[int]] = {}
    for (lane, height, index), _ in ENTRIES.iterate(view):
        waiting.setdefault((lane, height), []).append(index)
    counts = {(lane, height): count.count for (lane, height), count in COUNTS.iterate(view)}
    faults = []
    for place in sorted({**waiting, **counts}):
        indices, count = waiting.get(place, []), counts.get(place, 0)
        if indices != list(range(count - len(indices), count)):
            faults.append(f"lane {place[0]} at height {place[1]} counts {count} deadlines, holds {indices}")
    return faults


MODULE = Module(
    name="deadlines",
    tables=(ENTRIES, COUNTS, CURSORS, STUCK, STUCK_COUNT, FAILING),
    errors=DeadlinesCode,
    events=(DeadlineRefused, DeadlineStuck, HookRefused, HookFailed),
    queries=(
        Query("stuck", StuckQuery, StuckPage, query_stuck, "scheduled work that met a bug, paged"),
        Query("due", DueQuery, DueView, query_due, "scheduled work of a height"),
        Query("failing", FailingHooksQuery, FailingHooksView, query_failing, "hooks that met a bug"),
    ),
    invariants=(entries_are_counted,),
)
