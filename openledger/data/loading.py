"""Rows of a version: one contribution in memory at a time, checked against the chain's record before any row of it.

Rows are numbered from 1 in the order in which their contributions were accepted, and within one in its own order: row
17 is line 17 of an export, and what `openledger data prove --row 17` proves. A contribution that was erased keeps its
numbers, so that the numbers of the other rows stay as they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from abci_app.modules.datanets.records import Status
from openledger.content.store import ContentErased, ContentStore
from openledger.content.tombstone import Tombstone
from openledger.data.reading import Nothing, Submission, WholeVersion
from openledger.data.row_json import read_row
from openledger.data.rows import RowBatch, load_batch
from openledger.errors import UsageError


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One row: its number in the version, the contribution that it came with, its place there (from 0), its bytes."""

    number: int
    submission: Submission
    index: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ErasedPart:
    """A contribution whose rows were erased: numbers `first` to `last` of the version."""

    submission: Submission
    first: int
    last: int
    tombstone: Tombstone | None
    why: str

    @property
    def in_short(self) -> str:
        """When and why, in a few words."""
        stone = self.tombstone
        return f"erased on {stone.day} ({stone.reason.replace('-', ' ')})" if stone is not None else "erased"


def first_numbers(version: WholeVersion) -> list[int]:
    """Number of the first row of each contribution."""
    numbers, number = [], 1
    for each in version.contributions:
        numbers.append(number)
        number += each.stored.contribution.row_count
    return numbers


def revoked_parts(version: WholeVersion) -> list[tuple[int, Submission]]:
    """Contributions of a version that were revoked since, with the number of their first row: not to be trained on."""
    numbered = zip(first_numbers(version), version.contributions, strict=True)
    return [(first, each) for first, each in numbered if each.stored.status == Status.REVOKED]


def batches(
    store: ContentStore, version: WholeVersion, *, without_erased: bool = False
) -> Iterator[tuple[int, Submission, RowBatch | ErasedPart]]:
    """Each contribution with the number of its first row and its rows, fetched and checked.

    Raises `ContentErased`, unless erased ones are left out: then they come as an `ErasedPart`.
    """
    for first, each in zip(first_numbers(version), version.contributions, strict=True):
        try:
            yield first, each, load_batch(store, each.contribution_id, each.commitment, each.reference)
        except ContentErased as error:
            if not without_erased:
                raise
            last = first + each.stored.contribution.row_count - 1
            yield (
                first,
                each,
                ErasedPart(submission=each, first=first, last=last, tombstone=error.tombstone, why=str(error)),
            )


def rows(store: ContentStore, version: WholeVersion, *, without_erased: bool = False) -> Iterator[VersionRow]:
    """All rows in order; raises as `batches` does, `TamperedRows`, and `ContentMissing`."""
    for first, submission, batch in batches(store, version, without_erased=without_erased):
        if isinstance(batch, RowBatch):
            for index, data in enumerate(batch.rows):
                yield VersionRow(number=first + index, submission=submission, index=index, data=data)


def find_place(version: WholeVersion, number: int) -> tuple[Submission, int]:
    """The contribution that holds row `number` of a version, and the row's place in it; raises `Nothing`."""
    if not 1 <= number <= version.record.row_count:
        raise Nothing(f"{version.reference} has rows 1 to {version.record.row_count}, no row {number}")
    for first, each in zip(first_numbers(version), version.contributions, strict=True):
        if number < first + each.stored.contribution.row_count:
            return each, number - first
    raise Nothing(f"{version.reference} has no row {number}")


@dataclass(frozen=True)
class LoadedVersion:
    """A version of a DataNet, verified: iterate over it for its rows as Python objects, as often as wanted."""

    version: WholeVersion
    store: ContentStore = field(repr=False)
    without_erased: bool = False

    @property
    def reference(self) -> str:
        """`garden@1`."""
        return self.version.reference

    @property
    def name(self) -> str:
        """The DataNet's name."""
        return self.version.name

    @property
    def datanet_id(self) -> bytes:
        """The DataNet's id."""
        return self.version.datanet_id

    @property
    def note(self) -> str:
        """How it was verified, in words."""
        return self.version.known.note

    def erased(self) -> tuple[ErasedPart, ...]:
        """Contributions that are left out because their rows were erased; asks the store about each."""
        found = batches(self.store, self.version, without_erased=True)
        return tuple([batch for _, _, batch in found if isinstance(batch, ErasedPart)])

    def revoked(self) -> tuple[Submission, ...]:
        """Contributions that were revoked since: no new training with them."""
        return tuple([each for _, each in revoked_parts(self.version)])

    def __len__(self) -> int:
        """Rows of the version by the chain's record, erased ones among them."""
        return self.version.record.row_count

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Rows in order; each contribution is fetched and checked when its turn comes."""
        for row in rows(self.store, self.version, without_erased=self.without_erased):
            yield as_object(row.data)

    def to_dataset(self) -> Any:
        """A `datasets.Dataset` of all rows, in memory; needs the library `datasets`.

        A column whose values are of several kinds holds them as JSON text; an integer column in some rows of which a
        field is missing has null there.
        Nothing of it lies in that library's cache, so that an erasure need not look there. Raises `UsageError`.
        """
        try:
            library = import_module("datasets")
        except ModuleNotFoundError as error:
            raise UsageError(
                f"a datasets.Dataset needs the library {error.name}, which is not installed here: iterate over "
                f'load("{self.reference}") for its rows'
            ) from None
        from openledger.data.tables import as_columns, columns_of

        columns = columns_of(self)
        return library.Dataset.from_dict(as_columns(list(self), columns))


def as_object(data: bytes) -> dict[str, Any]:
    """A row as Python's own types; it was checked when it was fetched."""
    import json

    read_row(data)
    found: dict[str, Any] = json.loads(data)
    return found
