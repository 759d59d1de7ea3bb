"""`snapshots.json`: one state cut into small chunks, and forgeries of its map and of a chunk."""

from __future__ import annotations

from typing import Any

import msgspec

from abci_app.state.codec import encode
from abci_app.state.snapshot import Announcement, CutSnapshot, SnapshotCutter, SnapshotMap, chunk_head
from tests.golden.tree import accounts
from tests.golden.values import plain

HEIGHT = 300
CHUNK_BYTES = 400
STATE = accounts(12) | {b"models/number/%d" % number: b"entry %d" % number for number in range(1, 13)}


def cut() -> tuple[CutSnapshot, list[bytes]]:
    """The snapshot of the state, and its chunks."""
    cutter = SnapshotCutter(HEIGHT, CHUNK_BYTES)
    body = b"".join([cutter.add(key, value) for key, value in sorted(STATE.items())])
    found = cutter.finish()
    chunks, at = [], 0
    for index, size in enumerate(found.sizes_bytes):
        chunks.append(chunk_head(found.map, index) + body[at : at + size])
        at += size
    return found, chunks


def _announced(announced: Announcement) -> dict[str, Any]:
    return {
        "height": announced.height,
        "format": announced.format,
        "chunks": announced.chunks,
        "hash": announced.hash.hex(),
        "metadata": announced.map_bytes.hex(),
    }


def refused_maps() -> list[tuple[str, Announcement]]:
    """(fault, announcement): none of them is of the state."""
    found, _ = cut()
    true = found.map
    other = bytes([true.hashes[0] ^ 1]) + true.hashes[1:]
    changes: list[tuple[str, dict[str, Any]]] = [
        ("another hash of a subtree", {"hashes": other}),
        ("a chunk too few", {"subtrees": true.subtrees[:-1]}),
        ("a subtree that the tokens do not show", {"entries": (*true.entries, 1)}),
        ("tokens that are no tree", {"tokens": true.tokens + b"\x01"}),
        ("a subtree without entries", {"entries": (0, *true.entries[1:])}),
    ]
    return [(name, Announcement.of(msgspec.structs.replace(true, **change))) for name, change in changes]


def refused_chunks() -> list[tuple[str, bytes]]:
    """(fault, bytes that are not the first chunk)."""
    _, chunks = cut()
    items = msgspec.msgpack.decode(chunks[0], type=list[bytes])
    return [
        ("another value", encode([items[0], b"other", *items[2:]])),
        ("an entry is left out", encode(items[2:])),
        ("an entry is added", encode([*items, b"z", b"z"])),
        ("two entries change places", encode([*items[2:4], *items[:2], *items[4:]])),
        ("the next chunk", chunks[1]),
        ("a byte follows", chunks[0] + b"\x00"),
        ("cut off", chunks[0][:-1]),
    ]


def make() -> dict[str, Any]:
    """The file's content."""
    found, chunks = cut()
    snapshot: SnapshotMap = found.map
    return {
        "state": [plain(row) for row in sorted(STATE.items())],
        "chunk_bytes": CHUNK_BYTES,
        "app_hash": found.app_hash.hex(),
        "announced": _announced(found.announced),
        "map": {
            "tokens": snapshot.tokens.hex(),
            "hashes": snapshot.hashes.hex(),
            "entries": list(snapshot.entries),
            "subtrees": list(snapshot.subtrees),
        },
        "chunks": plain(chunks),
        "refused_announcements": [
            {"fault": fault, "announced": _announced(announced)} for fault, announced in refused_maps()
        ],
        "refused_first_chunks": [{"fault": fault, "chunk": chunk.hex()} for fault, chunk in refused_chunks()],
    }
