"""Who was first: copies that an index lists, against the records of the chain.

An index says in which order its rows were registered, and credits the first of those that are alike. Its codes show
that no two credited rows are alike, and that every copy is like the row that it is credited through; the chain shows
that this row was registered earlier. Together they leave one choice: taken in the order of the chain, whatever is like
an earlier credited row is a copy, and nothing else is.

Contributions are compared, not rows of one contribution: those have one owner.
"""

from functools import cache
from typing import Protocol

from attribution.code_copies import COPIES
from attribution.evidence import IndexEvidence
from openledger.errors import NotVerified
from trainer.dataset import ContributionRecord


class ContributionSource(Protocol):
    """Where contributions are looked up; `trainer.publish.ClientLedger` fulfils it."""

    def contribution(self, contribution_id: bytes) -> ContributionRecord:
        """One contribution."""


def check_registration(source: ContributionSource, evidence: IndexEvidence) -> int:
    """How many copies the index lists, each registered after its leader; raises `NotVerified` where one was not."""

    @cache
    def registered(contribution_id: bytes) -> tuple[int, bytes, int]:
        """The order of the chain, as `trainer.copies` has it."""
        record = source.contribution(contribution_id)
        return record.registered_height, record.datanet_id, record.registered_number

    found = evidence.commitment.copies.found
    for index, (leaf, leader) in enumerate(found):
        copy, first = evidence.keys[leaf][32:64], evidence.keys[leader][32:64]
        if copy != first and registered(copy) < registered(first):
            raise NotVerified(
                f"{COPIES}.found[{index}]: leaf {leaf} is credited through leaf {leader}, which the chain registered "
                "later; do not rely on this entry's explanations"
            )
    return len(found)
