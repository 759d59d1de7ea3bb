"""Whose rows, and who was first: what an index says of rows, against the records of the chain.

Whose: every row of an index, and of a span, belongs to a contribution in the inputs that the entry recorded, and its
owner is the contributor that the chain names; no contribution has more rows than it registered. A span is credited to
owners who have it.

First: an index says in which order its rows were registered, and credits the first of those that are alike. Its codes
show that no two credited rows are alike, and that every copy is like the row that it is credited through; the chain
shows that this row was registered earlier. Together they leave one choice: taken in the order of the chain, whatever is
like an earlier credited row is a copy, and nothing else is.

Contributions are compared, not rows of one contribution: those have one owner.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from abci_app.modules.models_records import StoredEntry
from attribution.code_copies import COPIES
from attribution.document import Explanation, LayerPart, SpanPart
from attribution.evidence import LeafList, contribution_of, owner_of
from openledger.errors import NotVerified
from trainer.dataset import ContributionRecord, DatanetVersion

_WARNING = "do not rely on this entry's explanations"


class ContributionSource(Protocol):
    """Where contributions are looked up; `trainer.publish.ClientLedger` fulfils it."""

    def contribution(self, contribution_id: bytes) -> ContributionRecord:
        """One contribution."""


class VersionSource(Protocol):
    """Where versions of DataNets are looked up; `trainer.publish.ClientLedger` fulfils it."""

    def datanet_version(self, reference: str, version: int) -> DatanetVersion:
        """A version with all its contributions."""


@dataclass(frozen=True, slots=True)
class Registered:
    """What the chain says of the rows behind an explanation: so many rows, so many of them copies."""

    rows: int
    copies: int


def check_registration(
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
        records = contributions_of(version_of, stored[entry_id])
        place = f"layers[{number}]"
        check_spans(records, layer, f"{place}.spans")
        if listed is not None:
            check_owners(records, listed.keys, f"{place}.gradients")
            copies += check_order(records, listed, f"{place}.gradients")
            rows += len(listed.keys)
    return Registered(rows, copies)


def contributions_of(
    version_of: Callable[[str, int], DatanetVersion], stored: StoredEntry
) -> dict[bytes, ContributionRecord]:
    """All contributions in the inputs of an entry, by id."""
    versions = [version_of(item.datanet_id.hex(), item.version) for item in stored.entry.inputs]
    return {record.contribution_id: record for version in versions for record in version.contributions}


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


def check_spans(records: Mapping[bytes, ContributionRecord], layer: LayerPart, place: str) -> None:
    """The same of the documents that have a span, and it is credited to owners of such; raises `NotVerified`."""
    for at, span in enumerate(layer.spans.spans if isinstance(layer.spans, SpanPart) else ()):
        owners = {match.owner for match in span.matches}
        for number, match in enumerate(span.matches):
            field = f"{place}.spans[{at}].matches[{number}]"
            _check_owner(records, bytes.fromhex(match.contribution_id), bytes.fromhex(match.owner), field)
            if match.credited not in owners:
                raise NotVerified(f"{field} is credited to {match.credited}, who has no row with this span; {_WARNING}")


def check_order(records: Mapping[bytes, ContributionRecord], listed: LeafList, place: str) -> int:
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
