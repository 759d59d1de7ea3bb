"""Builds: killed at any point, shared among processes, in other pieces; and what an index then holds."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attribution.errors import AttributionError
from attribution.explanation.evidence import IndexEvidence
from attribution.lga.code_clusters import search_copies
from attribution.lga.code_copies import OFF_PPB, CodeCopies
from attribution.lga.codes import Codes, Int16Array
from attribution.lga.commitment import verify_leaf
from attribution.lga.features import FeatureSettings, fit_in_memory
from attribution.lga.gradients import GradientCollector
from attribution.lga.index import checkpoint as index_checkpoint
from attribution.lga.index.build import build_index
from attribution.lga.index.files import write_arrays
from attribution.lga.index.plan import IndexPlan, IndexSettings
from attribution.lga.index.reader import GradientIndex
from attribution.lga.index.sharding import Shard
from attribution.lga.precision import BAND, canonical
from attribution.lga.query import Deviation, deviation, leaf_codes
from attribution.loss import Tokens
from tests.kit.attribution.building import (
    ALL_CODES,
    COPY,
    KILLED,
    MODULES,
    ORIGINAL,
    SETTINGS,
    build,
    checkpoints,
    examples,
    model_of,
)
from tests.kit.repository import ROOT

pytestmark = [pytest.mark.ml, pytest.mark.timeout(300), pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> GradientIndex:
    return build(tmp_path_factory.mktemp("whole"))


LEFT = ["index", "weights-0.safetensors", "weights-1.safetensors"]
PLANS: dict[str, dict[str, Any]] = {
    # A file or two at a time, up to the codes; then within the files of the index itself.
    "killed": {
        "kills": [[1, number % 2 == 0] for number in range(16)]
        + [[step, after] for step in (1, 6, 9, 10, 13, 17, 18) for after in (False, True)]
    },
    "one": {"workers": 1},
    "two": {"workers": 2},
    "three": {"workers": 3},
    "three, one killed": {"workers": 3, "killed_worker": 0},
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Outcomes of all plans, run in an interpreter of their own."""
    folder = tmp_path_factory.mktemp("processes")
    words = [sys.executable, "-m", "tests.kit.attribution.building", str(folder), json.dumps(PLANS)]
    settings = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, cwd=ROOT, env=settings, capture_output=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return folder, json.loads(done.stdout)


def test_a_build_that_is_killed_at_any_point_goes_on_to_the_same_root(
    outcomes: tuple[Path, Any], uninterrupted: GradientIndex
) -> None:
    """Killed before or after a file takes its place, again and again, each time by a process that goes on."""
    folder, found = outcomes
    kills = len(PLANS["killed"]["kills"])
    assert found["killed"] == {"statuses": [KILLED] * kills, "root": uninterrupted.root.hex(), "left": LEFT}
    GradientIndex.open(folder / "killed" / "index", uninterrupted.root).verify()


@pytest.mark.parametrize(("name", "workers"), [("one", 1), ("two", 2), ("three", 3)])
def test_any_number_of_processes_gives_the_same_root(
    outcomes: tuple[Path, Any], uninterrupted: GradientIndex, name: str, workers: int
) -> None:
    assert outcomes[1][name] == {"statuses": [0] * workers, "root": uninterrupted.root.hex(), "left": LEFT}


def test_processes_finish_the_work_of_one_that_is_killed(
    outcomes: tuple[Path, Any], uninterrupted: GradientIndex
) -> None:
    found = outcomes[1]["three, one killed"]
    assert found == {"statuses": [KILLED, 0, 0], "root": uninterrupted.root.hex(), "left": LEFT}


def test_an_index_holds_every_example_in_order_with_exact_sums(uninterrupted: GradientIndex) -> None:
    uninterrupted.verify()
    given = sorted(examples(), key=lambda example: (example.contribution_id, example.row_leaf))
    assert [(leaf.row_leaf, leaf.contribution_id, leaf.owner) for leaf in uninterrupted.leaves] == [
        (example.row_leaf, example.contribution_id, example.owner) for example in given
    ]
    assert uninterrupted.owners == tuple(sorted({example.owner for example in given}))
    for owner, sums in zip(uninterrupted.owners, uninterrupted.owner_sums, strict=True):
        rows = [number for number, example in enumerate(given) if example.owner == owner]
        assert sums.tolist() == uninterrupted.codes[rows].astype(np.int64).sum(axis=0).tolist()
    assert all(uninterrupted.leaf_number(item.contribution_id, item.row_leaf) == at for at, item in enumerate(given))


def apart(index: GradientIndex, found: Int16Array, expected: Int16Array) -> Deviation:
    return deviation(Codes(found, index.parameters.exponent), Codes(expected, index.parameters.exponent))


def test_a_row_that_says_what_an_earlier_one_said_is_a_leaf_and_is_credited_to_nobody(tmp_path: Path) -> None:
    index, given = build(tmp_path, features=ALL_CODES), examples()
    index.verify()
    numbers = [index.leaf_number(item.contribution_id, item.row_leaf) for item in given]
    assert index.copies.leader_of[numbers[COPY]] == numbers[ORIGINAL]
    assert (index.copies.outcome, index.copies.order) == ("compared", tuple(numbers))
    assert index.copies == search_copies(index.codes, numbers, SETTINGS.copy_cosine_ppb)
    proven = verify_leaf(index.prove_leaf(numbers[COPY]), index.root)
    assert (proven.owner, proven.codes) == (given[COPY].owner, tuple(index.codes[numbers[COPY]].tolist()))
    for owner, sums in zip(index.owners, index.owner_sums, strict=True):
        credited = [
            at
            for at, item in zip(numbers, given, strict=True)
            if item.owner == owner and at not in index.copies.leader_of
        ]
        assert sums.tolist() == index.codes[credited].astype(np.int64).sum(axis=0).tolist()


def test_who_only_copied_is_an_owner_with_nothing(tmp_path: Path) -> None:
    given = examples()
    copier = b"c" * 32
    given[COPY] = replace(given[COPY], owner=copier)
    settings = replace(SETTINGS, features=ALL_CODES)
    index = build_index(given, checkpoints(tmp_path), model_of, settings, tmp_path / "index", module_names=MODULES)
    index.verify()
    assert not index.owner_sums[index.owners.index(copier)].any()
    evidence = IndexEvidence.of_index(index, with_codes=True)
    assert (evidence.rows_of_owner[copier], evidence.copies_of_owner[copier]) == (0, 1)


def test_who_registered_first_is_credited_whatever_the_order_of_the_leaves(tmp_path: Path) -> None:
    given = examples()
    given[COPY] = replace(given[COPY], place=(0, 0))
    given[0] = replace(given[0], place=(COPY, 0))
    settings = replace(SETTINGS, features=ALL_CODES)
    index = build_index(given, checkpoints(tmp_path), model_of, settings, tmp_path / "index", module_names=MODULES)
    first, copy = (index.leaf_number(given[at].contribution_id, given[at].row_leaf) for at in (COPY, ORIGINAL))
    assert index.copies.leader_of[copy] == first
    given[5] = replace(given[5], place=given[6].place)
    with pytest.raises(AttributionError, match="examples: two rows have one place"):
        IndexPlan.of(given, checkpoints(tmp_path), settings, None, {})


def test_copies_that_are_found_after_an_interruption_give_the_same_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "whole").mkdir()
    whole = build(tmp_path / "whole", features=ALL_CODES)
    assert whole.copies.found

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    for module in ("attribution.lga.code_clusters.alike_by_codes", "attribution.lga.index.finish.make_commitment"):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(module, stop)
            build(tmp_path, features=ALL_CODES, shard=Shard(1, 2))
    assert build(tmp_path, features=ALL_CODES).root == whole.root


def test_copies_are_not_looked_for_when_that_is_switched_off(tmp_path: Path) -> None:
    index = build(tmp_path, features=ALL_CODES, copy_cosine_ppb=OFF_PPB)
    index.verify()
    assert index.copies == CodeCopies(OFF_PPB, "off", (), ())
    assert index.owner_sums.sum(axis=0).tolist() == index.codes.astype(np.int64).sum(axis=0).tolist()
    with pytest.raises(AttributionError, match="copy_cosine_ppb: 1 is no integer from 500000000"):
        IndexSettings(copy_cosine_ppb=1)


@pytest.mark.parametrize("medians", [8, 1, 0])
def test_a_build_gives_the_codes_of_the_same_steps_in_memory(tmp_path: Path, medians: int) -> None:
    """Rows within the cap, half of them beyond it, and without one."""
    settings = replace(SETTINGS.features, norm_cap_medians=medians)
    index = build(tmp_path, basis_examples=0, features=settings)
    given = sorted(examples(), key=lambda example: (example.contribution_id, example.row_leaf))
    gradients = []
    for path in checkpoints(tmp_path):
        with canonical(model_of(path), "float32") as model:
            gradients.append(GradientCollector(model, MODULES).collect_tokens([item.tokens for item in given]))
    memory = fit_in_memory(gradients, settings)
    assert index.parameters.exponent == memory.map.exponent
    assert index.parameters.norm_cap_millionths == pytest.approx(memory.map.norm_cap_millionths, rel=1e-4)
    assert int(np.abs(index.codes).max()) >= 2**14  # all sixteen bits are used
    for row, expected in zip(index.codes, memory.codes, strict=True):
        # Bases are those of the same gradients in other batches.
        assert apart(index, row, expected).relative < 1e-4
    assert index.parameters.codes == 2 * 12
    assert index.feature_map.code_count == memory.map.code_count == 2 * 12


def test_audited_leaves_computed_singly_lie_within_the_band(tmp_path: Path) -> None:
    index = build(tmp_path)
    given = sorted(examples(), key=lambda example: (example.contribution_id, example.row_leaf))
    for number, example in enumerate(given):
        models = [model_of(path) for path in checkpoints(tmp_path)]
        found = apart(index, leaf_codes(models, index.feature_map, example.tokens), index.codes[number])
        # Codes are rounded: half a unit each on either side is part of the distance.
        rounding = index.parameters.codes**0.5 / np.linalg.norm(index.codes[number].astype(float))
        assert found.relative <= BAND + rounding
        assert found.largest <= 1


def test_float64_gives_the_same_index_in_any_batches(tmp_path: Path) -> None:
    indexes = []
    for batch in (1, 3, 4):
        (tmp_path / str(batch)).mkdir()
        indexes.append(build(tmp_path / str(batch), precision="float64", batch_examples=batch))
    assert all(np.array_equal(index.codes, indexes[0].codes) for index in indexes)
    lists = [[index.commitment.list_root(name) for name in ("leaves", "owners")] for index in indexes]
    files = [[index.commitment.file(f"{kind}/0001") for kind in ("basis", "scales")] for index in indexes]
    assert lists == [lists[0]] * 3
    assert files == [files[0]] * 3


def test_memory_is_bounded_by_the_pieces_whatever_the_number_of_examples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    largest: dict[str, int] = {}

    def measured(path: Path, arrays: dict[str, Any], about: Any = "") -> None:
        kind = path.name.split("-")[0]
        largest[kind] = max(largest.get(kind, 0), sum(values.nbytes for values in arrays.values()))
        write_arrays(path, arrays, about)

    monkeypatch.setattr(index_checkpoint, "write_arrays", measured)
    sizes = []
    for count in (18, 90):
        (tmp_path / str(count)).mkdir()
        largest.clear()
        build(tmp_path / str(count), count=count, basis_examples=0)
        sizes.append(dict(largest))
    assert sizes[0] == sizes[1]
    assert sizes[0]["gradients"] == 4 * 4 * (5 * 6 + 12 * 5)  # float32 of a piece
    assert sizes[0]["features"] == 8 * 4 * 12  # float64 of a piece


def test_the_model_runs_once_for_every_example_and_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cost of an index: one forward and backward pass, also for those that the bases are fitted on."""
    seen: list[int] = []
    collect = GradientCollector.collect_tokens

    def counted(self: GradientCollector, batch: Any, padding_id: int = 0) -> Any:
        seen.append(len(batch))
        return collect(self, batch, padding_id)

    monkeypatch.setattr(GradientCollector, "collect_tokens", counted)
    build(tmp_path)
    assert sum(seen) == 2 * 18


def test_a_row_too_short_to_predict_anything_has_codes_of_zero(tmp_path: Path) -> None:
    given = examples(8)
    given[2] = replace(given[2], tokens=Tokens((5,), 0))
    given[5] = replace(given[5], tokens=Tokens((5, 6, 7), 3))
    for batch in (1, 3):
        settings = replace(SETTINGS, batch_examples=batch)
        folder = tmp_path / str(batch)
        index = build_index(given, checkpoints(tmp_path), model_of, settings, folder, module_names=MODULES)
        index.verify()
        places = [index.leaf_number(given[at].contribution_id, given[at].row_leaf) for at in (2, 5)]
        assert not index.codes[places].any()
        assert np.delete(index.codes, places, axis=0).any(axis=1).all()


def test_progress_names_stages_and_a_finished_index_is_only_opened(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    first = build(tmp_path, progress=lambda *item: seen.append(item))
    stages = list(dict.fromkeys(stage for stage, _, _ in seen))
    assert stages == [
        *[f"checkpoint 1: {stage}" for stage in ("gradients", "basis", "scales", "features", "done")],
        *[f"checkpoint 2: {stage}" for stage in ("gradients", "basis", "scales", "features", "done")],
        "norms", "limits", "codes", "index",
    ]  # fmt: skip
    assert [item for item in seen if item[0] == "codes"] == [("codes", done, 5) for done in range(1, 6)]
    seen.clear()
    assert build(tmp_path, progress=lambda *item: seen.append(item)).root == first.root
    assert seen == []


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "float64"},
        {"features": FeatureSettings(12, directions=2)},
        {"features": FeatureSettings(12, directions=3, damping_ppb=10**8)},
        {"source": {"model": b'"another"'}},
        {"copy_cosine_ppb": 700_000_000},
    ],
)
def test_whatever_an_index_is_built_with_is_in_its_root(
    tmp_path: Path, uninterrupted: GradientIndex, changes: dict[str, Any]
) -> None:
    assert build(tmp_path, **changes).root != uninterrupted.root
    with pytest.raises(AttributionError, match="folder: index holds an index of other inputs"):
        build(tmp_path)


def test_sampled_examples_are_spread_evenly_and_every_example_is_in_one_piece() -> None:
    settings = replace(SETTINGS, basis_examples=4, piece_examples=3)
    plan = IndexPlan.of(examples(10), [Path("one")], settings, None, {})
    assert sorted(number for piece in plan.pieces for number in piece) == list(range(10))
    basis = sorted(number for piece in plan.pieces[: plan.basis_pieces] for number in piece)
    assert basis == [0, 3, 6, 9]
    for piece in plan.pieces:
        assert len(piece) <= 3
        lengths = [len(plan.examples[number].tokens.ids) for number in piece]
        assert lengths == sorted(lengths)
    everything = IndexPlan.of(examples(10), [Path("one")], replace(settings, basis_examples=0), None, {})
    assert everything.basis_pieces == len(everything.pieces) == 4


def changed(**changes: Any) -> list[Any]:
    return [replace(examples(1)[0], **changes)]


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        (list, "examples", "1 to 16777216, not 0"),
        (lambda: examples(2) * 2, "examples", "is there twice"),
        (lambda: changed(owner=b"1"), "owner", "must have 32 bytes"),
        (lambda: changed(tokens=Tokens((), 0)), "tokens", "has 0 tokens"),
        (lambda: changed(tokens=Tokens((1, 2), 3)), "tokens", "a prompt of 3 of 2 tokens"),
        (lambda: changed(tokens=Tokens((1, -2), 0)), "tokens", "integers from 0"),
    ],
)
def test_examples_that_cannot_be_indexed_are_named(
    tmp_path: Path, given: Callable[[], Any], field: str, words: str
) -> None:
    with pytest.raises(AttributionError, match=words) as refused:
        build_index(given(), checkpoints(tmp_path), model_of, SETTINGS, tmp_path / "index", module_names=MODULES)
    assert refused.value.field.endswith(field)


def test_settings_and_checkpoints_out_of_range_are_named(tmp_path: Path) -> None:
    with pytest.raises(AttributionError, match=r"parameters.batch_examples: must be an integer from 1 to 4096, not 0"):
        IndexSettings(batch_examples=0)
    with pytest.raises(AttributionError, match=r"parameters.precision: must be float32 or float64"):
        IndexSettings(precision="bfloat16")  # type: ignore[arg-type]
    with pytest.raises(AttributionError, match="checkpoints: 1 to 16, not 0"):
        build_index(examples(), [], model_of, SETTINGS, tmp_path / "index")
    with pytest.raises(AttributionError, match="checkpoints: absent is no safetensors file"):
        build_index(examples(), [tmp_path / "absent"], model_of, SETTINGS, tmp_path / "index")
    with pytest.raises(AttributionError, match="rank: 2 of 2 processes"):
        Shard(2, 2)


def test_a_damaged_work_file_stops_the_build_and_is_named(tmp_path: Path) -> None:
    def damage(stage: str, done: int, total: int) -> None:
        if stage == "checkpoint 1: features" and done == total:
            (file,) = tmp_path.glob("index-work/*/checkpoint-0000/features-00001.bin")
            data = bytearray(file.read_bytes())
            data[-3] ^= 1
            file.write_bytes(data)

    with pytest.raises(AttributionError, match=r"features: array 'features' of features-00001.bin is damaged"):
        build(tmp_path, progress=damage)


def test_ranks_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert Shard.from_environment() == Shard(0, 1)
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert Shard.from_environment() == Shard(2, 4)
    monkeypatch.setenv("RANK", "first")
    with pytest.raises(AttributionError, match="rank: RANK and WORLD_SIZE must be numbers"):
        Shard.from_environment()
