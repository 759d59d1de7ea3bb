"""Conditions that must hold in every committed state: all records readable, and every module's invariants.

Run by simulation and `openledger node check`, never per block.
"""

from abci_app.chain.registry import MODULES, table_of_key
from abci_app.state.codec import CodecError, decode
from abci_app.state.store import StateView
from abci_app.state.table import PRESENT, Index, Item, Table

# Every key begins with a printable prefix.
_FIRST_KEY, _END_OF_KEYS = b"\x00", b"\xff"


def violations(view: StateView) -> list[str]:
    """One line for everything that is wrong, the module named; empty = all holds.

    Records that cannot be read come first and alone: rules cannot speak about them.
    """
    unreadable = unreadable_records(view)
    if unreadable:
        return unreadable
    return [
        f"{module.name}: {line}" for module in MODULES for invariant in module.invariants for line in invariant(view)
    ]


def unreadable_records(view: StateView) -> list[str]:
    """Keys that belong to no table, and values that are not the canonical encoding of their table's type."""
    faults = []
    for key, value in view.iterate(_FIRST_KEY, _END_OF_KEYS):
        table = table_of_key(key)
        if table is None or not _is_whole_key(table, key):
            faults.append(f"key {key.hex()} belongs to no table")
        elif isinstance(table, Index):
            if value != PRESENT:
                faults.append(f"{_name(table.prefix)}: index entry {key.hex()} has a value")
        else:
            try:
                decode(table.value_type, value)
            except CodecError as error:
                faults.append(f"{_name(table.prefix)}: record {key.hex()} is malformed: {error}")
    return faults


def _is_whole_key(table: Table, key: bytes) -> bool:
    if isinstance(table, Item):
        return key == table.key()
    return len(key) == len(table.prefix) + sum([part.size for part in table.parts])


def _name(prefix: bytes) -> str:
    return prefix.decode("ascii").rstrip("/")
