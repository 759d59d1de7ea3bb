"""Tombstones: a content store keeps one for an object that was removed on purpose, with when it went and why.

A tombstone is the word of those who run the store: it says why something is missing and keeps it from being put there
again. It proves nothing, and nothing that is proven rests on it.
"""

import json
from dataclasses import dataclass
from enum import Enum

from abci_app.bech32 import encode_id

MAX_TOMBSTONE_BYTES = 4_096
_ID_BYTES = 32
_FIELDS = ("what", "reference", "contribution", "reason", "erased_seconds")


class Erased(Enum):
    """Kinds of objects that hold the text of a contribution."""

    ROWS = "rows"
    SPAN_TEXT = "span text"
    DOCUMENT = "document"


# What each was, and what can still be done without it.
_WAS = {
    Erased.ROWS: "the rows of {reference} were erased from this content store {when}",
    Erased.SPAN_TEXT: "the text below a model's spans was erased from this content store with {reference} {when}",
    Erased.DOCUMENT: "a document that quotes {reference} was erased from this content store {when}",
}
_STILL = {
    Erased.ROWS: "versions without them can be used as before; of one that holds them, the other rows are given by "
    "`openledger data export --without-erased`; the chain still proves who contributed how many, and when",
    Erased.SPAN_TEXT: "spans of that model can no longer be shown; its shares by gradients still verify",
    Erased.DOCUMENT: "what the chain records about it still stands",
}


@dataclass(frozen=True, slots=True)
class Tombstone:
    """One removal; `reference` is the contribution as people write it (`garden#2`), by the name that it had then."""

    what: Erased
    reference: str
    contribution_id: bytes
    reason: str
    erased_seconds: int

    def encode(self) -> bytes:
        """Stored form, JSON."""
        values = (
            self.what.value,
            self.reference,
            encode_id("olcontrib", self.contribution_id),
            self.reason,
            self.erased_seconds,
        )
        return json.dumps(dict(zip(_FIELDS, values, strict=True)), ensure_ascii=True).encode() + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> "Tombstone | None":
        """Parse the stored form; None for what is none, for example a file that a full disk cut short."""
        from abci_app.bech32 import decode_id

        try:
            found = json.loads(data[:MAX_TOMBSTONE_BYTES])
            what, reference, contribution, reason, erased_seconds = [found[name] for name in _FIELDS]
            contribution_id = decode_id(contribution, "olcontrib")[1]
            is_whole = isinstance(reference, str) and isinstance(reason, str) and type(erased_seconds) is int
            return cls(Erased(what), reference, contribution_id, reason, erased_seconds) if is_whole else None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    @property
    def day(self) -> str:
        """The day in UTC, as `2026-11-28`."""
        from openledger.light.parse import format_time
        from openledger.light.wire import NANOSECONDS_PER_SECOND

        return format_time(self.erased_seconds * NANOSECONDS_PER_SECOND)[:10]

    def __str__(self) -> str:
        """Say what was erased, when, why, and what can still be done."""
        when = f"on {self.day} ({self.reason.replace('-', ' ')})"
        return f"{_WAS[self.what].format(reference=self.reference, when=when)}; {_STILL[self.what]}"
