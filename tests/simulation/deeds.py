"""Deeds: what rules of later modules will do with locks, deadlines, draws and validators, as plain data.

The workshop (`workshop.py`) does them on the chain, the book (`book/`) in plain dictionaries.
"""

from dataclasses import dataclass

# (purpose, object id, owner), as `locks.LockKey` has them.
Key = tuple[int, bytes, bytes]
# (account or lock, parts per billion)
Receivers = tuple[tuple[bytes | Key, int], ...]


@dataclass(frozen=True, slots=True)
class Take:
    """Lock an amount of the owner's balance."""

    key: Key
    amount_nopen: int


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Return a locked amount to the owner."""

    key: Key
    amount_nopen: int


@dataclass(frozen=True, slots=True)
class Pay:
    """Pay a locked amount to somebody."""

    key: Key
    recipient: bytes
    amount_nopen: int


@dataclass(frozen=True, slots=True)
class Move:
    """Move a locked amount into another lock."""

    key: Key
    target: Key
    amount_nopen: int


@dataclass(frozen=True, slots=True)
class Release:
    """Let a locked amount leave."""

    key: Key
    amount_nopen: int
    blocks: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Slash:
    """Take a part of a lock and of each part of it that is leaving."""

    key: Key
    part_ppb: int
    receivers: Receivers


@dataclass(frozen=True, slots=True)
class Fine:
    """Take an amount of a lock, as far as there is."""

    key: Key
    amount_nopen: int
    receivers: Receivers


@dataclass(frozen=True, slots=True)
class Schedule:
    """Let a job be due at a height; an entry that it had before is stale."""

    lane: int
    job: bytes
    height: int


@dataclass(frozen=True, slots=True)
class AskDraw:
    """Ask for a draw that decides about an amount."""

    object_id: bytes
    at_stake_nopen: int


@dataclass(frozen=True, slots=True)
class Admit:
    """Give a validator a power, as a proposal does; 0 removes it."""

    operator: bytes
    power: int


Deed = Take | GiveBack | Pay | Move | Release | Slash | Fine | Schedule | AskDraw | Admit


# How a job ends, by the first byte of its id.
WORKS, REFUSES, BREAKS, BREAKS_TWICE = range(4)


def job_id(ending: int, serial: int) -> bytes:
    """The id of a job that ends in this way."""
    return bytes([ending]) + serial.to_bytes(31, "big")
