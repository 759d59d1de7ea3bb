"""Recipes as they are recorded: ids in place of names, as they stand when the run begins; and runs found again.

A name may stand for something else tomorrow: `adapter: gardener` is whichever version is the latest. What is recorded
names entries and DataNets by id, so that a repetition trains from what the run trained from.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from abci_app.bech32 import encode_id
from openledger.content.store import ContentError, ContentStore
from openledger.data.manifest import ManifestError, get_manifest
from openledger.data.versions import VersionRecord
from trainer.ancestry import KnownEntry
from trainer.recipe import Recipe

# Of a model with more versions, runs before these are not looked for.
MAX_VERSIONS = 64


class ModelVersions(Protocol):
    """Where versions of models are looked up; `trainer.publish.ClientLedger` fulfils it."""

    def model_versions(self, name: str) -> Sequence[tuple[int, bytes]]:
        """Versions of a model with the ids of their entries, oldest first; none where there is no such model."""

    def entry(self, reference: str) -> KnownEntry:
        """One provenance entry by id."""


def pinned(recipe: Recipe, versions: Sequence[VersionRecord], base: KnownEntry, adapter: KnownEntry | None) -> Recipe:
    """The recipe with ids for names; `versions` stand in the order of its datasets."""
    replace = msgspec.structs.replace
    model = replace(
        recipe.model,
        base=encode_id("olrun", base.entry_id),
        adapter=encode_id("olrun", adapter.entry_id) if adapter else "",
    )
    datasets = [
        replace(dataset, datanet=encode_id("oldata", version.datanet_id), version=version.version)
        for dataset, version in zip(recipe.datasets, versions, strict=True)
    ]
    return replace(recipe, model=model, datasets=datasets)


def find_earlier_run(recipe: Recipe, chain: ModelVersions, store: ContentStore) -> tuple[int, bytes] | None:
    """The latest version of the recipe's model that this very recipe made, with its entry's id; None for none.

    `recipe` is pinned. Entries whose manifests the store has not got are passed over: they may be of it, too.
    """
    canonical = recipe.canonical()
    for version, entry_id in list(chain.model_versions(recipe.output.model))[: -MAX_VERSIONS - 1 : -1]:
        known = chain.entry(entry_id.hex())
        try:
            parts = get_manifest(store, known.record.manifest_root).parts
        except (ContentError, ManifestError):
            continue
        if parts.get("recipe") == canonical:
            return version, entry_id
    return None
