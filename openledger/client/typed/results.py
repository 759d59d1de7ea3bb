"""Answers as objects with attributes: names before ids, ids as text, shares as fractions of one.

    found = client.lineage("gardener")
    found.complete, found.verified, found.contributors[0].address, found.unknown

`record` holds the chain's own record of each answer, for what has no attribute here.
"""

from dataclasses import dataclass, field
from typing import Any

from openledger.amounts import show_amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The standing of every result: the height whose state it speaks of, and how it was verified."""

    height: int
    verified: bool
    # How it was verified (header, anchor, witnesses), in words; or that it is the node's word.
    note: str = field(repr=False)
    record: Any = field(repr=False, compare=False)

    def _standing(self) -> str:
        return f"{'verified' if self.verified else 'NOT VERIFIED'} at height {self.height}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TermsFound:
    """A terms record among those that bind an answer: its id (olterms1...), its name, its SPDX name or empty."""

    id: str
    name: str
    spdx: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContributionFound:
    """A contribution to a DataNet version: who gave how many rows under which terms. `number` is its place there."""

    id: str
    number: int
    contributor: str
    terms: str
    rows: int
    byte_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DatanetFound:
    """A DataNet version, with its contributions as far as they are listed; `usable` is false once one was revoked."""

    id: str
    name: str
    version: int
    rows: int
    byte_count: int
    usable: bool
    contributions: tuple[ContributionFound, ...] = field(repr=False)

    @property
    def reference(self) -> str:
        """Name and version: `garden@2`."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contributor:
    """Somebody whose rows are in what a model was made from: rows, terms and DataNet versions of all their parts."""

    address: str
    rows: int
    terms: tuple[str, ...]
    datanets: tuple[str, ...]
    # What the key of this address is called here; empty where it is nobody's whom this home knows.
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFound:
    """A DataNet version that an entry was trained on: its share of the mix, and the rows used (None: not declared)."""

    datanet: str
    share: float
    rows_used: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentFound:
    """An entry that another was made from, as what, and its share among the parents."""

    id: str
    role: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFound:
    """One run's result: a model version, or an entry of no model (`model` empty, version 0)."""

    id: str
    model: str
    version: int
    kind: str
    recorder: str
    owner: str
    recorded_height: int
    parents: tuple[ParentFound, ...]
    inputs: tuple[InputFound, ...]
    # `nothing`, `parents`, `inputs` or `parents-and-inputs`.
    undeclared: str
    # Terms that it brings in itself, by name; empty where it brings none.
    terms: str
    # What the licence check said when it was recorded.
    outcome: str
    superseded_by: str

    @property
    def reference(self) -> str:
        """Model and version, `gardener@2`, or the id of an entry of no model."""
        return f"{self.model}@{self.version}" if self.model else self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """An entry below which something is not on this chain, and why in words."""

    entry: str
    reference: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Lineage(Found):
    """Everything that a model was made from. Only a `complete` one is the whole; `unknown` says where it ends."""

    model: str
    version: int
    entry: str
    complete: bool
    entries: tuple[EntryFound, ...]
    datanets: tuple[DatanetFound, ...]
    contributors: tuple[Contributor, ...]
    terms: tuple[TermsFound, ...]
    # What the terms demand together of who uses the model, in words, and the licences it may be passed on under.
    use: str
    duties: tuple[str, ...]
    unknown: tuple[Unknown, ...]

    def __repr__(self) -> str:
        what = f"{self.model}@{self.version}" if self.model else self.entry
        unknown = f", unknown below {', '.join([one.reference for one in self.unknown])}" if self.unknown else ""
        return (
            f"<Lineage of {what}: {len(self.entries)} entries, DataNets "
            f"{', '.join([one.reference for one in self.datanets]) or 'none'}, {len(self.contributors)} contributors"
            f"{unknown}; {'complete' if self.complete else 'NOT complete'}, {self._standing()}>"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """An entry that stands on a DataNet version: `direct` when it was trained on it, else by way of a parent."""

    id: str
    model: str
    version: int
    kind: str
    direct: bool
    owner: str
    superseded_by: str

    @property
    def reference(self) -> str:
        """Model and version, `gardener@2`, or the id of an entry of no model."""
        return f"{self.model}@{self.version}" if self.model else self.id


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Impact(Found):
    """Everything that was made from a DataNet version (0: any).

    `may_stand_on_it` entries of this chain declare less than all, so that they may stand on it without saying so.
    """

    datanet: str
    id: str
    version: int
    complete: bool
    entries: tuple[Affected, ...]
    may_stand_on_it: int

    def __repr__(self) -> str:
        what = f"{self.datanet}@{self.version}" if self.version else self.datanet
        return (
            f"<Impact of {what}: {', '.join([one.reference for one in self.entries]) or 'nothing'}; "
            f"{'complete' if self.complete else 'NOT complete'}, {self._standing()}>"
        )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Clean(Found):
    """Whether a DataNet is among what a model was made from: `present`, `not-declared` or `unknown-below`.

    It speaks of declared DataNet versions, not of content. `looked_at` entries are the model and all its ancestors.
    """

    entry: str
    datanet: str
    answer: str
    # Ids of the entries that were trained on it, and those below which something is unknown.
    found: tuple[str, ...]
    unknown: tuple[str, ...]
    looked_at: int

    def __repr__(self) -> str:
        return f"<Clean of {self.datanet}: {self.answer}, {self.looked_at} entries looked at; {self._standing()}>"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class MixVerdict(Found):
    """The chain's licence check of a mix: `compatible`, `undetermined` or `conflict`. Advisory, not legal advice."""

    outcome: str
    why: str
    # The two that clash, where two do.
    between: tuple[str, ...]
    unknown_below: bool
    use: str
    duties: tuple[str, ...]
    terms: tuple[TermsFound, ...]

    def __repr__(self) -> str:
        return f"<Verdict: {self.outcome}{f', {self.why}' if self.why else ''}; {self._standing()}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditDue:
    """Who has to be named by which terms: an address, with what its key is called here, or a model from outside."""

    who: str
    name: str
    terms: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Permission(Found):
    """Whether a model may be put to a use: `yes`, `ask` or `no`, why, whom to credit, what nobody can know.

    Advisory, not legal advice. `judgement` has every source by itself (openledger.client.may).
    """

    model: str
    use: str
    answer: str
    in_words: str
    because: tuple[str, ...]
    credit: tuple[CreditDue, ...]
    conditions: tuple[str, ...]
    unknown: tuple[Unknown, ...]
    judgement: Any = field(repr=False, compare=False)

    def __repr__(self) -> str:
        return f"<Permission to {self.use} {self.model}: {self.in_words}; {self._standing()}>"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class AccountFound(Found):
    """An account: balance, next sequence, the policy on the chain (empty while it has sent nothing)."""

    address: str
    balance_nopen: int
    sequence: int
    exists: bool
    policy: bytes
    name: str = ""

    @property
    def balance(self) -> str:
        """The balance in words: `1.5 OPEN`."""
        return show_amount(self.balance_nopen)

    def __repr__(self) -> str:
        return f"<Account {self.name or self.address}: {self.balance}, sequence {self.sequence}; {self._standing()}>"
