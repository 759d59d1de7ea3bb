"""Proofs: what is true verifies, nothing else does, and a proven state never says what is not so."""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abci_app.state.memory_store import MemoryStore, MemoryVersion
from abci_app.state.message_pack import Reader, pack_proof
from abci_app.state.proof import (
    MAX_PROOF_BYTES,
    ProofError,
    ProofTooDeep,
    ProvenState,
    SimpleProof,
    UnprovenRead,
    encode_proof,
    verify,
    verify_simple,
)
from abci_app.state.tree.pages import inner_hash, leaf_hash
from abci_app.state.tree.trie import app_hash_of
from tests.kit.state import trees

Range = tuple[bytes, bytes]
FAR = b"\xff" * 127


def version_of(state: dict[bytes, bytes], height: int = 7) -> MemoryVersion:
    store = MemoryStore()
    store.commit(store.stage(height, sorted(state.items())))
    return store.latest()


def check_never_lies(proven: ProvenState, state: dict[bytes, bytes], probes: list[bytes]) -> None:
    """Every read is what the state says, or refused."""
    for key in probes:
        with suppress(UnprovenRead):
            assert proven.get(key) == state.get(key)
    for start in probes[:6]:
        for end in probes[:6]:
            for reverse in (False, True):
                rows = [row for row in sorted(state.items(), reverse=reverse) if start <= row[0] < end]
                seen: list[tuple[bytes, bytes]] = []
                try:
                    seen.extend(proven.iterate(start, end, reverse=reverse))
                except UnprovenRead:
                    assert seen == rows[: len(seen)]
                else:
                    assert seen == rows


@given(trees.states, st.lists(trees.keys, max_size=8), st.lists(trees.ranges, max_size=4))
@settings(max_examples=200)
def test_proofs_of_any_keys_and_ranges_verify_and_answer_like_the_state(
    state: dict[bytes, bytes], keys: list[bytes], ranges: list[Range]
) -> None:
    version = version_of(state)
    proven = verify(version.prove(keys, ranges), version.app_hash)
    assert proven.height == 7
    for key in keys:
        assert proven.get(key) == state.get(key)
    for start, end in ranges:
        for reverse in (False, True):
            expected = [row for row in sorted(state.items(), reverse=reverse) if start <= row[0] < end]
            assert list(proven.iterate(start, end, reverse=reverse)) == expected
    check_never_lies(proven, state, [*keys, *[bound for pair in ranges for bound in pair], *sorted(state)[:3]])


def test_keys_of_ten_values_each_are_proven_from_an_empty_tree_on() -> None:
    for size in range(11):
        state = {b"k%d" % i: b"v%d" % i for i in range(size)}
        version = version_of(state)
        proven = verify(version.prove([], [(b"k", b"l")]), version.app_hash)
        assert dict(proven.iterate(b"k", b"l")) == state
        assert proven.entries == state
        assert proven.ranges == [(b"k", b"l")]


def statement(proven: ProvenState) -> tuple[dict[bytes, bytes], list[Range]]:
    return proven.entries, proven.ranges


@given(trees.states, st.lists(trees.keys, max_size=3), st.lists(trees.ranges, max_size=2), st.data())
@settings(max_examples=60)
def test_a_proof_with_one_byte_changed_fails_or_says_nothing_false(
    state: dict[bytes, bytes], keys: list[bytes], ranges: list[Range], data: st.DataObject
) -> None:
    version = version_of(state)
    proof = version.prove(keys, ranges)
    for _ in range(40):
        at = data.draw(st.integers(0, len(proof) - 1))
        changed = bytearray(proof)
        changed[at] ^= data.draw(st.integers(1, 255))
        try:
            proven = verify(bytes(changed), version.app_hash)
        except ProofError:
            continue
        check_never_lies(proven, state, [*keys, *state])
        assert proven.entries == verify(proof, version.app_hash).entries


@given(st.binary(max_size=80) | st.binary(max_size=40).map(lambda rest: b"\x96\x01\x07" + rest))
@settings(max_examples=300)
def test_bytes_that_are_no_proof_are_refused(proof: bytes) -> None:
    with pytest.raises(ProofError):
        verify(proof, ROOT)


@given(trees.states, st.lists(trees.keys, max_size=3), st.lists(trees.ranges, max_size=2), st.data())
def test_a_proof_cut_or_grown_anywhere_fails_or_says_nothing_false(
    state: dict[bytes, bytes], keys: list[bytes], ranges: list[Range], data: st.DataObject
) -> None:
    version = version_of(state)
    proof = version.prove(keys, ranges)
    for _ in range(20):
        at, until = sorted([data.draw(st.integers(0, len(proof))), data.draw(st.integers(0, len(proof)))])
        filling = data.draw(st.binary(max_size=3) | st.just(proof[at:until] * 2))
        with suppress(ProofError):
            check_never_lies(verify(proof[:at] + filling + proof[until:], version.app_hash), state, [*keys, *state])


@given(trees.states.filter(bool), st.lists(trees.ranges, max_size=3), st.data())
@settings(max_examples=200)
def test_whatever_part_of_the_tree_is_shown_no_claim_about_it_can_be_false(
    state: dict[bytes, bytes], ranges: list[Range], data: st.DataObject
) -> None:
    """A prover that shows any leaves and hides any subtrees of the real tree, and claims any ranges."""
    version = version_of(state)
    _, entries, tokens, _, _ = parts_of(version.prove([], [(b"\x00", FAR)]))
    nodes: list[tuple[bytes, list[bytes], bytes, bytes]] = []  # tokens, entries, hashes, hash of a subtree
    leaf = len(entries)
    for token in reversed(tokens):
        if token == 0:
            leaf -= 2
            key, value = entries[leaf : leaf + 2]
            node = b"\x00", [key, value], b"", leaf_hash(key, value)
        else:
            left, right = nodes.pop(), nodes.pop()
            node = b"\x01" + left[0] + right[0], left[1] + right[1], left[2] + right[2], inner_hash(left[3], right[3])
        if data.draw(st.integers(0, 4)) == 0:
            node = b"\x02", [], node[3], node[3]
        nodes.append(node)
    [(tokens, entries, hashes, root)] = nodes
    assert app_hash_of(root) == version.app_hash
    claimed = [pair for pair in sorted(ranges) if pair[0] < pair[1]]
    with suppress(ProofError):
        proven = verify(encode_proof(7, entries, tokens, hashes, claimed), version.app_hash)
        check_never_lies(proven, state, [*[bound for pair in claimed for bound in pair], *state])
        assert proven.entries == {key: state[key] for key in entries[::2]}


def test_every_single_changed_byte_of_one_proof_is_harmless() -> None:
    state = {b"acct/%d" % i: b"%d" % i for i in range(20)}
    version = version_of(state)
    proof = version.prove([b"acct/3", b"acct/x"], [(b"acct/10", b"acct/14")])
    honest = verify(proof, version.app_hash)
    accepted = 0
    for at in range(len(proof)):
        for flip in range(1, 256):
            changed = bytearray(proof)
            changed[at] ^= flip
            try:
                proven = verify(bytes(changed), version.app_hash)
            except ProofError:
                continue
            accepted += 1
            assert proven.entries == honest.entries
            check_never_lies(proven, state, [b"acct/1", b"acct/10", b"acct/13", b"acct/3", b"acct/x", b"b"])
    # The height is not hashed, and bounds of a range may move as far as the shown leaves still cover it.
    assert accepted


@given(trees.states.filter(lambda state: len(state) > 2), st.data())
def test_no_key_of_a_range_can_be_hidden(state: dict[bytes, bytes], data: st.DataObject) -> None:
    """Hide one leaf behind its hash, and leave everything else in order."""
    version = version_of(state)
    height, entries, tokens, hashes, _ = parts_of(version.prove([], [(b"\x00", FAR)]))
    hidden = data.draw(st.integers(0, len(state) - 1))
    leaf_at = [i for i, token in enumerate(tokens) if token == 0][hidden]
    forged_tokens = tokens[:leaf_at] + b"\x02" + tokens[leaf_at + 1 :]
    leaf = leaf_hash(entries[2 * hidden], entries[2 * hidden + 1])
    forged_entries = entries[: 2 * hidden] + entries[2 * hidden + 2 :]
    assert hashes == b""
    forged = encode_proof(height, forged_entries, forged_tokens, leaf, [(b"\x00", FAR)])
    with pytest.raises(ProofError, match="is not shown completely"):
        verify(forged, version.app_hash)
    assert verify(encode_proof(height, forged_entries, forged_tokens, leaf, []), version.app_hash).ranges == []


def parts_of(proof: bytes) -> tuple[int, list[bytes], bytes, bytes, list[bytes]]:
    reader = Reader(proof)
    assert (reader.array_size(), reader.integer()) == (6, 1)
    return (
        reader.integer(),
        reader.byte_strings(),
        reader.byte_string(),
        reader.byte_string(),
        reader.byte_strings(),
    )


LEFT, RIGHT = (b"b", b"1"), (b"d", b"2")
ROOT = app_hash_of(inner_hash(leaf_hash(*LEFT), leaf_hash(*RIGHT)))
BOTH = [*LEFT, *RIGHT]


def packed(
    entries: list[bytes] = BOTH,
    tokens: bytes = b"\x01\x00\x00",
    hashes: bytes = b"",
    bounds: tuple[bytes, ...] = (),
    version: int = 1,
) -> bytes:
    return pack_proof(version, 7, entries, tokens, hashes, bounds)


@pytest.mark.parametrize(
    ("proof", "message"),
    [
        (b"", "proof is malformed: cut off"),
        (b"\x95" + packed()[1:], "proof is not a list of six parts"),
        (packed(version=2), "proof version 2 is unknown; this verifier knows 1"),
        (packed() + b"\x00", "proof is malformed: 1 bytes follow"),
        (packed(entries=BOTH[:3]), "keys and values, or starts and ends of ranges, do not pair up"),
        (packed(bounds=(b"a",)), "keys and values, or starts and ends of ranges, do not pair up"),
        (packed(entries=[*RIGHT, *LEFT]), "keys do not strictly increase"),
        (packed(entries=[*LEFT, *LEFT]), "keys do not strictly increase"),
        (packed(entries=[b"", b"1", *RIGHT]), "keys do not strictly increase"),
        (packed(entries=[b"k" * 128, b"1"]), "a key has 128 bytes, at most 127"),
        (packed(entries=[b"b", b"", *RIGHT]), "a value is empty"),
        (packed(tokens=b"\x01\x00"), "tokens do not match the number of keys or hashes"),
        (packed(hashes=bytes(32)), "tokens do not match the number of keys or hashes"),
        (packed(tokens=b"\x01\x00\x02\x00", hashes=bytes(31)), "tokens do not match the number of keys or hashes"),
        (packed(tokens=b"\x00\x00"), "tokens do not form one tree"),
        (packed(tokens=b"\x00\x00\x01"), "tokens do not form a tree: an inner node lacks a child"),
        (packed(tokens=b"\x01\x03\x00\x00"), "unknown token 3"),
        (packed(entries=[b"b", b"2", *RIGHT]), "root does not lead to the app hash"),
        (packed(entries=[], tokens=b""), "root does not lead to the app hash"),
        (packed(bounds=(b"c", b"c")), "ranges are empty, out of order or touch each other"),
        (packed(bounds=(b"c", b"d", b"d", b"e")), "ranges are empty, out of order or touch each other"),
        (packed(bounds=(b"e", b"f", b"b", b"c")), "ranges are empty, out of order or touch each other"),
        (
            packed(entries=[*LEFT], tokens=b"\x01\x00\x02", hashes=leaf_hash(*RIGHT), bounds=(b"c", b"d")),
            "range from 63 is not shown completely",
        ),
        (
            packed(entries=[*RIGHT], tokens=b"\x01\x02\x00", hashes=leaf_hash(*LEFT), bounds=(b"d", b"e")),
            "range from 64 is not shown completely",
        ),
        (bytes(MAX_PROOF_BYTES + 1), f"proof has {MAX_PROOF_BYTES + 1} bytes, at most {MAX_PROOF_BYTES}"),
    ],
)  # fmt: skip
def test_a_wrong_proof_is_refused_by_the_name_of_what_is_wrong(proof: bytes, message: str) -> None:
    with pytest.raises(ProofError) as caught:
        verify(proof, ROOT)
    assert str(caught.value) == message


def test_the_proof_that_the_wrong_ones_vary_is_right() -> None:
    proven = verify(packed(bounds=(b"a", b"z")), ROOT)
    assert list(proven.iterate(b"a", b"z")) == [LEFT, RIGHT]
    assert (proven.get(b"c"), proven.height, proven.app_hash) == (None, 7, ROOT)


def test_a_tree_deeper_than_keys_can_be_is_refused() -> None:
    depth = 1153
    proof = packed(entries=[b"k", b"v"], tokens=b"\x01\x02" * depth + b"\x00", hashes=bytes(32 * depth))
    with pytest.raises(ProofError, match="tree is deeper than 1152"):
        verify(proof, ROOT)


def test_two_hidden_subtrees_side_by_side_are_another_spelling_of_one_and_refused() -> None:
    proof = packed(entries=[], tokens=b"\x01\x02\x02", hashes=leaf_hash(*LEFT) + leaf_hash(*RIGHT), bounds=())
    with pytest.raises(ProofError, match="one hash hides both"):
        verify(proof, ROOT)


def test_a_huge_stated_list_costs_nothing() -> None:
    with pytest.raises(ProofError, match="a list is longer than the bytes that follow"):
        verify(b"\x96\x01\x07\xdd\x7f\xff\xff\xff", ROOT)


def test_an_app_hash_of_another_size_is_refused() -> None:
    with pytest.raises(ProofError, match="app hash has 20 bytes, needs 32"):
        verify(packed(), bytes(20))


def test_reads_beyond_the_proof_are_refused_by_key() -> None:
    version = version_of({b"a": b"1", b"b": b"2", b"c": b"3", b"d": b"4"})
    proven = verify(version.prove([b"a"], [(b"c", b"d")]), version.app_hash)
    with pytest.raises(UnprovenRead, match="the proof does not cover key 6131"):
        proven.get(b"a1")
    rows = proven.iterate(b"c", b"z")
    assert next(rows) == (b"c", b"3")
    with pytest.raises(UnprovenRead, match="the proof does not cover the keys from 64"):
        next(rows)
    backward = proven.iterate(b"a", b"d", reverse=True)
    assert next(backward) == (b"c", b"3")
    with pytest.raises(UnprovenRead, match="the proof does not cover the keys below 63"):
        next(backward)
    assert list(proven.iterate(b"z", b"a")) == []


@given(trees.states.filter(bool))
def test_every_key_has_a_simple_proof(state: dict[bytes, bytes]) -> None:
    version = version_of(state)
    for key, value in state.items():
        proof = version.prove_simple(key)
        assert proof.total == 2 ** len(proof.aunts)
        verify_simple(proof, key, value, version.app_hash)
        with pytest.raises(ProofError, match="leaf hash does not belong"):
            verify_simple(proof, key, value + b"x", version.app_hash)
        with pytest.raises(ProofError, match="root does not lead to the app hash"):
            verify_simple(proof, key, value, bytes(32))


@given(trees.states.filter(bool), st.data())
def test_a_simple_proof_with_anything_changed_is_refused(state: dict[bytes, bytes], data: st.DataObject) -> None:
    version = version_of(state)
    key = data.draw(st.sampled_from(sorted(state)))
    proof = version.prove_simple(key)
    hashes = [proof.leaf_hash, *proof.aunts]
    at, flip = data.draw(st.integers(0, 32 * len(hashes) - 1)), data.draw(st.integers(1, 255))
    changed = bytearray(b"".join(hashes))
    changed[at] ^= flip
    leaf, *aunts = [bytes(changed[i : i + 32]) for i in range(0, len(changed), 32)]
    other_key = data.draw(trees.keys.filter(lambda other: other != key))
    for bad, bad_key, bad_value in (
        (SimpleProof(proof.total, proof.index, leaf, tuple(aunts)), key, state[key]),
        (proof, other_key, state[key]),
        (proof, key, data.draw(trees.values.filter(lambda value: value != state[key]))),
        (SimpleProof(proof.total, proof.index, proof.leaf_hash, (*proof.aunts, bytes(32))), key, state[key]),
        (proof, b"", state[key]),
        (proof, key, b""),
    ):
        with pytest.raises(ProofError):
            verify_simple(bad, bad_key, bad_value, version.app_hash)


def test_an_absent_key_has_no_simple_proof() -> None:
    with pytest.raises(KeyError, match="key 62 does not exist"):
        version_of({b"a": b"1"}).prove_simple(b"b")


def test_a_key_beyond_62_levels_has_no_simple_proof_but_a_native_one() -> None:
    state = {b"\xff" * n: b"1" for n in range(1, 70)}
    version = version_of(state)
    deepest = b"\xff" * 69
    with pytest.raises(ProofTooDeep, match="lies 68 levels deep, a simple:v proof has at most 62"):
        version.prove_simple(deepest)
    verify_simple(version.prove_simple(b"\xff" * 62), b"\xff" * 62, b"1", version.app_hash)
    assert verify(version.prove([deepest], []), version.app_hash).get(deepest) == b"1"


def test_the_golden_path_that_cometbft_accepted() -> None:
    """cometbft.md 4.5: checked there by CometBFT v0.38.25 and v0.40.0; store name `main`."""
    leaf = leaf_hash(b"acct/alice", b"balance=5")
    assert leaf.hex() == "dd49798894d12288849ed40597e1b6912e1805380c76e033951ce062e3fa2948"
    aunts = [sha256(b"sib%d" % i).digest() for i in range(3)]
    proof = SimpleProof.from_path(b"acct/alice", leaf, [(aunts[0], True), (aunts[1], False), (aunts[2], True)])
    assert proof == SimpleProof(8, 5, leaf, tuple(aunts))
    assert proof.root().hex() == "d898c6d5b68507f2f2deb7f71457755cbfcf30a68608853a4ff84e9ea9d93af4"
    app_hash = leaf_hash(b"main", proof.root())
    assert app_hash.hex() == "7900c9ccfd381cb92c939ad84f0a8a85350d4f1b9c0ffd34340a5f2afdc86ed0"


@pytest.mark.parametrize(
    ("proof", "message"),
    [
        (SimpleProof(0, 0, bytes(32), ()), "index 0 of 0 is not a place in a tree"),
        (SimpleProof(2, 2, bytes(32), (bytes(32),)), "index 2 of 2 is not a place in a tree"),
        (SimpleProof(2, -1, bytes(32), (bytes(32),)), "index -1 of 2 is not a place in a tree"),
        (SimpleProof(2**63, 0, bytes(32), ()), f"index 0 of {2**63} is not a place in a tree"),
        (SimpleProof(2, 0, bytes(32), ()), "path needs 1 aunts, has 0"),
        (SimpleProof(2, 0, bytes(31), (bytes(32),)), "more than 100 aunts, or a hash that has not 32 bytes"),
        (SimpleProof(2, 0, bytes(32), (bytes(33),)), "more than 100 aunts, or a hash that has not 32 bytes"),
        (SimpleProof(2, 0, bytes(32), (bytes(32),) * 101), "more than 100 aunts, or a hash that has not 32 bytes"),
    ],
)
def test_a_malformed_path_is_refused(proof: SimpleProof, message: str) -> None:
    with pytest.raises(ProofError) as caught:
        proof.root()
    assert str(caught.value) == message


def test_an_uneven_tree_of_cometbft_splits_at_the_largest_power_of_two() -> None:
    leaves = [bytes([i]) * 32 for i in range(5)]
    left = inner_hash(inner_hash(leaves[0], leaves[1]), inner_hash(leaves[2], leaves[3]))
    assert SimpleProof(5, 4, leaves[4], (left,)).root() == inner_hash(left, leaves[4])
    assert SimpleProof(5, 2, leaves[2], (leaves[3], inner_hash(leaves[0], leaves[1]), leaves[4])).root() == inner_hash(
        left, leaves[4]
    )
