"""A view that records what a query reads, so that the same reads can be proven (see queries.py)."""

from bisect import bisect_right
from collections.abc import Iterator

from abci_app.state.proof_build import merge_ranges
from abci_app.state.store import StateView
from abci_app.state.work import BYTES_A_UNIT, GET_UNITS, OPEN_UNITS, ROW_UNITS, Work


class EmptyView:
    """A state without keys."""

    def get(self, key: bytes) -> bytes | None:  # the protocol's name
        """Always None."""
        return None

    def iterate(self, start: bytes, end: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Nothing."""
        return iter(())


class RecordingView:
    """Reads of `base`, counted as work and recorded.

    An iteration records the range that was really walked: after key k was handed out, [start, k || 00) forwards or
    [k, end) backwards, and all of [start, end) once it ran to its end. So a reader that stops early is proven exactly
    as far as it looked.
    """

    def __init__(self, base: StateView, work: Work | None = None) -> None:
        self._base = base
        # None: nobody counts, as in a verifier, which reads what it has in memory.
        self._spend = work.spend if work else None
        self._keys: dict[bytes, None] = {}
        # What was read, so that a proof of it need not read it again.
        self.values: dict[bytes, bytes] = {}
        # Start and end of each walk so far; an iteration updates its own entry.
        self._walks: list[tuple[bytes, bytes]] = []

    def get(self, key: bytes) -> bytes | None:
        """The value, or None; either is recorded."""
        spend = self._spend
        if spend is not None:
            spend(GET_UNITS)
        self._keys[key] = None
        value = self._base.get(key)
        if value is not None:
            if spend is not None:
                spend(len(value) // BYTES_A_UNIT)
            self.values[key] = value
        return value

    def iterate(self, start: bytes, end: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """[start, end) in key order."""
        if start >= end:
            return
        spend = self._spend
        if spend is not None:
            spend(OPEN_UNITS)
        walk = -1
        for key, value in self._base.iterate(start, end, reverse=reverse):
            if spend is not None:
                spend(ROW_UNITS + len(value) // BYTES_A_UNIT)
            self.values[key] = value
            walked = (key, end) if reverse else (start, key + b"\x00")
            if walk < 0:
                walk = len(self._walks)
                self._walks.append(walked)
            else:
                self._walks[walk] = walked
            yield key, value
        if walk < 0:
            self._walks.append((start, end))
        else:
            self._walks[walk] = (start, end)

    @property
    def ranges(self) -> list[tuple[bytes, bytes]]:
        """Ranges walked, merged and in order."""
        return merge_ranges(self._walks)

    @property
    def keys(self) -> list[bytes]:
        """Keys read one by one, in order, without those that a walked range covers."""
        ranges = self.ranges
        starts = [start for start, _ in ranges]
        kept: list[bytes] = []
        for key in sorted(self._keys):
            index = bisect_right(starts, key) - 1
            if index < 0 or key >= ranges[index][1]:
                kept.append(key)
        return kept
