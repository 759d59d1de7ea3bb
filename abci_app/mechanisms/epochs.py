"""epochs: stretches of blocks in which powers, fees and spending are counted.

    epoch/value -> Epoch(number, start height, end height, treasury at the start, spent of it)

Rules:
- Genesis begins epoch 0. Each ends in the block of its end height, by a deadline of kind 1 in lane 0, after the block's
  transactions, which are the last of the old epoch. It lasts `epoch_blocks`, as they were when it began, and a block
  more for each in which lane 0 is behind.
- The tick first runs the `epoch_end` of each module, in the order of modules, while the old record still stands; then
  it writes the new record. Each of them runs protected (`hooks.py`): one that fails is listed as failing, costs its own
  writes, stops neither the others nor the epochs, and runs again at the next tick.
- `distribute` divides what an account holds: a part of it among at most 64 accounts in proportion to their weights, by
  largest remainder (ties by address), each through its payee; the rest, all of it where nobody has a weight, goes to
  the treasury. The parts sum to what was there.
- `note_spent` counts what governance pays out of the treasury in this epoch.
"""

from collections.abc import Sequence
from enum import IntEnum

from msgspec import structs

from abci_app.accounts import credit, debit, get_account
from abci_app.errors import InvariantBroken
from abci_app.integers.shares import largest_remainder
from abci_app.mechanisms.deadlines import ENTRIES, STUCK, schedule
from abci_app.mechanisms.hooks import run_hooks
from abci_app.mechanisms.payees import payee_of
from abci_app.module import (
    TREASURY_ACCOUNT,
    BlockContext,
    DeadlineKind,
    Event,
    GenesisContext,
    HookContext,
    Module,
    Query,
)
from abci_app.parameters import Parameter, PartUnit, Section, Unit
from abci_app.state.codec import Record
from abci_app.state.overlay import Overlay
from abci_app.state.store import StateView
from abci_app.state.table import Item, MutableState
from abci_app.types import ID_BYTES, PPB, Height, Integer, Nopen

EPOCHS = "epochs"
TICK_KIND = 1
TICK_LANE = 0
# All validators; so many credits, each to a payee, take a validator less than a millisecond.
MAX_PAYEES = 64
# There is one epoch: its deadline needs no object to tell it from others.
NO_OBJECT = bytes(ID_BYTES)

# Some eight hours of blocks of half a second.
EPOCH_BLOCKS = Parameter(
    section=EPOCHS,
    index=0,
    name="epoch_blocks",
    unit=Unit("blocks"),
    default=50_000,
    minimum=10,
    maximum=500_000,
    meaning="How many blocks an epoch lasts; a change acts from the next epoch on.",
)
FEES_TO_VALIDATORS = Parameter(
    section=EPOCHS,
    index=1,
    name="fees_to_validators_ppb",
    unit=PartUnit(),
    default=PPB // 2,
    minimum=0,
    maximum=PPB,
    meaning="Which part of all fees validators share at the end of an epoch; the rest goes to the treasury.",
)
PARAMETERS = Section(EPOCHS, (EPOCH_BLOCKS, FEES_TO_VALIDATORS))


class Epoch(Record, frozen=True, array_like=True, tag=1, gc=False):
    """The epoch that runs, through the block of `end_height`; the first begins with the chain's first block."""

    number: Integer
    start_height: Height
    end_height: Height
    treasury_start_nopen: Nopen
    spent_nopen: Nopen


EPOCH = Item("epoch/", Epoch)


class EpochsCode(IntEnum):
    """Codes of epochs: nothing that people send is refused here."""


class EpochBegan(Event, frozen=True, gc=False):
    """An epoch ended in this block, and the one of this number began."""

    number: int
    end_height: int


def current(view: StateView) -> Epoch:
    """The epoch that runs; raises `InvariantBroken` where genesis began none."""
    epoch = EPOCH.get(view)
    if epoch is None:
        raise InvariantBroken("no epoch has begun: this chain was not started by these rules")
    return epoch


def note_spent(state: MutableState, amount_nopen: int) -> None:
    """Count what the treasury paid in this epoch."""
    epoch = current(state)
    EPOCH.set(state, structs.replace(epoch, spent_nopen=epoch.spent_nopen + amount_nopen))


def distribute(state: MutableState, source: bytes, part_ppb: int, weights: Sequence[tuple[bytes, int]]) -> int:
    """Divide all that an account holds between these accounts and the treasury; returns what the accounts got.

    Their part is rounded down. Raises for too many accounts, for one that appears twice, and for a negative weight.
    """
    if len(weights) > MAX_PAYEES or not 0 <= part_ppb <= PPB:
        raise InvariantBroken(f"{part_ppb} parts per billion for {len(weights)} accounts, at most {MAX_PAYEES}")
    held_nopen = get_account(state, source).balance_nopen
    shared_nopen = held_nopen * part_ppb // PPB if any(weight for _, weight in weights) else 0
    parts = largest_remainder([weight for _, weight in weights], [address for address, _ in weights], shared_nopen)
    if not held_nopen:
        return 0
    debit(state, source, held_nopen)
    for (address, _), part_nopen in zip(weights, parts, strict=True):
        if part_nopen:
            credit(state, payee_of(state, address), part_nopen)
    if held_nopen > shared_nopen:
        credit(state, TREASURY_ACCOUNT, held_nopen - shared_nopen)
    return shared_nopen


# --- The tick


def begin(state: MutableState, block: BlockContext, number: int) -> Epoch:
    """Write the record of an epoch that begins with this block's end, and schedule its own end."""
    end_height = schedule(state, block.height, TICK, block.height + block.parameters[EPOCH_BLOCKS], NO_OBJECT, number)
    epoch = Epoch(
        number=number,
        start_height=block.height,
        end_height=end_height,
        treasury_start_nopen=get_account(state, TREASURY_ACCOUNT).balance_nopen,
        spent_nopen=0,
    )
    EPOCH.set(state, epoch)
    return epoch


def begin_first(state: MutableState, context: GenesisContext) -> None:
    """Begin epoch 0 with the chain."""
    begin(state, context.block, 0)


def due_height(view: StateView, _: bytes, number: int) -> int | None:
    """The height that the epoch of this number ends at, while it runs."""
    epoch = EPOCH.get(view)
    return epoch.end_height if epoch is not None and epoch.number == number else None


def tick(state: Overlay, context: HookContext, _: bytes, number: int) -> None:
    """End the epoch: what modules do at its end, then the next one's record."""
    run_hooks(state, context, context.machinery.epoch_ends)
    begun = begin(state, context.block, number + 1)
    context.emit(EpochBegan(begun.number, begun.end_height))


def begin_next(state: Overlay, context: HookContext, _: bytes, number: int) -> None:
    """Take the fallback: the next epoch begins in any case."""
    begin(state, context.block, number + 1)


TICK = DeadlineKind(
    number=TICK_KIND,
    name="epoch tick",
    lane=TICK_LANE,
    due_height=due_height,
    handler=tick,
    fallback=begin_next,
)


# --- Questions and invariants


class EpochQuery(Record, frozen=True, array_like=True, tag=1, gc=False):
    """No arguments."""


def query_current(view: StateView, args: EpochQuery) -> Epoch:
    """The epoch that runs: its number, its heights, the treasury at its start and what was spent of it."""
    return current(view)


def the_epoch_will_end(view: StateView) -> list[str]:
    """Find exactly one tick of the running epoch: it waits for its height, or was put aside as stuck."""
    epoch = EPOCH.get(view)
    if epoch is None:
        return ["no epoch has begun"]
    waiting = [(height, deadline) for (_, height, _), deadline in ENTRIES.iterate(view, TICK_LANE)]
    waiting += [(stuck.due_height, stuck.deadline) for _, stuck in STUCK.iterate(view)]
    heights = [height for height, each in waiting if (each.kind, each.number) == (TICK_KIND, epoch.number)]
    if heights == [epoch.end_height]:
        return []
    return [f"epoch {epoch.number} ends at height {epoch.end_height}, its ticks wait for {heights}"]


def the_epoch_is_in_order(view: StateView) -> list[str]:
    """Check that an epoch ends after its start."""
    epoch = EPOCH.get(view)
    if epoch is None or epoch.start_height < epoch.end_height:
        return []
    return [f"epoch {epoch.number} starts at height {epoch.start_height} and ends at {epoch.end_height}"]


MODULE = Module(
    name=EPOCHS,
    tables=(EPOCH,),
    errors=EpochsCode,
    events=(EpochBegan,),
    queries=(Query("current", EpochQuery, Epoch, query_current, "the epoch that runs"),),
    parameters=(PARAMETERS,),
    at_genesis=begin_first,
    deadlines=(TICK,),
    invariants=(the_epoch_will_end, the_epoch_is_in_order),
)
