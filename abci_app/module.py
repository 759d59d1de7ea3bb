"""What a module of the state machine is made of: messages, events, queries, genesis and invariants.

Two phases only: `message.validate()` sees no state, `execute` sees state. Checks stand beside the writes that they
protect. A handler raises `Rejected` for an expected failure; anything else it raises is a bug and halts the node.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import msgspec

from abci_app.hashing import TAGS, tagged_hash
from abci_app.parameters import Parameters, Section
from abci_app.state.codec import Record, encode
from abci_app.state.overlay import Overlay
from abci_app.state.store import StateView
from abci_app.state.table import MutableState, Table
from abci_app.types import Address


class Message(Record, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Base of all messages; subclasses give `tag=<u16 type tag>` out of their module's range."""

    def validate(self) -> None:
        """Check everything that needs no state; raises `Rejected`."""

    def maximum_spend_nopen(self) -> int:
        """The most that this message can take from the sender's balance (fee not counted): bounds pending spends."""
        return 0

    def new_keys(self) -> tuple[bytes, ...]:
        """Public keys that this message lets act: checked as points of the curve once the sender can pay."""
        return ()

    def fee_units(self) -> int:
        """How often the message fee is due: a message that carries a list counts its items."""
        return 1


class Event(msgspec.Struct, frozen=True, gc=False):
    """Base of typed events. bytes fields become indexed lower-case hex attributes, the others plain text."""


@dataclass(slots=True)
class BlockContext:
    """What a rule may know about the block being executed."""

    chain_id: str
    height: int
    time_seconds: int
    # As the block before left them.
    parameters: Parameters


@dataclass(slots=True)
class Context:
    """What a handler receives beside its message: the transaction's overlay and who sent it when."""

    state: Overlay
    block: BlockContext
    sender: Address
    sequence: int
    message_index: int = 0
    events: list[Event] = field(default_factory=list)
    # Accounts beside the sender that this transaction touches; they can find it in their history.
    involved: list[Address] = field(default_factory=list)

    @property
    def height(self) -> int:
        """Height of the block being executed."""
        return self.block.height

    @property
    def time_seconds(self) -> int:
        """Header time in whole Unix seconds."""
        return self.block.time_seconds

    def emit(self, event: Event) -> None:
        """Append a typed event. Budget: at most one a message (each costs about 20 us of a node's block time)."""
        self.events.append(event)

    def new_id(self, kind: str) -> bytes:
        """Id of an object created by this message: H('openledger/<kind>-id/v1', [chain, sender, sequence, index])."""
        place = encode((self.block.chain_id, self.sender, self.sequence, self.message_index))
        return tagged_hash(TAGS[f"{kind}_id"], place)


Handler = Callable[[Context, Any], None]


@dataclass(frozen=True, slots=True)
class Query:
    """A pure question: `function(view, args) -> result`, answered with a proof of everything that it read.

    `args_type` and `result_type` are `Record`s or msgspec Structs; clients re-run `function` on the proven state.
    """

    name: str
    args_type: type[Any]
    result_type: Any
    function: Callable[[StateView, Any], Any]
    help: str = ""


@dataclass(frozen=True, slots=True)
class Module:
    """The explicit table of a module's parts; `registry.MODULES` lists them in execution order."""

    name: str
    tables: tuple[Table, ...]
    errors: type[IntEnum]
    messages: Mapping[type[Message], Handler] = field(default_factory=dict)
    events: tuple[type[Event], ...] = ()
    queries: tuple[Query, ...] = ()
    parameters: tuple[Section, ...] = ()
    # Prefix of ids -> look-up of a name that people give to such objects; raises `Rejected` where there is none.
    names: Mapping[str, Callable[[StateView, str], bytes]] = field(default_factory=dict)
    # (state, section of the genesis document, block context of height `initial_height`)
    genesis: Callable[[MutableState, Any, BlockContext], None] | None = None
    begin_block: Callable[[Overlay, BlockContext], None] | None = None
    end_block: Callable[[Overlay, BlockContext], None] | None = None
    # Each returns one line for everything that is wrong; run by simulation and `node check`, never per block.
    invariants: tuple[Callable[[StateView], list[str]], ...] = ()


def snake_case(name: str) -> str:
    """`RunRecorded` -> `run_recorded`."""
    return "".join([f"_{letter.lower()}" if letter.isupper() else letter for letter in name]).lstrip("_")


def module_account(name: str) -> Address:
    """Address of an account that belongs to a module: no key can ever sign for it."""
    return Address(tagged_hash(TAGS["module_account"], name.encode("ascii")))
