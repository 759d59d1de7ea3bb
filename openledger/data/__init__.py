"""Rows of contributions and manifests of runs: forms that contributors, trainers and verifiers share.

import openledger.data
garden = openledger.data.load("garden@1")       # verified against the chain by the light client
for row in garden: ...
garden.to_dataset()                             # a datasets.Dataset, where that library is installed
openledger.data.loaded()                        # what this process has loaded, for those who record a run
openledger.data.add(client, signer, "garden", ["chat.jsonl", "notes/"])      # rows of files as contributions
"""

import warnings
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openledger.client.provenance import Asks
    from openledger.data.contribute.add import AddOptions as AddOptions
    from openledger.data.contribute.add import add as add
    from openledger.data.intake.reading import ReadOptions as ReadOptions
    from openledger.data.loading import LoadedVersion

_HOMES = {
    "AddOptions": "openledger.data.contribute.add",
    "ReadOptions": "openledger.data.intake.reading",
    "add": "openledger.data.contribute.add",
}

__all__ = ["AddOptions", "ReadOptions", "add", "load", "loaded"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'openledger.data' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def load(
    reference: str,
    *,
    client: "Asks | None" = None,
    content: "str | Path | None" = None,
    without_erased: bool = False,
) -> "LoadedVersion":
    """A DataNet's version by name (`garden@1`; `garden` is the latest one), verified; its rows by iterating over it.

    Without `client` one is made from the settings, as the command does; without `content` the content store is theirs.
    With `without_erased` the rows of contributions that were erased are left out, else they end the iteration with
    `ContentErased`. Raises `UsageError`, `QueryFailed`, `NotVerified`.
    """
    from openledger.content.store import ContentStore
    from openledger.data import memory
    from openledger.data.loading import LoadedVersion
    from openledger.data.reading import read_version
    from openledger.settings import load_settings

    if client is not None:
        version = read_version(client, reference)
    else:
        import openledger

        with openledger.connect() as own:
            version = read_version(own, reference)
    store = ContentStore.open(content or load_settings().content or None)
    found = LoadedVersion(version, store, without_erased)
    if found.revoked():
        said = ", ".join([each.reference for each in found.revoked()])
        warnings.warn(f"{found.reference} holds what was revoked since, not to be trained on: {said}", stacklevel=2)
    memory.remember(found)
    return found


def loaded() -> "tuple[LoadedVersion, ...]":
    """Every version that this process has loaded, in the order of first loading."""
    from openledger.data import memory

    return memory.remembered()
