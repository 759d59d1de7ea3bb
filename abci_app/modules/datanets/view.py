"""Public reads of the DataNets: the one door through which other modules see their state."""

from abci_app.bech32 import encode_id
from abci_app.modules import licences
from abci_app.modules.datanets.records import COUNTS, DATANETS, VERSIONS, Datanet, DatanetVersion
from abci_app.modules.licences import JoinedTerms
from abci_app.state.store import StateView


def show_datanet(datanet_id: bytes) -> str:
    """A DataNet id as people read it."""
    return encode_id("oldata", datanet_id)


def name_of(view: StateView, datanet_id: bytes) -> str:
    """Name of a DataNet for texts; its id where it is unknown."""
    datanet = DATANETS.get(view, datanet_id)
    return datanet.name if datanet else show_datanet(datanet_id)


def find_datanet(view: StateView, datanet_id: bytes) -> Datanet | None:
    """The record of a DataNet, or None."""
    return DATANETS.get(view, datanet_id)


def find_version(view: StateView, datanet_id: bytes, version: int) -> DatanetVersion | None:
    """One version, or None."""
    return VERSIONS.get(view, datanet_id, version)


def is_usable(view: StateView, datanet_id: bytes, version: int) -> bool:
    """Whether a version may be trained on; decided here and nowhere else."""
    first = usable_from_version(view, datanet_id)
    return 0 < first <= version


def usable_from_version(view: StateView, datanet_id: bytes) -> int:
    """First version that may be trained on (nothing in it or in a later one was revoked); 0 for no such DataNet."""
    counts = COUNTS.get(view, datanet_id)
    return counts.usable_from_version if counts else 0


def version_terms(view: StateView, record: DatanetVersion) -> JoinedTerms:
    """Joined terms of a version."""
    return licences.joined_terms(view, record.joined_terms_id)
