"""The parts of a module of the state machine: messages, events, queries, genesis and invariants.

Two phases only: `message.validate()` sees no state, `execute` sees state. Checks stand beside the writes that they
protect. A handler raises `Rejected` for an expected failure; anything else it raises is a bug and halts the node.

What acts by itself, hooks and deadlines, answers to nobody who could be refused: a bug there is put aside and reported,
and the chain goes on (`mechanisms/protection.py`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, ClassVar

import msgspec

from abci_app.errors import InvariantBroken
from abci_app.hashing import TAGS, tagged_hash
from abci_app.parameters import Parameters, Section
from abci_app.state.codec import Record, encode
from abci_app.state.overlay import Overlay
from abci_app.state.store import StateView
from abci_app.state.table import MutableState, Table
from abci_app.types import Address
from abci_app.versions import NEWEST_APP_VERSION

# How each module account begins: the address of a policy is a hash, and to find one that begins so takes 2^96 tries.
MODULE_ACCOUNT_MARK = bytes(12)
# An Ed25519 public key.
CONSENSUS_KEY_BYTES = 32
# As node/genesis.py has them; evidence of one MiB must fit into a block, and CometBFT takes 100 MiB at most.
MIN_BLOCK_BYTES, MAX_BLOCK_BYTES = 2**20, 100 * 2**20
# CometBFT wants the total below 2^63/8; 100 validators of this power are far below.
MAX_VALIDATOR_POWER = 10**12


class Message(Record, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Base of all messages; subclasses give `tag=<u16 type tag>` out of their module's range."""

    # Units of 10 us for each item, at the dearest: every message class states its own (`benchmarks/messages`).
    weight_each: ClassVar[int] = 0

    def validate(self) -> None:
        """Check everything that needs no state; raises `Rejected`."""

    def maximum_spend_nopen(self) -> int:
        """The most that this message can take from the sender's balance (fee not counted): bounds pending spends."""
        return 0

    def new_keys(self) -> tuple[bytes, ...]:
        """Public keys that this message lets act: checked as points of the curve once the sender can pay."""
        return ()

    def list_items(self) -> int:
        """How often weight and surcharge are due: a message that carries a list counts its items."""
        return 1

    def weight(self) -> int:
        """Units of work that it asks of every validator, at its dearest (chain/weight.py)."""
        return self.weight_each * self.list_items()


class Event(msgspec.Struct, frozen=True, gc=False):
    """Base of typed events. bytes fields become indexed lower-case hex attributes, the others plain text."""


@dataclass(frozen=True, slots=True)
class LastCommitVote:
    """One validator's part in a commit; `signed`: its signature is for that block, not for none or missing."""

    address: bytes
    power: int
    signed: bool


@dataclass(frozen=True, slots=True)
class LastCommit:
    """The commit of the block before, as this block's proposer has it; the first block has none."""

    round: int = 0
    votes: tuple[LastCommitVote, ...] = ()


@dataclass(frozen=True, slots=True)
class Misbehaviour:
    """Evidence that CometBFT checked: its kind (1 duplicate vote, 2 light-client attack), who, and when."""

    kind: int
    address: bytes
    height: int
    time_seconds: int


@dataclass(frozen=True, slots=True)
class BlockContext:
    """Facts that a rule may know about the executed block. Results of equal contexts and transactions are equal."""

    chain_id: str
    height: int
    time_seconds: int
    # As the block before left them.
    parameters: Parameters
    app_version: int = NEWEST_APP_VERSION
    # Address of the validator that proposed it; empty where no block is proposed yet (CheckTx, dry run, genesis).
    proposer: bytes = b""
    last_commit: LastCommit = LastCommit()
    misbehaviour: tuple[Misbehaviour, ...] = ()


@dataclass(frozen=True, slots=True)
class ConsensusUpdate:
    """Changes to CometBFT's own parameters from the next height on; 0 leaves a value as it is.

    CometBFT stops for good at values that it does not take, so none can be made.
    """

    max_block_bytes: int = 0
    app_version: int = 0

    def __post_init__(self) -> None:
        if type(self.max_block_bytes) is not int or type(self.app_version) is not int:
            raise InvariantBroken(f"{self} holds something else than integers")
        if self.max_block_bytes and not MIN_BLOCK_BYTES <= self.max_block_bytes <= MAX_BLOCK_BYTES:
            raise InvariantBroken(f"blocks of {self.max_block_bytes} bytes: {MIN_BLOCK_BYTES} to {MAX_BLOCK_BYTES}")


@dataclass(frozen=True, slots=True)
class Alarm:
    """A bug that was put aside: what operators must hear of, with the exception for their log."""

    text: str
    error: Exception


def _check_event(event: Event) -> None:
    """Raises for what is no event, and for values that are no text, bytes or integers of 64 bits."""
    if not isinstance(event, Event):
        raise InvariantBroken(f"{type(event).__name__} is no event")
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if type(value) is str:
            value.encode("utf-8")
        elif not (type(value) is bytes or (isinstance(value, int) and abs(value) < 2**64)):
            raise InvariantBroken(f"field {name} of event {type(event).__name__} is no text, bytes or integer")


def _check_power(public_key: bytes, power: int) -> None:
    """Raises for a validator update that CometBFT would not take."""
    is_key = type(public_key) is bytes and len(public_key) == CONSENSUS_KEY_BYTES
    if not is_key or type(power) is not int or not 0 <= power <= MAX_VALIDATOR_POWER:
        raise InvariantBroken(f"validator update of key {public_key!r} to power {power!r} is not one")


@dataclass(slots=True)
class HookContext:
    """Values that a hook or a deadline's handler receives beside the state, and hands out beside its writes."""

    block: BlockContext
    events: list[Event] = field(default_factory=list)
    # Consensus key -> power at the next heights (0 removes the validator).
    powers: dict[bytes, int] = field(default_factory=dict)
    consensus: ConsensusUpdate | None = None
    alarms: list[Alarm] = field(default_factory=list)
    # For the mechanisms that run what modules declare.
    machinery: "Machinery" = field(default_factory=lambda: NO_MACHINERY)

    @property
    def height(self) -> int:
        """Height of the block being executed."""
        return self.block.height

    def emit(self, event: Event) -> None:
        """Append an event of the block."""
        _check_event(event)
        self.events.append(event)

    def set_power(self, public_key: bytes, power: int) -> None:
        """Tell CometBFT that this validator key has this power from the height after the next on."""
        _check_power(public_key, power)
        self.powers[public_key] = power

    def check(self) -> None:
        """Raises for anything in here that the answer to CometBFT could not hold, however it came in.

        The version follows from the state alone (`versions.py`), so no hook hands one out.
        """
        for event in self.events:
            _check_event(event)
        for public_key, power in self.powers.items():
            _check_power(public_key, power)
        if self.consensus is not None and (type(self.consensus) is not ConsensusUpdate or self.consensus.app_version):
            raise InvariantBroken(f"{self.consensus!r} is no update that a hook may hand out")
        if any(type(alarm) is not Alarm for alarm in self.alarms):
            raise InvariantBroken("among the alarms is something else")

    def merge_into(self, parent: "HookContext") -> None:
        """Hand everything to the context around this one."""
        parent.events.extend(self.events)
        parent.powers.update(self.powers)
        parent.consensus = self.consensus or parent.consensus
        parent.alarms.extend(self.alarms)


@dataclass(slots=True)
class Context:
    """Values that a handler receives beside its message: the transaction's overlay and who sent it when."""

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
# Begin and end hooks write to their own overlay; it counts whole or not at all.
Hook = Callable[[Overlay, HookContext], None]


@dataclass(frozen=True, slots=True)
class DeadlineKind:
    """One kind of scheduled work (`mechanisms/deadlines.py`): who is asked whether it is still due, and who does it."""

    number: int
    name: str
    lane: int
    # (state, object, number) -> the height that the object itself waits for; None: it waits for nothing.
    due_height: Callable[[StateView, bytes, int], int | None]
    # (state, context, object, number); `Rejected` is an expected end, then `fallback` follows, which only writes.
    handler: Callable[[Overlay, HookContext, bytes, int], None]
    fallback: Callable[[Overlay, HookContext, bytes, int], None]


@dataclass(frozen=True, slots=True)
class Revealers:
    """Facts about who reveals for the beacon (`mechanisms/beacon`), from the module that knows the proposers."""

    # Consensus address, 20 bytes -> the account, 32 bytes, that it belongs or belonged to; None: nobody's.
    owner_of: Callable[[StateView, bytes], bytes | None]
    # The owner's bond, of which a fine is at most a part.
    bond_nopen: Callable[[StateView, bytes], int]
    # (state, context, owner, nopen): takes a fine, not above the bond, from the owner's bond to the treasury.
    fine: Callable[[Overlay, HookContext, bytes, int], None]


# Of a chain on which no module says who proposes: nobody reveals.
NOBODY = Revealers(
    owner_of=lambda view, address: None,
    bond_nopen=lambda view, owner: 0,
    fine=lambda state, context, owner, nopen: None,
)


@dataclass(frozen=True, slots=True)
class Machinery:
    """The things that modules declare and a deadline runs from inside: mechanisms run them and know no module."""

    kinds: Mapping[int, DeadlineKind] = field(default_factory=dict)
    revealers: Revealers = NOBODY
    # (`<module>.epoch_end`, the hook), in the order of modules.
    epoch_ends: tuple[tuple[str, Hook | None], ...] = ()


NO_MACHINERY: Machinery = Machinery()


@dataclass(frozen=True, slots=True)
class Query:
    """A pure question: `function(view, args) -> result`, answered with a proof of everything that it read.

    `args_type` and `result_type` are `Record`s or msgspec Structs; clients re-run `function` on the proven state.

    Rules change with the version that the state names: `later` has what asks the same from a later version on, with
    other arguments, another result or another function. The first one stays, for the proofs of its time.
    """

    name: str
    args_type: type[Any]
    result_type: Any
    function: Callable[[StateView, Any], Any]
    help: str = ""
    later: Mapping[int, "Query"] = field(default_factory=dict)

    def at(self, app_version: int) -> "Query":
        """This query as the rules of a version have it."""
        since = max([version for version in self.later if version <= app_version], default=0)
        return self.later[since] if since else self


@dataclass(frozen=True, slots=True)
class GenesisContext:
    """The facts that a module's genesis may know: the block that InitChain stands for, and who validates it."""

    block: BlockContext
    # (consensus key, power) as InitChain names them, in key order.
    validators: tuple[tuple[bytes, int], ...] = ()


@dataclass(frozen=True, slots=True)
class GenesisSection:
    """One section of the genesis document's `app_state`, which belongs to one module."""

    name: str
    type: Any
    default: Any
    # Raises `GenesisError` for what can be seen without a state; runs whenever a document is read.
    check: Callable[[Any], None]
    # Writes what the section says, also when it is the default; raises `GenesisError`.
    write: Callable[[MutableState, Any, GenesisContext], None]


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
    genesis: tuple[GenesisSection, ...] = ()
    # Writes what the chain starts with beside the sections, after all of them.
    at_genesis: Callable[[MutableState, GenesisContext], None] | None = None
    begin_block: Hook | None = None
    end_block: Hook | None = None
    # Runs in the last block of an epoch (`mechanisms/epochs.py`), while the epoch's record still stands.
    epoch_end: Hook | None = None
    deadlines: tuple[DeadlineKind, ...] = ()
    # At most one module has them.
    revealers: Revealers | None = None
    # Message types that came after version 2 of the rules, with the version that brought them.
    since: Mapping[type[Message], int] = field(default_factory=dict)
    # Each returns one line for everything that is wrong; run by simulation and `node check`, never per block.
    invariants: tuple[Callable[[StateView], list[str]], ...] = ()


def snake_case(name: str) -> str:
    """`RunRecorded` -> `run_recorded`."""
    return "".join([f"_{letter.lower()}" if letter.isupper() else letter for letter in name]).lstrip("_")


def module_account(name: str) -> Address:
    """Address of an account that belongs to a module: no key can ever sign for it, and everybody can tell it."""
    digest = tagged_hash(TAGS["module_account"], name.encode("ascii"))
    return Address(MODULE_ACCOUNT_MARK + digest[len(MODULE_ACCOUNT_MARK) :])


# What transactions pay for their places, until an epoch ends; what nobody was given, and what fines and fees leave.
FEES_ACCOUNT = module_account("fees")
TREASURY_ACCOUNT = module_account("treasury")


def is_module_account(address: bytes) -> bool:
    """Whether an address is a module's, also of a module that is yet to come."""
    return address.startswith(MODULE_ACCOUNT_MARK)
