"""Reads the heights of a stopped CometBFT from its databases: they are LevelDB's, like ours."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import plyvel

from abci_app.pb import storage_pb2
from node.home import Home

_COPY_PREFIX = "openledger-"


def comet_heights(home: Home) -> tuple[int, int]:
    """(state, blocks): the heights in CometBFT's databases, 0 for one that is empty. The node must be stopped."""
    state = storage_pb2.State.FromString(_read(home.data_folder / "state.db", b"stateKey"))
    return state.last_block_height, _blocks(home).height


def comet_base(home: Home) -> int:
    """The first block that CometBFT still has: 1 while nothing was pruned, 0 where there are none. Node stopped."""
    return _blocks(home).base


def _blocks(home: Home) -> storage_pb2.BlockStoreState:
    return storage_pb2.BlockStoreState.FromString(_read(home.data_folder / "blockstore.db", b"blockStore"))


def _read(folder: Path, key: bytes) -> bytes:
    """One value of a goleveldb database, read from a copy so that the original is not changed by opening it."""
    if not folder.is_dir():
        return b""
    for left_over in folder.parent.glob(_COPY_PREFIX + "*"):  # of a node that was killed while it read
        shutil.rmtree(left_over, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_COPY_PREFIX, dir=folder.parent) as copy:
        for path in folder.iterdir():
            if path.suffix == ".ldb":
                os.link(path, Path(copy) / path.name)  # immutable once written
            elif path.name != "LOCK":
                shutil.copyfile(path, Path(copy) / path.name)
        database = plyvel.DB(copy, paranoid_checks=True)
        try:
            return bytes(database.get(key, verify_checksums=True) or b"")
        finally:
            database.close()
