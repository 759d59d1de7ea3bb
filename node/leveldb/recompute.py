"""Checks a stored state against itself: the tree is computed again from keys and values alone."""

from __future__ import annotations

from abci_app.state.tree.pages import MAX_KEY_BYTES, CorruptPage, leaf_hash
from abci_app.state.tree.read import walk
from abci_app.state.tree.trie import root_of
from node.leveldb.records import scan
from node.leveldb.version import Head, PageCache, page_reader


def recompute(head: Head) -> int:
    """Walk all keys, values and pages of the last commit; the number of keys.

    Raises `CorruptPage` when they do not agree with each other or with the root, `StoreDamaged` for what cannot be
    read.
    """
    rows = scan(head.snapshot, b"k", b"", b"\xff" * (MAX_KEY_BYTES + 1))
    leaves = [(stored[1:], leaf_hash(stored[1:], value)) for stored, value in rows]
    if root_of(leaves) != head.commit.root_hash:
        raise CorruptPage(f"keys and values do not lead to the root of height {head.commit.height}: restore a backup")
    read_page = page_reader(head.snapshot, PageCache(0))
    position = 0
    for position, leaf in enumerate(walk(read_page, head.commit.root, b"", None), 1):
        if leaf != leaves[position - 1]:
            raise CorruptPage(f"the tree's leaf for key {leaf[0].hex()} is not that of the table: restore a backup")
    if position != len(leaves):
        raise CorruptPage("the tree has fewer leaves than there are keys: restore a backup")
    return len(leaves)
