"""Latest values of the state in memory: a transaction reads its accounts up to four times, a proof its records twice,
and a read of LevelDB costs more than decoding, above all because it gives up the interpreter's lock.
"""

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

# About what CPython takes for an entry beside the bytes of key and value.
_ENTRY_BYTES: Final = 190
_MISSING: Final = b""  # no stored value is empty


class ValueCache:
    """Last committed value by key (absence too), at most about `limit_bytes`; what was not used for longest goes first.

    Any thread reads, one commits. The generation changes with every commit, before any value does: a reader who notes
    it, reads, and finds it unchanged has read a value of that generation.
    """

    def __init__(self, limit_bytes: int, read: Callable[[bytes], bytes | None]) -> None:
        self._limit_bytes = limit_bytes
        self._read = read
        self._bytes = 0
        self._values: OrderedDict[bytes, bytes] = OrderedDict()
        self.generation = 0
        self._lock = threading.Lock()

    @property
    def used_bytes(self) -> int:
        """How much of the limit is used."""
        return self._bytes

    def get(self, key: bytes) -> bytes | None:
        """The value, or None when there is none."""
        value = self._values.get(key)
        if value is not None:
            with contextlib.suppress(KeyError):  # another thread dropped it; what was found is still right
                self._values.move_to_end(key)
            return value or None
        generation = self.generation
        found = self._read(key)
        self._offer(key, found, generation)
        return found

    def get_of(
        self, generation: int, key: bytes, read: Callable[[bytes], bytes | None], *, keep: bool = True
    ) -> bytes | None:
        """The value at an earlier commit, whose values `read` gives; from memory if that commit is still the last.

        Without `keep` nothing is remembered: a query reads what it likes, and must not push out what blocks need.
        """
        value = self._values.get(key)
        if value is not None and generation == self.generation:
            return value or None
        found = read(key)
        if keep:
            self._offer(key, found, generation)
        return found

    def committed(self, changes: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Call after the database changed."""
        with self._lock:
            self.generation += 1
            for key, value in changes:
                self._put(key, value or _MISSING)

    def clear(self) -> None:
        """Forget everything, for changes that are not listed."""
        with self._lock:
            self.generation += 1
            self._values.clear()
            self._bytes = 0

    def _offer(self, key: bytes, value: bytes | None, generation: int) -> None:
        if generation == self.generation:
            with self._lock:
                if generation == self.generation:
                    self._put(key, value or _MISSING)

    def _put(self, key: bytes, value: bytes) -> None:
        values = self._values
        old = values.pop(key, None)
        self._bytes += len(value) - len(old) if old is not None else _ENTRY_BYTES + len(key) + len(value)
        values[key] = value
        while self._bytes > self._limit_bytes:
            dropped, value = values.popitem(last=False)
            self._bytes -= _ENTRY_BYTES + len(dropped) + len(value)
