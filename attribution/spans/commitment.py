"""Commitment of a span index: parameters and the roots of its four lists, under one named-parts root.

    about       canonical JSON: format, method, thresholds, tokenizer, counts (`SpanParameters`)
    documents   list root over the documents (start, length, head of the cluster, owner, contribution, row leaf)
    suffixes    list root over the suffix array
    tokens      list root over the text: every token as its id + 1, every document followed by a zero
    unigrams    list root over how often each token occurs

All integers big-endian, 32 bits. The root of these parts is what a provenance entry records, alone with `METHOD` or
inside a commitment of several methods.
"""

import json
from dataclasses import asdict, dataclass, fields

from abci_app.hashing import HASH_BYTES
from abci_app.types import PPB
from attribution.errors import AttributionError
from attribution.spans.blocks import DOCUMENTS, LISTS, SUFFIXES, TOKENS, UNIGRAMS, BlockList
from openledger.data.manifest import Manifest, ManifestError, to_json

METHOD = 2
"""Number of this method in a provenance entry; 1 is attribution by gradients."""
METHOD_NAME = "tsa-1"
FORMAT = 1

# Four times the largest vocabulary in use.
MAX_VOCABULARY = 2**20
# Positions in the text and documents are counted in 32 bits.
MAX_TEXT = 2**32 - 1
# Occurrences are walked one by one, in queries and in proofs.
MAX_OCCURRENCES = 4_096
MAX_SPAN_TOKENS = 1_024
MAX_SPAN_BITS = 2**20
MAX_ABOUT_BYTES = 2_048
# Five parts of at most MAX_ABOUT_BYTES in their encoding.
MAX_COMMITMENT_BYTES = 4_096

_ABOUT = "about"


@dataclass(frozen=True, slots=True)
class SpanSettings:
    """Conditions that make a stretch a span. Thresholds: starting values of the method's specification, not tuned."""

    vocabulary_size: int
    """Token ids are below this."""
    tokenizer: str = ""
    """Digest of the tokenizer's files, lower-case hex; empty: not stated."""
    min_tokens: int = 6
    min_bits: int = 32
    """Least surprisal of a span, in bits."""
    max_clusters: int = 50
    """A span found in more documents, duplicates counted once, is common: nobody is credited."""
    max_occurrences: int = 1_000
    """A span that occurs more often is common, too."""
    density_ppb: int = 50_000_000
    """Spans kept, in parts per billion of the output's tokens, rounded up."""

    def kept_spans(self, output_tokens: int) -> int:
        """How many spans an output of this many tokens keeps at most; rounded up, so that none is impossible."""
        return -(-output_tokens * self.density_ppb // PPB)


@dataclass(frozen=True, slots=True)
class SpanParameters:
    """The part `about`: settings and what was indexed."""

    settings: SpanSettings
    token_count: int
    """Tokens of all documents, without separators."""
    document_count: int

    def __post_init__(self) -> None:
        """Refuse what is out of range; raises `AttributionError` for `commitment.<name>`."""
        for name, (least, most) in _RANGES.items():
            value = getattr(self.settings if hasattr(self.settings, name) else self, name)
            if type(value) is not int or not least <= value <= most:
                raise AttributionError(
                    f"commitment.{name}", f"must be an integer from {least} to {most}, not {value!r}"
                )
        tokenizer: object = self.settings.tokenizer
        if not isinstance(tokenizer, str) or len(tokenizer) not in (0, 64) or set(tokenizer) - set("0123456789abcdef"):
            raise AttributionError("commitment.tokenizer", "must be empty or 64 lower-case hexadecimal digits")
        if self.document_count > self.token_count or self.text_tokens > MAX_TEXT:
            raise AttributionError("commitment.token_count", f"{self.token_count} in {self.document_count} documents")

    @property
    def text_tokens(self) -> int:
        """Length of the text: tokens and one separator after every document."""
        return self.token_count + self.document_count

    def entry_count(self, what: BlockList) -> int:
        """How many entries a list has."""
        if what is UNIGRAMS:
            return self.settings.vocabulary_size
        return self.document_count if what is DOCUMENTS else self.text_tokens

    def encode(self) -> bytes:
        """Canonical JSON of the part `about`."""
        counts = {"token_count": self.token_count, "document_count": self.document_count}
        return to_json({"format": FORMAT, "method": METHOD_NAME, **asdict(self.settings), **counts})

    @classmethod
    def decode(cls, data: bytes) -> "SpanParameters":
        """Parse `about`; raises `AttributionError` with the field."""
        if len(data) > MAX_ABOUT_BYTES:
            raise AttributionError("commitment.about", f"has {len(data)} bytes, more than {MAX_ABOUT_BYTES}")
        try:
            value = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise AttributionError("commitment.about", f"is not JSON: {error}") from error
        names = [item.name for item in fields(SpanSettings)]
        expected = {"format", "method", "token_count", "document_count", *names}
        if not isinstance(value, dict) or set(value) != expected:
            raise AttributionError("commitment.about", f"must have exactly the fields {', '.join(sorted(expected))}")
        for name, known in (("format", FORMAT), ("method", METHOD_NAME)):
            if value[name] != known or type(value[name]) is not type(known):
                raise AttributionError(f"commitment.{name}", f"is {value[name]!r}; this program knows {known!r}")
        settings = SpanSettings(**{name: value[name] for name in names})
        parameters = cls(settings, value["token_count"], value["document_count"])
        if parameters.encode() != data:
            raise AttributionError("commitment.about", "is not in canonical JSON")
        return parameters


_RANGES = {
    "vocabulary_size": (1, MAX_VOCABULARY),
    "min_tokens": (1, MAX_SPAN_TOKENS),
    "min_bits": (0, MAX_SPAN_BITS),
    "max_clusters": (1, MAX_OCCURRENCES),
    "max_occurrences": (1, MAX_OCCURRENCES),
    "density_ppb": (1, PPB),
    "token_count": (1, MAX_TEXT),
    "document_count": (1, MAX_TEXT),
}


@dataclass(frozen=True, slots=True)
class SpanCommitment:
    """Parameters and list roots; `root` is what the chain records."""

    parameters: SpanParameters
    roots: tuple[bytes, bytes, bytes, bytes]
    """Roots of the lists of tokens, suffixes, unigrams, documents (the order of `LISTS`)."""

    @property
    def manifest(self) -> Manifest:
        """The parts; each can be proven alone (`Manifest.prove`)."""
        roots = {what.name: root for what, root in zip(LISTS, self.roots, strict=True)}
        return Manifest({_ABOUT: self.parameters.encode(), **roots})

    @property
    def root(self) -> bytes:
        """Named-parts root, 32 bytes."""
        return self.manifest.root

    def root_of(self, what: BlockList) -> bytes:
        """List root of one list."""
        return self.roots[LISTS.index(what)]

    def encode(self) -> bytes:
        """Stored form: the manifest's."""
        return self.manifest.encode()

    @classmethod
    def decode(cls, data: bytes) -> "SpanCommitment":
        """Parse the stored form; raises `AttributionError` with the field."""
        if len(data) > MAX_COMMITMENT_BYTES:
            raise AttributionError("commitment", f"has {len(data)} bytes, more than {MAX_COMMITMENT_BYTES}")
        try:
            parts = Manifest.decode(data).parts
        except ManifestError as error:
            raise AttributionError("commitment", str(error)) from error
        names = {_ABOUT, *(what.name for what in LISTS)}
        if set(parts) != names:
            raise AttributionError("commitment", f"must have exactly the parts {', '.join(sorted(names))}")
        for what in LISTS:
            if len(parts[what.name]) != HASH_BYTES:
                raise AttributionError(f"commitment.{what.name}", f"must have {HASH_BYTES} bytes")
        roots = (parts[TOKENS.name], parts[SUFFIXES.name], parts[UNIGRAMS.name], parts[DOCUMENTS.name])
        return cls(SpanParameters.decode(parts[_ABOUT]), roots)
