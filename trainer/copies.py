"""Copies are not trained on: of rows that say the same, only the one that was registered first takes part.

The order of the chain decides who was first: height of the block, then the DataNet, then the number among its
submissions, then the row's place in its contribution. Examples of equal text in normal form are copies
(openledger.data.normalised), and texts whose word 5-grams overlap by 80 % (attribution.payout.clusters). Words, not
tokens: what is left out must not depend on a model. A copy that is not trained on earns nothing and takes nothing from
anybody; it is listed with the run, so that everybody sees why.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from attribution.payout.clusters import ClusterPolicy, ClusterRow, cluster_rows
from openledger.data.normalised import words_of
from openledger.data.versions import VersionRecord
from trainer.partition import Example, Partition, PartitionError


@dataclass(frozen=True, slots=True)
class CopiedRow:
    """A row that was left out, the one that says the same, and how alike: all text (exact) or most words (text)."""

    row: Example
    leader: Example
    reason: str


def leave_out_copies(
    partitions: Sequence[Partition], versions: Sequence[VersionRecord], policy: ClusterPolicy | None = None
) -> tuple[tuple[Partition, ...], tuple[CopiedRow, ...]]:
    """The partitions without copies among their training rows, and the copies; raises `PartitionError`."""
    places = chain_places(versions)
    contributors = {
        record.contribution_id: record.contributor for version in versions for record in version.contributions
    }
    examples: dict[tuple[bytes, int], Example] = {}
    for partition in partitions:
        for example in partition.training:
            examples.setdefault((example.row.contribution_id, example.row.index), example)
    rows = list(examples.values())
    clusters = cluster_rows(
        [
            ClusterRow(
                place=(places[example.row.contribution_id], example.row.index),
                content=example.text.encode(),
                tokens=word_numbers(example.text),
                owner=contributors[example.row.contribution_id],
            )
            for example in rows
        ],
        policy or ClusterPolicy(),
    )
    copies = tuple([CopiedRow(rows[copy.row], rows[copy.leader], copy.reason) for copy in clusters.copies])
    out = {(copy.row.row.contribution_id, copy.row.row.index) for copy in copies}
    kept = []
    for index, partition in enumerate(partitions):
        training = [each for each in partition.training if (each.row.contribution_id, each.row.index) not in out]
        if not training:
            raise PartitionError(
                f"datasets[{index}]: all {len(partition.training)} rows are copies of rows registered before; "
                "leave this dataset out"
            )
        kept.append(replace(partition, training=tuple(training)))
    return tuple(kept), copies


def word_numbers(text: str) -> tuple[int, ...]:
    """Every word of a text in normal form as a 32-bit number."""
    return tuple([int.from_bytes(sha256(word.encode()).digest()[:4], "big") for word in words_of(text)])


def chain_places(versions: Sequence[VersionRecord]) -> dict[bytes, int]:
    """Place of every contribution in the order of the chain."""
    registered = {
        record.contribution_id: (record.registered_height, version.datanet_id, record.registered_number)
        for version in versions
        for record in version.contributions
    }
    ordered = sorted(registered, key=lambda contribution_id: (registered[contribution_id], contribution_id))
    return {contribution_id: place for place, contribution_id in enumerate(ordered)}
