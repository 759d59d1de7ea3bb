"""Uncommitted writes over a read-only view: the block's changes, and inside it each transaction's.

A transaction that fails is undone by dropping its overlay, never by hand. The first iteration sorts the keys that are
written by then; every later write keeps the order, so an iteration costs what it reads and not a pass over all writes.
"""

from collections.abc import Iterator

from abci_app.state.ordered_keys import OrderedKeys
from abci_app.state.store import StateView


class Overlay:
    """Writes kept in memory over `base`; nested overlays give all-or-nothing transactions."""

    __slots__ = ("_base_get", "_ordered", "base", "writes")

    def __init__(self, base: StateView) -> None:
        self.base = base
        self._base_get = base.get
        self.writes: dict[bytes, bytes | None] = {}
        # None until somebody iterates: most transactions never do, and then the order costs nothing.
        self._ordered: OrderedKeys | None = None

    def get(self, key: bytes) -> bytes | None:
        """The value written here, else the base's."""
        if key in self.writes:
            return self.writes[key]
        return self._base_get(key)

    def set(self, key: bytes, value: bytes) -> None:
        """Write one value; neither key nor value may be empty (cometbft.md 4.5, 4.6)."""
        if not key or not value:
            raise ValueError(f"empty key or value: {key!r}")
        if self._ordered is not None and key not in self.writes:
            self._ordered.add(key)
        self.writes[key] = value

    def delete(self, key: bytes) -> None:
        """Remove one key; removing an absent key changes nothing."""
        if self._ordered is not None and key not in self.writes:
            self._ordered.add(key)
        self.writes[key] = None

    def iterate(self, start: bytes, end: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """[start, end) in key order: base and writes merged. Keys first written while it runs are not part of it."""
        if self._ordered is None:
            self._ordered = OrderedKeys(self.writes)
        below = self.base.iterate(start, end, reverse=reverse)
        return self._merged(self._ordered.between(start, end, reverse=reverse), below, reverse)

    def _merged(
        self, written: Iterator[bytes], below: Iterator[tuple[bytes, bytes]], reverse: bool
    ) -> Iterator[tuple[bytes, bytes]]:
        pending = next(below, None)
        for key in written:
            while pending is not None and (pending[0] > key if reverse else pending[0] < key):
                yield pending
                pending = next(below, None)
            if pending is not None and pending[0] == key:
                pending = next(below, None)
            value = self.writes[key]
            if value is not None:
                yield key, value
        while pending is not None:
            yield pending
            pending = next(below, None)

    def merge_into(self, parent: "Overlay") -> None:
        """Hand all writes to the overlay below."""
        if parent._ordered is not None:
            for key in self.writes:
                if key not in parent.writes:
                    parent._ordered.add(key)
        parent.writes.update(self.writes)

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """All writes sorted by key; None marks a removal."""
        return sorted(self.writes.items())
