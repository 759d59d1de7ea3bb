"""Work files of a stopped build that were damaged or lost: made again, and that is said."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attribution.errors import AttributionError
from attribution.lga.index import checkpoint as index_checkpoint
from attribution.lga.index.build import _Build
from attribution.lga.index.files import write_arrays
from attribution.lga.index.plan import IndexPlan
from attribution.lga.index.reader import GradientIndex
from attribution.lga.index.sharding import Shard
from tests.kit.attribution.building import MODULES, SETTINGS, build, checkpoints, examples

pytestmark = [pytest.mark.ml, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> GradientIndex:
    return build(tmp_path_factory.mktemp("whole"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def with_another_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def stopped(folder: Path, at: str) -> None:
    """A build that was stopped when a stage was done."""

    def stop(stage: str, done: int, total: int) -> None:
        if (stage, done) == (at, total):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(folder, progress=stop)


@pytest.mark.parametrize("damage", [cut, emptied, with_another_byte])
@pytest.mark.parametrize(
    ("stage", "name"),
    [
        ("checkpoint 1: gradients", "checkpoint-0000/gradients-00000.bin"),
        ("checkpoint 1: gradients", "checkpoint-0000/gradients-00001.bin"),
        ("checkpoint 2: basis", "checkpoint-0001/basis-0001.bin"),
        ("checkpoint 1: scales", "checkpoint-0000/map.bin"),
        ("checkpoint 1: features", "checkpoint-0000/map.bin"),
        ("codes", "checkpoint-0001/map.bin"),
        ("checkpoint 1: features", "checkpoint-0000/features-00000.bin"),
        ("checkpoint 2: features", "checkpoint-0000/features-00003.bin"),
        ("norms", "norms-00001.bin"),
        ("limits", "limits.bin"),
        ("codes", "codes-00001.bin"),
    ],
)
def test_a_work_file_that_was_damaged_is_made_again(
    uninterrupted: GradientIndex, tmp_path: Path, stage: str, name: str, damage: Callable[[Path], None]
) -> None:
    stopped(tmp_path, stage)
    (path,) = tmp_path.glob(f"index-work/*/{name}")
    damage(path)
    said: list[str] = []

    assert build(tmp_path, say=said.append).root == uninterrupted.root

    assert said == [f"{name} was damaged or lost: it is made again"]
    assert not list(tmp_path.glob("index-work"))


def test_several_damaged_files_are_made_again_and_a_lost_one_as_well(
    uninterrupted: GradientIndex, tmp_path: Path
) -> None:
    stopped(tmp_path, "limits")
    (work,) = tmp_path.glob("index-work/*/")
    for name in ("checkpoint-0000/features-00001.bin", "limits.bin"):
        with_another_byte(work / name)
    (work / "checkpoint-0001" / "features-00004.bin").unlink()
    said: list[str] = []

    assert build(tmp_path, say=said.append).root == uninterrupted.root

    assert sorted(said) == [
        f"{name}.bin was damaged or lost: it is made again"
        for name in ("checkpoint-0000/features-00001", "checkpoint-0001/features-00004", "limits")
    ]


def test_a_file_that_is_damaged_again_and_again_ends_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoiling(path: Path, *contents: Any) -> None:
        write_arrays(path, *contents)
        if path.name == "features-00002.bin":
            with_another_byte(path)

    monkeypatch.setattr(index_checkpoint, "write_arrays", spoiling)
    with pytest.raises(AttributionError, match=r"array 'features' of features-00002\.bin is damaged"):
        build(tmp_path)


def test_a_file_that_another_process_made_again_meanwhile_is_left_as_it_is(tmp_path: Path) -> None:
    stopped(tmp_path, "norms")
    work = next((tmp_path / "index-work").iterdir())
    whole = work / "norms-00000.bin"
    before, said = whole.read_bytes(), list[str]()
    plan = IndexPlan.of(examples(), checkpoints(tmp_path), SETTINGS, MODULES, {})
    _Build(plan, work, tmp_path / "index", Shard(), None, said.append)._mend(whole)
    assert (whole.read_bytes(), said) == (before, [])
