"""A recorded index by itself: it holds, or the first thing that does not is named."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from attribution.adapter_file import ADAPTER_FILE
from attribution.errors import AttributionError
from attribution.lga.index.reader import GradientIndex
from tests.kit.trainer.tiny import RECIPE, tiny_chain, tiny_model
from trainer import audit
from trainer.audit import audit_index
from trainer.compare import adapter_distance
from trainer.indexed_rows import IndexedRow
from trainer.indexes import BuiltIndexes, build_indexes
from trainer.recipe import parse_recipe
from trainer.train import TrainedRun, prepare_run, train

pytestmark = pytest.mark.ml


@dataclass
class Built:
    """A run and its index, in a folder."""

    run: TrainedRun
    indexes: BuiltIndexes

    @property
    def index(self) -> GradientIndex:
        return GradientIndex.open(self.indexes.folders["lga-1"])

    @property
    def rows(self) -> tuple[IndexedRow, ...]:
        return tuple(self.indexes.rows)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("audit")
    chain = tiny_chain(folder)
    recipe = parse_recipe(RECIPE + "attribution: {checkpoints: 2, methods: [lga-1]}\n")
    versions = [chain.versions[dataset.datanet, dataset.version] for dataset in recipe.datasets]
    prepared = prepare_run(recipe, versions, chain.store)
    run = train(prepared, tiny_model(), folder / "adapter", base_label="base", work_folder=folder / "work")
    indexes = build_indexes(run, tiny_model(), folder / "work")
    assert indexes is not None
    return Built(run, indexes)


def test_an_index_holds_against_the_run_that_it_was_built_from(built: Built) -> None:
    found = audit_index(built.index, tiny_model(), built.run.adapters, built.rows)
    assert (found.rows, found.adapter_distance) == (8, 0.0)
    assert found.farthest.largest <= 1
    assert found.words.startswith("sums hold, codes of 8 rows computed again are within ")
    assert audit_index(built.index, tiny_model(), built.run.adapters, built.rows, 100).rows == len(built.rows)


def test_codes_of_other_rows_are_found_out(built: Built) -> None:
    rows = [replace(row, tokens=built.rows[0].tokens) for row in built.rows]
    with pytest.raises(AttributionError, match=r"leaves: codes of row .* are not those of the index's own adapters"):
        audit_index(built.index, tiny_model(), built.run.adapters, rows)


def test_nobody_knows_beforehand_which_rows_are_audited() -> None:
    draws = [audit.audited_rows(10_000, 8) for _ in range(4)]
    assert len(set(map(tuple, draws))) == 4
    assert all(len(set(drawn)) == 8 and drawn == sorted(drawn) for drawn in draws)
    assert {number < 10_000 for drawn in draws for number in drawn} == {True}
    assert audit.audited_rows(5, 8) == [0, 1, 2, 3, 4]


def test_an_adapter_that_is_not_finite_is_not_near(built: Built, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    first = built.run.adapters[0]
    shutil.copytree(first, tmp_path / first.name)
    tensors = {name: value * float("nan") for name, value in load_file(first / ADAPTER_FILE).items()}
    save_file(tensors, tmp_path / first.name / ADAPTER_FILE, metadata={"format": "pt"})
    assert adapter_distance(tmp_path / first.name, first).overall == float("inf")


def test_an_adapter_of_other_shapes_is_infinitely_far(built: Built, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    for adapter in built.run.adapters:
        shutil.copytree(adapter, tmp_path / adapter.name)
    last = tmp_path / built.run.adapters[-1].name / ADAPTER_FILE
    tensors = load_file(last)
    name = min(tensors)
    save_file({**tensors, name: tensors[name][:1].clone()}, last, metadata={"format": "pt"})
    adapters = [tmp_path / adapter.name for adapter in built.run.adapters]
    assert adapter_distance(built.run.adapters[-1], adapters[-1]).overall == float("inf")
    assert adapter_distance(built.run.adapters[0], adapters[0]).overall == 0.0
