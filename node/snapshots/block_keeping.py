"""Says from which height on a node still needs its blocks; everything below may be pruned by CometBFT.

A block is needed while any of these holds:
- it is among the newest `keep_blocks` (the operator's setting; 0, the default: every block is kept for ever),
- evidence of misbehaviour at its height may still come: CometBFT drops evidence only when it is older than both
  `max_age_num_blocks` and `max_age_duration` of the genesis document,
- a light client may still begin at it: the trusting period (ADR 20),
- it lies above a kept snapshot, so who joins by that snapshot fetches it; a node without snapshots keeps all blocks.

Heights become times by a small file, one row for each `_STEP_HEIGHTS` heights: what is not in it is not pruned. How far
a commit goes is bounded, so that switching pruning on does not stop a node that has millions of blocks.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Final

_LOG = logging.getLogger("openledger.snapshots")

_ROW = Struct(">QQ")
_STEP_HEIGHTS: Final = 100
# CometBFT deletes about a thousand blocks in 50 ms.
PRUNED_AT_ONCE: Final = 100
_MAX_ROWS: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockNeeds:
    """The reasons for which blocks are kept."""

    keep_blocks: int
    evidence_blocks: int
    evidence_seconds: int
    trusting_seconds: int

    def first_needed(self, height: int, seconds: int, oldest_snapshot: int, times: BlockTimes) -> int:
        """The first height that is needed after a commit of `height` at `seconds`; 0: all of them."""
        if not self.keep_blocks or not oldest_snapshot:
            return 0
        old = times.last_before(seconds - max(self.evidence_seconds, self.trusting_seconds))
        return max(min(height - self.keep_blocks + 1, height - self.evidence_blocks, oldest_snapshot, old), 0)


class BlockTimes:
    """(height, header seconds) of every hundredth block, in a file that may be lost at the price of keeping more."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[tuple[int, int]] = []

    def open(self) -> None:
        """Read the file; a torn end is left out."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return
        rows = [*_ROW.iter_unpack(data[: len(data) // _ROW.size * _ROW.size])]
        self._rows = [row for row, before in zip(rows, [(0, 0), *rows], strict=False) if row > before][-_MAX_ROWS:]
        if len(data) != len(self._rows) * _ROW.size:
            self._path.write_bytes(b"".join([_ROW.pack(*row) for row in self._rows]))

    def note(self, height: int, seconds: int) -> None:
        """Hear of a block."""
        last = self._rows[-1] if self._rows else (0, 0)
        if height % _STEP_HEIGHTS or height <= last[0] or seconds < last[1]:
            return
        self._rows.append((height, seconds))
        with self._path.open("ab") as file:
            file.write(_ROW.pack(height, seconds))

    def last_before(self, seconds: int) -> int:
        """The highest noted height whose block is at most as new as that; 0 where none is known."""
        low, high = 0, len(self._rows)
        while low < high:
            middle = (low + high) // 2
            if self._rows[middle][1] <= seconds:
                low = middle + 1
            else:
                high = middle
        return self._rows[low - 1][0] if low else 0


class BlockKeeping:
    """Finds what Commit answers as retain_height."""

    def __init__(self, needs: BlockNeeds, times: BlockTimes, base: int) -> None:
        self._needs = needs
        self._times = times
        # CometBFT's first block; everything below is gone.
        self._base = base

    def retain_height(self, height: int, seconds: int, oldest_snapshot: int) -> int:
        """The first height to keep after this commit, 0: nothing is pruned."""
        self._times.note(height, seconds)
        self._base = self._base or height  # a new node, or one that has just joined
        needed = self._needs.first_needed(height, seconds, oldest_snapshot, self._times)
        retain = min(needed, self._base + PRUNED_AT_ONCE)
        if retain <= self._base:
            return 0
        self._base = retain
        return retain
