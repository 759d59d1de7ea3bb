"""Work on a stopped node: `check` its store and what the state says, `rollback` by one height, `make_snapshot`."""

from __future__ import annotations

from abci_app.chain.invariants import violations
from abci_app.state.snapshot import SnapshotTooLarge
from abci_app.state.store import UnknownHeight
from abci_app.state.tree.pages import CorruptPage
from node import cometbft
from node.agreement import heights
from node.errors import NodeError
from node.home import Home
from node.leveldb.records import StoreDamaged
from node.run import open_store
from node.snapshots.folder import SnapshotFolder, StoredSnapshot
from node.snapshots.making import make

# One contradiction often shows in several records; the first few say where to look.
MAX_FAULTS_SHOWN = 5


def rollback(home: Home) -> int:
    """Take the last block back from application and CometBFT; it is executed again on the next start.

    The new height. First the application, then CometBFT: a crash between the two leaves the application one block
    behind, which a start repairs by itself. Never removes the block, never touches the validator's signing state.
    Raises NodeError unless application, state and blocks are at the same height of at least 2.
    """
    home.require_initialised()
    settings = home.settings()
    with home.lock():
        binary = cometbft.binary_path(settings.cometbft_binary)
        with open_store(home, settings) as store:
            found = heights(home, store.height)
            if not found.equal:
                raise NodeError(
                    f"the heights differ ({found}): start the node until it makes blocks, stop it, and try again"
                )
            if found.application < 2:
                raise NodeError(f"height {found.application} cannot be rolled back: nothing is below it")
            try:
                store.rollback()
            except UnknownHeight as error:
                raise NodeError(f"cannot roll back: {error}") from error
        cometbft.command(binary, home, "rollback")
    return found.application - 1


def check(home: Home) -> int:
    """Recompute the application's state tree and compare it with what is stored, then check what the state says by
    every module's invariants; the height that was checked (0: empty).

    Raises NodeError, saying what differs.
    """
    home.require_initialised()
    with home.lock(), open_store(home, home.settings()) as store:
        if not store.height:
            return 0
        try:
            store.check()
            faults = violations(store)
        except (CorruptPage, StoreDamaged) as error:
            raise NodeError(f"the state of height {store.height} is damaged: {error}") from error
        if faults:
            more = f"; and {len(faults) - MAX_FAULTS_SHOWN} more" if len(faults) > MAX_FAULTS_SHOWN else ""
            raise NodeError(
                f"the state of height {store.height} contradicts itself, although its tree is whole: "
                f"{'; '.join(faults[:MAX_FAULTS_SHOWN])}{more}. This is a bug: keep this home and report it"
            )
        return store.height


def make_snapshot(home: Home) -> StoredSnapshot:
    """Make a snapshot of a stopped node's last block. Raises NodeError."""
    home.require_initialised()
    settings = home.settings()
    with home.lock(), open_store(home, settings) as store:
        if not store.height:
            raise NodeError(f"{home.folder} has no block yet: there is nothing to make a snapshot of")
        folder = SnapshotFolder(home.snapshot_folder)
        folder.open()
        known = folder.at(store.height)
        if known is not None:
            return known
        try:
            with store.latest() as version:
                return make(version, folder, keep=settings.snapshots_kept)
        except (OSError, SnapshotTooLarge) as error:
            raise NodeError(f"the snapshot of height {store.height} was not made: {error}") from error
