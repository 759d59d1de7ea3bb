"""A model in memory: which base it was loaded from, compared with the one that its owner names."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from abci_app.modules.models.kinds import BASE
from openledger.errors import UsageError
from trainer.ancestry import ChainEntries
from trainer.outside import cached_snapshots, describe_folder
from trainer.run_records import ParentRecord


def compare_base_in_memory(model: Any, parents: Sequence[ParentRecord], ledger: ChainEntries) -> str:
    """Compare by digest of tensors; a remark in one line where the model's files are not at hand, else empty.

    Raises `UsageError` when the model was loaded from other weights than those of its base on the chain.
    """
    bases = [ledger.entry(parent.entry_id.hex()) for parent in parents if parent.role == BASE]
    name = loaded_from(model)
    found = list(_digests(name))
    if not bases or not found:
        return f"the base is not compared with the model in memory: the files of {name or 'the model'} are not at hand"
    if not {digest for _, digest in found} & {known.record.tensor_digest for known in bases}:
        place, digest = found[0]
        raise UsageError(
            f"the model in memory was loaded from {place} (tensors {digest.hex()[:16]}…), which is not the base "
            f"that is named (tensors {bases[0].record.tensor_digest.hex()[:16]}…): name its base, or record "
            "it first with `openledger model add`"
        )
    return ""


def loaded_from(model: Any) -> str:
    """Folder or name in a hub that a model's weights came from; empty for one that was made from random numbers."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return str(getattr(getattr(inner, "config", None), "_name_or_path", "") or "")


def _digests(name: str) -> Iterator[tuple[Path, bytes]]:
    """Folders that the name may stand for on this machine, with the digests of their tensors."""
    for place in (Path(name), *cached_snapshots(name, "")) if name else ():
        if place.is_dir():
            try:
                yield place, describe_folder(place).tensor_digest
            except UsageError:
                # Some other thing lies there, so nothing is known about the model.
                continue
