"""Ways to damage a state that no transaction has: what invariants must find."""

from collections.abc import Callable
from typing import Any

from msgspec import structs

from abci_app.state.overlay import Overlay

Corruption = Callable[[Overlay], None]


def replace(table: Any, *key: Any, **changes: Any) -> Corruption:
    """Change fields of one stored record."""

    def corrupt(state: Overlay) -> None:
        table.set(state, *key, structs.replace(table.get(state, *key), **changes))

    return corrupt


def put(table: Any, *key_and_record: Any) -> Corruption:
    """Write a record that should not be there."""

    def corrupt(state: Overlay) -> None:
        table.set(state, *key_and_record)

    return corrupt


def delete(table: Any, *key: Any) -> Corruption:
    """Remove a record, or the single one of an item."""

    def corrupt(state: Overlay) -> None:
        state.delete(table.key(*key))

    return corrupt


def add(index: Any, *key: Any) -> Corruption:
    """Insert an index entry that should not be there."""

    def corrupt(state: Overlay) -> None:
        index.add(state, *key)

    return corrupt
