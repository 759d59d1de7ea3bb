"""Terms and their join: under what conditions a thing made from several things may be used. Pure, no state.

A `Terms` record says what one source demands. `JoinedTerms` says what several demand together; `join` is a
semilattice operation: commutative, associative, idempotent, and adding an input never loosens anything. `judge` then
says, under a policy profile and at a time, whether the whole is compatible, needs somebody's approval, or clashes.

| part | joined by |
|---|---|
| use class | the strictest (any < non-commercial < research) |
| duties and bans (attribution ... opt-out) | union |
| what a source does not say | union: unknown stays unknown |
| fields of use that are permitted | intersection; no limit given = every field |
| excluded domains, jurisdictions | union |
| expiry | the earliest |
| revenue shares | sum over the different terms records, at most 100 % |
| share-alike | the outbound licences that all share-alike sources admit |

An advisory computation over declared terms, not legal advice.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

from msgspec import Meta

from abci_app.hashing import TAGS, tagged_hash
from abci_app.state.codec import Record, encode
from abci_app.types import (
    MAX_TEXT_LENGTH,
    PPB,
    PRINTABLE,
    U8,
    U32,
    Bytes32,
    Flag,
    Label,
    OptionalBytes32,
    Ppb,
    Seconds,
    TermsId,
    Text,
)

# Fields and domains are a vocabulary, not prose: a list longer than this is a text and belongs behind its digest.
MAX_LABELS = 16
MAX_SPDX_LENGTH = 128
MAX_JURISDICTION_LENGTH = 32
# Different terms records under one model. Terms are shared (most data comes under a few dozen licences); the bound
# keeps the joined record, which every lineage answer carries, below 4 KB.
MAX_SOURCES = 64
# Outbound licences that one share-alike source admits: itself and what the one-way table adds.
MAX_OUTBOUND = 8

TriState = Annotated[int, Meta(ge=0, le=2)]
Spdx = Annotated[str, Meta(max_length=MAX_SPDX_LENGTH, pattern=PRINTABLE)]
Jurisdiction = Annotated[str, Meta(max_length=MAX_JURISDICTION_LENGTH, pattern=PRINTABLE)]
Labels = Annotated[tuple[Label, ...], Meta(max_length=MAX_LABELS)]


class Stated(IntEnum):
    """What terms say about one point."""

    UNKNOWN = 0
    NO = 1
    YES = 2


class UseClass(IntEnum):
    """What the material may be used for; a larger number is stricter, 0 is not stated."""

    UNKNOWN = 0
    ANY = 1
    NON_COMMERCIAL = 2
    RESEARCH = 3


class Terms(Record, frozen=True, array_like=True, tag=1, gc=False):
    """Machine-readable terms of a source. Points are 0 unknown, 1 no, 2 yes; digests may be empty."""

    # How people call these terms, such as "CC BY-SA 4.0".
    name: Text
    # SPDX licence expression; "LicenseRef-..." for one's own, empty where there is none.
    spdx: Spdx
    use_class: Annotated[int, Meta(ge=0, le=3)]
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
    jurisdiction: Jurisdiction


class Source(Record, frozen=True, array_like=True, gc=False):
    """One terms record among joined ones, with its revenue share."""

    terms_id: Bytes32
    revenue_share_ppb: Ppb


class Outbound(Record, frozen=True, array_like=True, gc=False):
    """A licence that the result may carry: the widest use it grants, and whether it lets restrictions be added."""

    spdx: Spdx
    use_class: Annotated[int, Meta(ge=0, le=3)]
    admits_restrictions: Flag


class JoinedTerms(Record, frozen=True, array_like=True, tag=1, gc=False):
    """What several terms demand together; computed by consensus, content-addressed, never written by hand."""

    # Every terms record joined here, ascending.
    sources: Annotated[tuple[Source, ...], Meta(max_length=MAX_SOURCES)]
    # Strictest use class that a source states; 0 if none states one.
    use_class: Annotated[int, Meta(ge=0, le=3)]
    # Bit sets of `Point`: what some source demands, and what some source leaves open.
    demanded: U32
    unstated: U32
    # Permitted fields of use if `limits_fields`, else every field.
    limits_fields: Flag
    fields_of_use: Labels
    excluded_domains: Annotated[tuple[Label, ...], Meta(max_length=MAX_LABELS * MAX_SOURCES)]
    expiry_seconds: Seconds
    jurisdictions: Annotated[tuple[Jurisdiction, ...], Meta(max_length=MAX_SOURCES)]
    # Licences that all share-alike sources admit for the result, sorted; meaningful if SHARE_ALIKE is demanded.
    outbound: Annotated[tuple[Outbound, ...], Meta(max_length=MAX_OUTBOUND)]


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


class Outcome(IntEnum):
    """Result of a licence check."""

    COMPATIBLE = 1
    NEEDS_APPROVAL = 2
    CONFLICT = 3


class Profile(IntEnum):
    """How unstated points are judged (chain parameter `licence_policy`)."""

    CONSERVATIVE = 1
    PERMISSIVE = 2
