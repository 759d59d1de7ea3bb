"""A node that differs from a real one in what $OPENLEDGER_TEST_ALTERED names; run with `python -m`, as devnets do.

small_chunks: snapshots of a few hundred bytes a chunk · liar: every chunk that is served has a wrong byte, and its
snapshots are told a second after those of others, so that it is never the only one that tells of one ·
quick_pruning: seconds and single heights where a real node takes days and hundreds
"""

from __future__ import annotations

import os
import sys
import time
from types import SimpleNamespace
from typing import Any

from node import home, run
from node.snapshots import block_keeping, making
from node.snapshots.folder import StoredSnapshot

VARIABLE = "OPENLEDGER_TEST_ALTERED"
MODULE = "tests.kit.node.altered_node"
SMALL_CHUNK_BYTES = 400
KEPT_BLOCKS = 10


def alter(names: str) -> None:
    """Change this process."""
    if "small_chunks" in names:
        defaults: Any = making.make.__kwdefaults__
        defaults["chunk_bytes"] = SMALL_CHUNK_BYTES
    if "liar" in names:
        true = StoredSnapshot.chunk

        def lie(self: StoredSnapshot, index: int) -> bytes:
            data = true(self, index)
            return data[:-1] + bytes([data[-1] ^ 1]) if data else data

        StoredSnapshot.chunk = lie  # type: ignore[method-assign]
        run_maker = making.SnapshotMaker._run

        def later(self: making.SnapshotMaker, version: Any) -> None:
            time.sleep(1.0)
            run_maker(self, version)

        making.SnapshotMaker._run = later  # type: ignore[method-assign]
    if "quick_pruning" in names:
        for module, name, value in (
            (home, "MIN_KEEP_BLOCKS", KEPT_BLOCKS),
            (block_keeping, "_STEP_HEIGHTS", 1),
            (run, "TrustRules", lambda: SimpleNamespace(trusting_period_seconds=1)),
        ):
            setattr(module, name, value)


if __name__ == "__main__":
    alter(os.environ[VARIABLE])
    sys.exit(run.main())
