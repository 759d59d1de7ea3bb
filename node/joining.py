"""A node that joins by state sync and was killed on the way: it begins again, as if it had not begun.

CometBFT fetches a snapshot, hands it to the application, saves its own state, and then fetches blocks. Killed between
these steps it finds its parts at different heights and does not start again by itself. Until the first block after the
snapshot is stored, nothing was signed or executed by this node, so all of it can be forgotten. What the validator's key
has signed (priv_validator_state.json) is never touched.
"""

from __future__ import annotations

import logging
import shutil

from node import cometbft
from node.agreement import heights
from node.errors import NodeError
from node.home import Home
from node.leveldb.store import LevelDBStore

_LOG = logging.getLogger("openledger.node")

COMET_DATABASES = ("blockstore.db", "state.db", "evidence.db", "tx_index.db", "cs.wal")


def joins_by_snapshot(home: Home) -> bool:
    """Whether config.toml tells CometBFT to begin with a snapshot."""
    return bool(cometbft.read_config(home).get("statesync", {}).get("enable", False))


def begin_again_where_unfinished(home: Home, store: LevelDBStore) -> None:
    """Forget a joining that was not finished. Raises NodeError where the node is not told to join again."""
    found = heights(home, store.height)
    if found.comet_blocks or not (found.application or found.comet_state):
        return
    if found.application and store.restored_height != found.application:
        return
    if not joins_by_snapshot(home):
        raise NodeError(
            f"this node has not finished joining by a snapshot ({found}), and [statesync] enable is false in "
            f"{home.comet_config_file}: set it to true again, or begin with an empty home"
        )
    _LOG.warning("joining was not finished (%s): it begins again", found)
    for name in COMET_DATABASES:
        path = home.data_folder / name
        if path.exists():
            shutil.rmtree(path)
    if found.application:
        store.forget()
