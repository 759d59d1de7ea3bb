"""The chain's records of DataNet versions and contributions, as those who fetch and check rows take them."""

from dataclasses import dataclass

from abci_app.hashing import list_root
from openledger.data.rows import RowCommitment


@dataclass(frozen=True, slots=True)
class ContributionRecord:
    """The chain's record of one contribution."""

    contribution_id: bytes
    contributor: bytes
    commitment: RowCommitment
    # When it was registered: height of its block and its number among the DataNet's submissions.
    registered_height: int = 0
    registered_number: int = 0
    datanet_id: bytes = b""


@dataclass(frozen=True, slots=True)
class DatanetVersion:
    """The chain's record of one version: root over its contribution ids, ascending, and their records."""

    datanet_id: bytes
    version: int
    root: bytes
    contributions: tuple[ContributionRecord, ...]

    @classmethod
    def of(cls, datanet_id: bytes, version: int, contributions: tuple[ContributionRecord, ...]) -> "DatanetVersion":
        """A version over these contributions, with its root computed."""
        ordered = tuple(sorted(contributions, key=lambda record: record.contribution_id))
        return cls(datanet_id, version, version_root(ordered), ordered)


def version_root(contributions: tuple[ContributionRecord, ...]) -> bytes:
    """Root over the ids of a version's contributions, ascending."""
    return list_root("contributions", [record.contribution_id for record in contributions])
