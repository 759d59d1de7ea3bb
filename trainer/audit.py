"""Auditing a recorded gradient index: what it holds follows from the adapters and bases that it names, and its rows.

Where a repetition gives only near floats, the index cannot be built again bit by bit. Then its integers are checked
(codes against leaves, sums against codes), its adapters are compared with the repeated ones, and codes of some rows are
computed again under its own adapters and bases. Nobody can know these rows beforehand: a forger who made up the codes
of a part f of the rows is found with probability 1 - (1 - f)^8. That the bases are those of the gradients is not
checked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom

from attribution.adapted_model import AdaptedModel
from attribution.errors import AttributionError
from attribution.lga.codes import Codes
from attribution.lga.index.adapters import adapters_of
from attribution.lga.index.reader import GradientIndex
from attribution.lga.query import MAX_CODE_DIFFERENCE, REPEATED_BAND, Deviation, at_checkpoints, deviation, leaf_codes
from trainer.compare import MAX_ADAPTER_DISTANCE, adapter_distance
from trainer.indexed_rows import IndexedRow

AUDITED_ROWS = 8


@dataclass(frozen=True, slots=True)
class Audit:
    """How many rows were computed again, the farthest of them; how many adapters, and the farthest (relative L2)."""

    rows: int
    farthest: Deviation
    adapters: int
    adapter_distance: float

    @property
    def words(self) -> str:
        """One line."""
        return (
            f"sums hold, codes of {self.rows} rows computed again are within {self.farthest.relative:.1e} (by at most "
            f"{self.farthest.largest:.0f}), the adapters at all {self.adapters} checkpoints "
            f"{self.adapter_distance:.1e} at most from the repeated ones"
        )


def audit_index(
    index: GradientIndex,
    base_folder: Path,
    adapters: Sequence[Path],
    rows: Sequence[IndexedRow],
    limit: int = AUDITED_ROWS,
    *,
    allowed: float = MAX_ADAPTER_DISTANCE,
) -> Audit:
    """Check a recorded index; `adapters` are the repeated ones, `rows` all of its rows in its order.

    `allowed`: how far the recorded adapters may be from the repeated ones.

    Raises `AttributionError` with the first part that does not hold.
    """
    index.verify()
    recorded, digests = adapters_of(index)
    model = AdaptedModel.open(base_folder, adapters[-1]).model
    farthest = Deviation(0.0, 0.0)
    numbers = audited_rows(len(rows), limit)
    for number in numbers:
        models = at_checkpoints(model, recorded, digests)
        row = rows[number]
        values = leaf_codes(models, index.feature_map, row.tokens, index.precision, row.weight)
        exponent = index.parameters.exponent
        apart = deviation(Codes(values, exponent), Codes(index.codes[number], exponent))
        # Rows with small gradients have small codes, of which one more is relatively much.
        if apart.largest > MAX_CODE_DIFFERENCE or (apart.relative > REPEATED_BAND and apart.largest > 1):
            raise AttributionError(
                "leaves",
                f"codes of row {row.key[1].hex()[:16]}… are not those of the index's own adapters and bases: "
                f"relative distance {apart.relative:.1e}, largest difference {apart.largest:.0f}",
            )
        farthest = max(farthest, apart, key=lambda item: item.relative)
    distances = [adapter_distance(one, other, allowed) for one, other in zip(recorded, adapters, strict=True)]
    for number, distance in enumerate(distances):
        if not distance.is_near:
            far = f"is {distance.overall:.1e} from the repeated one, {distance.worst_name} {distance.worst:.1e}"
            raise AttributionError(f"checkpoint/{number:04d}", f"the adapter {far}: of another training")
    return Audit(
        rows=len(numbers),
        farthest=farthest,
        adapters=len(distances),
        adapter_distance=max(distance.overall for distance in distances),
    )


def audited_rows(rows: int, limit: int) -> list[int]:
    """Numbers of the rows to compute again, drawn anew each time: fixed ones would be the only honest ones."""
    return sorted(SystemRandom().sample(range(rows), min(rows, limit)))
