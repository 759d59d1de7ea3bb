"""The demands of a session's caller and the answers of the session."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

from abci_app.chain.names import ResolvedName
from openledger.light.blocks import Header, LightBlock
from openledger.light.parse import format_time
from openledger.light.query import Question
from openledger.light.verifier import DEFAULT_RULES, TrustRules

T = TypeVar("T")
# What a witness said about a header; one that is the node asked itself is no witness.
AGREES, BEHIND, UNREACHABLE, FAULTY, SAME = "agrees", "behind", "unreachable", "faulty", "the node asked"


class Freshness(StrEnum):
    """The knowledge about how new an answer is."""

    # A height was asked for.
    CHOSEN = "of the height asked for"
    # A witness showed, with proof, that nothing more than a block or two newer exists.
    PROVEN = "the newest"
    # Newer blocks are proven to exist.
    STALE = "stale"
    # Somebody speaks of newer blocks, or nobody can vouch for the newest ones; only with `allow_stale`.
    UNKNOWN = "unknown"
    # The caller wanted no witness: that nothing newer exists is the node's word.
    UNWITNESSED = "not witnessed"


@dataclass(frozen=True, slots=True)
class LightSettings:
    """The demands of the caller."""

    rules: TrustRules = DEFAULT_RULES
    chain_id: str = ""
    without_witness: bool = False
    allow_stale: bool = False
    max_age_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class WitnessReport:
    """The report of one witness about the header: agrees, behind, unreachable, faulty, or that it is the node asked."""

    name: str
    verdict: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Trusted:
    """Facts that survive between sessions: the anchor in words, the verified blocks by height, and the anchor's id.

    Without `anchor_id` nothing is known to rest on the anchor that somebody names now.
    """

    anchor: str = ""
    blocks: tuple[LightBlock, ...] = ()
    anchor_id: str = ""


@dataclass(frozen=True, slots=True)
class VerifiedHeader:
    """A header with how it was verified. `blocks` is the way to it; `headers` the way back down, newest first."""

    header: Header
    blocks: tuple[LightBlock, ...]
    headers: tuple[Header, ...]
    anchor: str
    latest_height: int
    freshness: Freshness
    witnesses: tuple[WitnessReport, ...]

    @property
    def path(self) -> tuple[int, ...]:
        """Heights from the block that was trusted to the header."""
        return tuple([block.height for block in self.blocks] + [header.height for header in self.headers[1:]])


@dataclass(frozen=True, slots=True)
class Verified(Generic[T]):
    """A verified answer about the state after block `height`, whose app hash stands in `header` (height + 1).

    `value` is the result, or a `Denial`.
    """

    value: T
    height: int
    chain_id: str
    header: Header
    anchor: str
    path: tuple[int, ...]
    age_seconds: int
    latest_height: int
    freshness: Freshness
    witnesses: tuple[WitnessReport, ...]
    question: Question
    proof: bytes = field(repr=False)
    # What the names in the question stand for at this height.
    names: tuple[ResolvedName, ...] = ()

    @property
    def stale(self) -> bool:
        """Whether newer blocks are proven to exist."""
        return self.freshness == Freshness.STALE

    def in_words(self) -> str:
        """How it was verified: height, header, where trust comes from, who confirmed it, how old it is."""
        agreed = [report.name for report in self.witnesses if report.verdict == AGREES]
        witnesses = f"confirmed by {', '.join(agreed)}" if agreed else "no witness asked"
        if self.freshness == Freshness.UNWITNESSED:
            witnesses += ": that nothing newer exists is the node's word"
        stale = f", STALE: height {self.latest_height} is verified already" if self.stale else ""
        if self.freshness == Freshness.UNKNOWN:
            stale = ", HOW NEW IT IS IS UNKNOWN"
        header = f"header {self.header.height} of {format_time(self.header.time_ns)} signed by its validators"
        return (
            f"verified: state after block {self.height} of {self.chain_id}, {header}, "
            f"trusted from {self.anchor}, {witnesses}, {self.age_seconds} s old{stale}"
        )
