"""Keys and records of the state store.

    f                                   format of this store
    s                                   the last commit (`_Commit`)
    h height                            one kept height (`_Commit`)
    k key                               latest value
    o key' 00 01 height                 value of the key before this height's block: 00 absent, 01 value
    p number                            one page of the tree, then CRC-32 over it and its number
    r                                   height of the snapshot that the state began with, if it did
    u height                            what the block of this height superseded (pages) and changed (keys)

Integers are big-endian with 8 bytes; key' doubles every 00 as 00 ff, so that byte order stays the order of keys.
Every read verifies LevelDB's checksums: `read` and `scan` are the only ways to the data.
"""

import zlib
from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Any, Final, NamedTuple

import plyvel

from abci_app.state.tree.pages import CorruptPage, Page, decode_page
from abci_app.state.tree.trie import Root
from node.errors import NodeError

FORMAT: Final = b"openledger-store/1"
FORMAT_KEY: Final = b"f"
COMMIT_KEY: Final = b"s"
RESTORED_KEY: Final = b"r"

_HEIGHT = Struct(">Q")
_COUNT = Struct(">I")
_COMMIT = Struct(">QQQQ32s")
_pack_crc = Struct(">I").pack


class StoreError(NodeError):
    """The state on disk cannot be used; the text says why and what to do."""


class StoreDamaged(OSError):
    """The state on disk is not what was written. An OSError: it halts the node and blames no transaction."""

    def __init__(self, detail: object) -> None:
        super().__init__(f"the state store is damaged: {detail}; restore a backup")


class StoredCommit(NamedTuple):
    """One height: its root, and the page numbers that its block used (first_number up to next_number)."""

    height: int
    first_number: int
    next_number: int
    root_number: int
    root_hash: bytes

    @property
    def root(self) -> Root:
        """Top of the tree at this height."""
        return Root(self.root_hash, self.root_number)

    def encode(self) -> bytes:
        """Stored form with a checksum."""
        data = _COMMIT.pack(*self)
        return data + _pack_crc(zlib.crc32(data))

    @classmethod
    def decode(cls, data: bytes | None) -> "StoredCommit":
        """Raises `StoreDamaged`."""
        if data is None or len(data) != _COMMIT.size + 4 or _pack_crc(zlib.crc32(data[:-4])) != data[-4:]:
            raise StoreDamaged("a height record is not what was written")
        return cls._make(_COMMIT.unpack(data[:-4]))


def height_key(kind: bytes, height: int) -> bytes:
    """`h` or `u` record of a height."""
    return kind + _HEIGHT.pack(height)


def history_prefix(key: bytes) -> bytes:
    """Sorts all history of a key at or above `key` from here on."""
    return key.replace(b"\x00", b"\x00\xff")


def history_key(key: bytes, height: int) -> bytes:
    """Old value of `key` before the block of `height`."""
    return b"o" + history_prefix(key) + b"\x00\x01" + _HEIGHT.pack(height)


def split_history_key(stored: bytes) -> tuple[bytes, int]:
    return stored[1:-10].replace(b"\x00\xff", b"\x00"), int.from_bytes(stored[-8:], "big")


def encode_record(superseded: Sequence[int], keys: Sequence[bytes]) -> bytes:
    """`u` record: page numbers that a block superseded, keys that it changed."""
    numbers = Struct(f">{len(superseded)}Q").pack(*superseded)
    return b"".join((_COUNT.pack(len(superseded)), numbers, *[bytes((len(key),)) + key for key in keys]))


def decode_record(data: bytes) -> tuple[tuple[int, ...], list[bytes]]:
    """(page numbers, keys)."""
    (count,) = _COUNT.unpack_from(data)
    at = _COUNT.size + 8 * count
    keys: list[bytes] = []
    while at < len(data):
        end = at + 1 + data[at]
        keys.append(data[at + 1 : end])
        at = end
    return Struct(f">{count}Q").unpack_from(data, _COUNT.size), keys


def read(source: Any, key: bytes) -> bytes | None:
    """One stored value of a database or snapshot, or None. Raises `StoreDamaged`."""
    try:
        value: bytes | None = source.get(key, verify_checksums=True)
    except plyvel.CorruptionError as error:
        raise StoreDamaged(error) from error
    return value


def scan(
    source: Any, kind: bytes, start: bytes, stop: bytes, *, reverse: bool = False
) -> Iterator[tuple[bytes, bytes]]:
    """Stored (key, value) of kind + start <= key < kind + stop of a database or snapshot. Raises `StoreDamaged`.

    plyvel 1.5.1 leaves out a key equal to `start` when a reverse iteration begins at it, so backwards the bound is
    checked here.
    """
    low = kind + start
    bound = kind if reverse else low
    try:
        with source.iterator(start=bound, stop=kind + stop, reverse=reverse, verify_checksums=True) as rows:
            for row in rows:
                if reverse and row[0] < low:
                    return
                yield row
    except plyvel.CorruptionError as error:
        raise StoreDamaged(error) from error


def page_key(number: int) -> bytes:
    """Where a page stands."""
    return b"p" + _HEIGHT.pack(number)


def encode_page(number: int, page: Page) -> bytes:
    """A page as stored; the checksum covers its number, so that one page never passes for another."""
    data = page.encode()
    return data + _pack_crc(zlib.crc32(data, number & 0xFFFFFFFF))


def decode_stored_page(number: int, stored: bytes | None) -> Page:
    """Raises `CorruptPage`."""
    if stored is None:
        raise CorruptPage(f"page {number} of the tree is missing: the state store is damaged, restore a backup")
    data = stored[:-4]
    if _pack_crc(zlib.crc32(data, number & 0xFFFFFFFF)) != stored[-4:]:
        raise CorruptPage(
            f"page {number} of the tree is not what was written: the state store is damaged, restore a backup"
        )
    return decode_page(data)
