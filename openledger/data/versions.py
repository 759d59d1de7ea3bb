"""The chain's records of DataNet versions and contributions, as those who fetch and check rows take them."""

from dataclasses import dataclass, replace

from abci_app.modules.datanets import Form, version_root
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
    # Its number among the DataNet's accepted contributions; 0 = not accepted.
    accepted_number: int = 0
    # How its rows are made, as its contributor says.
    form: Form = Form.OTHER


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """The chain's record of one version: its root, how far its list reached, and its contributions by ascending id."""

    datanet_id: bytes
    version: int
    root: bytes
    accepted_through: int
    contributions: tuple[ContributionRecord, ...]

    @classmethod
    def of(cls, datanet_id: bytes, version: int, contributions: tuple[ContributionRecord, ...]) -> "VersionRecord":
        """A version over these contributions, numbered in the order given, with its root computed."""
        numbered = tuple([replace(record, accepted_number=at) for at, record in enumerate(contributions, 1)])
        return cls.recorded(datanet_id, version, len(numbered), numbered)

    @classmethod
    def recorded(
        cls, datanet_id: bytes, version: int, accepted_through: int, contributions: tuple[ContributionRecord, ...]
    ) -> "VersionRecord":
        """A version of an accepted list, with the root that follows from its contributions and their numbers."""
        ordered = tuple(sorted(contributions, key=lambda record: record.contribution_id))
        return cls(datanet_id, version, root_of_records(ordered, accepted_through), accepted_through, ordered)


def root_of_records(contributions: tuple[ContributionRecord, ...], accepted_through: int) -> bytes:
    """The root that a version's contributions give, or nothing where their numbers cannot be those of such a list."""
    held = {record.accepted_number: record.contribution_id for record in contributions}
    if len(held) != len(contributions) or not all(1 <= number <= accepted_through for number in held):
        return b""
    return version_root(held, accepted_through)
