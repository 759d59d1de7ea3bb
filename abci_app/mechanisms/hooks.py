"""Hooks of modules at the beginning and end of blocks and at the end of epochs, protected: one that fails costs its own
writes and nothing else.

    hooks/failing/ | H(module.phase) -> FailingHook(name, since_height, failures)

A hook that raised is tried again in the next block, or at the end of the next epoch: what it stumbled over may be gone.
While it fails it is listed.
"""

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta, Struct

from abci_app.mechanisms.protection import alarm, run_protected
from abci_app.module import Event, Hook, HookContext
from abci_app.state.codec import Record
from abci_app.state.overlay import Overlay
from abci_app.state.store import StateView
from abci_app.state.table import HASHED, Map, MutableState
from abci_app.types import Height, Integer

# "<module>.begin_block": module names are short words.
MAX_HOOK_NAME_LENGTH = 64
HookName = Annotated[str, Meta(max_length=MAX_HOOK_NAME_LENGTH, pattern=r"\A[a-z_.]+\Z")]


class FailingHook(Record, frozen=True, array_like=True, tag=1, gc=False):
    """A hook that raised in the last block, since when without a success between, and how often."""

    name: HookName
    since_height: Height
    failures: Integer


FAILING = Map("hooks/failing/", (HASHED,), FailingHook)


class HookRefused(Event, frozen=True, gc=False):
    """A hook ended with an expected refusal: nothing of it stays."""

    hook: str
    code: int


class HookFailed(Event, frozen=True, gc=False):
    """A bug in a hook: nothing of it stays, it is listed as failing."""

    hook: str


def run_hooks(state: Overlay, context: HookContext, hooks: Iterable[tuple[str, Hook | None]]) -> None:
    """Run the hooks of one phase, named `<module>.<phase>`, in order."""
    for name, hook in hooks:
        if hook is None:
            continue
        outcome = run_protected(state, context, hook)
        if outcome.bug is not None:
            context.emit(HookFailed(name))
            list_as_failing(state, context, name, outcome.bug)
            continue
        list_as_working(state, name)
        if outcome.refusal is not None:
            context.emit(HookRefused(name, int(outcome.refusal.code)))


def list_as_failing(state: MutableState, context: HookContext, name: str, bug: Exception) -> None:
    """Let state and operators say that this failed again; it was put aside."""
    known = FAILING.get(state, name)
    since_height, failures = (known.since_height, known.failures + 1) if known else (context.height, 1)
    FAILING.set(state, name, FailingHook(name, since_height, failures))
    if failures & (failures - 1) == 0:  # at the first failure, the second, the fourth: a log is read by people
        alarm(context, f"hook {name}", bug)


def list_as_working(state: MutableState, name: str) -> None:
    """Take what succeeded off the list."""
    if FAILING.has(state, name):
        FAILING.delete(state, name)


class FailingHooksQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """No arguments."""


class FailingHooksView(Struct, frozen=True):
    """All hooks that fail, complete."""

    hooks: tuple[FailingHook, ...]


def query_failing(view: StateView, args: FailingHooksQuery) -> FailingHooksView:
    """Hooks that raised in the last block: bugs that were put aside."""
    return FailingHooksView(tuple([hook for _, hook in FAILING.iterate(view)]))
