"""An index read back: proofs of its pieces, and every damaged or foreign file refused by name."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from abci_app.hashing import sha256
from attribution.errors import AttributionError
from attribution.explanation.evidence import IndexEvidence
from attribution.lga import codes
from attribution.lga.basis import ModuleScale
from attribution.lga.code_copies import COPIES
from attribution.lga.commitment import (
    OWNERS,
    IndexCommitment,
    make_commitment,
    root_of_tree,
    verify_leaf,
    verify_owner,
    verify_parameters,
)
from attribution.lga.features import codes_of
from attribution.lga.index.map_files import write_scales
from attribution.lga.index.reader import GradientIndex, rows_by_owner, sum_rows
from attribution.lga.parameters import EXPONENT_LIMIT, MAX_CODES, MAX_EXAMPLES
from openledger.data.manifest import Manifest, to_json
from tests.kit.attribution.building import ALL_CODES, COPY, build, examples

pytestmark = pytest.mark.ml


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("index")
    build(place)
    return place / "index"


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(folder, tmp_path / "copy")


def test_every_leaf_owner_and_part_is_provable_alone(folder: Path) -> None:
    index = GradientIndex.open(folder)
    for number, leaf in enumerate(index.leaves):
        proven = verify_leaf(index.prove_leaf(number), index.root)
        assert (proven.row_leaf, proven.contribution_id, proven.owner) == (
            leaf.row_leaf,
            leaf.contribution_id,
            leaf.owner,
        )
        assert list(proven.codes) == index.codes[number].tolist()
    for at, owner in enumerate(index.owners):
        proven_sum = verify_owner(index.prove_owner(owner), index.root)
        assert (proven_sum.owner, list(proven_sum.sums)) == (owner, index.owner_sums[at].tolist())
    assert verify_parameters(index.prove_part("parameters"), index.root) == index.parameters


def test_an_index_of_another_model_is_refused(folder: Path) -> None:
    with pytest.raises(AttributionError, match="it is another model's index") as refused:
        GradientIndex.open(folder, bytes(32))
    assert refused.value.field == "commitment"


def use_everything(place: Path, root: bytes) -> None:
    index = GradientIndex.open(place, root)
    index.verify()
    index.prove_leaf(0)


FILES = {
    "commitment.bin": "commitment",
    "basis-0000.bin": "basis/0000",
    "scales-0001.bin": "scales/0001",
    "leaves.bin": "dataset",
    "leaf-hashes.bin": "leaves",
    "codes.bin": "leaves",
    "owners.bin": "owners",
    "owner-sums.bin": "owners",
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_missing_cut_short_or_too_long_is_refused_by_name(copy: Path, name: str) -> None:
    root = GradientIndex.open(copy).root
    path = copy / name
    data = path.read_bytes()
    for changed in (None, data[:-1], data[: len(data) // 2], b"", data + b"\0"):
        path.unlink(missing_ok=True)
        if changed is not None:
            path.write_bytes(changed)
        with pytest.raises(AttributionError) as refused:
            use_everything(copy, root)
        assert refused.value.field in (name, FILES[name])


@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_is_found_wherever_it_is(copy: Path, name: str) -> None:
    root = GradientIndex.open(copy).root
    path = copy / name
    data = path.read_bytes()
    for at in (0, len(data) // 3, len(data) - 1):
        changed = bytearray(data)
        changed[at] ^= 1
        path.write_bytes(changed)
        with pytest.raises(AttributionError) as refused:
            use_everything(copy, root)
        assert refused.value.field.split(".")[0] == FILES[name]


def test_sums_that_a_trainer_made_up_are_found_although_the_commitment_holds_them(copy: Path) -> None:
    """The root is right, the sums are not those of the leaves: what an audit is for."""
    sums = np.fromfile(copy / "owner-sums.bin", dtype="<i8")
    sums[0] += 1
    sums.tofile(copy / "owner-sums.bin")
    index = GradientIndex.open(copy)
    levels = index._owner_levels
    parts = dict(index.commitment.manifest.parts)
    parts[OWNERS] = to_json({"count": len(index.owners), "root": root_of_tree(OWNERS, levels).hex()})
    (copy / "commitment.bin").write_bytes(Manifest(parts).encode())
    with pytest.raises(AttributionError, match=r"owners: sums of .* are not those of its credited leaves"):
        GradientIndex.open(copy).verify()


@pytest.mark.parametrize("kept", [0, 1])
def test_scales_that_give_another_number_of_codes_are_refused_before_a_query_is_computed(copy: Path, kept: int) -> None:
    """A scale of zero gives no code: the file and the parameters are two commitments to how many there are."""
    parameters, scales = GradientIndex.open(copy).parameters, copy / "scales-0000.bin"
    modules, *later = GradientIndex.open(copy).feature_map.checkpoints
    values = [np.zeros_like(module.scale.values) for module in modules]
    values[0].flat[:kept] = 1
    write_scales(scales, [ModuleScale(value, 0) for value in values])
    digest, size = sha256(scales.read_bytes()), scales.stat().st_size
    parts = dict(GradientIndex.open(copy).commitment.manifest.parts)
    parts["scales/0000"] = to_json({"bytes": size, "sha256": digest.hex()})
    (copy / "commitment.bin").write_bytes(Manifest(parts).encode())
    others = sum(map(codes_of, later))
    with pytest.raises(
        AttributionError, match=f"parameters.codes: {parameters.codes}; the scales give {others + kept}"
    ):
        _ = GradientIndex.open(copy).feature_map


def credit_otherwise(place: Path, found: list[tuple[int, int]]) -> GradientIndex:
    """The index with another list of copies, and sums and roots that follow from it."""
    index = GradientIndex.open(place)
    forged = replace(index.copies, found=tuple(sorted(found)))
    rows = rows_by_owner([leaf.owner for leaf in index.leaves], forged.leader_of)
    np.stack([sum_rows(index.codes, rows[owner]) for owner in index.owners]).astype("<i8").tofile(
        place / "owner-sums.bin"
    )
    parts = {**index.commitment.manifest.parts, COPIES: forged.encode()}
    root = root_of_tree(OWNERS, GradientIndex.open(place)._owner_levels)
    parts[OWNERS] = to_json({"count": len(index.owners), "root": root.hex()})
    (place / "commitment.bin").write_bytes(Manifest(parts).encode())
    return GradientIndex.open(place)


def test_a_list_of_copies_that_a_trainer_made_up_is_found_although_everything_else_follows_from_it(
    tmp_path: Path,
) -> None:
    place = build(tmp_path, features=ALL_CODES).folder
    honest = GradientIndex.open(place).copies.found
    given = examples()
    copy, victim, other = (
        GradientIndex.open(place).leaf_number(given[at].contribution_id, given[at].row_leaf) for at in (COPY, 9, 2)
    )
    assert copy in dict(honest)
    assert victim not in dict(honest)
    credit_otherwise(place, list(honest)).verify()
    leader = dict(honest)[copy]
    for found, words in (
        (honest[:0], f"leaf {min(dict(honest))} is credited; by the codes it is a copy of leaf"),
        (
            [pair for pair in honest if pair[0] != copy],
            f"leaf {copy} is credited; by the codes it is a copy of leaf {leader}",
        ),
        ([*honest, (victim, other)], f"leaf {victim} is a copy of leaf {other}; by the codes it is credited"),
    ):
        forged = credit_otherwise(place, list(found))
        forged.verify(copies=False)
        with pytest.raises(AttributionError, match=words) as refused:
            forged.verify()
        assert refused.value.field == "copies.found"
        with pytest.raises(AttributionError, match=words):
            IndexEvidence.of_index(forged, with_codes=True)


def test_sums_that_credit_a_copy_are_not_those_of_the_credited_leaves(tmp_path: Path) -> None:
    place = build(tmp_path, features=ALL_CODES).folder
    honest = GradientIndex.open(place).copies
    index = credit_otherwise(place, [])
    parts = {**index.commitment.manifest.parts, COPIES: honest.encode()}
    (place / "commitment.bin").write_bytes(Manifest(parts).encode())
    with pytest.raises(AttributionError, match=r"owners: sums of .* are not those of its credited leaves"):
        GradientIndex.open(place).verify()


def test_what_is_not_in_the_index_is_said(folder: Path) -> None:
    index = GradientIndex.open(folder)
    wrong: list[tuple[Callable[[], object], str]] = [
        (lambda: index.prove_leaf(18), "leaf: there is no number 18; the index has 18"),
        (lambda: index.prove_leaf(-1), "leaf: there is no number -1"),
        (lambda: index.prove_owner(bytes(32)), "owner: 0000000000000000… has no example in this index"),
        (lambda: index.leaf_number(bytes(32), bytes(32)), "leaf: row 0000000000000000… is not among the examples"),
        (lambda: index.prove_part("other"), "commitment.other: is missing"),
    ]
    for act, words in wrong:
        with pytest.raises(AttributionError) as refused:
            act()
        assert str(refused.value).startswith(words)


def test_sums_of_as_many_codes_as_can_be_are_exact() -> None:
    """The bound that makes overflow impossible: MAX_EXAMPLES times the largest code."""
    assert MAX_EXAMPLES * codes.CODE_LIMIT < 2**39
    assert (MAX_CODES, EXPONENT_LIMIT) == (codes.MAX_CODES, codes.EXPONENT_LIMIT)
    block = 2**16
    for extreme in (codes.CODE_LIMIT, -codes.CODE_LIMIT):
        values = np.full((block, 1), extreme, dtype=np.int16)
        # The same rows again and again stand for 2^24 examples; indices repeat.
        total = sum(int(sum_rows(values, range(block))[0]) for _ in range(MAX_EXAMPLES // block))
        assert total == MAX_EXAMPLES * extreme
        whole = np.broadcast_to(values[:1], (MAX_EXAMPLES, 1))
        assert int(whole.sum(axis=0, dtype=np.int64)[0]) == MAX_EXAMPLES * extreme


def other_order(part: bytes) -> bytes:
    """A leaf twice."""
    value = json.loads(part)
    return to_json(value | {"order": [value["order"][1], *value["order"][1:]]})


def test_a_commitment_is_checked_when_it_is_made(folder: Path) -> None:
    index = GradientIndex.open(folder)
    files = {f"{kind}/{at:04d}": (bytes(32), 1) for kind in ("basis", "scales") for at in (0, 1)}
    lists = {"leaves": (18, bytes(32)), "owners": (3, bytes(32)), "dataset": (18, bytes(32))}
    made = make_commitment(index.parameters, lists, index.copies, files, [bytes(32)] * 2, bytes(32), {"model": b'"x"'})
    assert IndexCommitment.decode(made.encode()).root == made.root
    wrong = [
        ({**lists, "owners": (2, bytes(32))}, files, 2, {}, "commitment.owners"),
        (lists, {**files, "basis/0001": (bytes(32), 0)}, 2, {}, "commitment.basis/0001"),
        (lists, {**files, "basis/0002": (bytes(32), 1)}, 2, {}, "commitment.basis/0002"),
        (lists, files, 1, {}, "commitment.checkpoint/0001"),
        (lists, files, 2, {"Model": b"x"}, "source"),
        (lists, files, 2, {"model": b""}, "source"),
    ]
    parts = dict(made.manifest.parts)
    for part, field in ((b"[]", "commitment.copies"), (other_order(parts[COPIES]), "commitment.copies.order")):
        with pytest.raises(AttributionError) as refused:
            IndexCommitment.decode(Manifest({**parts, COPIES: part}).encode())
        assert refused.value.field == field
    del parts[COPIES]
    with pytest.raises(AttributionError, match=r"commitment.copies: is missing"):
        IndexCommitment.decode(Manifest(parts).encode())
    for given, blobs, checkpoints, source, field in wrong:
        with pytest.raises(AttributionError) as refused:
            make_commitment(index.parameters, given, index.copies, blobs, [bytes(32)] * checkpoints, bytes(32), source)
        assert refused.value.field == field


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"examples": 0}, "examples"),
        ({"examples": MAX_EXAMPLES + 1}, "examples"),
        ({"owners": 19}, "owners"),
        ({"codes": 67}, "codes"),
        ({"checkpoints": 1}, "codes"),
        ({"exponent": 1_101}, "exponent"),
        ({"precision": "bfloat16"}, "precision"),
        ({"modules": ()}, "modules"),
        ({"batch_examples": True}, "batch_examples"),
    ],
)
def test_parameters_out_of_range_are_named(folder: Path, changes: dict[str, object], field: str) -> None:
    parameters = GradientIndex.open(folder).parameters
    with pytest.raises(AttributionError) as refused:
        replace(parameters, **changes)  # type: ignore[arg-type]
    assert refused.value.field == f"parameters.{field}"
