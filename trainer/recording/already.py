"""Whether a run is recorded already: by what it made, among the versions of the model that it is recorded as.

The same folder described otherwise (by the callback while it was made, by `openledger record` afterwards) is another
entry of the same run, so the files that came out decide.
"""

from trainer.ancestry import KnownEntry
from trainer.pinned import MAX_VERSIONS, ModelVersions
from trainer.run_records import RunRecord


def find_recorded(record: RunRecord, chain: ModelVersions) -> tuple[int, KnownEntry] | None:
    """The latest version of the record's model with these very files, with its entry; None for none.

    Of a model with more than `MAX_VERSIONS` versions the latest ones are looked at.
    """
    made = record.entry.kind, record.entry.artefact_digest
    for version, entry_id in list(chain.model_versions(record.model_name))[: -MAX_VERSIONS - 1 : -1]:
        known = chain.entry(entry_id.hex())
        if (known.record.kind, known.record.artefact_digest) == made:
            return version, known
    return None
