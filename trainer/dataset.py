"""Rows of a DataNet version: fetched through the content store, every digest and root checked against the chain."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from abci_app.modules.datanets import Form
from openledger.content.store import ContentStore
from openledger.data.row_json import read_row
from openledger.data.rows import TamperedRows, load_batch
from openledger.data.versions import VersionRecord, root_of_records
from openledger.errors import UsageError
from trainer.row_values import Fields, value_of

# Rows are held in memory while a run is prepared; a larger mix needs `sampling.max_rows` and its own loader.
MAX_ROWS_PER_VERSION = 2_000_000


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a version: where it comes from, its bytes and its salted leaf, and its contribution's form.

    `submission` is the contribution's number among the DataNet's submissions, 0 where it is not known.
    """

    contribution_id: bytes
    index: int
    data: bytes
    leaf: bytes = field(repr=False)
    form: Form = Form.OTHER
    submission: int = 0

    def fields(self) -> Fields:
        """The row's JSON object, read by the rule of contribution; what is no text stays apart from texts."""
        return {key: value_of(key, item) for key, item in read_row(self.data).items()}


def load_rows(store: ContentStore, version: VersionRecord) -> Iterator[Row]:
    """All rows, contributions ascending by id, rows in their order.

    Raises `TamperedRows` naming contribution and row, `ContentMissing` naming the digest that the store lacks.
    """
    if root_of_records(version.contributions, version.accepted_through) != version.root:
        text = f"version {version.version}: its contributions do not hash to its root {version.root.hex()}"
        raise TamperedRows(text, b"", None)
    total = sum(record.commitment.row_count for record in version.contributions)
    if total > MAX_ROWS_PER_VERSION:
        raise UsageError(
            f"version {version.version} has {total} rows, more than {MAX_ROWS_PER_VERSION}, which is what this trainer "
            "holds in memory: train on a smaller version"
        )
    for record in version.contributions:
        name = f"submission #{record.registered_number}" if record.registered_number else ""
        batch = load_batch(store, record.contribution_id, record.commitment, name)
        for index, (data, leaf) in enumerate(zip(batch.rows, batch.leaves, strict=True)):
            yield Row(
                contribution_id=record.contribution_id,
                index=index,
                data=data,
                leaf=leaf,
                form=Form(record.form),
                submission=record.registered_number,
            )
