"""Names that people give to objects: each module keeps a table from H(name) to the object's id."""

from abci_app.state.codec import Record
from abci_app.types import Bytes32


class NameOwner(Record, frozen=True, array_like=True, tag=1, gc=False):
    """The object that a name stands for."""

    object_id: Bytes32
