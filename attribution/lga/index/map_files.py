"""Files with the bases and scales of one checkpoint: written by the build, read and checked by everybody else.

`basis-0000.bin` holds arrays NNNN/output [out, m] and NNNN/rank [in, r] (int16), `scales-0000.bin` arrays NNNN [m, r]
(int32), NNNN counting the modules in sorted order; `about` holds their exponents in the same order.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attribution.errors import AttributionError
from attribution.lga.basis import SCALE_EXPONENT_LIMIT, SCALE_LIMIT, ModuleBasis, ModuleScale
from attribution.lga.codes import CODE_LIMIT
from attribution.lga.features import FeatureMap, ModuleMap
from attribution.lga.index.files import Array, ArrayFile, digest_of, write_arrays
from attribution.lga.parameters import IndexParameters, ModuleShape

# An eigenvector's largest entry lies between 2^-10 (a million equal ones) and 1.
_BASIS_EXPONENTS = range(32)


def write_basis(path: Path, bases: Sequence[ModuleBasis]) -> None:
    """Bases of all modules of a checkpoint, in order."""
    arrays: dict[str, Array] = {}
    for number, basis in enumerate(bases):
        arrays |= {f"{number:04d}/output": basis.output, f"{number:04d}/rank": basis.rank}
    write_arrays(path, arrays, [[basis.output_exponent, basis.rank_exponent] for basis in bases])


def write_scales(path: Path, scales: Sequence[ModuleScale]) -> None:
    """Scales of all modules of a checkpoint, in order."""
    arrays = {f"{number:04d}": scale.values for number, scale in enumerate(scales)}
    write_arrays(path, arrays, [scale.exponent for scale in scales])


def read_basis(path: Path, modules: Sequence[ModuleShape], field: str) -> list[ModuleBasis]:
    """The bases for modules of these shapes; raises `AttributionError` for `field` and the module."""
    stored = ArrayFile.open(path, field)
    exponents = _exponents(stored, modules)
    bases = []
    for number, (module, pair) in enumerate(zip(modules, exponents, strict=True)):
        place = f"{field}.{module.name}"
        if not isinstance(pair, list) or [type(item) for item in pair] != [int, int]:
            raise AttributionError(place, f"needs two exponents, not {str(pair)[:100]}")
        if any(item not in _BASIS_EXPONENTS for item in pair):
            raise AttributionError(place, f"has exponents {pair}; entries of eigenvectors are at most 1")
        output = _checked(
            stored, f"{number:04d}/output", (module.out_features, module.directions), "int16", CODE_LIMIT, place
        )
        rank = _checked(
            stored, f"{number:04d}/rank", (module.in_features, module.rank_directions), "int16", CODE_LIMIT, place
        )
        bases.append(ModuleBasis(output=output, output_exponent=pair[0], rank=rank, rank_exponent=pair[1]))
    return bases


def read_scales(path: Path, modules: Sequence[ModuleShape], field: str) -> list[ModuleScale]:
    """The scales for modules of these shapes; raises `AttributionError` for `field` and the module."""
    stored = ArrayFile.open(path, field)
    scales = []
    for number, (module, exponent) in enumerate(zip(modules, _exponents(stored, modules), strict=True)):
        place = f"{field}.{module.name}"
        if type(exponent) is not int or abs(exponent) > SCALE_EXPONENT_LIMIT:
            raise AttributionError(place, f"has exponent {str(exponent)[:100]}")
        shape = (module.directions, module.rank_directions)
        values = _checked(stored, f"{number:04d}", shape, "int32", SCALE_LIMIT, place)
        if values.size and int(values.min()) < 0:
            raise AttributionError(place, "is negative; a scale is one over a root")
        scales.append(ModuleScale(values, exponent))
    return scales


def read_feature_map(folder: Path, parameters: IndexParameters, files: dict[str, tuple[bytes, int]]) -> FeatureMap:
    """The map of an index; `files` holds (SHA-256, size) of each by part name. Raises `AttributionError`."""
    checkpoints = []
    for number in range(parameters.checkpoints):
        paths = {f"{kind}/{number:04d}": folder / f"{kind}-{number:04d}.bin" for kind in ("basis", "scales")}
        for part, path in paths.items():
            if digest_of(path, part, files[part][1]) != files[part]:
                raise AttributionError(part, f"{path.name} is not the committed file; fetch it again")
        basis_path, scales_path = paths.values()
        bases = read_basis(basis_path, parameters.modules, f"basis/{number:04d}")
        scales = read_scales(scales_path, parameters.modules, f"scales/{number:04d}")
        checkpoints.append(
            tuple(
                ModuleMap(module.name, basis, scale)
                for module, basis, scale in zip(parameters.modules, bases, scales, strict=True)
            )
        )
    return FeatureMap(tuple(checkpoints), parameters.norm_cap_millionths, parameters.exponent)


def _exponents(stored: ArrayFile, modules: Sequence[ModuleShape]) -> list[Any]:
    if not isinstance(stored.about, list) or len(stored.about) != len(modules):
        raise AttributionError(stored.field, f"is not for the {len(modules)} modules of this index")
    return stored.about


def _checked(stored: ArrayFile, name: str, shape: tuple[int, int], kind: str, limit: int, place: str) -> Array:
    """An array of this shape and type with entries within +-limit."""
    found = stored.places.get(name)
    if found is None or found.shape != shape or np.dtype(found.type) != np.dtype(kind):
        described = "nothing" if found is None else f"{np.dtype(found.type)} {list(found.shape)}"
        raise AttributionError(place, f"must be {kind} {list(shape)}, the file has {described}")
    values = stored.read(name)
    if values.size and int(values.min()) < -limit:
        raise AttributionError(place, f"holds {int(values.min())}; entries are within +-{limit}")
    return values
