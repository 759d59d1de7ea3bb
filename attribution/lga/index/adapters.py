"""Adapters at the checkpoints of an index: stored beside its files, because queries need them."""

from pathlib import Path

from attribution.lga.index.reader import GradientIndex

ADAPTERS_FOLDER = "adapters"


def adapters_of(index: GradientIndex) -> tuple[list[Path], list[bytes]]:
    """Folder and committed tensor digest of the adapter at every checkpoint of an index; the folders are unchecked."""
    numbers = range(index.parameters.checkpoints)
    folders = [adapter_folder(index.folder, number) for number in numbers]
    return folders, [index.commitment.checkpoint(number) for number in numbers]


def adapter_folder(index_folder: Path, number: int) -> Path:
    """Where an index keeps the adapter of a checkpoint."""
    return index_folder / ADAPTERS_FOLDER / f"{number:04}"
