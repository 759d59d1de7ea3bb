"""Domain types and protocol-wide numbers. Amounts are `nopen`, shares parts per billion, times whole Unix seconds."""

from enum import IntEnum
from typing import Annotated, NewType

from msgspec import Meta

NOPEN_PER_OPEN = 10**9
SUPPLY_NOPEN = 10**18
PPB = 10**9
# Stored integers fit into a signed 64-bit integer, so that any language and CometBFT's JSON can hold them.
MAX_INTEGER = 2**63 - 1
ID_BYTES = 32
DIGEST_BYTES = 32
# A name is a look-up key people type: long enough for "organisation/model-variant", short enough for a table.
MAX_NAME_LENGTH = 64
# Notes and reasons shown beside a record; longer text lives in the content store behind its digest.
MAX_TEXT_LENGTH = 256
MAX_CHAIN_ID_LENGTH = 50  # CometBFT's own bound on a chain id

PRINTABLE = r"\A[ -~]*\Z"
NAME_PATTERN = r"\A[a-z0-9](?:[a-z0-9._/-]*[a-z0-9])?\Z"

# NewTypes tell readers and mypy which 32 bytes are meant.
Address = NewType("Address", bytes)
DatanetId = NewType("DatanetId", bytes)
ContributionId = NewType("ContributionId", bytes)
EntryId = NewType("EntryId", bytes)
ModelId = NewType("ModelId", bytes)
TermsId = NewType("TermsId", bytes)


def words(kind: type[IntEnum], first: int | None = None, last: int | None = None) -> Meta:
    """Bound a field to numbers that stand for words, all of `kind` unless first or last are given.

    Documents and commands show and take the words.
    """
    lowest, highest = int(min(kind)) if first is None else first, int(max(kind)) if last is None else last
    return Meta(ge=lowest, le=highest, extra={"words": kind})


# Field types of messages and records (bounds are checked while decoding, before any rule runs).
Integer = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
Nopen = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
Ppb = Annotated[int, Meta(ge=0, le=PPB)]
Height = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
Seconds = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
U8 = Annotated[int, Meta(ge=0, le=2**8 - 1)]
U16 = Annotated[int, Meta(ge=0, le=2**16 - 1)]
U32 = Annotated[int, Meta(ge=0, le=2**32 - 1)]
# 0 no, 1 yes: documents show and take booleans.
Flag = Annotated[int, Meta(ge=0, le=1, extra={"flag": True})]
Bytes32 = Annotated[bytes, Meta(min_length=32, max_length=32)]
# Empty means "none": there is no nil on the wire.
OptionalBytes32 = Annotated[bytes, Meta(max_length=32)]
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_LENGTH, pattern=NAME_PATTERN)]
Text = Annotated[str, Meta(max_length=MAX_TEXT_LENGTH, pattern=PRINTABLE)]
# A word out of a vocabulary: role of a parent, field of use, metric, file format.
Label = Annotated[str, Meta(min_length=1, max_length=32, pattern=NAME_PATTERN)]
# Where a query takes an id or a name: empty means "not this one".
OptionalName = Annotated[str, Meta(max_length=MAX_NAME_LENGTH, pattern=PRINTABLE)]
# Measured values may be negative; they stay inside the range that CometBFT's JSON and any language hold.
SignedInteger = Annotated[int, Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]
ChainId = Annotated[str, Meta(min_length=1, max_length=MAX_CHAIN_ID_LENGTH, pattern=PRINTABLE)]
