"""Whose rows, and who was first: what an index says of rows, against the records of the chain.

Whose: every row of an index, and of a span, belongs to a contribution in the inputs that the entry recorded, and its
owner is the contributor that the chain names; no contribution has more rows than it registered. The rows of an index
are those that the entry says it consumed: as many, and with the root that it recorded of them. A span is credited to
owners who have it.

First: an index says in which order its rows were registered, and credits the first of those that are alike. Its codes
show that no two credited rows are alike, and that every copy is like the row that it is credited through; the chain
shows that this row was registered earlier. Together they leave one choice: taken in the order of the chain, every
row that is like an earlier credited row is a copy, and no other row is.

Contributions are compared one by one; the order of rows within one is that of the root of consumed rows.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from abci_app.hashing import list_root
from abci_app.modules.models.records import Input, StoredEntry
from attribution.explanation.document import Explanation, LayerPart, SpanPart
from attribution.explanation.evidence import LeafList, contribution_of, owner_of
from attribution.lga.code_copies import COMPARED, COPIES
from openledger.data.versions import ContributionRecord, VersionRecord
from openledger.errors import NotVerified

_WARNING = "do not rely on this entry's explanations"


class ContributionSource(Protocol):
    """Where contributions are looked up; `trainer.publish.ClientLedger` fulfils it."""

    def contribution(self, contribution_id: bytes) -> ContributionRecord:
        """One contribution."""


class VersionSource(Protocol):
    """Where versions of DataNets are looked up; `trainer.publish.ClientLedger` fulfils it."""

    def datanet_version(self, reference: str, version: int) -> VersionRecord:
        """A version with all its contributions."""


@dataclass(frozen=True, slots=True)
class Registered:
    """Numbers that the chain gives for the rows behind an explanation: so many rows, so many of them copies.

    `not_compared`: why copies were not looked for in an index (attribution.lga.code_copies), of each where they were
    not.
    """

    rows: int
    copies: int
    not_compared: tuple[str, ...] = ()


def compare_registration(
    source: VersionSource,
    document: Explanation,
    stored: Mapping[bytes, StoredEntry],
    leaves: Mapping[bytes, LeafList],
) -> Registered:
    """Check all layers; `stored` and `leaves` (those of gradient indexes) by entry id. Raises `NotVerified`."""
    version_of = cache(source.datanet_version)  # layers share inputs
    rows = copies = 0
    for number, layer in enumerate(document.layers):
        entry_id = bytes.fromhex(layer.entry_id)
        listed = leaves.get(entry_id)
        if listed is None and not isinstance(layer.spans, SpanPart):
            continue
        inputs = stored[entry_id].entry.inputs
        versions = [version_of(item.datanet_id.hex(), item.version) for item in inputs]
        records = {record.contribution_id: record for version in versions for record in version.contributions}
        place = f"layers[{number}]"
        check_spans(records, layer, f"{place}.spans")
        if listed is not None:
            check_owners(records, listed.keys, f"{place}.gradients")
            check_rows(inputs, versions, listed, f"{place}.gradients")
            copies += count_copies_in_order(records, listed, f"{place}.gradients")
            rows += len(listed.keys)
    outcomes = [listed.commitment.copies.outcome for listed in leaves.values()]
    return Registered(rows, copies, tuple([outcome for outcome in outcomes if outcome != COMPARED]))


def check_owners(records: Mapping[bytes, ContributionRecord], keys: Sequence[bytes], place: str) -> None:
    """Every row is of an input's contribution and its contributor's; raises `NotVerified`."""
    for number, key in enumerate(keys):
        _check_owner(records, contribution_of(key), owner_of(key), f"{place}: row {number}")
    for contribution_id, count in Counter(map(contribution_of, keys)).items():
        registered = records[contribution_id].commitment.row_count
        if count > registered:
            raise NotVerified(
                f"{place}: {count} rows of contribution {contribution_id.hex()}, which registered {registered}; "
                f"{_WARNING}"
            )


def check_rows(inputs: Sequence[Input], versions: Sequence[VersionRecord], listed: LeafList, place: str) -> None:
    """The rows are those that the entry's inputs say were consumed; raises `NotVerified`.

    Their root needs their order within a contribution, which an index with more rows than are compared does not say;
    and of rows that two inputs share it cannot be told which of the two used them.
    """
    owned = [{record.contribution_id for record in version.contributions} for version in versions]
    if len(set[bytes]().union(*owned)) < sum(map(len, owned)):
        return
    order = listed.commitment.copies.order
    rank = {leaf: at for at, leaf in enumerate(order)}
    numbers = sorted(range(len(listed.keys)), key=lambda leaf: (contribution_of(listed.keys[leaf]), rank.get(leaf, 0)))
    for at, (item, contributions) in enumerate(zip(inputs, owned, strict=True)):
        rows = [listed.keys[leaf][:32] for leaf in numbers if contribution_of(listed.keys[leaf]) in contributions]
        if not item.rows_used_root:
            raise NotVerified(
                f"{place}: {len(rows)} rows of input {at}, of which the entry does not declare which rows it consumed: "
                f"nothing binds the index to them; {_WARNING}"
            )
        if len(rows) != item.rows_used or (order and list_root("rows-used", rows) != item.rows_used_root):
            raise NotVerified(
                f"{place}: {len(rows)} rows of input {at}; they are not the {item.rows_used} that the entry says it "
                f"consumed; {_WARNING}"
            )


def check_spans(records: Mapping[bytes, ContributionRecord], layer: LayerPart, place: str) -> None:
    """Check the owners of documents that have a span, and that spans are credited to such owners; raises
    `NotVerified`."""
    for at, span in enumerate(layer.spans.spans if isinstance(layer.spans, SpanPart) else ()):
        owners = {match.owner for match in span.matches}
        for number, match in enumerate(span.matches):
            field = f"{place}.spans[{at}].matches[{number}]"
            _check_owner(records, bytes.fromhex(match.contribution_id), bytes.fromhex(match.owner), field)
            if match.credited not in owners:
                raise NotVerified(f"{field} is credited to {match.credited}, who has no row with this span; {_WARNING}")


def count_copies_in_order(records: Mapping[bytes, ContributionRecord], listed: LeafList, place: str) -> int:
    """How many copies the index lists, each registered after its leader; raises `NotVerified` where one was not."""

    def registered(contribution_id: bytes) -> tuple[int, bytes, int]:
        """The order of the chain, as `trainer.copies` has it."""
        record = records[contribution_id]
        return record.registered_height, record.datanet_id, record.registered_number

    found = listed.commitment.copies.found
    for index, (leaf, leader) in enumerate(found):
        copy, first = contribution_of(listed.keys[leaf]), contribution_of(listed.keys[leader])
        if copy != first and registered(copy) < registered(first):
            raise NotVerified(
                f"{place}.{COPIES}.found[{index}]: leaf {leaf} is credited through leaf {leader}, which the chain "
                f"registered later; {_WARNING}"
            )
    return len(found)


def _check_owner(records: Mapping[bytes, ContributionRecord], contribution_id: bytes, owner: bytes, place: str) -> None:
    record = records.get(contribution_id)
    if record is None:
        raise NotVerified(
            f"{place} is of contribution {contribution_id.hex()}, which is not in the inputs of the entry; {_WARNING}"
        )
    if record.contributor != owner:
        raise NotVerified(
            f"{place} is said to be of {owner.hex()}; contribution {contribution_id.hex()} is of "
            f"{record.contributor.hex()}; {_WARNING}"
        )
