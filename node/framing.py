"""Frames of an ABCI connection: an unsigned LEB128 length, then that many bytes of protobuf.

CometBFT v0.38 frames this way in both directions (Tendermint 0.34 used signed lengths). A frame may arrive cut at any
byte, and many frames may arrive in one read.
"""

from __future__ import annotations

# The largest frame that is read. InitChain carries the whole genesis state in one frame, about 150 bytes an account:
# this leaves room for a genesis of more than a million accounts, and refuses a length that only an attacker would send.
MAX_FRAME_BYTES = 512 * 1024 * 1024

# A length below 2^31, CometBFT's own limit, has at most this many bytes.
_MAX_LENGTH_BYTES = 5

# Above this a frame is copied out through a view, once; below, two small copies are quicker than making the view.
_VIEW_BYTES = 16 * 1024


class FrameError(Exception):
    """The stream is not a sequence of frames within the bounds; the connection cannot go on."""


def uvarint(value: int) -> bytes:
    """Unsigned LEB128 of a number >= 0: seven bits a byte, lowest first."""
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def frame(payload: bytes) -> bytes:
    """`payload` behind its length."""
    return uvarint(len(payload)) + payload


def field_frame(number: int, payload: bytes) -> bytes:
    """The frame of a protobuf message whose only field is `number`, a message already encoded as `payload`.

    Encodes a Response without copying the inner message into a wrapper first.
    """
    head = uvarint(number << 3 | 2) + uvarint(len(payload))
    return uvarint(len(head) + len(payload)) + head + payload


class FrameDecoder:
    """Cuts a stream of bytes into frames. Holds at most one incomplete frame and what was fed since."""

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max_frame_bytes = max_frame_bytes
        self._buffer = bytearray()
        self._start = 0
        self._needed = 1

    @property
    def pending_bytes(self) -> int:
        """Bytes fed and not yet returned."""
        return len(self._buffer) - self._start

    @property
    def missing_bytes(self) -> int:
        """Bytes known to be missing before `next` can return a frame; 0 when it might return one now."""
        return max(0, self._needed - self.pending_bytes)

    def feed(self, data: bytes) -> None:
        """Append what the connection delivered."""
        if self._start:
            del self._buffer[: self._start]  # CPython moves a start pointer here, it does not copy
            self._start = 0
        self._buffer += data

    def next(self) -> bytes | None:
        """The next complete frame without its length, or None when more bytes are needed. Raises FrameError."""
        buffer, start = self._buffer, self._start
        available = len(buffer) - start
        if available < self._needed:
            return None
        length = 0
        for read in range(_MAX_LENGTH_BYTES):
            if read == available:
                self._needed = available + 1
                return None
            byte = buffer[start + read]
            length |= (byte & 0x7F) << (7 * read)
            if byte < 0x80:
                break
        else:
            raise FrameError(f"a frame length of more than {_MAX_LENGTH_BYTES} bytes: not an ABCI 2.0 stream")
        if length > self._max_frame_bytes:
            raise FrameError(f"a frame of {length} bytes; the limit is {self._max_frame_bytes}")
        head = read + 1
        if available < head + length:
            self._needed = head + length
            return None
        self._needed = 1
        first, last = start + head, start + head + length
        self._start = last
        if length < _VIEW_BYTES:
            return bytes(buffer[first:last])
        with memoryview(buffer) as view:
            return bytes(view[first:last])
