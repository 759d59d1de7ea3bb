"""Notes on all that this home contributed to one DataNet or is about to, as files that are whole or not there.

    <home>/contributions/<chain>/<DataNet id>/
        lock                   held by the one command at work
        <key>.json             a note on one part: its commitment, where its rows come from, how far it is
        <key>.rows             its row batch file, until the content store has it and the chain knows it

A part's key follows from its contributor and its rows. The same rows are known again under any name of their
files, and keep the salts that they were given first: they cannot become two contributions by being sent twice. A note
is `prepared` when the batch file is whole, `sent` before its transaction leaves, `done` when the chain has it.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Literal

from msgspec import MsgspecError, Struct, json

from abci_app.modules.datanets import Form
from abci_app.modules.datanets.records import Contribute, Contribution, contribution_id_of
from openledger.content.files import UNFINISHED, replacing, write_whole
from openledger.data.rows import RowCommitment
from openledger.errors import OpenLedgerError, UsageError
from openledger.settings import file_name_of

State = Literal["prepared", "sent", "done"]


class Note(Struct, frozen=True, forbid_unknown_fields=True):
    """One part; bytes are hex, as in every file that people may read."""

    key: str
    state: State
    source: str
    # First and last row: file and line.
    first: str
    last: str
    form: str
    contributor: str
    payee: str
    terms_id: str
    rows_root: str
    row_count: int
    byte_count: int
    content_digest: str
    sketch: str
    duplicates: int = 0
    # Roots and digests that its rows had under salts that somebody copied: who has these is no other source.
    former: tuple[str, ...] = ()
    # The submission's number in its DataNet and its id, once the chain has it.
    number: int = 0
    contribution_id: str = ""

    def commitment(self) -> RowCommitment:
        """The chain's record of the rows."""
        return RowCommitment(
            rows_root=bytes.fromhex(self.rows_root),
            row_count=self.row_count,
            byte_count=self.byte_count,
            content_digest=bytes.fromhex(self.content_digest),
            sketch=bytes.fromhex(self.sketch),
        )

    def message(self, datanet_id: bytes) -> Contribute:
        """The message that registers it."""
        rows = self.commitment()
        return Contribute(
            datanet_id=datanet_id,
            rows_root=rows.rows_root,
            row_count=rows.row_count,
            byte_count=rows.byte_count,
            content_digest=rows.content_digest,
            sketch=rows.sketch,
            terms_id=bytes.fromhex(self.terms_id),
            payee=bytes.fromhex(self.payee),
            form=Form[self.form.upper()],
        )

    def id_in(self, datanet_id: bytes) -> bytes:
        """The id that the contribution has on the chain; its terms must be stated."""
        message, contributor = self.message(datanet_id), bytes.fromhex(self.contributor)
        record = Contribution(
            datanet_id=datanet_id,
            contributor=contributor,
            payee=message.payee or contributor,
            rows_root=message.rows_root,
            row_count=message.row_count,
            byte_count=message.byte_count,
            content_digest=message.content_digest,
            sketch=message.sketch,
            terms_id=message.terms_id,
            form=message.form,
        )
        return contribution_id_of(record)


def key_of(contributor: bytes, rows_digest: bytes) -> str:
    """The key of a part: who contributes, and which rows in which order."""
    return sha256(b"openledger/journal/" + contributor + rows_digest).hexdigest()[:32]


class Journal:
    """The notes of one DataNet in one home."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(cls, home: Path, chain_id: str, datanet_id: bytes) -> "Journal":
        """The journal of a DataNet of a chain; nothing is made until something is noted."""
        return cls(home / "contributions" / file_name_of(chain_id) / datanet_id.hex())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second command out: it would give the same rows other salts."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    "another command of this home contributes to this DataNet at the moment: wait until it has ended"
                ) from None
            except OSError as error:
                # Some network file systems have no locks.
                raise OpenLedgerError(
                    f"{self.folder} cannot be locked ({error.strerror}): use a home on a local disk (--home)"
                ) from None
            for left in self.folder.glob(f"{UNFINISHED}*"):
                # A command that was killed left it, and nobody else writes here now.
                left.unlink(missing_ok=True)
            yield

    def find(self, key: str) -> Note | None:
        """The note with this key, with its batch file where it still needs one."""
        path = self.folder / f"{key}.json"
        try:
            note = json.decode(path.read_bytes(), type=Note)
        except FileNotFoundError:
            return None
        except (MsgspecError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} is damaged ({error}): without it the same rows could be sent twice") from None
        if note.state == "done":
            # A stop right after the note was written left it.
            self.drop_rows(key)
        # A batch file is whole before its note is written. Where somebody removed it, the part is prepared again; once
        # it may have been sent, the content store has it, and other salts would double its rows.
        return note if note.state != "prepared" or self.rows_path(key).exists() else None

    def all(self) -> Iterator[Note]:
        """Every note, in the order of its number; those without a number last."""
        keys = [path.stem for path in self.folder.glob("*.json")]
        notes = [note for key in keys if (note := self.find(key)) is not None]
        yield from sorted(notes, key=lambda note: (not note.number, note.number, note.key))

    def source_of(self, number: int) -> str:
        """Which file and lines a submission came from, empty where this home did not contribute it."""
        note = next((one for one in self.all() if one.number == number), None)
        if note is None:
            return ""
        first, last = note.first.rpartition(": "), note.last.rpartition(": ")
        if first[0] == last[0]:
            return f"{note.first} to {last[2]}"
        return f"{note.first} to {note.last}"

    def put(self, note: Note) -> Note:
        """Write a note, safe on the disk when this returns."""
        write_whole(self.folder / f"{note.key}.json", json.format(json.encode(note), indent=1))
        self._sync_names()
        return note

    def rows_path(self, key: str) -> Path:
        """Where the batch file of a part lies while the part is on its way."""
        return self.folder / f"{key}.rows"

    @contextmanager
    def writing_rows(self, key: str) -> Iterator[IO[bytes]]:
        """A batch file that is there when the block has ended, and not before."""
        with replacing(self.rows_path(key)) as sink:
            yield sink

    def drop_rows(self, key: str) -> None:
        """Remove a batch file that the content store has."""
        self.rows_path(key).unlink(missing_ok=True)

    def forget(self, key: str) -> None:
        """Remove what was prepared and will not be sent."""
        (self.folder / f"{key}.json").unlink(missing_ok=True)
        self.drop_rows(key)

    def _sync_names(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
