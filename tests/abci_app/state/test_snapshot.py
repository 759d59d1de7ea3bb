"""A snapshot's chunks are exactly the state: none can hide, add or change anything; the map is bound to the root."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.hashing import sha256
from abci_app.state.codec import encode
from abci_app.state.snapshot import (
    MAX_CHUNK_BYTES,
    Announcement,
    CutSnapshot,
    FalseSnapshot,
    SnapshotCutter,
    SnapshotMap,
    SnapshotTooLarge,
    TreeRebuilder,
    chunk_head,
    verify_map,
)
from abci_app.state.tree.read import walk
from abci_app.state.tree.trie import app_hash_of
from tests.kit.state import trees

STATE = {b"k%03d" % number: b"value %d" % number for number in range(200)}


def cut(state: dict[bytes, bytes], chunk_bytes: int = 300, height: int = 7) -> tuple[CutSnapshot, list[bytes]]:
    """The snapshot of a state, and its chunks."""
    cutter = SnapshotCutter(height, chunk_bytes)
    body = b"".join([cutter.add(key, value) for key, value in sorted(state.items())])
    found = cutter.finish()
    chunks, at = [], 0
    for index, size in enumerate(found.sizes_bytes):
        chunks.append(chunk_head(found.map, index) + body[at : at + size])
        at += size
    assert at == len(body)
    return found, chunks


def rebuilt(found: CutSnapshot, chunks: list[bytes]) -> tuple[dict[bytes, bytes], bytes, trees.PagedTree]:
    """The state, the app hash and the pages that the chunks lead to."""
    rebuilder = TreeRebuilder(verify_map(found.announced, found.app_hash))
    state: dict[bytes, bytes] = {}
    tree = trees.PagedTree()
    pages = []
    for chunk in chunks:
        entries, update = rebuilder.take(chunk)
        state.update(entries)
        pages += update.pages
    assert rebuilder.complete
    top = rebuilder.finish()
    pages += top.pages
    assert [number for number, _ in pages] == list(range(1, len(pages) + 1))
    tree.root = top.root
    tree.stored = {number: page.encode() for number, page in pages}
    return state, app_hash_of(top.root.hash), tree


@given(trees.states.filter(bool), st.integers(1, 400))
def test_the_chunks_are_the_state_and_lead_to_its_app_hash(state: dict[bytes, bytes], chunk_bytes: int) -> None:
    found, chunks = cut(state, chunk_bytes)
    again, app_hash, tree = rebuilt(found, chunks)
    assert again == state
    assert app_hash == found.app_hash == app_hash_of(trees.reference_root(state))
    assert [key for key, _ in walk(tree.read, tree.root, b"", None)] == sorted(state)


@given(trees.states.filter(bool), st.integers(1, 400), trees.blocks)
def test_blocks_go_on_upon_the_rebuilt_tree(
    state: dict[bytes, bytes], chunk_bytes: int, blocks: list[dict[bytes, bytes | None]]
) -> None:
    _, _, tree = rebuilt(*cut(state, chunk_bytes))
    tree.state, tree.next_number, tree.live = dict(state), len(tree.stored) + 1, set(tree.stored)
    for changes in blocks:
        tree.apply(changes)
        assert tree.root.hash == trees.reference_root(tree.state)


def test_no_chunk_is_larger_than_asked_and_none_could_take_in_the_next_subtree() -> None:
    found, chunks = cut(STATE, 300)
    assert max(found.sizes_bytes) <= 300
    assert found.announced.chunks == len(chunks) > 10
    assert sum(found.map.entries) == len(STATE)


def test_a_state_of_one_value_has_one_chunk_and_a_map_of_one_hash() -> None:
    found, chunks = cut({b"k": b"v"})
    assert (found.map.tokens, found.map.entries, found.map.subtrees) == (b"\x02", (1,), (1,))
    assert rebuilt(found, chunks)[0] == {b"k": b"v"}


def test_a_value_above_the_size_of_chunks_has_one_of_its_own() -> None:
    found, chunks = cut(STATE | {b"k100x": b"x" * 1000}, 300)
    assert [size for size in found.sizes_bytes if size > 300] == [1010]
    assert rebuilt(found, chunks)[0][b"k100x"] == b"x" * 1000


def test_a_value_that_no_message_can_carry_is_refused_with_its_key() -> None:
    with pytest.raises(SnapshotTooLarge, match="the value of key 6b has 15000000 bytes: more than a chunk may have"):
        SnapshotCutter(1).add(b"k", bytes(MAX_CHUNK_BYTES))


def test_an_empty_state_has_no_snapshot() -> None:
    with pytest.raises(ValueError, match="an empty state has no snapshot"):
        SnapshotCutter(1).finish()


# --- Lies


def refused(found: CutSnapshot, chunk: bytes, index: int = 0, before: list[bytes] | None = None) -> str:
    rebuilder = TreeRebuilder(verify_map(found.announced, found.app_hash))
    for each in before or []:
        rebuilder.take(each)
    assert rebuilder.next_chunk == index
    with pytest.raises(FalseSnapshot) as error:
        rebuilder.take(chunk)
    assert rebuilder.next_chunk == index
    return str(error.value)


def packed(entries: list[tuple[bytes, bytes]]) -> bytes:
    return msgspec.msgpack.encode([item for pair in entries for item in pair])


def entries_of(chunk: bytes) -> list[tuple[bytes, bytes]]:
    items = msgspec.msgpack.decode(chunk, type=list[bytes])
    return list(zip(items[::2], items[1::2], strict=True))


def test_a_chunk_cannot_change_hide_add_or_move_anything() -> None:
    found, chunks = cut(STATE)
    true = entries_of(chunks[0])
    assert packed(true) == chunks[0]
    changed = [(true[0][0], b"other"), *true[1:]]
    renamed = [(b"k", true[0][1]), *true[1:]]
    not_those = f"the entries from key {true[0][0].hex()} are not those of the state"
    assert refused(found, packed(changed)) == not_those
    assert refused(found, packed(renamed)) == "the entries from key 6b are not those of the state"
    count = f"a chunk does not hold {len(true)} entries"
    assert refused(found, packed(true[1:])) == count
    assert refused(found, packed([*true, (b"z", b"z")])) == count
    assert refused(found, packed([true[1], true[0], *true[2:]])) == "keys do not rise"
    assert refused(found, packed([true[0], true[0], *true[2:]])) == "keys do not rise"
    assert refused(found, chunks[0], 1, [chunks[0]]) in (
        f"a chunk does not hold {sum(count for _, count in found.map.subtrees_of(1))} entries",
        "keys do not rise",
    )


def test_a_chunk_of_odd_bytes_is_refused_in_words() -> None:
    found, chunks = cut(STATE)
    head = chunk_head(found.map, 0)
    assert refused(found, b"").startswith("a chunk does not hold")
    assert refused(found, head).startswith("a chunk is malformed")
    assert refused(found, chunks[0] + b"\x00").startswith("a chunk is malformed")
    assert refused(found, bytes(MAX_CHUNK_BYTES + 1)) == "a chunk has 15000001 bytes, at most 15000000"
    true = entries_of(chunks[0])
    empty = "a key or value is empty, or a key has more than 127 bytes"
    assert refused(found, packed([(b"", b"v"), *true[1:]])) == empty
    assert refused(found, packed([(true[0][0], b""), *true[1:]])) == empty
    assert refused(found, packed([*true[:-1], (b"z" * 128, b"v")])) == empty


def test_after_a_false_chunk_the_true_one_is_taken() -> None:
    found, chunks = cut(STATE)
    rebuilder = TreeRebuilder(found.map)
    for chunk in chunks:
        with pytest.raises(FalseSnapshot):
            rebuilder.take(packed([(key, b"lie") for key, _ in entries_of(chunk)]))
        rebuilder.take(chunk)
    assert app_hash_of(rebuilder.finish().root.hash) == found.app_hash


@given(st.data())
def test_no_flipped_bit_of_a_chunk_is_taken(data: st.DataObject) -> None:
    found, chunks = cut(STATE)
    bit = data.draw(st.integers(0, 8 * len(chunks[0]) - 1))
    flipped = bytearray(chunks[0])
    flipped[bit >> 3] ^= 1 << (bit & 7)
    refused(found, bytes(flipped))


def announced(snapshot: SnapshotMap) -> Announcement:
    return Announcement.of(snapshot)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"tokens": b"\x02"}, "the chunks do not hold the subtrees that the tokens show"),
        ({"entries": ()}, "the chunks do not hold the subtrees that the tokens show"),
        ({"subtrees": ()}, "0 chunks, or one without a subtree; 1 to 100000 are possible"),
        ({"hashes": b"h"}, "there is not one hash for each subtree"),
    ],
)
def test_a_map_that_does_not_fit_together_is_refused(change: dict[str, object], text: str) -> None:
    found, _ = cut(STATE)
    with pytest.raises(FalseSnapshot) as refusal:
        verify_map(announced(msgspec.structs.replace(found.map, **change)), found.app_hash)
    assert str(refusal.value) == text


def test_a_map_of_another_state_is_refused() -> None:
    found, _ = cut(STATE)
    other, _ = cut(STATE | {b"k000": b"other"})
    with pytest.raises(FalseSnapshot, match="the map does not lead to the app hash"):
        verify_map(other.announced, found.app_hash)


def test_tokens_that_are_no_tree_are_refused() -> None:
    found, _ = cut(STATE)
    for tokens in (found.map.tokens + b"\x01", found.map.tokens[1:], found.map.tokens.replace(b"\x01", b"\x03", 1)):
        with pytest.raises(FalseSnapshot, match="the tokens do not form"):
            verify_map(announced(msgspec.structs.replace(found.map, tokens=tokens)), found.app_hash)


def test_the_announcement_must_be_that_of_the_map() -> None:
    found, _ = cut(STATE)
    true = found.announced
    for lie, text in (
        (replace(true, hash=sha256(b"")), "the announced hash is not that of the map"),
        (replace(true, height=8), "announced are height 8 and"),
        (replace(true, chunks=1), "announced are height 7 and 1 chunks"),
        (replace(true, map_bytes=b"\x90", hash=sha256(b"\x90")), "the map is malformed"),
        (replace(true, map_bytes=bytes(3_000_001)), "the map has 3000001 bytes, at most 3000000"),
    ):
        with pytest.raises(FalseSnapshot, match=text):
            verify_map(lie, found.app_hash)


def test_counts_of_a_map_cannot_ask_for_endless_work() -> None:
    found, chunks = cut(STATE)
    many = msgspec.structs.replace(found.map, entries=(2**63, *found.map.entries[1:]))
    with pytest.raises(FalseSnapshot, match="a chunk does not hold"):
        TreeRebuilder(verify_map(announced(many), found.app_hash)).take(chunks[0])
    with pytest.raises(FalseSnapshot, match="a subtree has no entries"):
        verify_map(announced(msgspec.structs.replace(found.map, entries=(0, *found.map.entries[1:]))), found.app_hash)


def test_the_map_says_what_a_snapshot_weighs_beside_its_entries() -> None:
    """What proofs cost: one hash, one or two tokens and the counts for each subtree."""
    found, _ = cut(STATE)
    subtrees = len(found.map.entries)
    assert len(encode(found.map)) < 40 * subtrees + 30
