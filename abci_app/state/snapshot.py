"""Snapshots of the state for nodes that join without replay: their form, how they are cut, how they are checked.

The tree is cut at subtrees. What stands above the cuts is the **map**; what stands below them are the chunks' entries,
in key order, so a chunk is a range of keys and whole subtrees:

    map   = [1, height, tokens, hashes, [entries of each subtree], [subtrees of each chunk]]     canonical MessagePack
    chunk = [key, value, key, value ...]                                                         bins, keys rising

`tokens` is the part of the tree above the cuts in pre-order, as in a native proof: 1 an inner node (left, then right
follow), 2 a subtree (the next 32 bytes of `hashes`). The root that tokens and hashes fold to leads to the app hash of
`height` that a header's signatures vouch for; so a false map is refused when it is offered. A chunk's entries are as
many as the map says, and each of its subtrees, built from its keys and values alone, has the hash that the map
has. SHA-256 has no collisions that anybody could find, so no chunk can hide, add or change a key or a value, and a
false one is known without any other. The proofs of all chunks are the map: one hash of 32 bytes a subtree.

How a snapshot is cut depends on the state alone, so nodes make the same bytes and a joining node fetches its chunks
from all of them: a subtree is not cut while its entries take at most `CHUNK_BYTES`; subtrees fill up a chunk in order
while they have room in as many bytes. A value larger than that has a chunk of its own. A map that is cut otherwise
and leads to the app hash is true as well, and is taken.

CometBFT's limits are 16 MB a chunk and 4 MB a message that announces a snapshot.
"""

from dataclasses import dataclass
from hashlib import sha256 as _sha256
from itertools import pairwise
from operator import lt
from typing import Final

from abci_app.state.codec import CodecError, Record, decode, encode
from abci_app.state.message_pack import pack_array_size, pack_byte_string
from abci_app.state.proof import HIDDEN, INNER
from abci_app.state.tree.pages import HASH_BYTES, MAX_KEY_BYTES, branch_position, fold, inner_hash, leaf_hash
from abci_app.state.tree.trie import Child, TreeUpdate, app_hash_of, pack_children, pack_leaves, top_of

SNAPSHOT_FORMAT: Final = 1
CHUNK_BYTES: Final = 2 * 2**20
MAX_CHUNK_BYTES: Final = 15 * 10**6
MAX_MAP_BYTES: Final = 3 * 10**6
MAX_CHUNKS: Final = 100_000
# The head of a list of more than 65,535 bins.
_HEAD_BYTES: Final = 5


class FalseSnapshot(ValueError):
    """A map or chunk that is not of the state that the app hash stands for; the text says in what."""


class SnapshotTooLarge(ValueError):
    """A state that this format cannot carry: a value above a chunk's limit, or a map above its own."""


class SnapshotMap(Record, tag=1, frozen=True):
    """The tree above the cuts of one snapshot, and how many entries and subtrees stand below them."""

    height: int
    tokens: bytes
    hashes: bytes
    entries: tuple[int, ...]
    subtrees: tuple[int, ...]

    @property
    def chunks(self) -> int:
        """The number of chunks."""
        return len(self.subtrees)

    def subtrees_of(self, chunk: int) -> tuple[tuple[bytes, int], ...]:
        """(hash, number of entries) of each subtree of a chunk."""
        first = sum(self.subtrees[:chunk])
        return tuple(
            (self.hashes[HASH_BYTES * index : HASH_BYTES * (index + 1)], self.entries[index])
            for index in range(first, first + self.subtrees[chunk])
        )


@dataclass(frozen=True, slots=True)
class Announcement:
    """A snapshot as nodes tell each other of it: CometBFT's `Snapshot`; `hash` is SHA-256 of the map's bytes."""

    height: int
    format: int
    chunks: int
    hash: bytes
    map_bytes: bytes

    @classmethod
    def of(cls, snapshot: SnapshotMap) -> "Announcement":
        """The announcement of a map."""
        data = encode(snapshot)
        return cls(
            height=snapshot.height,
            format=SNAPSHOT_FORMAT,
            chunks=snapshot.chunks,
            hash=_sha256(data).digest(),
            map_bytes=data,
        )


def verify_map(announced: Announcement, app_hash: bytes) -> SnapshotMap:
    """The map of an announcement, checked against the app hash of its height; raises `FalseSnapshot`."""
    data = announced.map_bytes
    if len(data) > MAX_MAP_BYTES:
        raise FalseSnapshot(f"the map has {len(data)} bytes, at most {MAX_MAP_BYTES}")
    if _sha256(data).digest() != announced.hash:
        raise FalseSnapshot("the announced hash is not that of the map")
    try:
        snapshot = decode(SnapshotMap, data)
    except CodecError as error:
        raise FalseSnapshot(f"the map is malformed: {error}") from error
    if (snapshot.height, snapshot.chunks) != (announced.height, announced.chunks):
        raise FalseSnapshot(
            f"announced are height {announced.height} and {announced.chunks} chunks, the map says {snapshot.height} "
            f"and {snapshot.chunks}"
        )
    if not 1 <= snapshot.chunks <= MAX_CHUNKS or min(snapshot.subtrees) < 1:
        raise FalseSnapshot(f"{snapshot.chunks} chunks, or one without a subtree; 1 to {MAX_CHUNKS} are possible")
    if not sum(snapshot.subtrees) == len(snapshot.entries) == snapshot.tokens.count(HIDDEN):
        raise FalseSnapshot("the chunks do not hold the subtrees that the tokens show")
    if min(snapshot.entries) < 1:
        raise FalseSnapshot("a subtree has no entries")
    if len(snapshot.hashes) != HASH_BYTES * len(snapshot.entries):
        raise FalseSnapshot("there is not one hash for each subtree")
    if app_hash_of(_root_of(snapshot)) != app_hash:
        raise FalseSnapshot("the map does not lead to the app hash")
    return snapshot


def _root_of(snapshot: SnapshotMap) -> bytes:
    """Backwards through the pre-order, so that both children of a node stand before it."""
    stack: list[bytes] = []
    at = len(snapshot.hashes)
    for token in reversed(snapshot.tokens):
        if token == HIDDEN:
            at -= HASH_BYTES
            stack.append(snapshot.hashes[at : at + HASH_BYTES])
        elif token == INNER and len(stack) > 1:
            left = stack.pop()
            stack.append(inner_hash(left, stack.pop()))
        else:
            raise FalseSnapshot("the tokens do not form a tree")
    if len(stack) != 1:
        raise FalseSnapshot("the tokens do not form one tree")
    return stack[0]


# --- Making


@dataclass(slots=True)
class _Cut:
    """A finished subtree of the pass: not cut (`tokens` is one HIDDEN) or the top above cuts."""

    hash: bytes
    size_bytes: int
    tokens: bytes
    subtrees: list[tuple[bytes, int, int]]  # (hash, entries, bytes) below the cuts


_WHOLE: Final = bytes((HIDDEN,))


class SnapshotCutter:
    """One pass over all entries in key order: gives each entry's bytes, keeps the tree above the cuts only.

    The chunks' bodies are the entries' bytes one after another, cut at `sizes_bytes` of the result.
    """

    def __init__(self, height: int, chunk_bytes: int = CHUNK_BYTES) -> None:
        self._height = height
        self._chunk_bytes = chunk_bytes
        self._last_key = b""
        self._top: _Cut | None = None
        self._lefts: list[_Cut] = []
        self._positions: list[int] = [-1]

    def add(self, key: bytes, value: bytes) -> bytes:
        """Take the next entry; its bytes. Raises `SnapshotTooLarge`."""
        data = pack_byte_string(key) + pack_byte_string(value)
        if len(data) + _HEAD_BYTES > MAX_CHUNK_BYTES:
            raise SnapshotTooLarge(f"the value of key {key.hex()} has {len(value)} bytes: more than a chunk may have")
        part = _whole(leaf_hash(key, value), 1, len(data))
        if self._top is not None:
            position = branch_position(self._last_key, key)
            top = self._top
            while self._positions[-1] > position:
                top = self._join(self._lefts.pop(), top)
                self._positions.pop()
            self._lefts.append(top)
            self._positions.append(position)
        self._top = part
        self._last_key = key
        return data

    def finish(self) -> "CutSnapshot":
        """The map over everything that was added; raises `SnapshotTooLarge`, and ValueError for an empty state."""
        if self._top is None:
            raise ValueError("an empty state has no snapshot")
        top = self._top
        while self._lefts:
            top = self._join(self._lefts.pop(), top)
        self._lefts, self._positions, self._top = [], [-1], None
        subtrees: list[int] = []
        sizes: list[int] = []
        for _, _, size_bytes in top.subtrees:
            if subtrees and sizes[-1] + size_bytes <= self._chunk_bytes:
                subtrees[-1] += 1
                sizes[-1] += size_bytes
            else:
                subtrees.append(1)
                sizes.append(size_bytes)
        snapshot = SnapshotMap(
            height=self._height,
            tokens=top.tokens,
            hashes=b"".join([subtree[0] for subtree in top.subtrees]),
            entries=tuple([subtree[1] for subtree in top.subtrees]),
            subtrees=tuple(subtrees),
        )
        announced = Announcement.of(snapshot)
        if len(announced.map_bytes) > MAX_MAP_BYTES or snapshot.chunks > MAX_CHUNKS:
            raise SnapshotTooLarge(
                f"the map has {len(announced.map_bytes)} bytes and {snapshot.chunks} chunks: at most {MAX_MAP_BYTES} "
                f"and {MAX_CHUNKS}"
            )
        return CutSnapshot(map=snapshot, announced=announced, app_hash=app_hash_of(top.hash), sizes_bytes=tuple(sizes))

    def _join(self, left: _Cut, right: _Cut) -> _Cut:
        size_bytes = left.size_bytes + right.size_bytes
        node = inner_hash(left.hash, right.hash)
        if size_bytes <= self._chunk_bytes:
            return _whole(node, left.subtrees[0][1] + right.subtrees[0][1], size_bytes)
        left.subtrees.extend(right.subtrees)
        tokens = bytes((INNER,)) + left.tokens + right.tokens
        return _Cut(hash=node, size_bytes=size_bytes, tokens=tokens, subtrees=left.subtrees)


def _whole(node: bytes, entries: int, size_bytes: int) -> _Cut:
    """A subtree that is not cut."""
    return _Cut(hash=node, size_bytes=size_bytes, tokens=_WHOLE, subtrees=[(node, entries, size_bytes)])


@dataclass(frozen=True, slots=True)
class CutSnapshot:
    """A finished pass: the map, its announcement, the app hash that it leads to, the size of each chunk's body."""

    map: SnapshotMap
    announced: Announcement
    app_hash: bytes
    sizes_bytes: tuple[int, ...]


def chunk_head(snapshot: SnapshotMap, chunk: int) -> bytes:
    """The bytes before a chunk's body: the head of its list."""
    return pack_array_size(2 * sum([entries for _, entries in snapshot.subtrees_of(chunk)]))


# --- Checking and building


class TreeRebuilder:
    """Builds the tree of a checked map from its chunks, in order, and nothing that a chunk says is kept unchecked.

    The pages of a chunk are in `take`'s answer; what stands above all chunks in `finish`'s. In memory are one chunk
    and one record for each subtree.
    """

    def __init__(self, snapshot: SnapshotMap) -> None:
        self.map = snapshot
        self.next_chunk = 0
        self._next_page = 1
        self._last_key = b""
        self._children: list[Child] = []
        self._between: list[int] = []
        # Where the subtrees of the next chunk begin.
        self._subtree = 0

    def take(self, chunk: bytes) -> tuple[list[tuple[bytes, bytes]], TreeUpdate]:
        """Check the next chunk: its (key, value) pairs and its pages; raises `FalseSnapshot` and then forgets it."""
        wanted = self.map.subtrees[self.next_chunk]
        counts = self.map.entries[self._subtree : self._subtree + wanted]
        keys, values = _entries_of(chunk, sum(counts))
        if keys[0] <= self._last_key or not all(map(lt, keys, keys[1:])):
            raise FalseSnapshot("keys do not rise")
        update = TreeUpdate(self._next_page)
        children: list[Child] = []
        between: list[int] = []
        low, last_key = 0, self._last_key
        for index, count in enumerate(counts, self._subtree):
            high = low + count
            part = keys[low:high]
            hashes = [leaf_hash(key, value) for key, value in zip(part, values[low:high], strict=True)]
            positions = [branch_position(below, above) for below, above in pairwise(part)]
            # Before anything is built of it: the shape of a lie may be dear to build.
            if fold(hashes, positions) != self.map.hashes[HASH_BYTES * index : HASH_BYTES * (index + 1)]:
                raise FalseSnapshot(f"the entries from key {part[0].hex()} are not those of the state")
            if last_key:
                between.append(branch_position(last_key, part[0]))
            children.append(_packed(update, part, positions, hashes))
            last_key, low = part[-1], high
        self._children += children
        self._between += between
        self._last_key = last_key
        self._next_page = update.next_number
        self._subtree += wanted
        self.next_chunk += 1
        return list(zip(keys, values, strict=True)), update

    @property
    def complete(self) -> bool:
        """Whether all chunks were taken."""
        return self.next_chunk == self.map.chunks

    def finish(self) -> TreeUpdate:
        """The pages above all chunks; `root` is the tree's."""
        update = TreeUpdate(self._next_page)
        update.root = top_of(update, *pack_children(update, self._children, self._between))
        return update


def _packed(update: TreeUpdate, keys: list[bytes], positions: list[int], hashes: list[bytes]) -> Child:
    """One complete subtree under one page."""
    children, between = pack_leaves(update, keys, positions, hashes)
    return children[0] if len(children) == 1 else update.add_branch(children, between)


def _entries_of(chunk: bytes, count: int) -> tuple[list[bytes], list[bytes]]:
    """(keys, values) of a chunk that must hold `count` entries; raises `FalseSnapshot`."""
    if len(chunk) > MAX_CHUNK_BYTES:
        raise FalseSnapshot(f"a chunk has {len(chunk)} bytes, at most {MAX_CHUNK_BYTES}")
    head = pack_array_size(2 * count) if count < 2**31 else b""
    if not head or not chunk.startswith(head):
        raise FalseSnapshot(f"a chunk does not hold {count} entries")
    try:
        items = decode(list[bytes], chunk)
    except CodecError as error:
        raise FalseSnapshot(f"a chunk is malformed: {error}") from error
    keys, values = items[::2], items[1::2]
    if not all(values) or not keys[0] or max(map(len, keys)) > MAX_KEY_BYTES:
        raise FalseSnapshot(f"a key or value is empty, or a key has more than {MAX_KEY_BYTES} bytes")
    return keys, values
