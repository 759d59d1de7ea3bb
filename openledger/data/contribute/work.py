"""Work on a chunk of rows, in any process: bytes in, bytes out."""

import secrets
from hashlib import sha256

from msgspec import Struct

from abci_app.hashing import HASH_BYTES, SALT_BYTES, row_leaf
from abci_app.modules.datanets import Form
from openledger.data.findings import Findings
from openledger.data.forms import find_problem, form_of
from openledger.data.row_json import RowError, read_row, texts_of
from openledger.data.sketch import Sketch

# Enough of each row's digest to tell a billion rows apart.
DIGEST_BYTES = 8
# All of the first rows are looked at for personal data and secrets, then one in so many.
ALL_LOOKED_AT = 1_024
LOOKED_AT_EVERY = 32
# A chunk of rows that are all wrong need not say so a thousand times.
_MOST_PROBLEMS = 10


class Chunk(Struct, array_like=True):
    """Rows to work on; `rows` are parted by line feeds, and `first_row` of the part is the first of them, from 0."""

    rows: bytes
    first_row: int
    form: int
    form_is_given: bool
    # Whether lines of a row batch file are wanted: a dry run has no use for them.
    with_lines: bool
    looks_for_findings: bool


class ChunkResult(Struct, array_like=True):
    """The outcome of a chunk. With `problems` (row of the chunk, why), the rest is worth nothing."""

    problems: list[tuple[int, str]]
    lines: bytes
    leaves: bytes
    digests: bytes
    sketch: bytes
    findings: Findings


def work(chunk: Chunk) -> ChunkResult:
    """Check every row, then salt, hash and sketch it."""
    problems: list[tuple[int, str]] = []
    lines: list[bytes] = []
    leaves: list[bytes] = []
    digests: list[bytes] = []
    sketch, findings, form = Sketch(), Findings(), Form(chunk.form)
    rows = chunk.rows.split(b"\n")
    salts = secrets.token_bytes(SALT_BYTES * len(rows)) if chunk.with_lines else b""
    for place, row in enumerate(rows):
        try:
            found = read_row(row)
        except RowError as error:
            problems.append((place, str(error)))
            continue
        problem = _form_problem(found, form, given=chunk.form_is_given)
        if problem is not None:
            problems.append((place, problem))
        if problems:
            if len(problems) >= _MOST_PROBLEMS:
                break
            continue
        digests.append(sha256(row).digest()[:DIGEST_BYTES])
        sketch.add_texts(texts_of(found))
        if chunk.with_lines:
            salt = salts[place * SALT_BYTES : (place + 1) * SALT_BYTES]
            leaf = row_leaf(salt, row)
            leaves.append(leaf)
            lines.append(b"%b %b %b\n" % (salt.hex().encode(), leaf.hex().encode(), row))
        number = chunk.first_row + place
        if chunk.looks_for_findings and (number < ALL_LOOKED_AT or number % LOOKED_AT_EVERY == 0):
            findings.look_at(number, found)
    assert problems or not chunk.with_lines or len(leaves) * HASH_BYTES == len(rows) * HASH_BYTES
    return ChunkResult(
        problems=problems,
        lines=b"".join(lines),
        leaves=b"".join(leaves),
        digests=b"".join(digests),
        sketch=sketch.encode(),
        findings=findings,
    )


def _form_problem(row: dict[str, object], form: Form, *, given: bool) -> str | None:
    """Why a row does not belong to the others."""
    if not given and (found := form_of(row)) != form:
        return (
            f"has the form {word(found)}, the rows before it {word(form)}: put rows of one form into one file, or pass "
            "--form other"
        )
    problem = find_problem(form, row)
    if problem is None:
        return None
    return f"{problem}; mend it, or pass --form other, for which rows of any fields will do"


def word(form: Form) -> str:
    """A form as people write it."""
    return form.name.lower()
