"""Events of the models module."""

from abci_app.module import Event


class ModelCreated(Event, frozen=True, gc=False):
    """A model exists."""

    model_id: bytes
    name: str


class RunsRecorded(Event, frozen=True, gc=False):
    """Runs were recorded; id of the first, how many, and how many entries were new."""

    entry_id: bytes
    count: int
    new_entries: int


class ReproductionRecorded(Event, frozen=True, gc=False):
    """A repetition was recorded."""

    entry_id: bytes
    grade: int


class EvaluationsRecorded(Event, frozen=True, gc=False):
    """Measurements were recorded; the entry of the first."""

    entry_id: bytes
    count: int


class EntrySuperseded(Event, frozen=True, gc=False):
    """An entry was superseded."""

    entry_id: bytes
    superseded_by_entry_id: bytes


class EntryClaimed(Event, frozen=True, gc=False):
    """The owner that an entry's manifest names took it over from who recorded it first."""

    entry_id: bytes
    owner: bytes
