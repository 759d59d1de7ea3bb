"""`add`: files of rows become contributions to a DataNet, in one call that can be given again after any stop.

import openledger
from openledger.connection import open_signer
from openledger.data import add

with openledger.connect() as client:
    added = add(client, open_signer("dana"), "garden", ["chat.jsonl", "faq.csv", "notes/"])
for item in added.items:
    print(f"garden#{item.number}", item.source, item.row_count, item.form)
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path

from msgspec import structs

from abci_app.bech32 import encode_id
from abci_app.modules.datanets.records import Status
from openledger.client.client import Client
from openledger.client.core import SendOptions, SigningParty
from openledger.content.store import ContentStore
from openledger.data.contribute.chain import open_datanet, require_would_pass
from openledger.data.contribute.cut import Cutter
from openledger.data.contribute.front_running import Rival
from openledger.data.contribute.journal import Journal, Note
from openledger.data.contribute.overlap import Nearest, fetch_others
from openledger.data.contribute.prepare import About, Begun, Prepared, Preparer
from openledger.data.contribute.send import Target, find_stored, send_parts, settled
from openledger.data.contribute.workers import Workers
from openledger.data.findings import Findings, missing_libraries
from openledger.data.intake.problems import FilesRefused
from openledger.data.intake.reading import ReadOptions, by_form, require_readers
from openledger.data.intake.sources import FoundFiles, RowSource, sources_at
from openledger.settings import load_settings

Say = Callable[[str], None]
Progress = Callable[[str, int, int, int], None]


@dataclass(frozen=True, slots=True)
class AddOptions:
    """Everything about a contribution but its files; the defaults are what most people want."""

    read: ReadOptions = field(default_factory=ReadOptions)
    # Name of a licence or of registered terms; empty: the DataNet's.
    terms: str = ""
    # Who is paid; empty: the contributor.
    payee: bytes = b""
    dry_run: bool = False
    # Contribute again what was rejected or revoked.
    again: bool = False
    # Contribute what looks like a copy of another submission all the same.
    allow_copies: bool = False
    # Try a contribution out before anything is read.
    try_first: bool = True
    # Processes that work on rows; None: as many as there are processors, none for little files.
    processes: int | None = None
    # Who pays the fees instead; `send` names the same account.
    sponsor: SigningParty | None = None
    send: SendOptions = field(default_factory=SendOptions)
    # How long each transaction may wait for its block.
    wait_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class AddedItem:
    """One contribution: what it holds, and where it stands. `is_new`: this call sent it, or would have."""

    # Its number among the DataNet's submissions; of a dry run, the one that it would get.
    number: int
    source: str
    first: str
    last: str
    row_count: int
    byte_count: int
    form: str
    # Rows that stood before in what this call read.
    equal_rows: int
    nearest: Nearest | None
    findings: Findings
    # Names of the fields of its first row, where its rows were worked on.
    fields: tuple[str, ...]
    status: str
    is_new: bool
    contribution_id: bytes


@dataclass(frozen=True, slots=True)
class Added:
    """The contributions that files became, or would become."""

    datanet: str
    datanet_id: bytes
    dry_run: bool
    items: tuple[AddedItem, ...]
    # What was left out, and how files were read.
    notes: tuple[str, ...]


def add(
    client: Client,
    signer: SigningParty,
    datanet: str,
    paths: Iterable[str | PathLike[str]],
    options: AddOptions | None = None,
    *,
    store: ContentStore | None = None,
    home: Path | None = None,
    progress: Progress = lambda stage, done, total, rows: None,
) -> Added:
    """Contribute the rows of these files and folders; of a dry run, only say what that would do.

    Nothing is sent where one row is wrong: `FilesRefused` names up to ten places. The same call after a stop goes on,
    and what the DataNet has already is not sent again.
    """
    options = options or AddOptions()
    found = sources_at([Path(path) for path in paths])
    require_readers(found)
    if not found.sources:
        raise FilesRefused(["no file was named that is not named twice"])
    sources = by_form(found, options.read)
    place = open_datanet(client, datanet, options.terms)
    contributor = options.send.get("account", signer).address
    if options.try_first:
        require_would_pass(client, signer, place, options.payee, options.send)
    if home is None or store is None:
        settings = load_settings()
        home = home or settings.home_folder
        store = store or ContentStore.open(settings.content or None)
    journal = Journal.of(home, client.chain_id, place.datanet_id)
    target = Target(
        client=client,
        datanet=place,
        store=store,
        journal=journal,
        signers=[signer, options.sponsor] if options.sponsor is not None else [signer],
        options=options.send,
        wait_seconds=options.wait_seconds,
    )
    about = About(
        contributor=contributor,
        payee=options.payee,
        terms_id=place.terms_id,
        form_is_given=options.read.form is not None,
    )
    with _locked(journal, dry_run=options.dry_run):
        again = _contributed_again(target, journal) if options.again else frozenset[str]()
        prepared, notes = _prepare(found, sources, about, journal, options, again, progress)
        return _Adding(target, options, prepared, notes, progress).run()


@contextmanager
def _locked(journal: Journal, *, dry_run: bool) -> Iterator[None]:
    if dry_run:
        yield
        return
    with journal.locked():
        yield


def _contributed_again(target: Target, journal: Journal) -> frozenset[str]:
    """Keys of what the chain has as rejected or revoked: its rows may come again, under other salts."""
    keys = []
    for note in journal.all():
        if note.state == "done":
            stored = find_stored(target, note, proven=False)
            if stored is not None and stored.status in (Status.REJECTED, Status.REVOKED):
                keys.append(note.key)
    return frozenset(keys)


def _prepare(
    found: FoundFiles,
    sources: list[RowSource],
    about: About,
    journal: Journal,
    options: AddOptions,
    again: frozenset[str],
    progress: Progress,
) -> tuple[list[Prepared], list[str]]:
    """Read everything and have it worked on; raises `FilesRefused`, and keeps nothing of what was prepared then."""
    workers = Workers(options.processes) if options.processes is not None else Workers.for_bytes(found.likely_row_bytes)
    prepared: list[Prepared] = []
    with workers:
        preparer = Preparer(
            about,
            journal,
            workers,
            writes=not options.dry_run,
            again=again,
            told=lambda position, rows: progress("read", position, found.size, rows),
        )
        cutter = Cutter(sources, options.read, preparer.problems.append)
        before: Begun | None = None
        for part in cutter.parts():
            # The processes work on the part before while the next one is read.
            begun = preparer.begin(part)
            if before is not None:
                prepared += preparer.finish(before)
            before = begun
            if preparer.has_seen_enough:
                break
        if before is not None:
            prepared += preparer.finish(before)
    if not preparer.problems:
        named = [*options.read.rename, *sorted(options.read.without)]
        preparer.problems += [f"no row has a field {name!a}" for name in named if name not in cutter.named_fields]
    if preparer.problems:
        for item in prepared:
            if not item.is_known and not options.dry_run:
                journal.forget(item.note.key)
        raise FilesRefused(preparer.problems, "nothing was contributed: mend this, and give the same command again")
    if not prepared:
        raise FilesRefused(cutter.notes, "nothing was contributed: there are no rows")
    notes = [*found.notes, *cutter.notes, *preparer.notes]
    if missing_libraries():
        notes.append(
            f"nothing was looked at for personal data and secrets: {', '.join(missing_libraries())} not installed; run "
            "`scripts/setup data`"
        )
    return prepared, notes


class _Adding:
    """The steps that follow once every row is known to be right."""

    def __init__(
        self, target: Target, options: AddOptions, prepared: list[Prepared], notes: list[str], progress: Progress
    ) -> None:
        self._target = target
        self._options = options
        self._prepared = prepared
        self._notes = notes
        self._progress = progress
        self._new_count = self._sent_count = self._stored_count = 0

    def run(self) -> Added:
        """Compare, send, tell."""
        datanet, dry_run = self._target.datanet, self._options.dry_run
        ready = [replace(item, note=self._settled(item.note)) for item in self._prepared]
        nearest = self._compare(ready)
        new = [item.note for item in ready if item.note.state != "done"]
        if dry_run:
            sent = [structs.replace(note, number=at) for at, note in enumerate(new, datanet.submitted + 1)]
        else:
            sent = self._send(new)
        new_notes = {note.key: note for note in sent}
        self._notes += _left_over(self._target.journal, {item.note.key for item in ready})
        items = []
        for item, near in zip(ready, nearest, strict=True):
            note = new_notes.get(item.note.key, item.note)
            items.append(self._item(note, item, near, is_new=note.key in new_notes))
        return Added(
            datanet=datanet.name,
            datanet_id=datanet.datanet_id,
            dry_run=dry_run,
            items=tuple(items),
            notes=tuple(self._notes),
        )

    def _settled(self, note: Note) -> Note:
        options, target = self._options, self._target
        if options.dry_run and note.state == "sent":
            # A dry run changes no note.
            there = find_stored(target, note, proven=False)
            return note if there is None else structs.replace(note, state="done", number=there.submitted_number)
        return settled(target, note, options.payee, target.datanet.terms_id)

    def _send(self, new: list[Note]) -> list[Note]:
        self._target.store.require_room(sum([note.byte_count for note in new]))
        self._new_count = len(new)
        return send_parts(self._target, new, self)

    def sent(self, note: Note) -> None:
        """Tell of a part that is in a block."""
        self._sent_count += 1
        self._progress("send", self._sent_count, self._new_count, note.row_count)

    def stored(self, note: Note) -> None:
        """Tell of a part whose rows are in the content store."""
        self._stored_count += 1
        self._progress("store", self._stored_count, self._new_count, note.row_count)

    def copied(self, note: Note, rival: Rival) -> None:
        """Note who registered a part first, from a transaction of ours that was on its way."""
        who = self._target.client.people.get(rival.contributor) or encode_id("open", rival.contributor)
        self._notes.append(
            f"{note.first}: {who} copied the registration of these rows while it was on its way, as "
            f"{self._target.datanet.name}#{rival.number}, and does not have the rows; they were registered again under "
            "new salts: tell the reviewers"
        )

    def _compare(self, ready: list[Prepared]) -> list[Nearest | None]:
        """The nearest submission of each part that is new; raises `FilesRefused` for copies."""
        target = self._target
        known = [item.note.number for item in ready if item.note.state == "done"]
        roots = [each for item in ready for each in (item.note.rows_root, item.note.content_digest, *item.note.former)]
        others = fetch_others(
            target.ask_page,
            target.datanet.datanet_id,
            target.datanet.submitted,
            known,
            own=frozenset([bytes.fromhex(each) for each in roots]),
        )
        found: list[Nearest | None] = []
        copies: list[str] = []
        for item in ready:
            note, rows = item.note, item.note.commitment()
            near = None if note.state == "done" else others.nearest(rows.sketch, rows.row_count, rows.byte_count)
            found.append(near)
            if near is not None and near.is_copy:
                there = f"{target.datanet.name}#{near.number}"
                copies.append(f"{note.first}: these rows are in the DataNet already, as {there}")
        if copies and not self._options.allow_copies:
            if not self._options.dry_run:
                for item in ready:
                    if item.note.state == "prepared":
                        target.journal.forget(item.note.key)
            raise FilesRefused(
                copies,
                "nothing was contributed: leave them out, or pass --allow-copies where only what is no text differs",
            )
        return found

    def _item(self, note: Note, prepared: Prepared, near: Nearest | None, *, is_new: bool) -> AddedItem:
        status = "pending"
        if not is_new:
            stored = find_stored(self._target, note, proven=False)
            status = Status(stored.status).name.lower() if stored is not None else "unknown"
        return AddedItem(
            number=note.number,
            source=note.source,
            first=note.first,
            last=note.last,
            row_count=note.row_count,
            byte_count=note.byte_count,
            form=note.form,
            equal_rows=note.duplicates,
            nearest=near,
            findings=prepared.findings,
            fields=prepared.fields,
            status=status,
            is_new=is_new,
            contribution_id=bytes.fromhex(note.contribution_id),
        )


def _left_over(journal: Journal, keys: set[str]) -> list[str]:
    """A line for each source whose parts an earlier command prepared and did not send, or sent and did not store."""
    notes = [note for note in journal.all() if note.state != "done" and note.key not in keys]
    waiting, sent = Counter([note.source for note in notes]), {note.source for note in notes if note.state == "sent"}
    return [
        f"{source}: {parts} prepared by an earlier command, and perhaps registered, but not stored, so that nobody can "
        "see the rows: give that command again"
        if source in sent
        else f"{source}: {parts} prepared and not sent by an earlier command; give that command again, or remove what "
        f"waits in {journal.folder}"
        for source, parts in waiting.items()
    ]
