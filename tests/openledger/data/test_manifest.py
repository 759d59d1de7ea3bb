"""Manifests: one root, every part provable alone, nothing else provable."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abci_app.hashing import sha256, uvarint
from openledger.content.store import ContentCorrupt, ContentMissing, ContentStore
from openledger.data.manifest import (
    Manifest,
    ManifestError,
    get_manifest,
    named_parts_root,
    put_manifest,
    to_json,
    verify_part,
)

NAMES = st.from_regex(r"\A[a-z0-9][a-z0-9/-]{0,10}\Z")


def prefix_free(parts: dict[str, bytes]) -> bool:
    names = sorted(parts)
    return not any(other.startswith(name) for name, other in pairwise(names))


PARTS = st.dictionaries(NAMES, st.binary(min_size=1, max_size=20), min_size=1, max_size=20).filter(prefix_free)


def leaf(name: bytes, value: bytes) -> bytes:
    return sha256(b"\x00" + uvarint(len(name)) + name + b" " + sha256(value))


def slow_root(parts: dict[bytes, bytes], bit: int = 0) -> bytes:
    """The trie's definition bit by bit: branch where both sides are occupied."""
    if len(parts) == 1:
        ((name, value),) = parts.items()
        return leaf(name, value)
    ones = {name: value for name, value in parts.items() if name[bit // 8] >> (7 - bit % 8) & 1}
    zeros = {name: value for name, value in parts.items() if name not in ones}
    if not ones or not zeros:
        return slow_root(parts, bit + 1)
    return sha256(b"\x01" + slow_root(zeros, bit + 1) + slow_root(ones, bit + 1))


@given(PARTS)
def test_the_root_is_the_tries_and_every_part_is_provable_alone(parts: dict[str, bytes]) -> None:
    manifest = Manifest(parts)
    assert manifest.root == named_parts_root(parts)
    assert manifest.root == slow_root({name.encode(): value for name, value in parts.items()})
    for name, value in parts.items():
        proof = manifest.prove(name)
        assert (proof.name, proof.value) == (name, value)
        verify_part(proof, manifest.root)


@given(PARTS)
def test_a_manifest_survives_its_encoding_and_order_does_not_matter(parts: dict[str, bytes]) -> None:
    manifest = Manifest(parts)
    assert Manifest.decode(manifest.encode()) == manifest
    assert Manifest(dict(reversed(parts.items()))) == manifest


@given(PARTS, st.data())
def test_a_changed_name_value_sibling_or_side_is_no_proof(parts: dict[str, bytes], data: st.DataObject) -> None:
    manifest = Manifest(parts)
    proof = manifest.prove(data.draw(st.sampled_from(sorted(parts))))
    wrong = [replace(proof, value=proof.value + b"x"), replace(proof, name=proof.name + "x")]
    if proof.path:
        side, sibling = proof.path[0]
        wrong.append(replace(proof, path=((side, bytes(32)), *proof.path[1:])))
        wrong.append(replace(proof, path=(("left" if side == "right" else "right", sibling), *proof.path[1:])))
        wrong.append(replace(proof, path=proof.path[1:]))
    for other in wrong:
        with pytest.raises(ManifestError):
            verify_part(other, manifest.root)


@pytest.mark.parametrize(
    "parts",
    [{}, {"a": b""}, {"A": b"x"}, {"a": b"1", "ab": b"2"}, {"x" * 65: b"1"}, {f"n{i:03}": b"1" for i in range(257)}],
)
def test_what_has_no_unambiguous_root_is_refused(parts: dict[str, bytes]) -> None:
    with pytest.raises(ManifestError):
        Manifest(parts)


@given(st.binary(max_size=60))
def test_any_other_bytes_are_refused(data: bytes) -> None:
    try:
        manifest = Manifest.decode(data)
    except ManifestError:
        return
    assert manifest.encode() == data


def test_a_stored_manifest_is_found_by_its_root_and_a_changed_one_refused(tmp_path: Path) -> None:
    store = ContentStore.open(tmp_path)
    manifest = Manifest({"recipe": b"one", "seed": b"7"})
    root = put_manifest(store, manifest)
    assert get_manifest(store, root) == manifest
    (tmp_path / "manifest" / root.hex()).write_bytes(Manifest({"recipe": b"two", "seed": b"7"}).encode())
    with pytest.raises(ContentCorrupt, match=root.hex()):
        get_manifest(store, root)
    (tmp_path / "manifest" / root.hex()).write_bytes(b"rubbish")
    with pytest.raises(ContentCorrupt, match="cannot be read"):
        get_manifest(store, root)
    with pytest.raises(ContentMissing):
        get_manifest(store, bytes(32))


def test_canonical_json_has_sorted_keys_and_refuses_floats_and_null() -> None:
    assert to_json({"b": [1, "é"], "a": True}) == b'{"a":true,"b":[1,"\\u00e9"]}'
    for bad in (1.5, None, {"a": [0.1]}, {1: 2}, b"x"):
        with pytest.raises(ManifestError):
            to_json(bad)


def test_missing_and_unreadable_parts_are_named() -> None:
    manifest = Manifest({"seed": b"{"})
    with pytest.raises(ManifestError, match="no part 'recipe'; it has seed"):
        manifest.json("recipe")
    with pytest.raises(ManifestError, match="no part 'recipe'"):
        manifest.prove("recipe")
    with pytest.raises(ManifestError, match="part 'seed' is not JSON"):
        manifest.json("seed")
