"""Outputs of recorded runs: fetched from the content store and checked against what the entry records."""

from pathlib import Path

from openledger.content.artefact import Artefact, describe_artefact, get_artefact, model_signing_root
from openledger.content.files import cache_home
from openledger.content.store import ContentStore
from openledger.data.manifest import files_of, get_manifest
from openledger.errors import NotVerified


def fetch_output(
    store: ContentStore, *, entry_id: bytes, manifest_root: bytes, artefact_digest: bytes, tensor_digest: bytes
) -> tuple[Path, Artefact]:
    """A folder with the entry's output files, each checked. Raises `NotVerified` where they are not those recorded."""
    files = files_of(get_manifest(store, manifest_root))
    shown = f"{entry_id.hex()[:16]}…"
    if model_signing_root(files) != artefact_digest:
        raise NotVerified(f"the manifest of entry {shown} lists other files than the entry records")
    folder = cache_home() / "artefacts" / artefact_digest.hex()
    get_artefact(store, files, folder)
    artefact = describe_artefact(folder)
    if (artefact.artefact_digest, artefact.tensor_digest) != (artefact_digest, tensor_digest):
        raise NotVerified(f"files fetched for entry {shown} do not have its digests; empty {folder}")
    return folder, artefact
