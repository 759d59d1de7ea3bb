"""Content store: bytes under the name of their own SHA-256, on a local folder or any fsspec file system.

Layout below the root URL:

    sha256/<64 hex>          the bytes whose SHA-256 is the name
    manifest/<64 hex>        a manifest (`openledger.data.manifest`) whose named-parts root is the name
    erased/<kind>/<64 hex>   what stands for an object that was removed on purpose (`openledger.content.tombstone`)

A put is atomic (a reader sees all of an object or none of it) and does nothing when the object is already there.
A get recomputes the digest and raises `ContentCorrupt` rather than hand out other bytes, so a store need not be
trusted: its operator can withhold content, not change it. What was erased is said to be so, and not stored again.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

from openledger.content.files import existing_folder, free_bytes_at, replacing
from openledger.content.tombstone import MAX_TOMBSTONE_BYTES, Tombstone
from openledger.errors import OpenLedgerError
from openledger.exit_codes import ExitCode

# One object that is held in memory as a whole: manifests, recipes and row batches are far smaller.
MAX_MEMORY_BYTES = 256 * 2**20
# One object on disk: the weights of a large model, sharded files being separate objects.
MAX_OBJECT_BYTES = 64 * 2**30
CHUNK_BYTES = 2**20
ENVIRONMENT_VARIABLE = "OPENLEDGER_CONTENT"
OBJECTS = "sha256"
_ERASED = "erased"


class ContentError(OpenLedgerError):
    """Content could not be stored or read; `digest` names which (32 bytes, empty when not known yet)."""

    def __init__(self, text: str, digest: bytes = b"") -> None:
        super().__init__(text)
        self.digest = digest


class ContentMissing(ContentError):
    """The store does not have the object; `place` is where it would be."""

    exit_code = ExitCode.NOT_FOUND

    def __init__(self, text: str, digest: bytes = b"", place: str = "") -> None:
        super().__init__(text, digest)
        self.place = place


class ContentErased(ContentMissing):
    """The object was removed on purpose; `tombstone` says what it was and why, None where it cannot be read."""

    def __init__(self, text: str, digest: bytes, tombstone: Tombstone | None) -> None:
        super().__init__(text, digest)
        self.tombstone = tombstone


class ContentCorrupt(ContentError):
    """The stored bytes do not hash to the name that they are stored under; `found` holds them when in memory."""

    exit_code = ExitCode.NOT_VERIFIED

    def __init__(self, text: str, digest: bytes, found: bytes = b"") -> None:
        super().__init__(text, digest)
        self.found = found


class ContentTooLarge(ContentError):
    """The object is larger than the limit of this read or write."""


def _missing(what: str, digest: bytes, place: str) -> ContentMissing:
    text = f"{what} is not in the store ({place}); point {ENVIRONMENT_VARIABLE} or --content to a store that has it"
    return ContentMissing(text, digest, place)


@contextmanager
def calling_content(what: str) -> Iterator[None]:
    """Call content that the block does not find by the name that it has for people, not by its digest."""
    try:
        yield
    except ContentErased:
        raise
    except ContentMissing as error:
        if not error.place:
            raise
        raise _missing(what, error.digest, error.place) from None


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One file of a store: its kind and name where it is an object, both empty where it is the rest of a put."""

    kind: str
    name: str
    path: str
    byte_count: int


def default_url() -> str:
    """Where content lies unless told otherwise: by the settings, else a folder in the XDG data directory."""
    from openledger.settings import load_settings

    configured = os.environ.get(ENVIRONMENT_VARIABLE) or load_settings().content
    if configured:
        return configured
    data_home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return str(Path(data_home) / "openledger" / "content")


def file_digest(path: Path) -> bytes:
    """SHA-256 of a file, read in chunks."""
    hasher = sha256()
    with path.open("rb") as source:
        while chunk := source.read(CHUNK_BYTES):
            hasher.update(chunk)
    return hasher.digest()


def _describe_corrupt(digest: bytes, actual: bytes, place: str, found: bytes = b"") -> ContentCorrupt:
    return ContentCorrupt(
        f"content {digest.hex()} at {place} has been changed: its bytes hash to {actual.hex()}; "
        "delete it there and fetch it from another store",
        digest,
        found,
    )


class ContentStore:
    """Reads and writes content-addressed objects below one root of one fsspec file system."""

    def __init__(self, filesystem: Any, root: str) -> None:
        self._filesystem = filesystem
        self._root = root.rstrip("/")

    @classmethod
    def open(cls, url: str | Path | None = None) -> "ContentStore":
        """Open a store by folder path or fsspec URL (`s3://bucket/prefix`, `memory://name`)."""
        text = str(url) if url is not None else default_url()
        try:
            filesystem, root = fsspec.core.url_to_fs(text)
        except (ImportError, ValueError) as error:
            raise ContentError(
                f"cannot open content store {text!r}: {error}; install the fsspec driver of that protocol "
                f"or set {ENVIRONMENT_VARIABLE} to a local folder"
            ) from error
        return cls(filesystem, root)

    @property
    def place(self) -> str:
        """Where it lies, for people."""
        return self._root

    # Bytes in memory

    def put(self, data: bytes) -> bytes:
        """Store bytes, return their SHA-256 (32 bytes)."""
        if len(data) > MAX_MEMORY_BYTES:
            raise ContentTooLarge(f"{len(data)} bytes exceed {MAX_MEMORY_BYTES}; use put_file for large content")
        digest = sha256(data).digest()
        self._write(self.path_of(digest), data)
        return digest

    def get(self, digest: bytes, max_bytes: int = MAX_MEMORY_BYTES) -> bytes:
        """The bytes with this SHA-256. Raises `ContentMissing`, `ContentCorrupt` or `ContentTooLarge`."""
        data = self._read(self.path_of(digest), digest, max_bytes)
        actual = sha256(data).digest()
        if actual != digest:
            raise _describe_corrupt(digest, actual, self.path_of(digest), data)
        return data

    # Files, streamed

    def put_file(self, path: Path) -> bytes:
        """Store a file of any size in chunks, return its SHA-256. The file must not change meanwhile."""
        size = path.stat().st_size
        if size > MAX_OBJECT_BYTES:
            raise ContentTooLarge(f"{path.name} has {size} bytes, more than {MAX_OBJECT_BYTES}")
        digest = file_digest(path)
        target = self.path_of(digest)
        self._require_not_erased(target, digest)
        if self.has(digest) and self._filesystem.size(target) == size:
            return digest
        if isinstance(self._filesystem, LocalFileSystem):
            with replacing(Path(target)) as sink, path.open("rb") as source:
                copied = _copy_hashed(source, sink)
                if copied != digest:
                    raise ContentError(f"{path.name} changed while it was being stored; try again", digest)
        else:
            self._filesystem.makedirs(self._parent(target), exist_ok=True)
            self._filesystem.put_file(str(path), target)
        return digest

    def get_file(self, digest: bytes, path: Path) -> None:
        """Copy an object to a local file; the file appears only when all of it hashes to `digest`."""
        source_path = self.path_of(digest)
        with replacing(path) as sink:
            try:
                with self._filesystem.open(source_path, "rb") as source:
                    actual = _copy_hashed(source, sink)
            except FileNotFoundError:
                raise self._missing(digest, source_path) from None
            if actual != digest:
                raise _describe_corrupt(digest, actual, source_path)

    # Objects named by another root that a reader can recompute

    def put_named(self, kind: str, root: bytes, data: bytes) -> None:
        """Store bytes under `<kind>/<root>`, where `root` is a commitment that readers recompute from the bytes."""
        if len(data) > MAX_MEMORY_BYTES:
            raise ContentTooLarge(f"{len(data)} bytes exceed {MAX_MEMORY_BYTES}", root)
        self._write(f"{self._root}/{kind}/{root.hex()}", data)

    def get_named(
        self, kind: str, root: bytes, recompute: Callable[[bytes], bytes], max_bytes: int = MAX_MEMORY_BYTES
    ) -> bytes:
        """Bytes under `<kind>/<root>`, checked by `recompute(bytes) == root`; `recompute` may raise `ValueError`."""
        place = f"{self._root}/{kind}/{root.hex()}"
        data = self._read(place, root, max_bytes)
        try:
            actual = recompute(data)
        except ValueError as error:
            raise ContentCorrupt(f"{kind} {root.hex()} at {place} cannot be read: {error}", root) from error
        if actual != root:
            raise _describe_corrupt(root, actual, place)
        return data

    # Objects removed on purpose

    def erase(self, kind: str, name: bytes, tombstone: Tombstone) -> None:
        """Remove an object and say so in its place; a kill in the middle leaves both, and erasing again ends it."""
        place = f"{self._root}/{kind}/{name.hex()}"
        stone = self._tombstone_path(place)
        if isinstance(self._filesystem, LocalFileSystem):
            with replacing(Path(stone)) as sink:
                sink.write(tombstone.encode())
        else:
            self._filesystem.makedirs(self._parent(stone), exist_ok=True)
            self._filesystem.pipe_file(stone, tombstone.encode())
        self.remove(place)

    def remove(self, path: str) -> None:
        """Remove a file of this store that is no object, such as the rest of a put that was interrupted."""
        try:
            self._filesystem.rm_file(path)
        except FileNotFoundError:
            return
        if self._filesystem.exists(path):
            raise ContentError(f"{path} could not be removed: remove it there by hand")

    def find_tombstone(self, digest: bytes, kind: str = OBJECTS) -> Tombstone | None:
        """The tombstone of an object that was erased; None where nothing was, or where nobody can read it."""
        data = self._read_tombstone(f"{self._root}/{kind}/{digest.hex()}")
        return None if data is None else Tombstone.decode(data)

    def files(self) -> Iterator[StoredObject]:
        """Every file below the root, tombstones left out."""
        prefix = f"{self._root}/"
        found = self._filesystem.find(self._root, detail=True) if self._filesystem.exists(self._root) else {}
        for path, detail in sorted(found.items()):
            kind, _, name = str(path).removeprefix(prefix).rpartition("/")
            if kind.split("/")[0] != _ERASED:
                is_object = len(name) == 2 * sha256().digest_size and not set(name) - set("0123456789abcdef")
                shown = (kind, name) if is_object else ("", "")
                yield StoredObject(kind=shown[0], name=shown[1], path=str(path), byte_count=int(detail["size"]))

    def open_file(self, path: str) -> IO[bytes]:
        """A file of this store by its path, unchecked."""
        return cast("IO[bytes]", self._filesystem.open(path, "rb"))

    def require_room(self, byte_count: int) -> None:
        """Raise `ContentError` where a local store has plainly no room for so many bytes, or may not be written to."""
        if not isinstance(self._filesystem, LocalFileSystem):
            return
        folder = Path(self._root)
        if not os.access(existing_folder(folder), os.W_OK | os.X_OK):
            raise ContentError(f"the content store {folder} cannot be written to: name another one with --content")
        free = free_bytes_at(folder)
        if free < byte_count:
            raise ContentError(
                f"the content store {folder} has room for {free:,} bytes, and {byte_count:,} are to be stored: free "
                "space on that disk, or name another store with --content"
            )

    def has(self, digest: bytes) -> bool:
        """Whether an object of this name exists (its bytes are checked when they are read)."""
        return bool(self._filesystem.exists(self.path_of(digest)))

    def path_of(self, digest: bytes) -> str:
        """Path of an object inside the file system."""
        if len(digest) != sha256().digest_size:
            raise ValueError(f"a content digest has 32 bytes, not {len(digest)}")
        return f"{self._root}/{OBJECTS}/{digest.hex()}"

    def _read(self, place: str, digest: bytes, max_bytes: int) -> bytes:
        try:
            with self._filesystem.open(place, "rb") as source:
                data = cast("bytes", source.read(max_bytes + 1))
        except FileNotFoundError:
            raise self._missing(digest, place) from None
        if len(data) > max_bytes:
            raise ContentTooLarge(f"content {digest.hex()} has more than {max_bytes} bytes", digest)
        return data

    def _write(self, place: str, data: bytes) -> None:
        self._require_not_erased(place, bytes.fromhex(place.rsplit("/", 1)[1]))
        # Compared, not assumed: putting an object again repairs a damaged copy.
        if self._filesystem.exists(place) and self._filesystem.cat_file(place) == data:
            return
        if isinstance(self._filesystem, LocalFileSystem):
            with replacing(Path(place)) as sink:
                sink.write(data)
            return
        self._filesystem.makedirs(self._parent(place), exist_ok=True)
        self._filesystem.pipe_file(place, data)  # one call: object stores show the object when it is complete

    def _missing(self, digest: bytes, place: str) -> ContentMissing:
        erased = self._read_tombstone(place)
        if erased is not None:
            return self._erased(digest, place, erased)
        return _missing(f"content {digest.hex()}", digest, place)

    def _require_not_erased(self, place: str, digest: bytes) -> None:
        """Raises `ContentErased`: what was removed on purpose does not come back by a copy or a repetition."""
        erased = self._read_tombstone(place)
        if erased is not None:
            raise self._erased(digest, place, erased)

    def _erased(self, digest: bytes, place: str, data: bytes) -> ContentErased:
        tombstone = Tombstone.decode(data)
        text = str(tombstone) if tombstone else f"{place} was erased on purpose; its tombstone cannot be read"
        return ContentErased(text, digest, tombstone)

    def _read_tombstone(self, place: str) -> bytes | None:
        try:
            with self._filesystem.open(self._tombstone_path(place), "rb") as source:
                return cast("bytes", source.read(MAX_TOMBSTONE_BYTES))
        except FileNotFoundError:
            return None

    def _tombstone_path(self, place: str) -> str:
        return f"{self._root}/{_ERASED}/{place.removeprefix(f'{self._root}/')}"

    @staticmethod
    def _parent(place: str) -> str:
        return place.rsplit("/", 1)[0]


def _copy_hashed(source: IO[bytes], sink: IO[bytes]) -> bytes:
    """Copy in chunks up to `MAX_OBJECT_BYTES`, return the SHA-256 of what was copied."""
    hasher = sha256()
    copied_bytes = 0
    while chunk := source.read(CHUNK_BYTES):
        copied_bytes += len(chunk)
        if copied_bytes > MAX_OBJECT_BYTES:
            raise ContentTooLarge(f"content is larger than {MAX_OBJECT_BYTES} bytes")
        hasher.update(chunk)
        sink.write(chunk)
    return hasher.digest()
