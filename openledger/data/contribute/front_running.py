"""Parts that somebody else registered first, who copied them from a transaction on its way, and what becomes of them.

Rows are uploaded after their registration is in a block. A front-runner, who copies a root or a digest from the mempool
and comes first, holds what cannot be shown, and the author's transaction fails as a duplicate. The author then salts
the rows anew and registers them again. Where the client can prove, only a proof decides that somebody else has them: on
a node's word the same rows could be contributed twice.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from msgspec import structs

from abci_app.hashing import list_root
from abci_app.modules.datanets.queries import MAX_PAGE, ContributionsPage, ContributionsQuery, FullContribution
from abci_app.modules.datanets.records import Status
from openledger.data.contribute.journal import Journal, Note, key_of
from openledger.data.row_json import RowError
from openledger.data.rows import RowBatch

Ask = Callable[[ContributionsQuery], ContributionsPage]
# An end to what a lying node can make us ask.
_MAX_PAGES = 4_096


@dataclass(frozen=True, slots=True)
class Rival:
    """A submission of somebody else that has the root or the batch file of a part."""

    number: int
    contributor: bytes


def submissions(ask: Ask, datanet_id: bytes, after: int = 0) -> Iterator[FullContribution]:
    """Every submission above a number, page by page."""
    for _ in range(_MAX_PAGES):
        page = ask(ContributionsQuery(datanet_id=datanet_id, name="", after_number=after, limit=MAX_PAGE))
        yield from page.contributions
        if page.next_number <= after:
            # The last page; or a node that pages in circles.
            return
        after = page.next_number


def find_rivals(ask: Ask, datanet_id: bytes, notes: Sequence[Note]) -> dict[str, Rival]:
    """By key of a part: who else has its root or its batch file in a submission that waits or is accepted."""
    notes_of = {bytes.fromhex(each): note for note in notes for each in (note.rows_root, note.content_digest)}
    found: dict[str, Rival] = {}
    for item in submissions(ask, datanet_id):
        record = item.stored.contribution
        note = notes_of.get(record.rows_root) or notes_of.get(record.content_digest)
        if note is None or item.stored.status not in (Status.PENDING, Status.ACCEPTED):
            continue
        if record.contributor.hex() != note.contributor:
            found[note.key] = Rival(item.stored.submitted_number, record.contributor)
    return found


def with_new_salts(journal: Journal, note: Note) -> Note | None:
    """The part under salts that nobody has seen; None where its batch file is no longer here, so others may have it.

    A stop between file and note is mended by `as_its_file_says`.
    """
    path = journal.rows_path(note.key)
    if not path.exists():
        return None
    fresh = RowBatch.from_rows(RowBatch.decode(path.read_bytes(), str(path)).rows)
    with journal.writing_rows(note.key) as sink:
        sink.write(fresh.encode())
    return journal.put(_salted_as(note, fresh))


def as_its_file_says(journal: Journal, note: Note) -> Note | None:
    """The part with the salts of its batch file, where that holds exactly the rows of the part; else None."""
    try:
        batch = RowBatch.decode(journal.rows_path(note.key).read_bytes())
    except RowError:
        return None
    rows = sha256(b"".join([row + b"\n" for row in batch.rows])).digest()
    return journal.put(_salted_as(note, batch)) if key_of(bytes.fromhex(note.contributor), rows) == note.key else None


def _salted_as(note: Note, batch: RowBatch) -> Note:
    """The note with root and digest of this batch; its sketch does not hang on salts."""
    return structs.replace(
        note,
        state="prepared",
        rows_root=list_root("rows", batch.leaves).hex(),
        content_digest=sha256(batch.encode()).hexdigest(),
        former=(*note.former, note.rows_root, note.content_digest),
        number=0,
        contribution_id="",
    )
