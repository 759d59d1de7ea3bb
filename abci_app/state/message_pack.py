"""The little of canonical MessagePack that proofs use: a strict reader and a writer, standard library only."""

from collections.abc import Sequence
from typing import Final

# Each list of a proof is also bounded by the bytes that it must come from.
MAX_LIST_ITEMS: Final = 2**20


class MalformedBytes(ValueError):
    """Bytes that are not canonical MessagePack of the expected kind."""


class Reader:
    """Reads expected values one after another; longer than shortest forms, other types and a rest are refused."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def _size(self, width: int, at_least: int) -> int:
        """Big-endian number of `width` bytes that a shorter form could not hold."""
        end = self._at + width
        if end > len(self._data):
            raise MalformedBytes("cut off")
        number = int.from_bytes(self._data[self._at : end], "big")
        if number < at_least:
            raise MalformedBytes("a number is not in its shortest form")
        self._at = end
        return number

    def _head(self) -> int:
        if self._at >= len(self._data):
            raise MalformedBytes("cut off")
        head = self._data[self._at]
        self._at += 1
        return head

    def integer(self) -> int:
        """An integer from 0 to 2^64 - 1."""
        head = self._head()
        if head < 0x80:
            return head
        if 0xCC <= head <= 0xCF:
            width = 1 << (head - 0xCC)
            return self._size(width, 0x80 if width == 1 else 1 << (4 * width))
        raise MalformedBytes("an integer is expected")

    def array_size(self) -> int:
        """Head of a list: its number of items."""
        head = self._head()
        if 0x90 <= head <= 0x9F:
            return head & 0x0F
        if head == 0xDC:
            return self._size(2, 16)
        if head == 0xDD:
            return self._size(4, 1 << 16)
        raise MalformedBytes("a list is expected")

    def byte_string(self) -> bytes:
        """One bin."""
        head = self._head()
        if head == 0xC4:
            size = self._size(1, 0)
        elif head == 0xC5:
            size = self._size(2, 1 << 8)
        elif head == 0xC6:
            size = self._size(4, 1 << 16)
        else:
            raise MalformedBytes("a byte string is expected")
        start, self._at = self._at, self._at + size
        if self._at > len(self._data):
            raise MalformedBytes("cut off")
        return self._data[start : self._at]

    def byte_strings(self) -> list[bytes]:
        """A list of bins."""
        items = self.array_size()
        # Two bytes are the least that a byte string takes: a huge count cannot make us work for nothing.
        if items > MAX_LIST_ITEMS or 2 * items > len(self._data) - self._at:
            raise MalformedBytes("a list is longer than the bytes that follow")
        found: list[bytes] = []
        data, at, end = self._data, self._at, len(self._data)
        for _ in range(items):
            # Nearly all are of this form; reading it here halves the time that a large proof takes to read.
            if at + 1 < end and data[at] == 0xC4 and (after := at + 2 + data[at + 1]) <= end:
                found.append(data[at + 2 : after])
                at = after
            else:
                self._at = at
                found.append(self.byte_string())
                at = self._at
        self._at = at
        return found

    def finish(self) -> None:
        """Nothing may follow."""
        if self._at != len(self._data):
            raise MalformedBytes(f"{len(self._data) - self._at} bytes follow")


def pack_integer(number: int) -> bytes:
    """0 to 2^64 - 1 in its shortest form."""
    if number < 0x80:
        return bytes((number,))
    for code, width in ((0xCC, 1), (0xCD, 2), (0xCE, 4), (0xCF, 8)):
        if number < 1 << (8 * width):
            return bytes((code,)) + number.to_bytes(width, "big")
    raise ValueError(f"integer {number} has more than 64 bits")


def pack_byte_string(data: bytes) -> bytes:
    """One bin."""
    size = len(data)
    if size < 1 << 8:
        return bytes((0xC4, size)) + data
    if size < 1 << 16:
        return b"\xc5" + size.to_bytes(2, "big") + data
    return b"\xc6" + size.to_bytes(4, "big") + data


def pack_array_size(items: int) -> bytes:
    """Head of a list."""
    if items < 16:
        return bytes((0x90 | items,))
    if items < 1 << 16:
        return b"\xdc" + items.to_bytes(2, "big")
    return b"\xdd" + items.to_bytes(4, "big")


def pack_byte_strings(items: Sequence[bytes]) -> bytes:
    """A list of bins."""
    return pack_array_size(len(items)) + b"".join([pack_byte_string(item) for item in items])


def pack_proof(
    version: int, height: int, entries: Sequence[bytes], tokens: bytes, hashes: bytes, bounds: Sequence[bytes]
) -> bytes:
    """`[version, height, entries, tokens, hashes, bounds]` (proof.py)."""
    return b"".join(
        (
            pack_array_size(6),
            pack_integer(version),
            pack_integer(height),
            pack_byte_strings(entries),
            pack_byte_string(tokens),
            pack_byte_string(hashes),
            pack_byte_strings(bounds),
        )
    )
