"""When each request of a connection arrived: a question is judged by how long it has waited, not by when it is read."""

from __future__ import annotations

from collections import deque


class Arrivals:
    """Reads of a stream with their times. Keeps only those of which something is not handled yet."""

    def __init__(self) -> None:
        self._fed_bytes = 0
        # (bytes of the stream up to the end of a read, when it was read)
        self._reads: deque[tuple[int, float]] = deque()

    def fed(self, size_bytes: int, pending_bytes: int, now_seconds: float) -> None:
        """Note that `size_bytes` bytes were read; `pending_bytes` bytes wait, these among them."""
        self._fed_bytes += size_bytes
        self._forget(self._fed_bytes - pending_bytes)
        self._reads.append((self._fed_bytes, now_seconds))

    def last_taken(self, pending_bytes: int) -> float:
        """When the last byte before those that wait was read."""
        self._forget(self._fed_bytes - pending_bytes - 1)
        return self._reads[0][1]

    def _forget(self, handled_bytes: int) -> None:
        reads = self._reads
        while reads and reads[0][0] <= handled_bytes:
            reads.popleft()
