"""Everything on this machine and in one content store that holds the text of a contribution, and its removal.

Known by their structure: the row batch, span indexes, their copies in caches, files that commands of this home wrote.
Then every other file of the store, of the caches and of the home is looked through for pieces of the rows and of their
tokens. What belongs to somebody else is told apart and kept: the same text may be in another contribution.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

from attribution.erasure import folders_with, indexes_with, text_digests, token_runs
from attribution.spans.blocks import DOCUMENTS, TOKENS
from attribution.stored import listing_of
from openledger.content.files import cache_home
from openledger.content.store import OBJECTS, ContentErased, ContentError, ContentStore, file_digest
from openledger.content.tombstone import Erased, Tombstone
from openledger.data.needles import Needles
from openledger.data.rows import MAGIC, load_batch
from openledger.data.written import read_written
from openledger.errors import OpenLedgerError

if TYPE_CHECKING:
    from openledger.data.reading import Submission
    from openledger.data.written import WrittenFile

# Of a home: keys, verified blocks, and a node's own files, which no command writes rows into.
_NOT_LOOKED_INTO = frozenset({"keys", "light", "trust", "config", "data", "devnet"})
# Of a home: the folder in which `data add` keeps what is not sent yet. Other files there may be the user's own.
_OWN_FOLDER = "contributions"
# Folders of a content store in which nothing but objects and what is to become one has its place.
_OBJECT_FOLDERS = frozenset({OBJECTS, "manifest", "index", "attribution"})
_PARQUET = b"PAR1"


@dataclass(frozen=True)
class Holding:
    """One thing that holds the text. `keep` says why it stays; else `remove` removes it."""

    what: str
    place: str
    byte_count: int
    keep: str = ""
    # Places of its other files.
    further: tuple[str, ...] = ()
    remove: Callable[[Tombstone], None] = field(repr=False, default=lambda _: None)


@dataclass
class Search:
    """One search; `others` are submissions that register a row batch, by its digest: all of the chain's."""

    store: ContentStore
    home: Path
    submission: Submission
    others: Mapping[bytes, Sequence[Submission]]
    progress: Callable[[int, int], None] = lambda _done, _total: None
    # Why some of it could not be searched for, in sentences.
    limits: list[str] = field(default_factory=list)
    _known_needles: Needles | None = None

    def find(self) -> list[Holding]:
        """All of it, what must go first first: the row batch, without which nothing else can be found, comes last.

        Asked again after a removal it looks for the same pieces.
        """
        if self._known_needles is None:
            self._known_needles = self._needles()
        needles = self._known_needles
        found = [*self._caches(), *self._indexes()]
        known = {place for holding in found for place in (holding.place, *holding.further)}
        batch_place = self.store.path_of(self.submission.commitment.content_digest)
        found += self._written(needles, known)
        known |= {holding.place for holding in found}
        found += self._rest(needles, known | {batch_place})
        return found + list(self._batch(batch_place))

    # --- By structure

    def _batch(self, place: str) -> Iterator[Holding]:
        digest = self.submission.commitment.content_digest
        if not self.store.has(digest):
            return
        also = [each.reference for each in self.others.get(digest, ()) if each.reference != self.submission.reference]
        shared = f"; it is also {', '.join(also)}, which goes with it" if also else ""
        yield Holding(
            what=f"its rows with their salts{shared}",
            place=place,
            byte_count=self.submission.commitment.byte_count,
            remove=lambda stone: self.store.erase(OBJECTS, digest, stone),
        )

    def _indexes(self) -> Iterator[Holding]:
        """Files with text of every span index that has rows of it; several indexes may share a file."""
        seen: set[bytes] = set()
        sizes = {file.name: file.byte_count for file in self.store.files() if file.kind == OBJECTS}
        own = list(indexes_with(self.store, self.submission.contribution_id))
        others = text_digests(self.store, [index.root for index in own])
        for index in own:
            there = [digest for _, digest in index.digests if digest.hex() in sizes and digest not in seen]
            seen |= set(there)
            shared = ", which an index over the same text of others shares" if others & set(there) else ""
            if there:
                places = [self.store.path_of(digest) for digest in there]
                yield Holding(
                    what=f"tokens, suffix array and counts of a span index ({len(there)} files){shared}",
                    place=places[0],
                    byte_count=sum(sizes[digest.hex()] for digest in there),
                    remove=_all_of([self._eraser(digest, Erased.SPAN_TEXT) for digest in there]),
                    further=tuple(places[1:]),
                )

    def _eraser(self, digest: bytes, what: Erased, kind: str = OBJECTS) -> Callable[[Tombstone], None]:
        def erase(stone: Tombstone) -> None:
            own = Tombstone(
                what=what,
                reference=stone.reference,
                contribution_id=stone.contribution_id,
                reason=stone.reason,
                erased_seconds=stone.erased_seconds,
            )
            self.store.erase(kind, digest, own)

        return erase

    def _caches(self) -> Iterator[Holding]:
        """Copies of span indexes in caches: fetched, half built, left by a verification that was killed."""
        for folder in folders_with(cache_home(), self.submission.contribution_id):
            yield Holding(
                what="copy of a span index in a cache",
                place=str(folder),
                byte_count=_size(folder),
                remove=_folder_remover(folder),
            )

    def _written(self, needles: Needles, known: set[str]) -> Iterator[Holding]:
        """Files that commands of this home wrote with its rows, where they still are what was written."""
        seen = set(known)
        for written in read_written(self.home):
            if self.submission.contribution_id not in written.holds:
                continue
            for path in _rests_of(written, needles):
                if str(path) not in seen:
                    seen.add(str(path))
                    yield Holding(
                        what=f"rest of an interrupted {written.what}",
                        place=str(path),
                        byte_count=path.stat().st_size,
                        remove=_file_remover(path),
                    )
            if not Path(written.path).exists():
                continue
            for path in _files_of(written):
                if str(path) in known:
                    continue
                same = dict(written.files).get(str(path)) == file_digest(path)
                if not same and not _holds(path, needles):
                    self.limits.append(f"{path} ({written.what}) was changed since and shows none of its text: look")
                    continue
                yield Holding(
                    what=f"{written.what}{'' if same else ', changed since'}",
                    place=str(path),
                    byte_count=path.stat().st_size,
                    remove=_file_remover(path),
                )

    # --- By content

    def _needles(self) -> Needles:
        rows: tuple[bytes, ...] = ()
        try:
            submission = self.submission
            rows = load_batch(self.store, submission.contribution_id, submission.commitment, submission.reference).rows
        except (OpenLedgerError, OSError) as error:
            if not isinstance(error, ContentErased):
                self.limits.append(f"its rows are not at hand to be searched for: {' '.join(str(error).split())}")
        needles = Needles.of(rows, self._token_runs())
        if rows and not needles.pieces:
            self.limits.append("its rows are too short to be searched for in files of unknown kind")
        return needles

    def _token_runs(self) -> list[list[int]]:
        """Tokens of its rows, from the first span index that still has them."""
        for index in indexes_with(self.store, self.submission.contribution_id):
            try:
                files = {each.name: each.digest for each in listing_of(self.store, index.root)}
                documents, tokens = (self.store.get(files[what.name]) for what in (DOCUMENTS, TOKENS))
            except (ContentError, KeyError, OSError):
                continue
            return token_runs(documents, tokens, self.submission.contribution_id)
        for folder in folders_with(cache_home(), self.submission.contribution_id):
            try:
                documents, tokens = ((folder / what.name).read_bytes() for what in (DOCUMENTS, TOKENS))
            except OSError:
                continue
            return token_runs(documents, tokens, self.submission.contribution_id)
        return []

    def _rest(self, needles: Needles, known: set[str]) -> Iterator[Holding]:
        """Every other file of the store, the caches and the home that holds a piece."""
        if not needles.pieces:
            return
        stored = [file for file in self.store.files() if file.path not in known]
        looked_at = {file.path for file in self.store.files()}
        found = dict.fromkeys([*_below(cache_home()), *_below(self.home, _NOT_LOOKED_INTO)])
        local = [
            path
            for path in found
            # The content store may lie below the home: its files are looked at as what they are.
            if str(path.resolve()) not in looked_at
            and not any(str(path) == place or str(path).startswith(f"{place}/") for place in known)
        ]
        total, done = len(stored) + len(local), 0
        for file in stored:
            done += 1
            self.progress(done, total)
            with self.store.open_file(file.path) as stream:
                if not needles.are_in(stream):
                    continue
            yield self._stored_file(file.kind, file.name, file.path, file.byte_count)
        for path in local:
            done += 1
            self.progress(done, total)
            if _holds(path, needles):
                own = path.is_relative_to(cache_home()) or path.is_relative_to(self.home / _OWN_FOLDER)
                yield Holding(
                    what="file that a command left here" if own else "file in the home",
                    place=str(path),
                    byte_count=path.stat().st_size,
                    keep="" if own else "no command wrote it there that is known of, it may be your own: look",
                    remove=_file_remover(path),
                )

    def _stored_file(self, kind: str, name: str, path: str, byte_count: int) -> Holding:
        """A file of the store with its text: of another contribution, of nobody, or a document that quotes it."""
        if not kind and path.rpartition("/")[0].rpartition("/")[2] not in _OBJECT_FOLDERS:
            keep = "it is no object of the store, it may be your own: look"
            return Holding(what="file in the store's folder", place=path, byte_count=byte_count, keep=keep)
        if not kind:
            what = "rest of a put that was interrupted"
            return Holding(what=what, place=path, byte_count=byte_count, remove=lambda _: self.store.remove(path))
        if kind != OBJECTS:
            keep = f"a {kind} that the chain names: it is part of a model's proof and quotes the text"
            return Holding(what=f"{kind} in the store", place=path, byte_count=byte_count, keep=keep)
        digest = bytes.fromhex(name)
        owners = [f"{each.reference}" for each in self.others.get(digest, ())]
        if owners:
            keep = f"it is {', '.join(owners)}, which says the same: erase that, too, if it must go"
            return Holding(what="rows of another contribution", place=path, byte_count=byte_count, keep=keep)
        is_batch = self._starts_with(path, MAGIC)
        if digest in text_digests(self.store):
            keep = "a span index over another contribution's rows, which say the same"
            return Holding(what="span index", place=path, byte_count=byte_count, keep=keep)
        what = "rows that no contribution registers" if is_batch else "document that quotes it"
        return Holding(what=what, place=path, byte_count=byte_count, remove=self._eraser(digest, Erased.DOCUMENT))

    def _starts_with(self, path: str, magic: bytes) -> bool:
        with self.store.open_file(path) as stream:
            return stream.read(len(magic)) == magic


def _all_of(removals: Sequence[Callable[[Tombstone], None]]) -> Callable[[Tombstone], None]:
    def remove(stone: Tombstone) -> None:
        for each in removals:
            each(stone)

    return remove


def _folder_remover(folder: Path) -> Callable[[Tombstone], None]:
    return lambda _: shutil.rmtree(folder)


def _file_remover(path: Path) -> Callable[[Tombstone], None]:
    return lambda _: path.unlink(missing_ok=True)


def _files_of(written: WrittenFile) -> list[Path]:
    """The files of an export: itself, or those of its folder."""
    path = Path(written.path)
    return [each for each in sorted(path.rglob("*")) if each.is_file()] if path.is_dir() else [path]


def _rests_of(written: WrittenFile, needles: Needles) -> Iterator[Path]:
    """Unfinished files beside a file that a command was to write, with pieces of the rows or compressed.

    They have names of their own (openledger.content.files, openledger.content.new_files).
    """
    target = Path(written.path)
    for path in (*target.parent.glob(".incoming-*"), *target.parent.glob(f".{escape(target.name)}.*.unfinished")):
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file() and (_holds(file, needles) or (not written.files and _is_parquet(file))):
                yield file


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(_PARQUET)) == _PARQUET


def _holds(path: Path, needles: Needles) -> bool:
    try:
        with path.open("rb") as stream:
            return needles.are_in(stream)
    except OSError:
        return False


def _below(folder: Path, without: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Every file below a folder, links left out; of its own entries those named `without` are left out."""
    if not folder.is_dir():
        return
    for entry in sorted(folder.iterdir()):
        if entry.name in without or entry.is_symlink():
            continue
        if entry.is_file():
            yield entry
        elif entry.is_dir() and not any((entry / name).is_dir() for name in ("config",)):
            yield from [path for path in sorted(entry.rglob("*")) if path.is_file() and not path.is_symlink()]


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
