"""Uncommitted writes over a read-only view: the block's changes, and inside it each transaction's.

A transaction that fails is undone by dropping its overlay, never by hand.
"""

from collections.abc import Iterator

from abci_app.state.store import StateView


class Overlay:
    """Writes kept in memory over `base`; nested overlays give all-or-nothing transactions."""

    __slots__ = ("_base_get", "base", "writes")

    def __init__(self, base: StateView) -> None:
        self.base = base
        self._base_get = base.get
        self.writes: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        """The value written here, else the base's."""
        if key in self.writes:
            return self.writes[key]
        return self._base_get(key)

    def set(self, key: bytes, value: bytes) -> None:
        """Write one value; neither key nor value may be empty (cometbft.md 4.5, 4.6)."""
        if not key or not value:
            raise ValueError(f"empty key or value: {key!r}")
        self.writes[key] = value

    def delete(self, key: bytes) -> None:
        """Remove one key; removing an absent key changes nothing."""
        self.writes[key] = None

    def iterate(self, start: bytes, end: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """[start, end) in key order: base and writes merged. Costs a pass over all writes: not for hot handlers."""
        written = sorted([key for key in self.writes if start <= key < end], reverse=reverse)
        below = self.base.iterate(start, end, reverse=reverse)
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
        parent.writes.update(self.writes)

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """All writes sorted by key; None marks a removal."""
        return sorted(self.writes.items())
