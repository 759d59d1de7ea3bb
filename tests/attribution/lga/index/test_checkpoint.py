"""Stages of a build one by one; processes that come late find what they need, or that nothing is needed."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attribution.lga.codes import choose_exponent
from attribution.lga.features import CAP_UNITS
from attribution.lga.index.build import _Build
from attribution.lga.index.checkpoint import CheckpointBuild
from attribution.lga.index.files import ArrayFile, DamagedFile, write_arrays
from attribution.lga.index.plan import IndexPlan
from attribution.lga.index.sharding import Shard, Task, run_tasks
from tests.kit.attribution.building import MODULES, SETTINGS, build, checkpoints, examples, model_of

pytestmark = [pytest.mark.ml, pytest.mark.usefixtures("one_thread")]


def run_stage(stage: str, tasks: Sequence[Task], finished: Path) -> None:
    run_tasks(tasks, Shard(), finished=finished.exists)


@pytest.fixture
def finished(tmp_path: Path) -> CheckpointBuild:
    """The first checkpoint of a build that goes on with the second."""

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "checkpoint 2: gradients":
            raise KeyboardInterrupt

    plan = IndexPlan.of(examples(), checkpoints(tmp_path), SETTINGS, MODULES, {})
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, progress=stop)
    return CheckpointBuild(plan, 0, tmp_path / "index-work" / plan.digest.hex()[:32] / "checkpoint-0000")


def test_cap_and_exponent_are_those_of_rows_that_are_shortened(tmp_path: Path) -> None:
    """One of eighteen rows is a hundred medians long: its largest feature counts after it was cut to eight."""
    plan = IndexPlan.of(examples(), checkpoints(tmp_path), SETTINGS, MODULES, {})
    stages = _Build(plan, tmp_path, tmp_path / "index", Shard(), None, print)
    for piece, rows in enumerate(plan.pieces):
        lengths, largest = np.ones(len(rows)), np.full(len(rows), 0.9)
        if piece == 1:
            lengths[0], largest[0] = 100.0, 64.0
        write_arrays(stages._norms(piece), {"norms": lengths, "largest": largest})
    stages._make_limits()
    assert ArrayFile.open(stages._limits, "limits").about == [8 * CAP_UNITS, choose_exponent(64.0 * 8 / 100)]


def test_the_order_of_the_chain_decides_the_digest_of_a_build(tmp_path: Path) -> None:
    given, paths = examples(), checkpoints(tmp_path)
    turned = [replace(item, place=(len(given) - item.place[0], 0)) for item in given]
    digests = {IndexPlan.of(items, paths, SETTINGS, MODULES, {}).digest for items in (given, given[::-1], turned)}
    assert len(digests) == 2


def files(checkpoint: CheckpointBuild) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in checkpoint.folder.glob("*.bin")}


def test_a_checkpoint_that_is_done_keeps_its_map_and_features_and_no_gradients(finished: CheckpointBuild) -> None:
    features = [f"features-{at:05d}.bin" for at in range(len(finished.plan.pieces))]
    bases = [f"basis-{at:04d}.bin" for at in range(len(MODULES))]
    assert sorted(files(finished)) == sorted([*features, *bases, "done.bin", "map.bin"])


def test_who_began_before_others_were_done_makes_nothing_again(finished: CheckpointBuild) -> None:
    """It looked for the map when there was none; meanwhile others did everything and cleared the gradients away."""
    before = files(finished)
    finished._run_up_to_map(range(finished.plan.basis_pieces), "", run_stage)
    assert files(finished) == before
    finished.run(lambda _: pytest.fail("no model is needed"), run_stage)
    assert files(finished) == before


def test_gradients_that_are_lost_before_all_is_done_are_missed(finished: CheckpointBuild) -> None:
    finished.done_path.unlink()
    with pytest.raises(DamagedFile, match=r"gradients-00000\.bin cannot be read") as caught:
        finished._module_names()
    assert caught.value.path == finished.folder / "gradients-00000.bin"


def test_features_are_made_again_without_the_gradients_and_are_the_same(finished: CheckpointBuild) -> None:
    before = files(finished)
    for name in ("done.bin", "features-00000.bin", "features-00003.bin"):
        (finished.folder / name).unlink()
    finished.run(model_of, run_stage)
    assert files(finished) == before
