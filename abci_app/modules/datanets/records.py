"""Records, tables, codes, messages and events of the datanets module; `datanets.py` has the rules and the spec."""

from enum import IntEnum
from typing import Annotated, ClassVar

from msgspec import Meta

from abci_app.errors import Rejected
from abci_app.hashing import TAGS, tagged_hash
from abci_app.module import Event, Message
from abci_app.modules import bank
from abci_app.names import NameOwner
from abci_app.state.codec import Record, encode
from abci_app.state.table import HASHED, ID, Map
from abci_app.state.table import U8 as U8_PART
from abci_app.state.table import U32 as U32_PART
from abci_app.types import (
    U8,
    U32,
    Bytes32,
    ContributionId,
    Height,
    Integer,
    Name,
    OptionalBytes32,
    Seconds,
    Text,
    words,
)

# Reviewers are named one by one here; larger juries come with drawn panels.
MAX_REVIEWERS = 16
# Numbers of a DataNet's listings, which keys hold in 32 bits.
MAX_NUMBER = 2**32 - 1
# 1 PiB: more than any file that one batch is stored in.
MAX_CONTRIBUTION_BYTES = 2**50
# 64 buckets of 32 bits (openledger/data/rows.py); empty = none given.
MAX_SKETCH_BYTES = 256


class DatanetsCode(IntEnum):
    """Codes of the datanets module."""

    NAME_TAKEN = 500
    UNKNOWN_DATANET = 501
    UNKNOWN_TERMS = 502
    BAD_REVIEWERS = 503
    EMPTY_CONTRIBUTION = 504
    DUPLICATE = 505
    UNKNOWN_CONTRIBUTION = 506
    NOT_REVIEWER = 507
    ALREADY_REVIEWED = 508
    NOT_PENDING = 509
    OWN_CONTRIBUTION = 510
    NOT_OWNER = 511
    NOTHING_NEW = 512
    TOO_MANY_ACCEPTED = 513
    # 514 was never used.
    REVOKED = 515
    NOT_PERMITTED = 516
    BAD_FIELD = 517
    TOO_SOON = 518
    TOO_LARGE = 519


class Status(IntEnum):
    """Where a contribution stands."""

    PENDING = 1
    ACCEPTED = 2
    REJECTED = 3
    REVOKED = 4


class Decision(IntEnum):
    """The decision of a reviewer about a contribution."""

    ACCEPT = 1
    REJECT = 2


class Reason(IntEnum):
    """Why; reviewers of a rejection choose the one that fits best."""

    NONE = 0
    QUALITY = 1
    OFF_TOPIC = 2
    SPAM = 3
    PLAGIARISM = 4
    LICENCE = 5
    PERSONAL_DATA = 6
    OTHER = 7


class Form(IntEnum):
    """Names of the fields of a contribution's rows (openledger/data/forms.py), as the contributor says."""

    OTHER = 0
    TEXT = 1
    COMPLETION = 2
    INSTRUCTION = 3
    MESSAGES = 4
    SHAREGPT = 5


# Rows lie off the chain, which cannot check it: who reads the rows does.
FormNumber = Annotated[int, words(Form)]


class Datanet(Record, frozen=True, array_like=True, tag=1, gc=False):
    """The fixed facts of a DataNet, written when the DataNet is created."""

    name: Name
    owner: Bytes32
    description: Text
    # Terms of contributions that name none.
    default_terms_id: Bytes32
    # Who may review beside the owner, sorted.
    reviewers: Annotated[tuple[Bytes32, ...], Meta(max_length=MAX_REVIEWERS)]
    # Equal verdicts that decide a contribution.
    quorum: Annotated[int, Meta(ge=1, le=MAX_REVIEWERS + 1)]
    height: Height
    time_seconds: Seconds


class DatanetCounts(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Counts that change with every contribution. `revoked` counts contributions that were accepted before."""

    submitted: U32
    accepted: U32
    revoked: U32
    versions: U32
    # Versions below this one hold a contribution that was revoked since: no new training on them.
    usable_from_version: U32
    # Contributions by which the next version would differ from the last one.
    changes: U32
    # Joined terms of everything accepted and not revoked (licences/joined; empty = nothing): the next version's.
    joined_terms_id: OptionalBytes32
    # Rows and bytes of everything accepted and not revoked: the next version's.
    row_count: Integer
    byte_count: Integer


class Contribution(Record, frozen=True, array_like=True, tag=1, gc=False):
    """A batch of rows, immutable; contribution id = H('openledger/contribution-id/v1', this record)."""

    datanet_id: Bytes32
    contributor: Bytes32
    # Who is paid for it.
    payee: Bytes32
    # List root over the salted row leaves, in the batch's order.
    rows_root: Bytes32
    row_count: Annotated[int, Meta(ge=1, le=2**32 - 1)]
    byte_count: Integer
    # SHA-256 of the batch file in the content store.
    content_digest: Bytes32
    # Similarity sketch, empty or 64 x 32 bits.
    sketch: Annotated[bytes, Meta(max_length=MAX_SKETCH_BYTES)]
    terms_id: Bytes32
    form: FormNumber


class StoredContribution(Record, frozen=True, array_like=True, tag=1, gc=False):
    """A contribution and where it stands."""

    contribution: Contribution
    status: Annotated[int, words(Status)]
    # Place among the DataNet's submissions, and among its accepted contributions (0 = never accepted), from 1.
    submitted_number: U32
    accepted_number: U32
    accept_votes: U8
    reject_votes: U8
    # Reason of the deciding review or of the revocation.
    reason: Annotated[int, words(Reason)]
    height: Height
    time_seconds: Seconds
    # When it was decided or revoked; 0 while pending.
    decided_height: Height


class Submitted(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Listing entry of a submission."""

    contribution_id: Bytes32


class Accepted(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Listing entry of an accepted contribution: all that a version and a lineage say about it.

    It belongs to version v iff `present_from_version` <= v, and `absent_from_version` is 0 or greater than v.
    """

    contribution_id: Bytes32
    contributor: Bytes32
    terms_id: Bytes32
    row_count: U32
    byte_count: Integer
    # The version that came next when it was accepted.
    present_from_version: U32
    # The version that came next when it was revoked; 0 = not revoked.
    absent_from_version: U32

    def is_in(self, version: int) -> bool:
        """Whether a version holds this contribution."""
        return self.present_from_version <= version and not 0 < self.absent_from_version <= version


class TreeNode(Record, frozen=True, array_like=True, tag=1, gc=False):
    """One complete node of the tree over a DataNet's accepted list (`tree.py`)."""

    node_hash: Bytes32


class TermsCount(Record, frozen=True, array_like=True, tag=1, gc=False):
    """How many contributions, accepted and not revoked, come under these terms; removed at 0."""

    contributions: U32


class Review(Record, frozen=True, array_like=True, tag=1, gc=False):
    """One reviewer's verdict."""

    reviewer: Bytes32
    decision: Annotated[int, words(Decision)]
    reason: Annotated[int, words(Reason)]
    height: Height


class DatanetVersion(Record, frozen=True, array_like=True, tag=1, gc=False):
    """One version, immutable. Root = list root 'contributions' over slots 1 to `accepted_through` (`tree.py`)."""

    contributions_root: Bytes32
    contribution_count: U32
    row_count: Integer
    byte_count: Integer
    # Accepted contributions numbered 1 to this are candidates (see `Accepted`).
    accepted_through: U32
    # Joined terms of its contributions (licences/joined).
    joined_terms_id: Bytes32
    height: Height
    time_seconds: Seconds
    note: Text


# --- Tables

# 1 to `DatanetCounts.submitted` and `.accepted`, in order.
DATANETS = Map("datanets/datanet/", (ID,), Datanet)
COUNTS = Map("datanets/counts/", (ID,), DatanetCounts)
NAMES = Map("datanets/name/", (HASHED,), NameOwner)
CONTRIBUTIONS = Map("datanets/contribution/", (ID,), StoredContribution)
SUBMITTED = Map("datanets/submitted/", (ID, U32_PART), Submitted)
ACCEPTED = Map("datanets/accepted/", (ID, U32_PART), Accepted)
NODES = Map("datanets/node/", (ID, U8_PART, U32_PART), TreeNode)
TERMS_COUNTS = Map("datanets/terms/", (ID, ID), TermsCount)
ROWS = Map("datanets/rows/", (ID, HASHED), Submitted)
CONTENT = Map("datanets/content/", (ID, HASHED), Submitted)
REVIEWS = Map("datanets/review/", (ID, HASHED), Review)
VERSIONS = Map("datanets/version/", (ID, U32_PART), DatanetVersion)


def contribution_id_of(contribution: Contribution) -> ContributionId:
    """Content-addressed id of a contribution."""
    return ContributionId(tagged_hash(TAGS["contribution_id"], encode(contribution)))


# --- Messages


class CreateDatanet(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0501):
    """Create a DataNet owned by the sender; contributions are decided by `quorum` equal verdicts."""

    weight_each: ClassVar[int] = 10

    name: Name
    description: Text
    default_terms_id: Bytes32
    reviewers: Annotated[tuple[Bytes32, ...], Meta(max_length=MAX_REVIEWERS)]
    quorum: Annotated[int, Meta(ge=1, le=MAX_REVIEWERS + 1)]

    def validate(self) -> None:
        """Reviewers sorted and unique, the quorum reachable by them and the owner."""
        if list(self.reviewers) != sorted(frozenset(self.reviewers)):
            raise Rejected(DatanetsCode.BAD_REVIEWERS, "reviewers must be sorted and unique")
        if self.quorum > len(self.reviewers) + 1:
            raise Rejected(
                DatanetsCode.BAD_REVIEWERS,
                f"quorum {self.quorum} cannot be reached by the owner and {len(self.reviewers)} reviewers",
            )


class Contribute(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0502):
    """Register a batch of rows. Empty `terms_id` = the DataNet's default terms, empty `payee` = the sender."""

    weight_each: ClassVar[int] = 14

    datanet_id: Bytes32
    rows_root: Bytes32
    row_count: U32
    byte_count: Integer
    content_digest: Bytes32
    sketch: Annotated[bytes, Meta(max_length=MAX_SKETCH_BYTES)]
    terms_id: OptionalBytes32
    payee: OptionalBytes32
    form: FormNumber

    def validate(self) -> None:
        """At least one row and one byte a row, a size that adds up; optional fields empty or whole."""
        if not self.row_count or self.byte_count < self.row_count:
            raise Rejected(
                DatanetsCode.EMPTY_CONTRIBUTION,
                f"a contribution of {self.row_count} rows and {self.byte_count} bytes: give at least one non-empty row",
            )
        if self.byte_count > MAX_CONTRIBUTION_BYTES:
            raise Rejected(
                DatanetsCode.BAD_FIELD,
                f"a contribution of {self.byte_count} bytes, at most {MAX_CONTRIBUTION_BYTES} are allowed: split it",
            )
        for field, value in (("terms_id", self.terms_id), ("payee", self.payee)):
            if len(value) not in (0, 32):
                raise Rejected(DatanetsCode.BAD_FIELD, f"{field} must be empty or 32 bytes")
        bank.require_no_module_account("payee", self.payee)
        if len(self.sketch) not in (0, MAX_SKETCH_BYTES):
            raise Rejected(DatanetsCode.BAD_FIELD, f"sketch must be empty or {MAX_SKETCH_BYTES} bytes")


class ReviewContribution(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0503):
    """Owner or named reviewer: accept (1) or reject (2) a pending contribution."""

    weight_each: ClassVar[int] = 20

    contribution_id: Bytes32
    decision: Annotated[int, words(Decision)]
    reason: Annotated[int, words(Reason)]

    def validate(self) -> None:
        """A rejection gives its reason."""
        if self.decision == Decision.REJECT and not self.reason:
            raise Rejected(DatanetsCode.BAD_FIELD, "a rejection needs a reason (1 to 7)")


class CreateVersion(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0504):
    """Owner: freeze all accepted, not revoked contributions as the next version."""

    weight_each: ClassVar[int] = 9

    datanet_id: Bytes32
    note: Text


class RevokeContribution(Message, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag=0x0505):
    """Contributor or owner: no new version and no new training with this contribution; what exists stays visible."""

    # With up to 63 terms to lift and join again.
    weight_each: ClassVar[int] = 260

    contribution_id: Bytes32
    reason: Annotated[int, words(Reason, first=1)]


# --- Events


class DatanetCreated(Event, frozen=True, gc=False):
    """A DataNet exists."""

    datanet_id: bytes
    name: str


class ContributionRegistered(Event, frozen=True, gc=False):
    """A contribution waits for review."""

    contribution_id: bytes
    datanet_id: bytes


class ContributionReviewed(Event, frozen=True, gc=False):
    """A verdict was given; `status` is what the contribution has now."""

    contribution_id: bytes
    datanet_id: bytes
    status: int


class VersionCreated(Event, frozen=True, gc=False):
    """A version was frozen."""

    datanet_id: bytes
    version: int


class ContributionRevoked(Event, frozen=True, gc=False):
    """A contribution was revoked."""

    contribution_id: bytes
    datanet_id: bytes
