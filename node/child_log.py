"""Takes up what CometBFT says: into a log file of bounded size, and into memory what says why it ended.

The output comes through a pipe, so that a full disk neither hides a panic nor keeps CometBFT from going on: lines that
cannot be written are lost, and everything else goes on.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import BinaryIO

# One older file is kept beside the current one; each at most this large.
MAX_LOG_BYTES = 64 * 1024 * 1024
# A line is cut in memory: a transaction in a message may take megabytes.
_LINE_BYTES = 2_000
_FULL = re.compile(r"no space left on device|disk quota exceeded|file too large", re.IGNORECASE)
# How CometBFT v0.38 says that its consensus has ended while the process lives on.
_CONSENSUS_ENDED = "CONSENSUS FAILURE!!!"
# CometBFT appends its stack to that line; it stands in the log, not in what an operator is told.
_STACK = ' stack="'
_REASONS = ("ERROR:", "Error reading", "panic:", "fatal error:", "* ", "Error:")


def is_disk_full(text: str) -> bool:
    """Whether an error's text says that nothing more can be written where it happened."""
    return _FULL.search(text) is not None


class ChildLog:
    """The log of one child; one thread feeds it, any thread reads its fields."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._size_bytes = 0
        self.forget()

    def forget(self) -> None:
        """Begin a new run: nothing is known of why it ends."""
        self.last_line = "nothing"
        self.reason = ""
        self.consensus_failure = ""
        self.disk_full = False

    def feed(self, line: bytes) -> None:
        """Take one line up. Never raises for a file that cannot be written."""
        text = line[:_LINE_BYTES].decode(errors="replace").strip()
        if text:
            self.last_line = text
            if text.startswith(_REASONS):
                self.reason = text
            if _CONSENSUS_ENDED in text and not self.consensus_failure:
                self.consensus_failure = text.partition(_STACK)[0].strip()
            self.disk_full = self.disk_full or is_disk_full(text)
        try:
            self._write(line)
        except OSError as error:
            self.disk_full = self.disk_full or is_disk_full(str(error))
            self.close()

    def close(self) -> None:
        """Let go of the file; the next line opens it again."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # what was not written is lost, as its lines were
                self._file.close()
            self._file = None

    def _write(self, line: bytes) -> None:
        if self._file is None:
            self._file = self._path.open("ab", buffering=0)
            self._size_bytes = self._file.tell()
        if self._size_bytes > MAX_LOG_BYTES:
            self.close()
            self._path.replace(self._path.with_suffix(".old.log"))
            self._file = self._path.open("ab", buffering=0)
            self._size_bytes = 0
        self._file.write(line)
        self._size_bytes += len(line)
