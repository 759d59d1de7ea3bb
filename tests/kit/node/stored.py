"""Helpers that the tests of the LevelDB store share: blocks, and a look into closed stores."""

from __future__ import annotations

import random
from pathlib import Path

import plyvel

from abci_app.state.memory_store import MemoryStore
from abci_app.state.tree.pages import LeafPage
from node.leveldb.records import StoredCommit, decode_record, decode_stored_page, height_key, history_key, page_key
from node.leveldb.store import LevelDBStore
from tests.kit.state.ledger_of_states import Block, LedgerOfStates, changes_of


def make_blocks(number: int, changes: int = 30) -> list[Block]:
    """Blocks that change, add and remove among a few dozen keys for each change."""
    chance = random.Random(changes)
    blocks: list[Block] = []
    for _ in range(number):
        names = [
            b"key/" + bytes([chance.randrange(0, 256, 96 // changes)]) + b"\x00" * chance.randint(0, 2)
            for _ in range(changes)
        ]
        blocks.append({name: chance.randbytes(3) if chance.random() < 0.8 else None for name in names})
    return blocks


def records_of(folder: Path) -> dict[bytes, bytes]:
    """Everything in a closed store."""
    database = plyvel.DB(str(folder))
    try:
        return dict(database)
    finally:
        database.close()


def change_record(folder: Path, key: bytes, value: bytes | None) -> None:
    """Damage a closed store: another value, or None to remove it."""
    database = plyvel.DB(str(folder))
    if value is None:
        database.delete(key)
    else:
        database.put(key, value)
    database.close()


def check_records(folder: Path, ledger: LedgerOfStates) -> None:
    """A closed store holds what its kept heights read, and nothing that stays for ever."""
    records = records_of(folder)
    by_kind: dict[bytes, dict[bytes, bytes]] = {kind: {} for kind in (b"f", b"s", b"h", b"k", b"o", b"p", b"u")}
    for key, value in records.items():
        by_kind[key[:1]][key[1:]] = value
    kept = range(ledger.earliest_height, ledger.height + 1) if ledger.height else range(0)
    assert [int.from_bytes(key, "big") for key in by_kind[b"h"]] == list(kept)
    assert [int.from_bytes(key, "big") for key in by_kind[b"u"]] == list(kept[1:])
    assert by_kind[b"k"] == (ledger.latest if ledger.height else {})
    blocks = {height: decode_record(records[height_key(b"u", height)]) for height in kept[1:]}
    changed = [history_key(key, height) for height, (_, keys) in blocks.items() for key in keys]
    assert sorted(changed) == [b"o" + key for key in by_kind[b"o"]]
    reachable: set[int] = set()
    todo = [StoredCommit.decode(data).root_number for data in by_kind[b"h"].values()]
    while todo:
        number = todo.pop()
        if number and number not in reachable:
            reachable.add(number)
            page = decode_stored_page(number, records[page_key(number)])
            todo += [] if isinstance(page, LeafPage) else page.numbers
    stored = {int.from_bytes(key, "big") for key in by_kind[b"p"]}
    to_be_pruned = {number for superseded, _ in blocks.values() for number in superseded}
    assert reachable <= stored <= reachable | to_be_pruned


def commit(store: LevelDBStore | MemoryStore, block: Block, height: int = 0) -> None:
    store.commit(store.stage(height or store.height + 1, changes_of(block)))
