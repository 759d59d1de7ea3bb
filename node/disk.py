"""How much room the disk has, and the bounds at which a node pauses and goes on."""

from __future__ import annotations

import os
from pathlib import Path

# A node pauses in order below this, before its databases meet the end of the disk: one flush of LevelDB's buffer.
PAUSE_BELOW_BYTES = 48 * 1024 * 1024
# It goes on above this, so that it does not pause again at once.
RESUME_ABOVE_BYTES = 96 * 1024 * 1024


def free_bytes(folder: Path) -> int:
    """Number of bytes that may still be written where `folder` lies; a folder that cannot be asked counts as full."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize


def full_in_words(folder: Path) -> str:
    """The line for an operator."""
    return (
        f"the disk is full: {free_bytes(folder) // 2**20} MiB are left in {folder}; "
        f"a running node goes on by itself when {RESUME_ABOVE_BYTES // 2**20} MiB are free"
    )


def sync_folder(folder: Path) -> None:
    """Make renames, new and removed files of a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def size_of_files(folder: Path) -> int:
    """Bytes of all files below a folder; one that goes away meanwhile counts nothing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total
