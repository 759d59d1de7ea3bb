"""Proofs of a gradient index, verified with the standard library alone, and what forged ones meet."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from attribution.errors import AttributionError
from attribution.lga.commitment import ItemProof, verify_leaf, verify_owner, verify_parameters
from attribution.lga.index.reader import GradientIndex
from attribution.lga.parameters import IndexParameters
from openledger.data.manifest import to_json
from tests.kit.attribution.building import build
from tests.kit.attribution.small_index import committed, small_index
from tests.kit.repository import ROOT

pytestmark = pytest.mark.ml


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> GradientIndex:
    return build(tmp_path_factory.mktemp("index"))


def test_proofs_survive_their_byte_form_and_verify_without_numpy_and_torch(
    index: GradientIndex, tmp_path: Path
) -> None:
    leaf, owner = index.prove_leaf(5), index.prove_owner(index.owners[1])
    assert ItemProof.decode(leaf.encode()) == leaf
    (tmp_path / "leaf").write_bytes(leaf.encode())
    (tmp_path / "owner").write_bytes(owner.encode())
    code = (
        "import sys; sys.modules.update(numpy=None, torch=None, transformers=None); from pathlib import Path;"
        "from attribution.lga.commitment import ItemProof, verify_leaf, verify_owner; folder = Path(sys.argv[1]);"
        "root = bytes.fromhex(sys.argv[2]); read = lambda name: ItemProof.decode((folder / name).read_bytes());"
        "print(sum(verify_leaf(read('leaf'), root).codes), sum(verify_owner(read('owner'), root).sums))"
    )
    words = [sys.executable, "-c", code, str(tmp_path), index.root.hex()]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == [str(index.codes[5].sum(dtype=int)), str(index.owner_sums[1].sum())]


def test_a_proof_holds_for_its_item_place_list_and_root_only(index: GradientIndex) -> None:
    proof = index.prove_leaf(5)
    changed = bytes([proof.item[0] ^ 1]) + proof.item[1:]
    owners = index.prove_part("owners")
    wrong = [
        (replace(proof, item=changed), "proof.item"),
        (replace(proof, item=proof.item[:-2]), "proof.item"),
        (replace(proof, index=4), "proof.item"),
        (replace(proof, index=18), "proof.index"),
        (replace(proof, hashes=proof.hashes[:-1]), "proof.hashes"),
        (replace(proof, hashes=(*proof.hashes, bytes(32))), "proof.hashes"),
        (replace(proof, hashes=(bytes(32), *proof.hashes[1:])), "proof.item"),
        (replace(proof, part=owners), "proof.part"),
        (replace(proof, part=replace(owners, name="leaves")), "proof.part"),
        (index.prove_owner(index.owners[0]), "proof.part"),
    ]
    for forged, field in wrong:
        with pytest.raises(AttributionError) as refused:
            verify_leaf(forged, index.root)
        assert refused.value.field == field
    with pytest.raises(AttributionError, match="the proof is for another index"):
        verify_leaf(proof, bytes(32))
    with pytest.raises(AttributionError) as refused:
        verify_owner(proof, index.root)
    assert refused.value.field == "proof.part"


def test_bytes_that_are_no_proof_are_refused(index: GradientIndex) -> None:
    data = index.prove_leaf(5).encode()
    for wrong in (b"", data[:-1], data + b"\0", b"\x95" + data[1:-40], b"\xdc" + data):
        with pytest.raises(AttributionError) as refused:
            ItemProof.decode(wrong, "explanation.rows.3.proof")
        assert refused.value.field == "explanation.rows.3.proof"
    with pytest.raises(AttributionError, match="more than"):
        ItemProof.decode(bytes(2**25))


def test_parameters_are_provable_and_read_in_one_form_only(index: GradientIndex) -> None:
    part = index.prove_part("parameters")
    assert verify_parameters(part, index.root) == index.parameters
    with pytest.raises(AttributionError, match=r"proof\.part"):
        verify_parameters(replace(part, value=part.value.replace(b'"threads":1', b'"threads":2')), index.root)
    assert IndexParameters.decode(part.value) == index.parameters
    wrong = [b"", b"[]", b"{}", b"[" * 10**5, part.value + b" ", part.value.replace(b'"codes"', b'"kodes"')]
    wrong += [part.value.replace(b'"modules":[[', b'"modules":[[1,'), to_json({"modules": []})]
    wrong += [part.value.replace(b'"exponent":', b'"exponent":NaN,"x":'), b" " * 2**23]
    for data in wrong:
        with pytest.raises(AttributionError) as refused:
            IndexParameters.decode(data)
        assert refused.value.field.startswith("parameters")


def test_a_leaf_with_a_code_that_has_no_negative_or_of_another_list_is_refused() -> None:
    small = small_index()
    assert verify_leaf(small.prove(1), small.commitment.root).codes == tuple(small.codes[1].tolist())
    codes = small.codes.copy()
    codes[1, 5] = -(2**15)
    forged = committed(small.rows, codes)
    with pytest.raises(AttributionError, match="holds -32768") as caught:
        verify_leaf(forged.prove(1), forged.commitment.root)
    assert caught.value.field == "proof.item"
    beyond = replace(small.prove(1), index=len(small.rows))
    with pytest.raises(AttributionError, match=f"{len(small.rows)} of a list of {len(small.rows)}") as caught:
        verify_leaf(beyond, small.commitment.root)
    assert caught.value.field == "proof.index"
