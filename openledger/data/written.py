"""Files outside of content store and caches to which this home's commands wrote rows: exports, proofs, explanations.

One line of JSON a file or folder in `<home>/written.jsonl`, so that an erasure knows of them. A line is written before
the first byte of the file and again with its digest after the last one; the last line of a path counts.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from openledger.content.files import PRIVATE

FILE = "written.jsonl"
_ID_BYTES = 32


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """One file or folder: where, what it is in words, ids of the contributions whose rows it holds, digests by path."""

    path: str
    what: str
    holds: tuple[bytes, ...]
    files: tuple[tuple[str, bytes], ...] = ()

    def with_files(self, files: Sequence[tuple[str, bytes]]) -> "WrittenFile":
        """Return this line as it is written after the last byte: with the digest of every file."""
        return replace(self, files=tuple([(str(Path(path).absolute()), digest) for path, digest in files]))


def note_written(home: Path, written: WrittenFile) -> None:
    """Append a line, durable before this returns."""
    line = {
        "path": written.path,
        "what": written.what,
        "holds": [each.hex() for each in written.holds],
        "files": [[path, digest.hex()] for path, digest in written.files],
    }
    home.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(home / FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE)
    with os.fdopen(descriptor, "wb") as sink:
        sink.write(json.dumps(line).encode() + b"\n")
        sink.flush()
        os.fsync(sink.fileno())


def read_written(home: Path) -> tuple[WrittenFile, ...]:
    """Everything that was noted, the last line of each path; a line that was cut short by a kill is passed over."""
    try:
        lines = (home / FILE).read_bytes().split(b"\n")
    except FileNotFoundError:
        return ()
    found: dict[str, WrittenFile] = {}
    for line in lines:
        written = _parse(line)
        if written is not None:
            found.pop(written.path, None)
            found[written.path] = written
    return tuple(found.values())


def _parse(line: bytes) -> WrittenFile | None:
    try:
        value = json.loads(line)
        holds = tuple([bytes.fromhex(each) for each in value["holds"]])
        files = tuple([(str(path), bytes.fromhex(digest)) for path, digest in value["files"]])
        return WrittenFile(path=str(value["path"]), what=str(value["what"]), holds=holds, files=files)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
