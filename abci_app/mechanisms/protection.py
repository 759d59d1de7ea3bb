"""How what acts by itself is run: each hook and each deadline in its own overlay, whole or not at all.

A transaction that fails has a sender who hears of it. A hook has nobody: were its refusal or its bug to leave the
block, every validator would stop at that height, and again after every restart. So:

- `Rejected`: nothing of it stays; the caller says so in an event and takes the fallback, if there is one.
- a bug (any other exception): nothing of it stays; it is put aside in the state, where a query lists it, and operators
  are alarmed. Every node does this alike, because the exception follows from state and block alone.
- errors of the machine (memory, recursion, storage, operating system) differ between nodes: they halt this one.
"""

from collections.abc import Callable
from dataclasses import dataclass

from abci_app.errors import MACHINE_ERRORS, Rejected
from abci_app.module import Alarm, HookContext
from abci_app.state.overlay import Overlay
from abci_app.state.staging import check_changes

Action = Callable[[Overlay, HookContext], None]


@dataclass(frozen=True, slots=True)
class ActionOutcome:
    """Outcome of one action: where no field is set, the action counts."""

    refusal: Rejected | None = None
    bug: Exception | None = None

    @property
    def counts(self) -> bool:
        """Whether its writes and events are part of the block."""
        return self.refusal is None and self.bug is None


def run_protected(state: Overlay, context: HookContext, action: Action) -> ActionOutcome:
    """Run one action; its writes, events and updates reach `state` and `context` only if it ends without exception."""
    scratch, inner = Overlay(state), HookContext(context.block, machinery=context.machinery)
    try:
        action(scratch, inner)
        # What no tree and no answer may hold would stop the block later, where nobody could be asked any more.
        check_changes(scratch.changes())
        inner.check()
    except Rejected as refusal:
        return ActionOutcome(refusal=refusal)
    except MACHINE_ERRORS:
        raise
    except Exception as bug:  # determinism: follows from state and block alone; put aside, the same on every node
        return ActionOutcome(bug=bug)
    scratch.merge_into(state)
    inner.merge_into(context)
    return ActionOutcome()


def alarm(context: HookContext, what: str, bug: Exception) -> None:
    """Let operators of every node know that `what` was put aside."""
    text = f"{what} at height {context.height} raised {type(bug).__name__}: put aside; report it to the developers"
    context.alarms.append(Alarm(text, bug))
