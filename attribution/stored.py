"""Files of an index in the content store: each under its digest, and a listing of them under the index's root.

The listing is only a pointer: it proves nothing. A reader who fetches an index opens it and compares the root that its
files lead to with the one on the chain, so a wrong listing can withhold an index and cannot forge one.
"""

import json
import re
import shutil
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path, PurePosixPath

from attribution.errors import AttributionError
from openledger.content.artefact import get_artefact
from openledger.content.folder import ArtefactFile, artefact_files
from openledger.content.store import ContentStore
from openledger.data.manifest import to_json

# Fifteen files of a span index; a few for each of sixteen checkpoints of a gradient index.
MAX_FILES = 128
MAX_LISTING_BYTES = 64 * 2**10

_KIND = "index"
# Files that another process is about to put into their places (openledger.content.files).
_INCOMING = ".incoming-"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")


def put_index(store: ContentStore, folder: Path, root: bytes) -> None:
    """Store all files of a finished index and their listing under its root."""
    files = tuple(artefact_files(folder))
    for file in files:
        if store.put_file(folder / file.name) != file.digest:
            raise AttributionError(file.name, "changed while it was stored: build the index again")
    listing = [{"name": file.name, "sha256": file.digest.hex(), "bytes": file.byte_count} for file in files]
    store.put_named(_KIND, root, to_json({"files": listing}))


def fetch_index(store: ContentStore, root: bytes, folder: Path) -> Path:
    """Bring the files of an index into `folder`, those that are there and unchanged excepted; returns it.

    The caller opens the index and compares its root. Raises `ContentMissing`, `ContentCorrupt`, `AttributionError`.
    """
    files = listing_of(store, root)
    _make_room(folder, files)
    get_artefact(store, files, folder)
    expected = {folder / file.name for file in files}
    for path in [path for path in folder.rglob("*") if path not in expected and not path.name.startswith(_INCOMING)]:
        if path.is_symlink() or path.is_file():
            path.unlink(missing_ok=True)
    return folder


def get_index_file(store: ContentStore, root: bytes, name: str, max_bytes: int) -> bytes:
    """One file of an index, without the rest; nothing shows yet that it belongs to `root`, as in `fetch_index`.

    Raises `ContentMissing`, `ContentCorrupt`, `ContentTooLarge`, `AttributionError`.
    """
    for file in listing_of(store, root):
        if file.name == name:
            return store.get(file.digest, max_bytes)
    raise AttributionError("files", f"the listing has no {name}; fetch it from another store")


def listing_of(store: ContentStore, root: bytes) -> tuple[ArtefactFile, ...]:
    """The files of an index by its listing, which proves nothing; raises `ContentMissing`, `AttributionError`."""
    return _parse(store.get_named(_KIND, root, lambda _: root, MAX_LISTING_BYTES))


def _parse(listing: bytes) -> tuple[ArtefactFile, ...]:
    try:
        items = json.loads(listing)["files"]
        if not isinstance(items, list) or not 0 < len(items) <= MAX_FILES:
            raise AttributionError("files", f"a listing has 1 to {MAX_FILES}; fetch the index from another store")
        files = tuple([ArtefactFile(item["name"], bytes.fromhex(item["sha256"]), item["bytes"]) for item in items])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        if isinstance(error, AttributionError):
            raise
        raise AttributionError("files", f"are no listing of an index ({error}); fetch it from another store") from error
    for file in files:
        if type(file.byte_count) is not int or file.byte_count < 0:
            raise AttributionError("files", f"{file.byte_count!r} is no size; fetch it from another store")
        if not _is_name(file.name) or len(file.digest) != 32:
            raise AttributionError("files", f"{file.name!r:.120} is no file of an index; fetch it from another store")
    paths = sorted(PurePosixPath(file.name) for file in files)
    for path, following in pairwise(paths):
        if path == following or path in following.parents:
            raise AttributionError("files", f"{path} stands twice, or is a folder, too; fetch it from another store")
    return files


def _is_name(name: object) -> bool:
    """A path below the index's folder in its one form: no "..", ".", or "//"."""
    if not isinstance(name, str) or _NAME.fullmatch(name) is None or ".." in name:
        return False
    return name == str(PurePosixPath(name))


def _make_room(folder: Path, files: Iterable[ArtefactFile]) -> None:
    """Remove what another listing of this root may have left: a folder where a file belongs, or the reverse."""
    for file in files:
        path = folder / file.name
        for parent in path.parents:
            if parent != folder and parent.is_relative_to(folder) and parent.is_file():
                parent.unlink()
        if path.is_dir():
            shutil.rmtree(path)
