"""Building a gradient index: one gradient an example and checkpoint, in pieces, by any number of processes.

For every checkpoint, then for all together (each line is a list of tasks, each task one file in the work folder):

    gradients     of the examples that the bases are fitted on, in pieces
    basis         of one module and its second moments, from these gradients, read piece by piece
    scales        of the checkpoint: which coordinates of all modules are kept, and how strongly each is weighed
    features      of all examples in pieces, before the cap; here gradients of the rest are computed

    norms         of the features over all checkpoints, in pieces
    limits        cap and exponent, from all norms
    codes         in pieces
    index         leaves, copies, owner sums, roots: the files of the index, its commitment last

Pieces depend on the settings alone, sums are added in a fixed order, and a file is written whole or not at all. So a
build that is killed at any point goes on where it was, and neither that nor the number of processes changes the root
(on one kind of machine; the settings fix the threads). A work file that is damaged is found by its digests and made
again. Memory: the model, one piece (`piece_examples` x gradients of
an example), one module's moments. Disk, while building: gradients of `basis_examples` examples, and 8 bytes a code.
"""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from attribution.errors import AttributionError
from attribution.lga.basis import Float64Array
from attribution.lga.codes import choose_exponent
from attribution.lga.features import (
    CAP_UNITS,
    FeatureMap,
    cap_norms,
    norm_cap_millionths,
    norms,
    without_unused_directions,
)
from attribution.lga.index.checkpoint import CheckpointBuild, ModelOf
from attribution.lga.index.files import ArrayFile, DamagedFile, write_arrays
from attribution.lga.index.finish import finish
from attribution.lga.index.plan import IndexPlan, IndexSettings, TrainingExample
from attribution.lga.index.reader import COMMITMENT_FILE, GradientIndex
from attribution.lga.index.sharding import Shard, Task, run_tasks, try_lock
from attribution.lga.precision import torch_threads

# Stage, tasks done, tasks in all.
Progress = Callable[[str, int, int], None]
_WAIT_SECONDS = 0.1


def build_index(
    examples: Sequence[TrainingExample],
    checkpoints: Sequence[Path],
    model_of: ModelOf,
    settings: IndexSettings,
    folder: Path,
    *,
    module_names: Sequence[str] | None = None,
    source: Mapping[str, bytes] | None = None,
    shard: Shard | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> GradientIndex:
    """Build or finish the index in `folder`, or open it if it is there.

    `checkpoints` are safetensors files or folders with one; `model_of` makes the model of one.
    Modules are the LoRA B layers unless named. `source` are parts that the commitment binds the index to. Processes
    that call this with the same arguments work together (`Shard.from_environment` unless given); each returns the
    index. The work folder stands beside `folder` and goes away at the end. `say` gets a line for every work file that
    was damaged. Raises `AttributionError`.
    """
    plan = IndexPlan.of(examples, checkpoints, settings, module_names, source or {})
    work = folder.with_name(f"{folder.name}-work") / plan.digest.hex()[:32]
    with ExitStack() as stack:
        while not stack.enter_context(try_lock(work / "lock", shared=True)):
            time.sleep(_WAIT_SECONDS)  # another process is clearing away
        if not (folder / COMMITMENT_FILE).exists():
            with torch_threads(settings.threads):
                _Build(
                    plan=plan,
                    work=work,
                    folder=folder,
                    shard=shard or Shard.from_environment(),
                    progress=progress,
                    say=say,
                ).run(model_of)
    _clear(work)
    index = GradientIndex.open(folder)
    if index.commitment.build != plan.digest:
        raise AttributionError("folder", f"{folder.name} holds an index of other inputs; choose another folder")
    return index


@dataclass
class _Build:
    plan: IndexPlan
    work: Path
    folder: Path
    shard: Shard
    progress: Progress | None
    say: Callable[[str], None]

    def run(self, model_of: ModelOf) -> None:
        """All stages, again for every work file that turns out to be damaged, once a file."""
        mended: set[Path] = set()
        while True:
            try:
                self._run_stages(model_of)
            except DamagedFile as damage:
                if damage.path in mended or not damage.path.is_relative_to(self.work):
                    raise
                mended.add(damage.path)
                self._mend(damage.path)
            else:
                return

    def _mend(self, path: Path) -> None:
        """Clear a damaged file away, unless another process did so meanwhile."""
        with ExitStack() as stack:
            while not stack.enter_context(try_lock(self.work / "mend.lock")):
                time.sleep(_WAIT_SECONDS)
            if _is_whole(path):
                return
            self.say(f"{path.relative_to(self.work)} was damaged or lost: it is made again")
            path.unlink(missing_ok=True)
            for checkpoint in self._checkpoints:
                if path.parent == checkpoint.folder:
                    checkpoint.done_path.unlink(missing_ok=True)

    def _run_stages(self, model_of: ModelOf) -> None:
        for checkpoint in self._checkpoints:
            if not checkpoint.done_path.exists():
                checkpoint.run(model_of, self._run_stage)
        done = self.folder / COMMITMENT_FILE
        pieces = range(len(self.plan.pieces))
        self._run_stage("norms", [Task(self._norms(at), partial(self._make_norms, at)) for at in pieces], done)
        self._run_stage("limits", [Task(self._limits, self._make_limits)], done)
        self._run_stage("codes", [Task(self._codes(at), partial(self._make_codes, at)) for at in pieces], done)
        self._run_stage("index", [Task(done, self._make_index, self.work / "index.lock")], done)

    def _run_stage(self, stage: str, tasks: Sequence[Task], finished: Path) -> None:
        report = partial(self.progress, stage) if self.progress else None
        run_tasks(tasks, self.shard, progress=report, finished=finished.exists)

    @cached_property
    def _checkpoints(self) -> list[CheckpointBuild]:
        return [
            CheckpointBuild(self.plan, number, self.work / f"checkpoint-{number:04d}")
            for number in range(len(self.plan.checkpoints))
        ]

    @cached_property
    def _map(self) -> FeatureMap:
        """Without cap and exponent."""
        return FeatureMap(without_unused_directions([checkpoint.modules() for checkpoint in self._checkpoints]))

    def _whitened(self, piece: int) -> Float64Array:
        """Features of a piece over all checkpoints, before the cap."""
        return np.concatenate([item.features_of(piece) for item in self._checkpoints], axis=1)

    def _make_norms(self, piece: int) -> None:
        whitened = self._whitened(piece)
        write_arrays(self._norms(piece), {"norms": norms(whitened), "largest": np.abs(whitened).max(axis=1)})

    def _make_limits(self) -> None:
        stored = [ArrayFile.open(self._norms(piece), "norms") for piece in range(len(self.plan.pieces))]
        lengths: Float64Array = np.concatenate([item.read("norms") for item in stored])
        largest: Float64Array = np.concatenate([item.read("largest") for item in stored])
        cap = norm_cap_millionths(lengths, self.plan.settings.features.norm_cap_medians)
        if cap:
            longest = cap / CAP_UNITS
            largest = largest * (longest / np.maximum(lengths, longest))
        write_arrays(self._limits, {}, [cap, choose_exponent(float(largest.max()))])

    def _make_codes(self, piece: int) -> None:
        cap, exponent = ArrayFile.open(self._limits, "limits").about
        whole = FeatureMap(self._map.checkpoints, cap, exponent)
        write_arrays(self._codes(piece), {"codes": whole.codes(cap_norms(self._whitened(piece), cap))})

    def _make_index(self) -> None:
        cap, exponent = ArrayFile.open(self._limits, "limits").about
        whole = FeatureMap(self._map.checkpoints, cap, exponent)
        finish(self.plan, whole, self._codes_of, self.work / "index", self.folder)

    def _codes_of(self, piece: int) -> npt.NDArray[np.int16]:
        return ArrayFile.open(self._codes(piece), "codes").read("codes")

    @property
    def _limits(self) -> Path:
        return self.work / "limits.bin"

    def _norms(self, piece: int) -> Path:
        return self.work / f"norms-{piece:05d}.bin"

    def _codes(self, piece: int) -> Path:
        return self.work / f"codes-{piece:05d}.bin"


def _is_whole(path: Path) -> bool:
    try:
        stored = ArrayFile.open(path, path.name)
        for name in stored.places:
            stored.read(name)
    except DamagedFile:
        return False
    return True


def _clear(work: Path) -> None:
    """Remove the work folder, unless another process still uses it: the last one does it."""
    with try_lock(work / "lock") as mine:
        if mine:
            shutil.rmtree(work, ignore_errors=True)
    with suppress(OSError):  # another build's work is there, too, or it is gone already
        work.parent.rmdir()
