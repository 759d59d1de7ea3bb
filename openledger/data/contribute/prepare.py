"""Parts as row batch files: every row worked on, the file written beside the journal, its commitment noted."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from hashlib import sha256
from typing import IO

from abci_app.hashing import HASH_BYTES, list_root
from openledger.data.contribute.cut import Part
from openledger.data.contribute.journal import Journal, Note, key_of
from openledger.data.contribute.overlap import EqualRows
from openledger.data.contribute.work import Chunk, ChunkResult, word
from openledger.data.contribute.workers import Workers
from openledger.data.findings import Findings, missing_libraries
from openledger.data.intake.problems import SHOWN_PROBLEMS, utf8_advice
from openledger.data.row_json import CONVERT_IT, read_row
from openledger.data.rows import MAGIC
from openledger.data.sketch import Sketch


@dataclass(frozen=True, slots=True)
class Prepared:
    """A part whose rows are all fit to be contributed. `is_known`: the journal had it, nothing was done again."""

    note: Note
    findings: Findings
    is_known: bool
    # Names of the fields of its first row.
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Begun:
    """A part that is being worked on."""

    part: Part
    key: str
    known: Note | None
    results: "tuple[Future[ChunkResult], ...]"


@dataclass(frozen=True, slots=True)
class About:
    """The facts that the notes of all parts say alike."""

    contributor: bytes
    payee: bytes
    terms_id: bytes
    form_is_given: bool


# Called with bytes of files and rows that are done.
Told = Callable[[int, int], None]


class Preparer:
    """Has parts worked on, one behind the other: `begin` the next before you `finish` the one before."""

    def __init__(
        self, about: About, journal: Journal, workers: Workers, *, writes: bool, again: frozenset[str], told: Told
    ) -> None:
        self.problems: list[str] = []
        self.notes: list[str] = []
        # Keys of the parts of this run, and where their rows begin.
        self._begun: dict[str, str] = {}
        self.equal_rows = EqualRows()
        self._about = about
        self._journal = journal
        self._workers = workers
        self._writes = writes
        # Keys of parts that are contributed although the journal has them.
        self._again = again
        self._told = told
        self._looks = not missing_libraries()
        self._rows_done = 0

    def begin(self, part: Part) -> Begun | None:
        """Hand a part's rows out, unless the journal has the part; None for rows that this run has already."""
        key = key_of(self._about.contributor, part.digest())
        if key in self._begun:
            self.notes.append(f"{part.places[0]}: these rows were read before, at {self._begun[key]}; contributed once")
            return None
        self._begun[key] = part.places[0]
        known = None if key in self._again else self._journal.find(key)
        if known is not None and known.state == "prepared" and known.form != word(part.form):
            known = None
        results: list[Future[ChunkResult]] = []
        first_row = 0
        for chunk in part.chunks if known is None else ():
            request = Chunk(
                rows=chunk.data,
                first_row=first_row,
                form=int(part.form),
                form_is_given=self._about.form_is_given,
                with_lines=self._writes,
                looks_for_findings=self._looks,
            )
            results.append(self._workers.submit(request))
            first_row += len(chunk.lines)
        return Begun(part=part, key=key, known=known, results=tuple(results))

    def finish(self, begun: Begun) -> list[Prepared]:
        """Wait for a part; nothing where rows of it were refused, which `problems` then names."""
        prepared = self._finish(begun)
        self._rows_done += begun.part.row_count
        self._told(begun.part.ends_at, self._rows_done)
        return prepared

    def _finish(self, begun: Begun) -> list[Prepared]:
        if begun.known is not None:
            return [Prepared(begun.known, Findings(), is_known=True)]
        if not self._writes:
            made = self._collect(begun, None)
            return [] if made is None else [made]
        try:
            with self._journal.writing_rows(begun.key) as sink:
                prepared = self._collect(begun, sink)
                if prepared is None:
                    raise _RowsRefused
        except _RowsRefused:
            return []
        self._journal.put(prepared.note)
        return [prepared]

    def _collect(self, begun: Begun, sink: IO[bytes] | None) -> Prepared | None:
        part = begun.part
        leaves: list[bytes] = []
        sketch, findings, duplicates = Sketch(), Findings(), 0
        header = MAGIC + b"%d\n" % part.row_count
        hasher = sha256(header)
        if sink is not None:
            sink.write(header)
        refused, rows_of_part = False, 0
        for rows, future in zip(part.chunks, begun.results, strict=True):
            result = future.result()
            rows_of_part += len(rows.lines)
            self._told(part.position(rows_of_part), self._rows_done + rows_of_part)
            advice = utf8_advice(rows.reader.file.name)
            self._refuse(
                [f"{rows.place(row)} {problem.replace(CONVERT_IT, advice)}" for row, problem in result.problems]
            )
            refused = refused or bool(result.problems)
            if refused:
                continue
            leaves += [result.leaves[at : at + HASH_BYTES] for at in range(0, len(result.leaves), HASH_BYTES)]
            sketch.add(result.sketch)
            findings.add(result.findings)
            duplicates += self.equal_rows.count(result.digests)
            hasher.update(result.lines)
            if sink is not None:
                sink.write(result.lines)
        if refused:
            return None
        first, last = part.places
        before = self._journal.find(begun.key)
        note = Note(
            key=begun.key,
            state="prepared",
            source=part.source.name,
            first=first,
            last=last,
            form=word(part.form),
            contributor=self._about.contributor.hex(),
            payee=self._about.payee.hex(),
            terms_id=self._about.terms_id.hex(),
            rows_root=list_root("rows", leaves).hex(),
            row_count=part.row_count,
            byte_count=part.byte_count,
            content_digest=hasher.digest().hex(),
            sketch=sketch.encode().hex(),
            duplicates=duplicates,
            former=before.former if before is not None else (),
        )
        first_row = read_row(part.chunks[0].data.split(b"\n", 1)[0])
        return Prepared(note, findings, is_known=False, fields=tuple(first_row))

    def _refuse(self, problems: Iterable[str]) -> None:
        self.problems += problems

    @property
    def has_seen_enough(self) -> bool:
        """Whether so much is wrong that looking at more rows helps nobody."""
        return len(self.problems) > SHOWN_PROBLEMS


class _RowsRefused(Exception):
    """Rows of the part are wrong: its batch file is not kept."""
