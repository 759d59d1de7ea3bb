"""Output files of recorded entries on this machine, for explanations: where they are found."""

from pathlib import Path

from abci_app.modules.models.records import Entry
from attribution.explanation.explainer import OutputSource
from openledger.content.store import ContentStore
from trainer.ancestry import KnownEntry
from trainer.chain_records import from_entry
from trainer.workflow import artefact_folder


def output_source(store: ContentStore) -> OutputSource:
    """The base model of the wheel where it is the one that was recorded; otherwise files of the content store."""

    def folder_of(entry_id: bytes, entry: Entry) -> Path:
        folder, _ = artefact_folder(KnownEntry(entry_id, from_entry(entry)), store)
        return folder

    return folder_of
