"""Exports of a DataNet version in each form: rows a second, size, and the most memory of the process.

    python -m benchmarks.export_rows --rows 200000

Rows are prompts and completions of some 450 bytes, in contributions of 50,000; each is checked against the version's
record as an export from a chain is. Nothing asks a chain.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from abci_app.modules.datanets.records import (
    Contribution,
    DatanetVersion,
    Form,
    Status,
    StoredContribution,
    contribution_id_of,
)
from benchmarks.report import print_table
from openledger.content.store import ContentStore
from openledger.data.exporting import export_version
from openledger.data.reading import Known, Submission, WholeVersion
from openledger.data.rows import RowBatch, put_batch

_ROWS_EACH = 50_000
_FORMS = ("jsonl", "csv", "parquet")


def main() -> None:
    """Make a version, export it in each form, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    wanted: int = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        store = ContentStore.open(folder / "content")
        version = _version(tuple(_contributions(store, wanted)))
        lines = []
        for form in _FORMS:
            began = time.monotonic()
            rows = export_version(store, version, folder / f"out.{form}", form).rows
            took = time.monotonic() - began
            size = (folder / f"out.{form}").stat().st_size / 2**20
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
            lines.append((form, f"{rows:,}", f"{rows / took:,.0f}", f"{size:.0f} MiB", f"{peak:.0f} MiB"))
    print_table("Export of a version", ("form", "rows", "rows a second", "size", "most memory so far"), lines)


def _contributions(store: ContentStore, wanted: int) -> Iterator[Submission]:
    for number, first in enumerate(range(0, wanted, _ROWS_EACH), 1):
        rows = [
            {"prompt": f"Question {place}: {'word ' * 40}?", "completion": f"Answer {place}: {'word ' * 40}."}
            for place in range(first, min(first + _ROWS_EACH, wanted))
        ]
        commitment = put_batch(store, RowBatch.from_objects(rows))
        contribution = Contribution(
            datanet_id=bytes(32),
            contributor=bytes(32),
            payee=bytes(32),
            rows_root=commitment.rows_root,
            row_count=commitment.row_count,
            byte_count=commitment.byte_count,
            content_digest=commitment.content_digest,
            sketch=commitment.sketch,
            terms_id=bytes(32),
            form=Form.COMPLETION,
        )
        stored = StoredContribution(
            contribution=contribution,
            status=Status.ACCEPTED,
            submitted_number=number,
            accepted_number=number,
            accept_votes=1,
            reject_votes=0,
            reason=0,
            height=1,
            time_seconds=1,
            decided_height=1,
        )
        yield Submission("bench", contribution_id_of(contribution), stored)


def _version(contributions: tuple[Submission, ...]) -> WholeVersion:
    record = DatanetVersion(
        contributions_root=bytes(32),
        contribution_count=len(contributions),
        row_count=sum(each.stored.contribution.row_count for each in contributions),
        byte_count=sum(each.stored.contribution.byte_count for each in contributions),
        accepted_through=len(contributions),
        joined_terms_id=bytes(32),
        height=1,
        time_seconds=1,
        note="",
    )
    return WholeVersion(
        datanet_id=bytes(32),
        name="bench",
        version=1,
        record=record,
        contributions=contributions,
        known=Known(1, verified=False, note="made here"),
    )


if __name__ == "__main__":
    main()
