"""`tree.json`: the state tree over named sets of keys, after blocks of changes, and as root of named parts."""

from __future__ import annotations

from typing import Any

from abci_app.hashing import sha256
from abci_app.state.memory_store import MemoryStore
from abci_app.state.store import Change
from abci_app.state.tree.pages import leaf_hash
from abci_app.state.tree.trie import STORE_NAME, app_hash_of, named_parts_root, root_of
from tests.golden.values import plain


def accounts(count: int) -> dict[bytes, bytes]:
    """Keys like those of a table with hashed parts."""
    return {b"account/" + sha256(b"account %d" % number): b"value %d" % number for number in range(count)}


TREES: dict[str, dict[bytes, bytes]] = {
    "empty": {},
    "one key": {b"k": b"v"},
    "two keys": {b"a": b"1", b"b": b"2"},
    "three keys, one beside two": {b"a": b"1", b"b": b"2", b"\xff": b"3"},
    "keys that begin with each other": {b"a": b"1", b"a\x00": b"2", b"a\x00\x00": b"3", b"a\xff": b"4", b"b": b"5"},
    "a chain as deep as its keys are many": {b"\xff" * size: b"%d" % size for size in range(1, 13)},
    "the longest key, a long value": {b"k" * 127: b"v" * 1_000, b"k" * 126: b"1"},
    "forty accounts": accounts(40),
}


def _blocks() -> list[list[Change]]:
    some = sorted(accounts(25))
    return [
        [(key, b"new") for key in some],
        [(key, b"changed" if index % 2 else None) for index, key in enumerate(some)],
        [],
        [(b"another/table", b"1"), *[(key, b"back") for key in some[::2]]],
        [(b"another/table", None), *[(key, None) for key in some]],
    ]


def _after_blocks() -> list[dict[str, Any]]:
    store = MemoryStore()
    after = []
    for height, changes in enumerate(_blocks(), 1):
        staged = store.stage(height, sorted(changes))
        store.commit(staged)
        after.append(
            {"changes": plain(sorted(changes)), "root": plain(staged.root.hash), "app_hash": plain(staged.app_hash)}
        )
    return after


def _tree(name: str, state: dict[bytes, bytes]) -> dict[str, Any]:
    rows = sorted(state.items())
    leaves = [(key, leaf_hash(key, value)) for key, value in rows]
    root = root_of(leaves)
    return {
        "name": name,
        "entries": plain(rows),
        "leaf_hashes": [leaf.hex() for _, leaf in leaves],
        "root": root.hex(),
        "app_hash": app_hash_of(root).hex(),
    }


def make() -> dict[str, Any]:
    """The content of the file."""
    parts = {b"recipe": b'{"epochs":1}', b"seed": b"7", b"input/0000": b"{}", b"output": b"[]"}
    return {
        "about": "see README.md; entries and changes are [key, value] pairs, a value of null removes the key",
        "store_name": STORE_NAME.hex(),
        "trees": [_tree(name, state) for name, state in TREES.items()],
        "blocks": _after_blocks(),
        "named_parts": {"parts": plain(sorted(parts.items())), "root": named_parts_root(parts.items()).hex()},
    }
