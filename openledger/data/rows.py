"""Rows of a contribution: salts, leaves, commitment, and the one file that carries a batch.

A row is the UTF-8 of one JSON object exactly as stored (openledger.data.row_json has the rule). Its leaf hides it
behind a random 16-byte salt, so that the list root on the chain proves a row to everybody who has it and tells nothing
about short rows to those who do not.

Row batch file (one object of the content store):

    openledger-rows/1 <row count>\\n
    <salt, 32 hex> <leaf, 64 hex> <row JSON>\\n    one line a row, in order; a row holds no line feed

The leaf could be computed from the rest of its line. It is there so that a changed row can be named: as long as the
leaves of a file still hash to the root on the chain, the line whose row does not match its leaf is the changed one.
"""

import json
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from abci_app.hashing import SALT_BYTES, list_root, row_leaf, sha256
from openledger.content.store import (
    ENVIRONMENT_VARIABLE,
    ContentCorrupt,
    ContentErased,
    ContentMissing,
    ContentStore,
)
from openledger.data.row_json import RowError, check_object, joined, read_row
from openledger.data.sketch import similarity_sketch
from openledger.errors import NotVerified

MAGIC = b"openledger-rows/1 "
# A batch is one object in memory and one proof tree; larger collections are several contributions.
MAX_ROWS = 65_536
MAX_BATCH_BYTES = 64 * 2**20

# Rows plus salts, leaves and the header line.
MAX_FILE_BYTES = MAX_BATCH_BYTES + MAX_ROWS * 100 + 100

# Line 1 of a batch file is its header.
_FIRST_LINE = 2
_LINE = re.compile(rb"([0-9a-f]{32}) ([0-9a-f]{64}) (.*)", re.DOTALL)


class TamperedRows(NotVerified):
    """Stored rows contradict the chain's record; `contribution` and `row_index` (None: not one row) say which."""

    def __init__(self, text: str, contribution: bytes, row_index: int | None) -> None:
        super().__init__(text)
        self.contribution = contribution
        self.row_index = row_index


@dataclass(frozen=True, slots=True)
class RowCommitment:
    """The record of the chain about a batch: root, counts, digest of the batch file, similarity sketch."""

    rows_root: bytes
    row_count: int
    byte_count: int
    content_digest: bytes
    sketch: bytes = b""


@dataclass(frozen=True)
class RowBatch:
    """Rows with their salts, in order."""

    rows: tuple[bytes, ...]
    salts: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def from_objects(cls, objects: Iterable[Mapping[str, Any]], salts: Sequence[bytes] | None = None) -> "RowBatch":
        """Serialise JSON objects (keys in their order, no spaces, non-ASCII as it is) and salt each row.

        Raises `RowError` for a value that JSON has not, a key that is no text, and everything that `from_rows` refuses.
        """
        rows, problems = [], []
        for index, item in enumerate(objects):
            try:
                check_object(item)
                rows.append(json.dumps(item, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode())
            except RowError as error:
                problems.append(f"row {index} {error}")
        if problems:
            raise RowError(joined(problems))
        return cls.from_rows(rows, salts)

    @classmethod
    def from_rows(
        cls, rows: Iterable[bytes], salts: Sequence[bytes] | None = None, *, source: str = "", first_line: int = 1
    ) -> "RowBatch":
        """Check every row and take fresh random salts unless some are given.

        Raises `RowError` with the rows that are refused, each with its line in `source`, the file that they are from.
        """
        checked = tuple(rows)
        if not 0 < len(checked) <= MAX_ROWS:
            raise RowError(
                f"{source + ': ' if source else ''}a batch holds 1 to {MAX_ROWS} rows, not {len(checked)}; split it "
                "into several contributions"
            )
        problems = []
        for index, row in enumerate(checked):
            try:
                read_row(row)
            except RowError as error:
                problems.append(f"{_place(source, index, first_line)} {error}")
        if problems:
            raise RowError(joined(problems))
        if sum(map(len, checked)) > MAX_BATCH_BYTES:
            raise RowError(f"a batch holds at most {MAX_BATCH_BYTES} bytes; split it into several contributions")
        chosen = tuple(salts) if salts is not None else tuple(secrets.token_bytes(SALT_BYTES) for _ in checked)
        if len(chosen) != len(checked) or any(len(salt) != SALT_BYTES for salt in chosen):
            raise RowError(f"{len(checked)} rows need as many salts of {SALT_BYTES} bytes")
        return cls(checked, chosen)

    @classmethod
    def decode(cls, blob: bytes, source: str = "row batch file") -> "RowBatch":
        """Parse a row batch file; raises `RowError` with the line that is wrong."""
        if not blob.startswith(MAGIC) or not blob.endswith(b"\n"):
            raise RowError("not a row batch file (no 'openledger-rows/1' header, or cut short)")
        header, *lines = blob[:-1].split(b"\n")
        if header != MAGIC + str(len(lines)).encode():
            raise RowError(f"header {header[:40]!r} does not fit {len(lines)} rows")
        if len(lines) > MAX_ROWS:
            raise RowError(f"{len(lines)} rows, more than {MAX_ROWS}")
        parsed = [_parse_line(index, line) for index, line in enumerate(lines)]
        batch = cls.from_rows(
            [row for _, _, row in parsed], [salt for salt, _, _ in parsed], source=source, first_line=_FIRST_LINE
        )
        for index, (_, leaf, _) in enumerate(parsed):
            if batch.leaves[index] != leaf:
                raise RowError(f"{_place(source, index, _FIRST_LINE)} does not hash to its leaf")
        return batch

    def encode(self) -> bytes:
        """The row batch file."""
        lines = [MAGIC + str(len(self.rows)).encode()]
        for salt, leaf, row in zip(self.salts, self.leaves, self.rows, strict=True):
            lines.append(f"{salt.hex()} {leaf.hex()} ".encode() + row)
        return b"\n".join(lines) + b"\n"

    @cached_property
    def leaves(self) -> tuple[bytes, ...]:
        """Salted leaf of every row, 32 bytes each."""
        return tuple(row_leaf(salt, row) for salt, row in zip(self.salts, self.rows, strict=True))

    @property
    def byte_count(self) -> int:
        """Bytes of all rows, without salts and file format."""
        return sum(map(len, self.rows))

    def commitment(self) -> RowCommitment:
        """Make the commitment that is registered on the chain for this batch."""
        return RowCommitment(
            rows_root=list_root("rows", self.leaves),
            row_count=len(self.rows),
            byte_count=self.byte_count,
            content_digest=sha256(self.encode()),
            sketch=similarity_sketch(self.rows),
        )


def _place(source: str, index: int, first_line: int) -> str:
    """Where a row stands, for refusals."""
    return f"{source}: line {index + first_line} (row {index})" if source else f"row {index}"


def put_batch(store: ContentStore, batch: RowBatch) -> RowCommitment:
    """Store a batch file, return what to register on the chain."""
    commitment = batch.commitment()
    store.put(batch.encode())
    return commitment


def load_batch(store: ContentStore, contribution: bytes, expected: RowCommitment, name: str = "") -> RowBatch:
    """Fetch a batch and check it against the chain's record: file digest, root, counts.

    Raises `TamperedRows` naming contribution and, when one row is to blame, its index; `ContentMissing` when absent.
    `name` is what people call the contribution; they count its rows from 1.
    """
    first = 1 if name else 0
    name = name or f"contribution {contribution.hex()[:16]}…"
    try:
        blob = store.get(expected.content_digest, MAX_FILE_BYTES)
    except ContentErased:
        raise
    except ContentMissing as error:
        raise ContentMissing(
            f"the rows of {name} are not in the content store {store.place}: name one that has them, with "
            f"{ENVIRONMENT_VARIABLE} or --content",
            error.digest,
        ) from None
    except ContentCorrupt as error:
        index = changed_row(error.found, expected.rows_root)
        where = "its file" if index is None else f"row {index + first}"
        place = store.path_of(expected.content_digest)
        text = f"{name}: {where} was changed after it was registered: delete {place} and fetch it from another store"
        raise TamperedRows(text, contribution, index) from error
    try:
        batch = RowBatch.decode(blob, f"batch file {expected.content_digest.hex()[:16]}…")
    except RowError as error:
        raise TamperedRows(f"{name}: registered file is no valid row batch: {error}", contribution, None) from error
    root = list_root("rows", batch.leaves)
    if (root, len(batch.rows), batch.byte_count) != (expected.rows_root, expected.row_count, expected.byte_count):
        text = (
            f"{name}: the file is not what the record says (registered {expected.row_count} rows, "
            f"{expected.byte_count} bytes, root {expected.rows_root.hex()[:16]}…; in the file {len(batch.rows)} rows, "
            f"{batch.byte_count} bytes, root {root.hex()[:16]}…)"
        )
        raise TamperedRows(text, contribution, None)
    return batch


def changed_row(blob: bytes, rows_root: bytes) -> int | None:
    """Index of the first row of a damaged batch file that is not what its leaf says.

    None when the damage cannot be pinned on a row: the leaves themselves no longer hash to `rows_root`.
    """
    lines = blob.removesuffix(b"\n").split(b"\n")[1 : MAX_ROWS + 1]
    try:
        parsed = [_parse_line(index, line) for index, line in enumerate(lines)]
    except RowError:
        return None
    if list_root("rows", [leaf for _, leaf, _ in parsed]) != rows_root:
        return None
    return next((index for index, (salt, leaf, row) in enumerate(parsed) if row_leaf(salt, row) != leaf), None)


def _parse_line(index: int, line: bytes) -> tuple[bytes, bytes, bytes]:
    """(salt, leaf, row) of one line."""
    match = _LINE.fullmatch(line)
    if match is None:
        raise RowError(f"row {index}: line is not '<salt, 32 hex> <leaf, 64 hex> <row>'")
    salt_hex, leaf_hex, row = match.groups()
    return bytes.fromhex(salt_hex.decode()), bytes.fromhex(leaf_hex.decode()), row
