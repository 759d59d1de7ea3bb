"""Parameters of a gradient index: the part of its commitment that says how long codes are and what they mean.

Bounds that make overflow impossible: sums of codes over MAX_EXAMPLES examples stay below 2^24 x 2^15 = 2^39, within
int64; scores of such sums are exact for every number of codes up to MAX_CODES (attribution.lga.scores).
"""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from abci_app.types import PPB
from attribution.errors import AttributionError
from openledger.data.manifest import MAX_PART_BYTES, ManifestError, to_json

# 16 million different rows: two million tokens a second for a day at 10,000 tokens a row.
MAX_EXAMPLES = 2**24
# As in attribution.lga.codes, which needs numpy.
MAX_CODES = 2**18
EXPONENT_LIMIT = 1_100
MAX_CHECKPOINTS = 16
# A 400-layer model with seven adapted projections a layer stays below.
MAX_MODULES = 4_096
MAX_MODULE_NAME = 512
# Rows or columns of one gradient: the widest layers in use have 2^18 outputs.
MAX_FEATURES = 2**20
PRECISIONS = ("float32", "float64")


@dataclass(frozen=True, slots=True)
class ModuleShape:
    """A module: gradients [out, in], coordinates [m, r]."""

    name: str
    out_features: int
    in_features: int
    directions: int
    rank_directions: int


@dataclass(frozen=True, slots=True)
class IndexParameters:
    """Counts, exponent and cap as they came out, and the settings as they were given.

    `norm_cap_millionths` 0 means no cap; `checkpoint_codes`, `rank_directions` and `basis_examples` 0 mean all.
    """

    examples: int
    owners: int
    checkpoints: int
    codes: int
    exponent: int
    norm_cap_millionths: int
    norm_cap_medians: int
    damping_ppb: int
    checkpoint_codes: int
    directions: int
    rank_directions: int
    basis_examples: int
    piece_examples: int
    batch_examples: int
    padding_id: int
    threads: int
    precision: str
    modules: tuple[ModuleShape, ...]

    def __post_init__(self) -> None:
        """Refuse what is out of range; raises `AttributionError` for `parameters.<name>`."""
        for name in _RANGES:
            check_range(name, getattr(self, name))
        if self.precision not in PRECISIONS:
            raise AttributionError("parameters.precision", f"must be {' or '.join(PRECISIONS)}")
        if self.owners > self.examples:
            raise AttributionError("parameters.owners", f"{self.owners} of {self.examples} examples")
        self._check_modules()
        if self.codes > self.checkpoints * self.most_checkpoint_codes:
            most = f"{self.checkpoints} x {self.most_checkpoint_codes}"
            raise AttributionError("parameters.codes", f"{self.codes}, the modules give at most {most}")

    @property
    def most_checkpoint_codes(self) -> int:
        """Codes of one example at one checkpoint, at most."""
        coordinates = sum(module.directions * module.rank_directions for module in self.modules)
        return min(coordinates, self.checkpoint_codes or coordinates)

    def encode(self) -> bytes:
        """Canonical JSON."""
        value = asdict(self) | {"modules": [list(asdict(module).values()) for module in self.modules]}
        return to_json(value)

    @classmethod
    def decode(cls, data: bytes) -> "IndexParameters":
        """Parse the part; raises `AttributionError` with the field."""
        if len(data) > MAX_PART_BYTES:
            raise AttributionError("parameters", f"has {len(data)} bytes, more than {MAX_PART_BYTES}")
        try:
            value = json.loads(data)
            canonical = to_json(value) == data
        except (ValueError, RecursionError, ManifestError) as error:
            raise AttributionError("parameters", f"is not JSON as manifests hold it: {error}") from error
        names = {item.name for item in fields(cls)}
        if not isinstance(value, dict) or set(value) != names or not canonical:
            raise AttributionError("parameters", f"must be canonical JSON with exactly {', '.join(sorted(names))}")
        return cls(**(value | {"modules": _modules(value["modules"])}))

    def _check_modules(self) -> None:
        if not 0 < len(self.modules) <= MAX_MODULES:
            raise AttributionError("parameters.modules", f"1 to {MAX_MODULES}, not {len(self.modules)}")
        before = ""
        for module in self.modules:
            field = f"parameters.modules.{module.name[:100]}"
            if not before < module.name or len(module.name) > MAX_MODULE_NAME:
                raise AttributionError(field, "names must increase and be of reasonable length")
            before = module.name
            sizes = (module.out_features, module.in_features, module.directions, module.rank_directions)
            if any(type(size) is not int or not 0 < size <= MAX_FEATURES for size in sizes):
                raise AttributionError(field, f"sizes must be integers from 1 to {MAX_FEATURES}, not {sizes}")
            if module.directions > module.out_features or module.rank_directions > module.in_features:
                raise AttributionError(field, f"has more directions than dimensions: {sizes}")


def check_range(name: str, value: object) -> None:
    """A number of the parameters is an integer in its range; raises `AttributionError` for `parameters.<name>`."""
    least, most = _RANGES[name]
    if type(value) is not int or not least <= value <= most:
        raise AttributionError(f"parameters.{name}", f"must be an integer from {least} to {most}, not {value!r}")


def _modules(rows: Any) -> tuple[ModuleShape, ...]:
    if not isinstance(rows, list) or len(rows) > MAX_MODULES:
        raise AttributionError("parameters.modules", f"must be a list of at most {MAX_MODULES}")
    for row in rows:
        if not isinstance(row, list) or len(row) != 5 or not isinstance(row[0], str):
            raise AttributionError("parameters.modules", f"must hold [name, out, in, m, r], not {str(row)[:100]}")
    return tuple(ModuleShape(*row) for row in rows)


_RANGES = {
    "examples": (1, MAX_EXAMPLES),
    "owners": (1, MAX_EXAMPLES),
    "checkpoints": (1, MAX_CHECKPOINTS),
    "codes": (1, MAX_CODES),
    "exponent": (-EXPONENT_LIMIT, EXPONENT_LIMIT),
    "norm_cap_millionths": (0, 2**62),
    "norm_cap_medians": (0, 1_000),
    "damping_ppb": (0, 1_000 * PPB),
    "checkpoint_codes": (0, MAX_CODES),
    "directions": (1, MAX_FEATURES),
    "rank_directions": (0, MAX_FEATURES),
    "basis_examples": (0, MAX_EXAMPLES),
    "piece_examples": (1, 2**16),
    "batch_examples": (1, 2**12),
    "padding_id": (0, 2**32),
    "threads": (1, 4_096),
}
