"""The last step of a build: from codes in pieces to the files of an index, rows in the order of the leaves."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from attribution.lga.code_clusters import search_copies
from attribution.lga.code_copies import CodeCopies
from attribution.lga.commitment import DATASET, LEAVES, OWNERS, item_hash, make_commitment, root_of_tree, tree_of
from attribution.lga.features import FeatureMap
from attribution.lga.index.files import digest_of, write_whole
from attribution.lga.index.map_files import write_basis, write_scales
from attribution.lga.index.plan import IndexPlan, TrainingExample
from attribution.lga.index.reader import (
    CODES_FILE,
    COMMITMENT_FILE,
    LEAF_HASHES_FILE,
    LEAVES_FILE,
    OWNER_SUMS_FILE,
    OWNERS_FILE,
    rows_by_owner,
    sum_rows,
)
from attribution.lga.parameters import IndexParameters, ModuleShape

# Codes [examples of the piece, k] of one piece.
PieceCodes = Callable[[int], npt.NDArray[np.int16]]


@dataclass(frozen=True, slots=True)
class _Lists:
    leaves: bytes
    owners: bytes
    dataset: bytes
    owner_count: int


def finish(plan: IndexPlan, feature_map: FeatureMap, codes_of: PieceCodes, work: Path, folder: Path) -> None:
    """Write all files into `work`, then move them into `folder`, the commitment last."""
    work.mkdir(parents=True, exist_ok=True)
    _write_codes(plan, feature_map.code_count, codes_of, work / CODES_FILE)
    codes = np.memmap(work / CODES_FILE, dtype="<i2", mode="r", shape=(len(plan.examples), feature_map.code_count))
    copies = search_copies(codes, plan.chain_order, plan.settings.copy_cosine_ppb)
    lists = _write_lists(plan, codes, copies, work)
    files: dict[str, tuple[bytes, int]] = {}
    for number, modules in enumerate(feature_map.checkpoints):
        basis, scales = work / f"basis-{number:04d}.bin", work / f"scales-{number:04d}.bin"
        write_basis(basis, [module.basis for module in modules])
        write_scales(scales, [module.scale for module in modules])
        for part, path in ((f"basis/{number:04d}", basis), (f"scales/{number:04d}", scales)):
            files[part] = digest_of(path, part, path.stat().st_size)
    count = len(plan.examples)
    commitment = make_commitment(
        _parameters(plan, feature_map, lists.owner_count),
        {LEAVES: (count, lists.leaves), OWNERS: (lists.owner_count, lists.owners), DATASET: (count, lists.dataset)},
        copies,
        files,
        plan.checkpoint_digests,
        plan.digest,
        plan.source,
    )
    write_whole(work / COMMITMENT_FILE, [commitment.encode()])
    folder.mkdir(parents=True, exist_ok=True)
    for name in (LEAVES_FILE, LEAF_HASHES_FILE, CODES_FILE, OWNERS_FILE, OWNER_SUMS_FILE):
        (work / name).replace(folder / name)
    for part in files:
        name = f"{part.replace('/', '-')}.bin"
        (work / name).replace(folder / name)
    (work / COMMITMENT_FILE).replace(folder / COMMITMENT_FILE)


def _write_codes(plan: IndexPlan, code_count: int, codes_of: PieceCodes, path: Path) -> None:
    """Rows of all pieces at their places; the pieces need not be in memory together."""
    with path.open("wb") as sink:
        sink.truncate(2 * code_count * len(plan.examples))
        for piece, rows in enumerate(plan.pieces):
            for number, row in zip(rows, codes_of(piece), strict=True):
                sink.seek(2 * code_count * number)
                sink.write(row.astype("<i2").tobytes())
        sink.flush()
        os.fsync(sink.fileno())


def _write_lists(plan: IndexPlan, codes: npt.NDArray[np.int16], copies: CodeCopies, work: Path) -> _Lists:
    """Leaves, their hashes, owners and sums of the rows that are credited."""
    keys = [_key(example) for example in plan.examples]
    hashes = [item_hash(key + row.tobytes()) for key, row in zip(keys, codes, strict=True)]
    write_whole(work / LEAVES_FILE, keys)
    write_whole(work / LEAF_HASHES_FILE, hashes)
    rows = rows_by_owner([example.owner for example in plan.examples], copies.leader_of)
    owner_hashes: list[bytes] = []

    def sums() -> "Sequence[bytes] | map[bytes]":
        return map(one, rows)

    def one(owner: bytes) -> bytes:
        data: bytes = sum_rows(codes, rows[owner]).astype("<i8").tobytes()
        owner_hashes.append(item_hash(owner + data))
        return data

    write_whole(work / OWNERS_FILE, rows)
    write_whole(work / OWNER_SUMS_FILE, sums())
    return _Lists(
        leaves=root_of_tree(LEAVES, tree_of(hashes)),
        owners=root_of_tree(OWNERS, tree_of(owner_hashes)),
        dataset=root_of_tree(DATASET, tree_of(map(item_hash, keys))),
        owner_count=len(rows),
    )


def _parameters(plan: IndexPlan, feature_map: FeatureMap, owner_count: int) -> IndexParameters:
    modules = [
        ModuleShape(module.name, *module.basis.gradient_shape, *module.basis.shape)
        for module in feature_map.checkpoints[0]
    ]
    return IndexParameters(
        examples=len(plan.examples),
        owners=owner_count,
        checkpoints=len(plan.checkpoints),
        codes=feature_map.code_count,
        exponent=feature_map.exponent,
        norm_cap_millionths=feature_map.norm_cap_millionths,
        precision=plan.settings.precision,
        modules=tuple(modules),
        **plan.settings.numbers,
    )


def _key(example: TrainingExample) -> bytes:
    return example.row_leaf + example.contribution_id + example.owner
