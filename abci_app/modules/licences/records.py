"""Records of the licences module: terms, joined terms, and the words in which both speak."""

from enum import IntEnum
from typing import Annotated

from msgspec import Meta

from abci_app.names import NameOwner
from abci_app.state.codec import Record
from abci_app.state.table import HASHED, ID, Map
from abci_app.types import PRINTABLE, U32, Bytes32, Flag, Label, OptionalBytes32, Ppb, Seconds, Text, words

# Fields and domains are a vocabulary, not prose: a list longer than this is a text and belongs behind its digest.
MAX_LABELS = 16
MAX_SPDX_LENGTH = 128
MAX_JURISDICTION_LENGTH = 32
# Different terms records under one model, and what they may name together. Terms are shared (most data comes under a
# few dozen licences); the bounds keep the joined record, which every lineage answer carries and every entry can bring
# anew into the state, below 12 KB.
MAX_SOURCES = 64
MAX_JOINED_LABELS = 64
MAX_JOINED_JURISDICTIONS = 32
MAX_BEHAVIOURAL_LISTS = 16
MAX_SHARE_ALIKE = 16
# Alternatives of one expression, and different expressions with alternatives that meet: every combination is judged,
# so their product is bounded as well.
MAX_ALTERNATIVES = 4
MAX_CHOICES = 4
MAX_COMBINATIONS = 16

Spdx = Annotated[str, Meta(max_length=MAX_SPDX_LENGTH, pattern=PRINTABLE)]
Jurisdiction = Annotated[str, Meta(max_length=MAX_JURISDICTION_LENGTH, pattern=PRINTABLE)]
Labels = Annotated[tuple[Label, ...], Meta(max_length=MAX_LABELS)]


class Stated(IntEnum):
    """The statement of terms about one point."""

    UNKNOWN = 0
    NO = 1
    YES = 2


TriState = Annotated[int, words(Stated)]


class UseClass(IntEnum):
    """The uses that the material may be put to; a larger number is stricter, 0 is not stated."""

    UNKNOWN = 0
    ANY = 1
    NON_COMMERCIAL = 2
    RESEARCH = 3


UseNumber = Annotated[int, words(UseClass)]


class Terms(Record, frozen=True, array_like=True, tag=2, gc=False):
    """Machine-readable terms of a source. Points are 0 unknown, 1 no, 2 yes; digests may be empty."""

    # How people call these terms, such as "CC BY-SA 4.0".
    name: Text
    # SPDX licence expression in normal form (expression.py); "LicenseRef-..." for one's own, empty where there is none.
    spdx: Spdx
    use_class: UseNumber
    attribution: TriState
    share_alike: TriState
    no_derivatives: TriState
    # Yes: models may be trained on the material.
    training: TriState
    # Yes: the material itself, or a model made from it, may be passed on.
    redistribution: TriState
    # Yes: each use needs the owner's consent.
    approval_required: TriState
    # Yes: a list of uses that must not happen is passed on with the model (its text behind `behavioural_digest`).
    behavioural: TriState
    private: TriState
    # Yes: the owner reserved text and data mining (such as article 4(3) of EU directive 2019/790).
    opt_out_reserved: TriState
    # Yes: the licence text, and what it wants to be said, goes with the material.
    notice: TriState
    # Yes: outputs of a model under these terms must not train other models.
    outputs_restricted: TriState
    # Yes: what was granted cannot be taken back.
    irrevocable: TriState
    # Permitted fields of use, sorted; empty = every field.
    fields_of_use: Labels
    # Domains in which use is excluded, sorted.
    excluded_domains: Labels
    text_digest: OptionalBytes32
    behavioural_digest: OptionalBytes32
    # Share of what a model earns that these terms claim.
    revenue_share_ppb: Ppb
    # Unix time after which nothing new may be made from the material; 0 = never.
    expiry_seconds: Seconds
    # Where the terms come from; shown to people, it decides nothing.
    jurisdiction: Jurisdiction


class Source(Record, frozen=True, array_like=True, gc=False):
    """One terms record among joined ones, with its revenue share."""

    terms_id: Bytes32
    revenue_share_ppb: Ppb


class ShareAlike(Record, frozen=True, array_like=True, gc=False):
    """A share-alike licence that some source is under. Own words are told apart by their digest and their limits."""

    spdx: Spdx
    # Empty for known licences: their identifier says which text it is.
    text_digest: OptionalBytes32
    # Use class and hash of the limits (`limits_of`) that own words state themselves; 0 and empty for known licences.
    use_class: UseNumber
    limits_hash: OptionalBytes32


class Alternative(Record, frozen=True, array_like=True, gc=False):
    """The demands of one alternative of an expression with OR."""

    spdx: Spdx
    use_class: UseNumber
    demanded: U32
    unstated: U32
    share_alike: Annotated[tuple[ShareAlike, ...], Meta(max_length=MAX_SHARE_ALIKE)]


class Choice(Record, frozen=True, array_like=True, gc=False):
    """Alternatives of which a user takes one; none of them is milder than another in every point."""

    alternatives: Annotated[tuple[Alternative, ...], Meta(max_length=MAX_ALTERNATIVES)]


class JoinedTerms(Record, frozen=True, array_like=True, tag=2, gc=False):
    """The demands of several terms together; computed by consensus, content-addressed, never written by hand."""

    # Every terms record joined here, ascending.
    sources: Annotated[tuple[Source, ...], Meta(max_length=MAX_SOURCES)]
    # Strictest use class that a source states; 0 if none states one.
    use_class: UseNumber
    # Bit sets of `Point`: what some source demands, and what some source leaves open.
    demanded: U32
    unstated: U32
    # Permitted fields of use if `limits_fields`, else every field.
    limits_fields: Flag
    fields_of_use: Labels
    excluded_domains: Annotated[tuple[Label, ...], Meta(max_length=MAX_JOINED_LABELS)]
    expiry_seconds: Seconds
    jurisdictions: Annotated[tuple[Jurisdiction, ...], Meta(max_length=MAX_JOINED_JURISDICTIONS)]
    # Lists of uses that must not happen: a result passes on all of them.
    behavioural_digests: Annotated[tuple[Bytes32, ...], Meta(max_length=MAX_BEHAVIOURAL_LISTS)]
    # Share-alike licences among the sources, sorted: the result needs a licence that all of them admit.
    share_alike: Annotated[tuple[ShareAlike, ...], Meta(max_length=MAX_SHARE_ALIKE)]
    # Where sources leave a choice of licence, beyond what all alternatives demand, which stands above.
    choices: Annotated[tuple[Choice, ...], Meta(max_length=MAX_CHOICES)]


class Point(IntEnum):
    """Bits of `JoinedTerms.demanded` and `.unstated`; each is a duty or a ban, so that more bits are stricter."""

    ATTRIBUTION = 1
    SHARE_ALIKE = 2
    NO_DERIVATIVES = 4
    TRAINING_BANNED = 8
    REDISTRIBUTION_BANNED = 16
    APPROVAL_REQUIRED = 32
    BEHAVIOURAL = 64
    PRIVATE = 128
    OPT_OUT_RESERVED = 256
    # Only in `unstated`.
    USE_CLASS = 512
    REVOCABLE = 1_024
    # 2,048 is kept for what rests on an importer's word.
    NOTICE = 4_096
    OUTPUTS_RESTRICTED = 8_192
    # Never stored: the material is learned from as outputs of a model (`learned_from`).
    OUTPUTS_BANNED = 16_384
    # Out of the table: conditions that some share-alike licences do not admit.
    PATENT_CONDITIONS = 32_768
    ADVERTISING_CLAUSE = 65_536


class Outcome(IntEnum):
    """Result of a licence check."""

    COMPATIBLE = 1
    NEEDS_APPROVAL = 2
    CONFLICT = 3


class Profile(IntEnum):
    """How unstated points are judged (chain parameter `licence_policy`)."""

    CONSERVATIVE = 1
    PERMISSIVE = 2


# Field of `Terms` -> its point, and what the strict answer is; in the order of the fields.
POINTS: dict[str, tuple[Point, Stated]] = {
    "attribution": (Point.ATTRIBUTION, Stated.YES),
    "share_alike": (Point.SHARE_ALIKE, Stated.YES),
    "no_derivatives": (Point.NO_DERIVATIVES, Stated.YES),
    "training": (Point.TRAINING_BANNED, Stated.NO),
    "redistribution": (Point.REDISTRIBUTION_BANNED, Stated.NO),
    "approval_required": (Point.APPROVAL_REQUIRED, Stated.YES),
    "behavioural": (Point.BEHAVIOURAL, Stated.YES),
    "private": (Point.PRIVATE, Stated.YES),
    "opt_out_reserved": (Point.OPT_OUT_RESERVED, Stated.YES),
    "notice": (Point.NOTICE, Stated.YES),
    "outputs_restricted": (Point.OUTPUTS_RESTRICTED, Stated.YES),
    "irrevocable": (Point.REVOCABLE, Stated.NO),
}
# Demands of `Terms` beside use class and points.
DEMANDS = ("fields_of_use", "excluded_domains", "revenue_share_ppb", "expiry_seconds")

TERMS = Map("licences/terms/", (ID,), Terms)
JOINED = Map("licences/joined/", (ID,), JoinedTerms)
# A name stands for the terms that were registered first under it, also when others take that name later.
NAMES = Map("licences/name/", (HASHED,), NameOwner)
