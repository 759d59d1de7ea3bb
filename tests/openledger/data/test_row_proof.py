"""Proofs of rows: they lead to the root on the chain, and no changed one does."""

import hashlib

import pytest
from msgspec import structs

from openledger.data.row_proof import RowProof, parse_row_proof, prove_row
from openledger.data.rows import RowBatch
from openledger.errors import NotVerified


def batch_of(count: int) -> RowBatch:
    """Rows under salts that are the same on every run."""
    salts = [number.to_bytes(16, "big") for number in range(count)]
    return RowBatch.from_objects([{"text": f"row {number}"} for number in range(count)], salts)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 9, 33])
def test_every_row_of_a_batch_leads_to_its_root(count: int) -> None:
    batch = batch_of(count)
    root = batch.commitment().rows_root
    for index in range(count):
        proof = prove_row(batch, index)
        assert (proof.root, proof.row, proof.count) == (root, batch.rows[index], count)
        assert parse_row_proof(proof.encode()) == proof


def test_the_formula_is_the_one_that_the_protocol_states() -> None:
    batch = batch_of(3)

    def tagged(tag: str, data: bytes) -> bytes:
        prefix = hashlib.sha256(tag.encode()).digest()
        return hashlib.sha256(prefix + prefix + data).digest()

    def leaf(index: int) -> bytes:
        salted = tagged("openledger/row/v1", batch.salts[index] + batch.rows[index])
        return hashlib.sha256(b"\0" + salted).digest()

    left = hashlib.sha256(b"\1" + leaf(0) + leaf(1)).digest()
    tree = hashlib.sha256(b"\1" + left + leaf(2)).digest()
    assert prove_row(batch, 2).hashes == (left,)
    assert prove_row(batch, 1).hashes == (leaf(0), leaf(2))
    assert prove_row(batch, 1).root == tagged("openledger/list/rows/v1", b"\3" + tree)


def test_a_changed_proof_leads_elsewhere_or_is_refused() -> None:
    batch = batch_of(6)
    proof, root = prove_row(batch, 4), batch.commitment().rows_root
    for changed in (
        structs.replace(proof, row=b'{"text":"row 5"}'),
        structs.replace(proof, salt=b"\0" * 16),
        structs.replace(proof, index=5),
        structs.replace(proof, hashes=proof.hashes[::-1]),
    ):
        assert changed.root != root
    for wrong, said in (
        (structs.replace(proof, hashes=proof.hashes[1:]), "too few hashes"),
        (structs.replace(proof, hashes=(*proof.hashes, b"\1" * 32)), "more hashes than it needs"),
        (structs.replace(proof, index=6), "row 7 of 6"),
        (structs.replace(proof, count=64), "too few hashes"),
    ):
        with pytest.raises(NotVerified, match=said):
            _ = wrong.root


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80",
        prove_row(batch_of(2), 0).encode()[:-1],
        prove_row(batch_of(2), 0).encode() + b"\0",
        RowProof(index=0, count=1, salt=b"s" * 16, row=b"no object", hashes=()).encode(),
    ],
    ids=["nothing", "another form", "cut", "longer", "no row"],
)
def test_bytes_that_are_no_proof_of_a_row_are_refused(data: bytes) -> None:
    with pytest.raises(NotVerified, match="the proof of the row cannot be read"):
        parse_row_proof(data)
