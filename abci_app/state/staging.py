"""The work that both stores do alike: check a block's changes, compute the new tree, describe the result."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from abci_app.state.tree.pages import MAX_KEY_BYTES, leaf_hash
from abci_app.state.tree.trie import ReadPage, Root, TreeUpdate, app_hash_of
from abci_app.state.tree.update import TreeWriter

Change = tuple[bytes, bytes | None]


@dataclass(frozen=True, slots=True)
class StagedBlock:
    """One block's effective changes and its new pages; nothing durable."""

    height: int
    app_hash: bytes
    root: Root
    base: Root
    keys: list[bytes]
    values: list[bytes | None]
    old_values: list[bytes | None]
    update: TreeUpdate


def check_changes(changes: Sequence[Change]) -> None:
    """Raises ValueError for keys out of order or twice, and for what no tree may hold (design 4.1)."""
    previous = b""
    for key, value in changes:
        if key <= previous:
            raise ValueError(f"changes are not sorted by distinct, non-empty keys at {key!r}")
        if len(key) > MAX_KEY_BYTES:
            raise ValueError(f"key {key!r} has {len(key)} bytes, at most {MAX_KEY_BYTES}")
        if value is not None and not value:
            raise ValueError(f"value of key {key!r} is empty")
        if value is not None and type(value) is not bytes:
            raise ValueError(f"value of key {key!r} is {type(value).__name__}, must be bytes")
        previous = key


def stage_changes(
    height: int,
    changes: Sequence[Change],
    base: Root,
    next_number: int,
    read: ReadPage,
    get: Callable[[bytes], bytes | None],
) -> StagedBlock:
    """Apply `changes` to the tree at `base`; changes that change nothing are dropped."""
    check_changes(changes)
    keys: list[bytes] = []
    values: list[bytes | None] = []
    old_values: list[bytes | None] = []
    hashes: list[bytes | None] = []
    inserted: list[bool] = []
    for key, value in changes:
        old = get(key)
        if old == value:
            continue
        keys.append(key)
        values.append(value)
        old_values.append(old)
        hashes.append(None if value is None else leaf_hash(key, value))
        inserted.append(old is None)
    update = TreeWriter(read, next_number).apply(base, keys, hashes, inserted if any(inserted) else None)
    return StagedBlock(
        height=height,
        app_hash=app_hash_of(update.root.hash),
        root=update.root,
        base=base,
        keys=keys,
        values=values,
        old_values=old_values,
        update=update,
    )
