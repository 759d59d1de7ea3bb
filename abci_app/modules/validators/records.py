"""Records, tables, codes and messages of the validators."""

from enum import IntEnum, IntFlag
from typing import Annotated, ClassVar

from msgspec import Meta, structs

from abci_app.errors import Rejected
from abci_app.hashing import sha256
from abci_app.mechanisms.locks import LockKey, Purpose
from abci_app.module import MAX_VALIDATOR_POWER, Event, Message
from abci_app.modules.members import NodeId
from abci_app.state.codec import Record
from abci_app.state.store import StateView
from abci_app.state.table import HASHED, Item, Map
from abci_app.types import U32, Bytes32, Height, Integer, Nopen, OptionalBytes32, words

# Hooks read the record of each in every block, and a commit grows by some 110 bytes a validator.
MAX_LISTED = 64
# As many as sign, as many again whose keys were rotated in the same epoch, and some that came or went.
MAX_DUTIES = 192
MAX_OWN_PEERS = 4
# CometBFT's address of a consensus key: the first 20 bytes of its SHA-256.
CONSENSUS_ADDRESS_BYTES = 20
# What CometBFT is told at height H signs from height H + 2 on.
SIGNS_AFTER_BLOCKS = 2

Power = Annotated[int, Meta(ge=0, le=MAX_VALIDATOR_POWER)]
ConsensusAddress = Annotated[bytes, Meta(min_length=CONSENSUS_ADDRESS_BYTES, max_length=CONSENSUS_ADDRESS_BYTES)]


class ValidatorStatus(IntEnum):
    """How a validator stands with the chain."""

    CANDIDATE = 1
    ACTIVE = 2
    JAILED = 3
    LEAVING = 4
    TOMBSTONED = 5
    LEFT = 6


class JailReason(IntEnum):
    """The fault for which a validator was jailed."""

    NONE = 0
    MISSED = 1
    SILENT = 2
    BOND = 3


class Capability(IntFlag):
    """Kinds of work that a validator offers beside blocks."""

    RE_EXECUTES = 1


ALL_CAPABILITIES = int(Capability.RE_EXECUTES)


# --- State


class ValidatorRecord(Record, frozen=True, array_like=True, tag=1, gc=False):
    """One validator. `live` is the power that CometBFT was last told, `admitted` what a proposal gave it.

    `retiring_key` is set only within the block that rotates the key, until the end hook has told CometBFT.
    """

    operator: Bytes32
    status: Annotated[int, words(ValidatorStatus)]
    consensus_key: Bytes32
    admitted: Power
    live: Power
    retiring_key: OptionalBytes32
    rotated_height: Height
    jailed_height: Height
    jailed_for: Annotated[int, words(JailReason)]
    # The height at which a jailed validator is removed; 0 while it is not jailed.
    removal_height: Height
    worker_key: OptionalBytes32
    box_key: OptionalBytes32
    capabilities: U32


class ValidatorList(Record, frozen=True, array_like=True, tag=1, gc=False):
    """The operators of all validators that have not left, in the order in which they came."""

    operators: Annotated[tuple[Bytes32, ...], Meta(max_length=MAX_LISTED)]


class KeyOwner(Record, frozen=True, array_like=True, tag=1, gc=False):
    """The operator that a consensus key belongs to, or belonged to when it was in use."""

    operator: Bytes32


class Turnover(Record, frozen=True, array_like=True, tag=1, gc=False):
    """How much power an epoch began with, and how much was lost and gained since."""

    epoch: Integer
    power_total: Integer
    lost: Integer
    gained: Integer


class Duty(Record, frozen=True, array_like=True, gc=False):
    """One consensus key's deeds of an epoch; `signed_power` adds up its power in the blocks that it signed."""

    address: ConsensusAddress
    signed_power: Integer
    missed: U32
    proposed: U32
    silent: U32


class Duties(Record, frozen=True, array_like=True, tag=1, gc=False):
    """The deeds of all keys that were in a commit of this epoch, by address."""

    duties: Annotated[tuple[Duty, ...], Meta(max_length=MAX_DUTIES)]


class OwnPeers(Record, frozen=True, array_like=True, tag=1, gc=False):
    """CometBFT nodes that may connect because they are a live validator's own."""

    operator: Bytes32
    node_ids: Annotated[tuple[NodeId, ...], Meta(max_length=MAX_OWN_PEERS)]


VALIDATORS = Map("validators/validator/", (HASHED,), ValidatorRecord)
LIST = Item("validators/list/", ValidatorList)
BY_KEY = Map("validators/by-key/", (HASHED,), KeyOwner)
TURNOVER = Item("validators/turnover/", Turnover)
DUTIES = Item("validators/duties/", Duties)
OWN_PEERS = Map("validators/own-peers/", (HASHED,), OwnPeers)
NO_DUTIES = Duties(())


def consensus_address(public_key: bytes) -> bytes:
    """CometBFT's 20-byte address of a consensus key."""
    return sha256(public_key)[:CONSENSUS_ADDRESS_BYTES]


def bond_key(operator: bytes) -> LockKey:
    """The lock that holds an operator's bond."""
    return LockKey(Purpose.VALIDATOR_BOND, bytes(32), operator)


def listed(view: StateView) -> tuple[bytes, ...]:
    """Operators of all validators that have not left."""
    found = LIST.get(view)
    return found.operators if found else ()


def all_listed(view: StateView) -> list[ValidatorRecord]:
    """Every validator that has not left, read one by one."""
    found = [VALIDATORS.get(view, operator) for operator in listed(view)]
    return [validator for validator in found if validator is not None]


def target_of(validator: ValidatorRecord) -> int:
    """The power that a validator should have: what it was admitted with while it is active, else none."""
    return validator.admitted if validator.status == ValidatorStatus.ACTIVE else 0


def out_of_jail(validator: ValidatorRecord, status: ValidatorStatus, admitted: int) -> ValidatorRecord:
    """The record under another status and admitted power, with nothing left of a time in jail."""
    return structs.replace(
        validator,
        status=int(status),
        admitted=admitted,
        jailed_height=0,
        jailed_for=int(JailReason.NONE),
        removal_height=0,
    )


# --- Codes


class ValidatorsCode(IntEnum):
    """Codes of the validators module."""

    NOT_A_MEMBER = 300
    ALREADY_VALIDATOR = 301
    KEY_IN_USE = 302
    BOND_TOO_LOW = 303
    LIST_FULL = 304
    NOT_A_VALIDATOR = 305
    TOMBSTONED = 306
    LEAVING = 307
    NOT_JAILED = 308
    STILL_JAILED = 309
    ROTATED_ALREADY = 310
    ROTATION_TOO_LARGE = 311
    ZERO_AMOUNT = 312
    UNKNOWN_CAPABILITY = 313
    WORKER_INCOMPLETE = 314
    PEER_TWICE = 315
    EXITS_PENDING = 316
    POWER_OUT_OF_RANGE = 317


# --- Messages


class Apply(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0301):
    """Member: become a candidate with a consensus key, the end of a chain of hashes, and a bond."""

    weight_each: ClassVar[int] = 45

    consensus_key: Bytes32
    onion: Bytes32
    bond_nopen: Nopen

    def maximum_spend_nopen(self) -> int:
        """The bond."""
        return self.bond_nopen

    def new_keys(self) -> tuple[bytes, ...]:
        """The consensus key: one that nobody can sign with would be power that never votes."""
        return (self.consensus_key,)


class AddBond(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0302):
    """Validator: add to the own bond."""

    weight_each: ClassVar[int] = 15

    amount_nopen: Nopen

    def validate(self) -> None:
        """The amount must be positive."""
        if not self.amount_nopen:
            raise Rejected(ValidatorsCode.ZERO_AMOUNT, "a bond grows by an amount above zero: give one")

    def maximum_spend_nopen(self) -> int:
        """The amount."""
        return self.amount_nopen


class Leave(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0303):
    """Validator: give up all power; when it is gone the bond leaves."""

    weight_each: ClassVar[int] = 10


class Unjail(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0304):
    """Jailed validator: come back."""

    weight_each: ClassVar[int] = 20


class RotateKey(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0305):
    """Validator: sign with another consensus key from the second block after this one on."""

    weight_each: ClassVar[int] = 40

    consensus_key: Bytes32

    def new_keys(self) -> tuple[bytes, ...]:
        """The consensus key."""
        return (self.consensus_key,)


class SetOnion(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0306):
    """Validator: reveal from a new chain of hashes, two epochs from now (the first one: at once)."""

    weight_each: ClassVar[int] = 20

    onion: Bytes32


class SetWorker(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0307):
    """Validator: work for claims with these keys, or with none any more when all is empty."""

    weight_each: ClassVar[int] = 15

    worker_key: OptionalBytes32
    box_key: OptionalBytes32
    capabilities: U32

    def validate(self) -> None:
        """Known capabilities, and both keys or neither of them."""
        if self.capabilities & ~ALL_CAPABILITIES:
            raise Rejected(
                ValidatorsCode.UNKNOWN_CAPABILITY,
                f"capabilities {self.capabilities} has unknown bits; all are {ALL_CAPABILITIES}",
            )
        sizes = {len(self.worker_key), len(self.box_key)}
        if sizes not in ({0}, {32}) or (self.capabilities and not self.worker_key):
            raise Rejected(
                ValidatorsCode.WORKER_INCOMPLETE,
                "a worker has a key and a box key of 32 bytes each: give both, or leave everything empty to stop",
            )

    def new_keys(self) -> tuple[bytes, ...]:
        """The worker's key."""
        return (self.worker_key,) if self.worker_key else ()


class SetOwnPeers(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0308):
    """Validator: name exactly these CometBFT nodes as the own ones, which may connect while it has power."""

    weight_each: ClassVar[int] = 10

    node_ids: Annotated[tuple[NodeId, ...], Meta(max_length=MAX_OWN_PEERS)]

    def validate(self) -> None:
        """Different nodes."""
        for index, node_id in enumerate(self.node_ids):
            if node_id in self.node_ids[:index]:
                raise Rejected(ValidatorsCode.PEER_TWICE, f"node {node_id} is named twice: name each node once")


# --- Events


class ValidatorChanged(Event, frozen=True, gc=False):
    """A validator's status changed; in words, and by what."""

    operator: bytes
    status: str
    why: str


class ValidatorSlashed(Event, frozen=True, gc=False):
    """A bond, and what was leaving of it, lost this much to the treasury."""

    operator: bytes
    why: str
    amount_nopen: int


class PowerChanged(Event, frozen=True, gc=False):
    """CometBFT was told another power of a validator; it holds from the second height after this one on."""

    operator: bytes
    consensus_key: bytes
    power: int


class KeyRotated(Event, frozen=True, gc=False):
    """A validator signs with another key from `signs_from` on."""

    operator: bytes
    consensus_key: bytes
    signs_from: int
