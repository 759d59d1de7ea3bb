"""ICS-23's own library judges our proofs of existence and absence, CometBFT's our `simple:v` operators."""

from __future__ import annotations

import random

import pytest

from abci_app.pb import crypto_pb2
from abci_app.state.ics23 import commitment_proofs, upper_leaf
from abci_app.state.memory_store import MemoryVersion
from abci_app.state.tree.trie import STORE_NAME, app_hash_of
from tests.abci_app.state.test_proof import version_of
from tests.kit.proofcheck import needs_proofcheck, proofcheck


def judge(version: MemoryVersion, proofs: list[tuple[bytes, bytes]], key: bytes, value: bytes | None) -> list[str]:
    """Ask ICS-23's library about the key in the tree, and about the tree in the app hash."""
    (proven_key, first), (name, second) = proofs
    assert (proven_key, name) == (key, STORE_NAME)
    root = version.root_hash()
    return [
        proofcheck("ics23", spec="tendermint", root=root, proof=first, key=key, value=value),
        proofcheck("ics23", spec="tendermint", root=version.app_hash, proof=second, key=STORE_NAME, value=root),
    ]


def some_states() -> list[dict[bytes, bytes]]:
    """Few keys, many keys, keys that begin with each other, one long chain."""
    chance = random.Random(23)
    return [
        {b"only": b"1"},
        {b"a": b"1", b"b": b"2"},
        {b"account/%d" % number: b"%d" % number for number in range(50)},
        {chance.randbytes(chance.randint(1, 4)): chance.randbytes(5) for _ in range(200)},
        {b"\xff" * n: b"deep" for n in range(1, 90)},
        {b"k" * 127: b"v" * 5_000, b"k" * 126: b"1"},
    ]


@needs_proofcheck
@pytest.mark.parametrize("number", range(len(some_states())))
def test_existence_is_accepted_for_the_right_value_only(number: int) -> None:
    state = some_states()[number]
    version = version_of(state)
    for key in random.Random(number).sample(sorted(state), min(len(state), 6)):
        proofs = commitment_proofs(version, key)
        assert judge(version, proofs, key, state[key]) == ["ok", "ok"]
        assert judge(version, proofs, key, state[key] + b"x") == ["fail: existence does not verify", "ok"]


@needs_proofcheck
@pytest.mark.parametrize("number", range(len(some_states())))
def test_absence_is_accepted_below_between_and_above_the_keys(number: int) -> None:
    state = some_states()[number]
    version = version_of(state)
    chance = random.Random(number)
    between = [key + b"\x00" for key in chance.sample(sorted(state), min(len(state), 4))]
    for key in [b"\x00", *between, max(state) + b"\xff"]:
        if key not in state:
            assert judge(version, commitment_proofs(version, key), key, None) == ["ok", "ok"]


@needs_proofcheck
def test_an_existing_key_cannot_be_shown_as_absent() -> None:
    state = {b"k%02d" % number: b"1" for number in range(20)}
    version = version_of(state)
    without = version_of({key: value for key, value in state.items() if key != b"k07"})
    assert judge(version, commitment_proofs(without, b"k07"), b"k07", None) == [
        "fail: absence does not verify",
        "fail: existence does not verify",
    ]

    class Hiding:
        """Gives k06 and k08 for neighbours of the existing key between them."""

        root_hash = staticmethod(version.root_hash)
        path = staticmethod(version.path)

        def get(self, key: bytes) -> bytes | None:
            return None if key == b"k07" else version.get(key)

        def neighbours(self, key: bytes) -> tuple[bytes | None, bytes | None]:
            return b"k06", b"k08"

    assert judge(version, commitment_proofs(Hiding(), b"k07"), b"k07", None) == ["fail: absence does not verify", "ok"]


@needs_proofcheck
def test_cometbft_accepts_the_simple_path_of_every_kind_of_key() -> None:
    for state in some_states():
        version = version_of(state)
        for key in sorted(state)[:: max(len(state) // 4, 1)]:
            if len(key) > 62 and b"\xff\xff" in key:
                continue  # deeper than a simple path can say
            simple = version.prove_simple(key)
            proof = crypto_pb2.Proof(
                total=simple.total, index=simple.index, leaf_hash=simple.leaf_hash, aunts=simple.aunts
            )
            upper = crypto_pb2.Proof(total=1, index=0, leaf_hash=version.app_hash)
            ops = crypto_pb2.ProofOps(ops=[
                crypto_pb2.ProofOp(type="simple:v", key=name, data=crypto_pb2.ValueOp(proof=part).SerializeToString())
                for name, part in ((key, proof), (STORE_NAME, upper))
            ]).SerializeToString()  # fmt: skip
            request: dict[str, bytes | str | None] = {
                "root": version.app_hash,
                "ops": ops,
                "keypath": f"/{STORE_NAME.decode()}/x:{key.hex()}",
            }
            assert proofcheck("merkle", **request, value=state[key]) == "ok"
            assert proofcheck("merkle", **request, value=state[key] + b"x").startswith("fail: ")


def test_the_upper_leaf_is_the_app_hash() -> None:
    version = version_of({b"a": b"1"})
    assert upper_leaf(version.root_hash()) == version.app_hash == app_hash_of(version.root_hash())


def test_an_empty_tree_has_no_proof_of_absence() -> None:
    with pytest.raises(LookupError, match="ICS-23 has no proof of absence for an empty tree"):
        commitment_proofs(version_of({}), b"a")
