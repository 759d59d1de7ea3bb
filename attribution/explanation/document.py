"""Form of an explanation: who shaped one output of a model, with all that a reader needs to compute it again.

Canonical JSON by the rules of manifests: keys sorted, no spaces, ASCII, integers and texts only, one form for each
content. Digests, ids and addresses are 64 lower-case hexadecimal digits, byte strings base64, scores decimal text
(they exceed 2**53), shares parts per billion. `attribution.explanation.explanation` makes and verifies them.

    format, version     "openledger-explanation", 1
    chain_id            chain whose entry is explained
    entry_id, model, model_version
    prompt, output      text and token ids, as the model read and wrote them
    layers              the entry and its ancestors by falling number (`LayerPart`)
    by_owner, unexplained_ppb      shares over all layers, together 10**9

Sizes are bounded before anything is parsed, and refusals name the place, like `layers[0].gradients.owners[2].score`.
"""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from abci_app.hashing import TAGS, tagged_hash
from abci_app.integers.inheritance import MAX_LAYERS
from abci_app.integers.shares import MAX_OWNERS
from abci_app.modules.models.records import MAX_PARENTS
from abci_app.types import MAX_INTEGER, PPB
from attribution.errors import AttributionError
from attribution.lga.parameters import MAX_MODULE_NAME, MAX_MODULES
from attribution.spans.find import MAX_OUTPUT_TOKENS
from openledger.data.manifest import ManifestError, to_json

FORMAT = "openledger-explanation"
VERSION = 1
# A proof of all spans at its largest in base64 and embedded sums of a thousand owners.
MAX_DOCUMENT_BYTES = 128 * 2**20
MAX_TEXT = 2**20
MAX_PROMPT_TOKENS = 2**20
MAX_ROWS_SHOWN = 64
MAX_CONTRIBUTIONS_SHOWN = 256

Hex = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Base64 = Annotated[str, Meta(max_length=MAX_DOCUMENT_BYTES, pattern=r"\A[A-Za-z0-9+/]*={0,2}\Z")]
# 30 digits hold every score: abci_app.integers.shares.MAX_SCORE is 2**96.
Score = Annotated[str, Meta(max_length=31, pattern=r"\A(0|-?[1-9][0-9]{0,29})\Z")]
Part = Annotated[int, Meta(ge=0, le=PPB)]
Count = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
Flag = Annotated[int, Meta(ge=0, le=1)]
Token = Annotated[int, Meta(ge=0, lt=2**32)]
Name = Annotated[str, Meta(min_length=1, max_length=128)]
# As `attribution.lga.parameters` encodes them; what they must be follows from the commitment.
_Module = tuple[Annotated[str, Meta(max_length=MAX_MODULE_NAME)], Count, Count, Count, Count]
_Modules = Annotated[tuple[_Module, ...], Meta(max_length=MAX_MODULES)]
_Number = Annotated[int, Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]
Parameters = Annotated[dict[Name, _Number | Name | _Modules], Meta(max_length=64)]


class _Part(Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all parts."""


class TextPart(_Part, frozen=True):
    """A text and its token ids."""

    text: Annotated[str, Meta(max_length=MAX_TEXT)]
    token_ids: Annotated[tuple[Token, ...], Meta(max_length=MAX_PROMPT_TOKENS)]


class ShareLine(_Part, frozen=True):
    """An owner's part."""

    owner: Hex
    share_ppb: Part


class ParentLine(_Part, frozen=True):
    """A parent of a layer: its share among the parents, and what the schedule lets it keep of that."""

    entry_id: Hex
    share_ppb: Part
    kept_ppb: Part


class PolicyPart(_Part, frozen=True):
    """Rules of payout, as the entry's commitment holds them (`abci_app.integers.shares.PayoutPolicy`)."""

    kappa_ppb: Part
    flat_ppb: Part
    cap_ppb: Part
    minimum_positive_ppb: Part
    pool: Hex
    score_unit: Literal["row", "owner"]


class OwnerLine(_Part, frozen=True):
    """Score of an owner's sums, what it is paid by (`abci_app.integers.shares.Credit.positive`) and its part of all
    that, its credited rows and those that are copies."""

    owner: Hex
    score: Score
    credit: Score
    rows: Count
    copies: Count
    share_ppb: Part


class ContributionLine(_Part, frozen=True):
    """One owner's credited rows of a contribution: sum of their scores, and of those above zero alone.

    Recomputed only by who has the codes.
    """

    contribution_id: Hex
    owner: Hex
    rows: Count
    score: Score
    positive: Score


class RowLine(_Part, frozen=True):
    """A row of the index that supports the output: its score, and the proof of its leaf with its codes."""

    number: Count
    contribution_id: Hex
    row_leaf: Hex
    owner: Hex
    score: Score
    proof: Base64


class EvidencePart(_Part, frozen=True):
    """The lists that scores are computed from: the index's commitment, its list `dataset` as it is hashed, and one of
    two:

    its list `owners` as it is hashed, or the codes of all rows, which give that list and the list `leaves`.
    """

    commitment: Base64
    dataset: Base64
    owners: Base64 | UnsetType = UNSET
    codes: Base64 | UnsetType = UNSET


class GradientPart(_Part, frozen=True):
    """Attribution by gradients (LGA-1): codes of the query, scores of all owners, best contributions and rows."""

    commitment_root: Hex
    parameters: Parameters
    query_codes: Base64
    query_digest: Hex
    owners: Annotated[tuple[OwnerLine, ...], Meta(max_length=MAX_OWNERS)]
    unexplained_ppb: Part
    contributions: Annotated[tuple[ContributionLine, ...], Meta(max_length=MAX_CONTRIBUTIONS_SHOWN)]
    rows: Annotated[tuple[RowLine, ...], Meta(max_length=MAX_ROWS_SHOWN)]
    evidence: EvidencePart | UnsetType = UNSET


class MatchLine(_Part, frozen=True):
    """A document that has a span, where, whose it is, and who is credited."""

    document: Count
    offset: Count
    owner: Hex
    contribution_id: Hex
    row_leaf: Hex
    credited: Hex


class SpanLine(_Part, frozen=True):
    """Output tokens [start, end) that stand in training text; surprisal in 1/1024 bit."""

    start: Count
    end: Count
    surprisal: Count
    occurrences: Count
    clusters: Count
    matches: Annotated[tuple[MatchLine, ...], Meta(max_length=4_096)]


class SpanPart(_Part, frozen=True):
    """Attribution by spans (TSA-1): all kept spans with the proof that they are all, and the shares by surprisal."""

    commitment_root: Hex
    spans: Annotated[tuple[SpanLine, ...], Meta(max_length=MAX_OUTPUT_TOKENS)]
    by_owner: Annotated[tuple[ShareLine, ...], Meta(max_length=MAX_OWNERS)]
    covered_tokens: Count
    output_tokens: Count
    proof: Base64


class LayerPart(_Part, frozen=True):
    """One entry: its facts on the chain, its commitment, and how its own part goes to the owners of its data.

    `by_owner` and `unexplained_ppb` split the layer's own data's part; they sum to 10**9. `own_ppb` is how much of the
    whole that part is. `attribution_used` 0: the scores said too little, the payout is flat. `undeclared_ppb`, in
    entries that declare less than all: how much of the whole goes to the pool for what they were made from besides.
    `spans_erased` stands for `spans` where the text of the span index was erased; the shares must not need it.
    """

    entry_id: Hex
    number: Count
    has_data: Flag
    parents: Annotated[tuple[ParentLine, ...], Meta(max_length=MAX_PARENTS)]
    method: Annotated[int, Meta(ge=0, le=255)]
    own_ppb: Part
    commitment_root: Hex | UnsetType = UNSET
    commitment: Base64 | UnsetType = UNSET
    policy: PolicyPart | UnsetType = UNSET
    gradients: GradientPart | UnsetType = UNSET
    spans: SpanPart | UnsetType = UNSET
    by_owner: Annotated[tuple[ShareLine, ...], Meta(max_length=MAX_OWNERS)] = ()
    unexplained_ppb: Part = PPB
    attribution_used: Flag = 0
    undeclared_ppb: Part | UnsetType = UNSET
    spans_erased: Literal[1] | UnsetType = UNSET


class Explanation(_Part, frozen=True):
    """The document."""

    format: Annotated[str, Meta(max_length=64)]
    version: Count
    chain_id: Name
    entry_id: Hex
    model: Name
    model_version: Count
    prompt: TextPart
    output: TextPart
    layers: Annotated[tuple[LayerPart, ...], Meta(min_length=1, max_length=MAX_LAYERS)]
    by_owner: Annotated[tuple[ShareLine, ...], Meta(max_length=MAX_OWNERS)]
    unexplained_ppb: Part

    def encode(self) -> bytes:
        """Canonical JSON."""
        return to_json(msgspec.to_builtins(self))

    @property
    def digest(self) -> bytes:
        """Tagged hash of the canonical JSON, 32 bytes."""
        return tagged_hash(TAGS["attribution_explanation"], self.encode())


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place where a document says something else than what follows from the chain."""

    field: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.field}: the document says {self.found}, it must be {self.expected}"


def decode(data: bytes) -> Explanation:
    """Parse a document; raises `AttributionError` with the place of what is malformed."""
    if len(data) > MAX_DOCUMENT_BYTES:
        raise AttributionError("explanation", f"has {len(data)} bytes, more than {MAX_DOCUMENT_BYTES}")
    try:
        document = msgspec.json.decode(data, type=Explanation)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        text, _, place = str(error).partition(" - at `$")
        field = place.rstrip("`").lstrip(".") or "explanation"
        raise AttributionError(field, f"{text}; ask for the explanation again") from error
    if (document.format, document.version) != (FORMAT, VERSION):
        raise AttributionError(
            "format", f"{document.format!r} version {document.version}; this program reads {FORMAT!r} version {VERSION}"
        )
    try:
        canonical = document.encode() == data
    except (ManifestError, RecursionError, UnicodeEncodeError) as error:
        raise AttributionError("explanation", f"is not canonical JSON: {error}") from error
    if not canonical:
        raise AttributionError(
            "explanation",
            "is not in canonical JSON (keys sorted, no spaces, nothing twice): take it as `explain --write` wrote it",
        )
    return document


def to_base64(data: bytes) -> str:
    """Text of a byte string."""
    return base64.b64encode(data).decode()


def from_base64(text: str, field: str) -> bytes:
    """Bytes of a text, which must be the only one for them; raises `AttributionError`."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise AttributionError(field, f"is not base64: {error}") from error
    if to_base64(data) != text:
        raise AttributionError(field, "is not canonical base64")
    return data


def first_difference(expected: Struct, found: Struct) -> Difference | None:
    """The first field, in the order of the parts above, in which two documents or parts differ."""
    return _difference("", msgspec.to_builtins(expected), msgspec.to_builtins(found))


def _difference(place: str, expected: Any, found: Any) -> Difference | None:
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in [*expected, *(key for key in found if key not in expected)]:
            below = f"{place}.{key}".lstrip(".")
            if key not in expected or key not in found:
                present, absent = _shown(expected.get(key)), _shown(found.get(key))
                return Difference(below, present if key in expected else "absent", absent if key in found else "absent")
            if different := _difference(below, expected[key], found[key]):
                return different
        return None
    if isinstance(expected, list | tuple) and isinstance(found, list | tuple):
        for index, (one, other) in enumerate(zip(expected, found, strict=False)):
            if different := _difference(f"{place}[{index}]", one, other):
                return different
        if len(expected) != len(found):
            return Difference(place, f"{len(expected)} items", f"{len(found)} items")
        return None
    # Types too: True == 1, and they are different documents.
    same = expected == found and type(expected) is type(found)
    return None if same else Difference(place, _shown(expected), _shown(found))


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else re.sub(r"\s+", " ", json.dumps(value))
    return text if len(text) <= 100 else f"{text[:97]}..."
