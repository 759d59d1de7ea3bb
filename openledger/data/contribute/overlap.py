"""How much of the rows that are contributed the DataNet holds already, by sketches, and rows that stand there twice."""

from array import array
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from operator import eq

from abci_app.modules.datanets.records import Status
from abci_app.types import PPB
from openledger.data.contribute.front_running import Ask, submissions
from openledger.data.contribute.work import DIGEST_BYTES
from openledger.data.sketch import SKETCH_BUCKETS, SKETCH_BYTES, sketch_similarity_ppb

# What is compared with: of a larger DataNet the newest submissions.
MOST_COMPARED = 100_000
# Digests that are held to count equal rows: some 100 MiB. Of more rows, a sample of their digests is held.
_MOST_DIGESTS = 2**20
_EMPTY = b"\xff" * SKETCH_BYTES
_EMPTY_BUCKET = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Nearest:
    """The submission that a part overlaps with most; `is_copy`: as many rows, as many bytes, the same sketch."""

    number: int
    overlap_ppb: int
    is_copy: bool


@dataclass(frozen=True, slots=True)
class _Compared:
    number: int
    sketch: bytes
    values: "array[int]"
    row_count: int
    byte_count: int


class Others:
    """Submissions to a DataNet that were not rejected or revoked."""

    def __init__(self) -> None:
        self._held: list[_Compared] = []

    def add(self, number: int, sketch: bytes, row_count: int, byte_count: int) -> None:
        """One submission; one without a sketch, or whose rows have no words, cannot be compared."""
        if len(sketch) == SKETCH_BYTES and sketch != _EMPTY:
            self._held.append(
                _Compared(
                    number=number,
                    sketch=sketch,
                    values=array("I", sketch),
                    row_count=row_count,
                    byte_count=byte_count,
                )
            )

    def nearest(self, sketch: bytes, row_count: int, byte_count: int) -> Nearest | None:
        """The submission with the largest overlap; None where nothing can be compared."""
        if len(sketch) != SKETCH_BYTES or sketch == _EMPTY:
            return None
        values = array("I", sketch)
        all_filled = _EMPTY_BUCKET not in values
        found: Nearest | None = None
        for other in self._held:
            if all_filled:
                overlap = PPB * sum(map(eq, values, other.values)) // SKETCH_BUCKETS
            else:
                overlap = sketch_similarity_ppb(sketch, other.sketch)
            if found is None or overlap > found.overlap_ppb:
                same = (sketch, row_count, byte_count) == (other.sketch, other.row_count, other.byte_count)
                found = Nearest(other.number, overlap, same)
        return found


def fetch_others(
    ask: Ask, datanet_id: bytes, submitted: int, without: Iterable[int], *, own: Collection[bytes] = ()
) -> Others:
    """All submissions but those of these numbers, and those with roots or digests of our `own`, page by page."""
    others, left_out = Others(), frozenset(without)
    for item in submissions(ask, datanet_id, max(0, submitted - MOST_COMPARED)) if submitted else ():
        stored, rows = item.stored, item.stored.contribution
        if stored.status not in (Status.PENDING, Status.ACCEPTED) or stored.submitted_number in left_out:
            continue
        if rows.rows_root not in own and rows.content_digest not in own:
            others.add(stored.submitted_number, rows.sketch, rows.row_count, rows.byte_count)
    return others


class EqualRows:
    """Counts rows that came before; exact up to a million different rows, an estimate from a sample above that."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        # Digests that are multiples of this are held.
        self._every = 1

    @property
    def is_exact(self) -> bool:
        """Whether every digest is held."""
        return self._every == 1

    def count(self, digests: bytes) -> int:
        """How many of these rows came before, in this call or an earlier one."""
        found = 0
        for at in range(0, len(digests), DIGEST_BYTES):
            value = int.from_bytes(digests[at : at + DIGEST_BYTES], "big")
            if value % self._every:
                continue
            if value in self._seen:
                found += 1
            else:
                self._seen.add(value)
        found *= self._every
        while len(self._seen) > _MOST_DIGESTS:
            self._every *= 2
            self._seen = {value for value in self._seen if value % self._every == 0}
        return found
