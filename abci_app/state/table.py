"""Typed tables: the only way rules touch state.

A table is declared once: a readable prefix ending in "/", fixed-width key parts, a value type. No full key is a
prefix of another, because every part has a fixed width and no prefix starts another (checked in the registry).
Parts a user can choose freely are hashed (`HASHED`), so that nobody can push a victim's leaf deep into the tree.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, Protocol, TypeVar

from msgspec import MsgspecError

from abci_app.errors import InvariantBroken
from abci_app.hashing import TAGS, tagged_hash
from abci_app.state.codec import decoder_of, encode
from abci_app.state.store import StateView

V = TypeVar("V")
MAX_KEY_BYTES = 127
# Index entries carry no value, but the tree refuses empty ones (cometbft.md 4.6): one byte, MessagePack's 1.
PRESENT = b"\x01"
# One transaction asks for its accounts' keys ten times; some 20 MiB remember those of the last blocks.
HASHED_PARTS_REMEMBERED = 65_536
_STATE_KEY_TAG = TAGS["state_key"]


@dataclass(frozen=True, slots=True)
class KeyPart:
    """One fixed-width part of a key: `size` bytes, encoded so that byte order is the order of the values."""

    size: int
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


def _fixed_bytes(size: int) -> KeyPart:
    def check(value: bytes) -> bytes:
        if len(value) != size:
            raise ValueError(f"key part has {len(value)} bytes, needs {size}")
        return value

    return KeyPart(size, check, bytes)


def _unsigned(size: int) -> KeyPart:
    return KeyPart(size, lambda value: int.to_bytes(value, size, "big"), lambda data: int.from_bytes(data, "big"))


@lru_cache(maxsize=HASHED_PARTS_REMEMBERED)
def hash_key_part(value: bytes | str) -> bytes:
    """H(state key tag, part): the key form of an address or a name."""
    return tagged_hash(_STATE_KEY_TAG, value.encode("ascii") if isinstance(value, str) else value)


ID = _fixed_bytes(32)
U8 = _unsigned(1)
U16 = _unsigned(2)
U32 = _unsigned(4)
U64 = _unsigned(8)
# Iteration gives back the hash, not the part: keep the part in the value where it is needed.
HASHED = KeyPart(32, hash_key_part, bytes)


class MutableState(StateView, Protocol):
    """A state view that can be written: what `execute` receives (the overlay implements it)."""

    def set(self, key: bytes, value: bytes) -> None:
        """Write one value; neither key nor value may be empty."""

    def delete(self, key: bytes) -> None:
        """Remove one key; removing an absent key changes nothing."""


class _Table:
    """Key building shared by the three kinds of table."""

    def __init__(self, prefix: str, parts: tuple[KeyPart, ...]) -> None:
        self.prefix = prefix.encode("ascii")
        self.parts = parts
        if not self.prefix.endswith(b"/") or self.prefix.startswith((b"x:", b"/")):
            raise ValueError(f"table prefix {prefix!r} must end in '/' and start with a word")
        if len(self.prefix) + sum(part.size for part in parts) > MAX_KEY_BYTES:
            raise ValueError(f"keys of table {prefix!r} are longer than {MAX_KEY_BYTES} bytes")

    def key(self, *values: Any) -> bytes:
        """Full key for all parts, or the common prefix of a range for the first few."""
        if len(values) == 1:
            return self.prefix + self.parts[0].encode(values[0])
        return self.prefix + b"".join(
            [part.encode(value) for part, value in zip(self.parts[: len(values)], values, strict=True)]
        )

    def split_key(self, key: bytes) -> tuple[Any, ...]:
        """The parts of a full key; hashed parts come back as their hash."""
        offset, values = len(self.prefix), []
        for part in self.parts:
            values.append(part.decode(key[offset : offset + part.size]))
            offset += part.size
        return tuple(values)

    def range(self, *values: Any) -> tuple[bytes, bytes]:
        """[start, end) of all keys that begin with these first parts."""
        start = self.key(*values)
        return start, _next_prefix(start)

    def _walk(
        self, view: StateView, values: tuple[Any, ...], after: tuple[Any, ...] | None, reverse: bool
    ) -> Iterator[tuple[bytes, bytes]]:
        start, end = self.range(*values)
        if after is not None and reverse:
            end = self.key(*after)
        elif after is not None:
            start = self.key(*after) + b"\x00"
        return view.iterate(start, end, reverse=reverse)


def _next_prefix(prefix: bytes) -> bytes:
    """The smallest byte string above every string that begins with `prefix` (a prefix never ends the key space)."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1])


def _readable(record: Any, decode: Callable[[bytes], Any]) -> bytes:
    """Bytes of a record; raises `InvariantBroken` for one that could not be read again.

    Encoding checks no limits. A number below zero would be written, and the next reader would fail in its place:
    a transaction of somebody else, or every block from then on.
    """
    try:
        data = encode(record)
        decode(data)
    except (MsgspecError, OverflowError) as error:
        raise InvariantBroken(f"a {type(record).__name__} that nobody could read again: {error}") from error
    return data


class Map(_Table, Generic[V]):
    """Table of records: fixed-width key parts -> one record."""

    def __init__(self, prefix: str, parts: tuple[KeyPart, ...], value_type: type[V]) -> None:
        super().__init__(prefix, parts)
        if not parts:
            raise ValueError(f"table {prefix!r} needs key parts; use Item for a single value")
        self.value_type = value_type
        self._decode = decoder_of(value_type).decode

    def get(self, view: StateView, *values: Any) -> V | None:
        """The record, or None."""
        data = view.get(self.key(*values))
        return None if data is None else self._decode(data)

    def decode_value(self, data: bytes) -> V:
        """A record out of a raw state value."""
        return self._decode(data)

    def has(self, view: StateView, *values: Any) -> bool:
        """Whether the record exists."""
        return view.get(self.key(*values)) is not None

    def set(self, state: MutableState, *values_then_record: Any) -> None:
        """Write a record: key parts, then the record."""
        *values, record = values_then_record
        state.set(self.key(*values), _readable(record, self._decode))

    def delete(self, state: MutableState, *values: Any) -> None:
        """Remove a record."""
        state.delete(self.key(*values))

    def iterate(
        self, view: StateView, *values: Any, after: tuple[Any, ...] | None = None, reverse: bool = False
    ) -> Iterator[tuple[tuple[Any, ...], V]]:
        """(key parts, record) of every key that begins with `values`, in key order, beyond `after` if given."""
        for key, data in self._walk(view, values, after, reverse):
            yield self.split_key(key), self._decode(data)


class Item(_Table, Generic[V]):
    """A single record. Its key is the prefix without the last slash plus "/value": never a prefix of another."""

    def __init__(self, prefix: str, value_type: type[V]) -> None:
        super().__init__(prefix, ())
        self.value_type = value_type
        self._key = self.prefix + b"value"
        self._decode = decoder_of(value_type).decode

    def key(self, *values: Any) -> bytes:
        """The one key of this item."""
        return self._key

    def get(self, view: StateView) -> V | None:
        """The record, or None before genesis wrote it."""
        data = view.get(self._key)
        return None if data is None else self._decode(data)

    def set(self, state: MutableState, record: V) -> None:
        """Write the record."""
        state.set(self._key, _readable(record, self._decode))


class Index(_Table):
    """A set of keys that points at records elsewhere; a range over it is complete and provable."""

    def add(self, state: MutableState, *values: Any) -> None:
        """Insert one entry."""
        state.set(self.key(*values), PRESENT)

    def remove(self, state: MutableState, *values: Any) -> None:
        """Remove one entry."""
        state.delete(self.key(*values))

    def has(self, view: StateView, *values: Any) -> bool:
        """Whether the entry exists."""
        return view.get(self.key(*values)) is not None

    def iterate(
        self, view: StateView, *values: Any, after: tuple[Any, ...] | None = None, reverse: bool = False
    ) -> Iterator[tuple[Any, ...]]:
        """Key parts of every entry that begins with `values`, in key order, beyond `after` if given."""
        for key, _ in self._walk(view, values, after, reverse):
            yield self.split_key(key)


Table = Map[Any] | Item[Any] | Index
