"""One checkpoint of a build: gradients in pieces, bases by module, the map, features in pieces.

Files in the checkpoint's folder: gradients-NNNNN.bin (the first pieces only, while needed), basis-NNNN.bin by module
with its second moments, map.bin with all bases and scales, and features-NNNNN.bin, before the cap.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from abci_app.integers import NumbersRefused
from attribution.errors import AttributionError
from attribution.lga.basis import Float64Array, ModuleBasis, ModuleScale, Moments
from attribution.lga.features import FittedBasis, Gradients, ModuleMap, choose_modules, sum_of_squares, whiten
from attribution.lga.gradients import GradientCollector
from attribution.lga.index.files import Array, ArrayFile, write_arrays
from attribution.lga.index.plan import IndexPlan
from attribution.lga.index.sharding import Task
from attribution.lga.precision import canonical

if TYPE_CHECKING:
    import torch

# A model with the adapter of this checkpoint.
ModelOf = Callable[[Path], Any]
# Names of the arrays in map.bin and basis-NNNN.bin: "<module>/<kind>".
_OUTPUT, _RANK, _SCALE, _SECOND_MOMENT, _ENTRY_MEAN = "output", "rank", "scale", "second-moment", "entry-mean"


class RunStage(Protocol):
    """Does tasks of a stage, together with other processes, until all files exist or `finished` does."""

    def __call__(self, stage: str, tasks: Sequence[Task], finished: Path) -> None: ...


@dataclass
class CheckpointBuild:
    """The work at checkpoint `number` (from 0) in `folder`."""

    plan: IndexPlan
    number: int
    folder: Path
    _model: "_Model" = field(init=False)
    _modules: tuple[ModuleMap, ...] = field(init=False, default=())

    @property
    def done_path(self) -> Path:
        """Exists when all of it is done."""
        return self.folder / "done.bin"

    def run(self, model_of: ModelOf, run_stage: RunStage) -> None:
        """Until the map and all features are there; the model is loaded when the first gradient is needed."""
        pieces = range(len(self.plan.pieces))
        basis_pieces = pieces[: self.plan.basis_pieces]
        stage = f"checkpoint {self.number + 1}: "
        with _Model(self.plan, self.number, model_of) as self._model:
            if not self._map.exists():
                self._run_up_to_map(basis_pieces, stage, run_stage)
            self._modules = self.modules()
            tasks = [Task(self._features(at), partial(self._make_features, at)) for at in pieces]
            run_stage(f"{stage}features", tasks, self.done_path)
        run_stage(f"{stage}done", [Task(self.done_path, partial(write_arrays, self.done_path, {}))], self.done_path)
        for at in basis_pieces:
            self._gradients(at).unlink(missing_ok=True)

    def _run_up_to_map(self, basis_pieces: range, stage: str, run_stage: RunStage) -> None:
        tasks = [Task(self._gradients(at), partial(self._make_gradients, at)) for at in basis_pieces]
        run_stage(f"{stage}gradients", tasks, self.done_path)
        names = self._module_names()
        tasks = [Task(self._basis(at), partial(self._make_basis, at, name)) for at, name in enumerate(names)]
        run_stage(f"{stage}basis", tasks, self.done_path)
        run_stage(f"{stage}scales", [Task(self._map, partial(self._make_map, len(names)))], self.done_path)

    def modules(self) -> tuple[ModuleMap, ...]:
        """Bases and scales of the checkpoint, once they are made."""
        stored = ArrayFile.open(self._map, "map")
        return tuple(
            ModuleMap(
                name,
                _stored_basis(stored, name, exponents),
                ModuleScale(stored.read(f"{name}/{_SCALE}"), exponents[2]),
            )
            for name, *exponents in stored.about
        )

    def features_of(self, piece: int) -> Float64Array:
        """Features before the cap, float64 [examples of the piece, codes of the checkpoint]."""
        return ArrayFile.open(self._features(piece), "features").read("features")

    def _module_names(self) -> list[str]:
        """Names of the modules in the first gradients; none when other processes are done and have cleared them
        away."""
        try:
            return list(ArrayFile.open(self._gradients(0), "gradients").places)
        except NumbersRefused:
            if self.done_path.exists():
                return []
            raise

    def _make_gradients(self, piece: int) -> None:
        import torch

        batches = list(self._model.gradients(piece))
        together = {name: torch.cat([batch[name].cpu() for batch in batches]).numpy() for name in batches[0]}
        write_arrays(self._gradients(piece), together)

    def _make_basis(self, at: int, name: str) -> None:
        moments: Moments | None = None
        for values in self._gradients_of(name):
            moments = moments or Moments(values.shape[1], values.shape[2])
            moments.add(values)
        if moments is None:
            raise AttributionError("examples", "give no gradient")
        settings = self.plan.settings.features
        basis = moments.basis(settings.directions, settings.rank_directions)
        squares = np.zeros(basis.shape)
        for values in self._gradients_of(name):
            squares += sum_of_squares(basis, values)
        arrays = _basis_arrays(name, basis)
        arrays[_SECOND_MOMENT], arrays[_ENTRY_MEAN] = squares / moments.count, np.array([moments.entry_mean])
        write_arrays(self._basis(at), arrays, [[name, basis.output_exponent, basis.rank_exponent]])

    def _gradients_of(self, name: str) -> Iterator["torch.Tensor"]:
        """Yield the gradients of one module, piece by piece."""
        import torch

        for piece in range(self.plan.basis_pieces):
            yield torch.from_numpy(ArrayFile.open(self._gradients(piece), "gradients").read(name))

    def _make_map(self, module_count: int) -> None:
        fitted = [_fitted_basis(self._basis(at)) for at in range(module_count)]
        arrays: dict[str, Array] = {}
        about = []
        for module in choose_modules(fitted, self.plan.settings.features):
            arrays |= _basis_arrays(module.name, module.basis) | {f"{module.name}/{_SCALE}": module.scale.values}
            exponents = module.basis.output_exponent, module.basis.rank_exponent, module.scale.exponent
            about.append([module.name, *exponents])
        write_arrays(self._map, arrays, about)

    def _make_features(self, piece: int) -> None:
        path = self._gradients(piece)
        of_basis = piece < self.plan.basis_pieces
        stored = of_basis and path.exists()
        batches = self._stored_gradients(path, piece) if stored else self._model.gradients(piece)
        if of_basis and not stored:  # cleared away already: on the CPU as if they were stored, on every device
            batches = ({name: values.cpu() for name, values in batch.items()} for batch in batches)
        rows = np.concatenate([whiten(self._modules, batch) for batch in batches])
        write_arrays(self._features(piece), {"features": rows})

    def _stored_gradients(self, path: Path, piece: int) -> Iterator[Gradients]:
        """In the same batches in which they were computed: products of another shape differ in the last bit."""
        import torch

        stored = ArrayFile.open(path, "gradients")
        whole = {name: torch.from_numpy(stored.read(name)) for name in stored.places}
        for batch in self.plan.batches(piece):
            yield {name: values[batch] for name, values in whole.items()}

    def _gradients(self, piece: int) -> Path:
        return self.folder / f"gradients-{piece:05d}.bin"

    def _basis(self, module: int) -> Path:
        return self.folder / f"basis-{module:04d}.bin"

    @property
    def _map(self) -> Path:
        return self.folder / "map.bin"

    def _features(self, piece: int) -> Path:
        return self.folder / f"features-{piece:05d}.bin"


class _Model:
    """The model of a checkpoint in canonical form, from the first gradient until the block ends."""

    def __init__(self, plan: IndexPlan, number: int, model_of: ModelOf) -> None:
        self._plan = plan
        self._number = number
        self._model_of = model_of
        self._stack = ExitStack()
        self._collector: GradientCollector | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def gradients(self, piece: int) -> Iterator[Gradients]:
        """Gradients of a piece, batch by batch."""
        if self._collector is None:
            model = self._model_of(self._plan.checkpoints[self._number])
            self._stack.enter_context(canonical(model, self._plan.settings.precision))
            self._collector = GradientCollector(model, self._plan.module_names)
        rows = self._plan.pieces[piece]
        for batch in self._plan.batches(piece):
            examples = [self._plan.examples[number] for number in rows[batch]]
            found = self._collector.collect_tokens([item.tokens for item in examples], self._plan.settings.padding_id)
            yield weighed(found, [item.weight for item in examples])


def weighed(gradients: Gradients, weights: Sequence[int]) -> Gradients:
    """Gradients [batch, …] by module, each example's times its weight."""
    import torch

    if all(weight == 1 for weight in weights):
        return gradients
    factors = torch.tensor(weights).view(-1, 1, 1)
    return {name: value * factors.to(value) for name, value in gradients.items()}


def _basis_arrays(name: str, basis: ModuleBasis) -> dict[str, Array]:
    return {f"{name}/{_OUTPUT}": basis.output, f"{name}/{_RANK}": basis.rank}


def _fitted_basis(path: Path) -> FittedBasis:
    stored = ArrayFile.open(path, "basis")
    ((name, *exponents),) = stored.about
    basis = _stored_basis(stored, name, exponents)
    return FittedBasis(
        name=name, basis=basis, second_moment=stored.read(_SECOND_MOMENT), entry_mean=float(stored.read(_ENTRY_MEAN)[0])
    )


def _stored_basis(stored: ArrayFile, name: str, exponents: Sequence[int]) -> ModuleBasis:
    return ModuleBasis(
        output=stored.read(f"{name}/{_OUTPUT}"),
        output_exponent=exponents[0],
        rank=stored.read(f"{name}/{_RANK}"),
        rank_exponent=exponents[1],
    )
