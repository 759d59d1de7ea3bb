"""Retraining on subsets, each result kept on disk under the digest of everything that decides it.

A measurement of hundreds of retrains goes on where it was stopped: what is on disk is not computed again, and a file
is either whole or absent. Several processes may work in one folder; at worst they compute the same thing twice.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from attribution.measure.subsets import Mask
from openledger.content.files import replacing

Outputs = npt.NDArray[np.float64]

Progress = Callable[[int, int], None]
"""Called with (retrains done, retrains in all)."""

MAX_RESULT_BYTES = 64 * 2**20
"""Outputs of one retrain: a million queries of 8 bytes fit eight times."""


class RetrainTask(Protocol):
    """A task that can be trained again on some of its rows."""

    def recipe(self) -> Mapping[str, object]:
        """Everything that decides a result, for canonical JSON: data digests, hyper-parameters, versions."""
        ...

    def train_and_measure(self, rows: Sequence[int], seed: int) -> Outputs:
        """Train on these rows alone (ascending) and return the output of every query, float64 [queries]."""
        ...


@dataclass(frozen=True)
class RetrainCache:
    """Results of retrains of one task in one folder."""

    task: RetrainTask
    folder: Path
    queries: int

    def outputs(self, subsets: Mask, seeds: Sequence[int], progress: Progress | None = None) -> Outputs:
        """Output of every query after training on every subset: float64 [subsets, seeds, queries].

        Walks all subsets with the first seed before the second, so that a stopped measurement has an even sample.
        """
        total = len(subsets) * len(seeds)
        collected = np.empty((len(subsets), len(seeds), self.queries), dtype=np.float64)
        for done, (column, line) in enumerate(np.ndindex(len(seeds), len(subsets)), start=1):
            rows = np.flatnonzero(subsets[line]).tolist()
            collected[line, column] = self.one(rows, seeds[column])
            if progress is not None:
                progress(done, total)
        return collected

    def one(self, rows: Sequence[int], seed: int) -> Outputs:
        """Outputs after training on `rows`, from disk when they are there."""
        path = self.folder / f"{self.key(rows, seed)}.npy"
        known = self._read(path)
        if known is not None:
            return known
        result = np.ascontiguousarray(self.task.train_and_measure(rows, seed), dtype=np.float64)
        if result.shape != (self.queries,):
            raise ValueError(f"outputs: the task returned shape {result.shape}; {self.queries} queries were promised")
        if not np.isfinite(result).all():
            raise ValueError("outputs: training on a subset ended with a value that is not finite; lower the step size")
        _write(path, result)
        return result

    def key(self, rows: Sequence[int], seed: int) -> str:
        """Hex digest that names a result: of the recipe, the rows and the seed."""
        named = {"recipe": self.task.recipe(), "rows": list(rows), "seed": seed}
        return hashlib.sha256(canonical_json(named)).hexdigest()

    def _read(self, path: Path) -> Outputs | None:
        """The result on disk, or None when it is absent or damaged: then it is computed again."""
        try:
            if path.stat().st_size > MAX_RESULT_BYTES:
                return None
            with path.open("rb") as file:
                stored = np.load(file, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        if stored.dtype != np.float64 or stored.shape != (self.queries,) or not np.isfinite(stored).all():
            return None
        return np.asarray(stored)


def canonical_json(value: object) -> bytes:
    """JSON with sorted keys, no spaces, ASCII: equal values have equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _write(path: Path, values: Outputs) -> None:
    with replacing(path) as file:
        np.save(file, values, allow_pickle=False)
