"""Work on a stopped node: `check` its store and what the state says, `rollback` by one height."""

from __future__ import annotations

from dataclasses import dataclass

from abci_app.invariants import violations
from abci_app.state.pages import CorruptPage
from abci_app.state.store import UnknownHeight
from node import cometbft
from node.comet_heights import comet_heights
from node.errors import NodeError
from node.home import Home
from node.run import open_store

# One contradiction often shows in several records; the first few say where to look.
MAX_FAULTS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Heights:
    """How far each part of a stopped node is."""

    application: int
    comet_state: int
    comet_blocks: int

    def __str__(self) -> str:
        return (
            f"application {self.application}, CometBFT's state {self.comet_state}, "
            f"CometBFT's blocks {self.comet_blocks}"
        )


def rollback(home: Home) -> int:
    """Take the last block back from application and CometBFT; it is executed again on the next start.

    The new height. First the application, then CometBFT: a crash between the two leaves the application one block
    behind, which a start repairs by itself. Never removes the block, never touches the validator's signing state.
    Raises NodeError unless application, state and blocks are at the same height of at least 2.
    """
    home.require_initialised()
    settings = home.settings()
    with home.lock():
        binary = cometbft.find_binary(settings.cometbft_binary)
        with open_store(home, settings) as store:
            heights = Heights(store.height, *comet_heights(home))
            if len({heights.application, heights.comet_state, heights.comet_blocks}) != 1:
                raise NodeError(
                    f"the heights differ ({heights}): start the node until it makes blocks, stop it, and try again"
                )
            if heights.application < 2:
                raise NodeError(f"height {heights.application} cannot be rolled back: nothing is below it")
            try:
                store.rollback()
            except UnknownHeight as error:
                raise NodeError(f"cannot roll back: {error}") from error
        cometbft.command(binary, home, "rollback")
    return heights.application - 1


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
        except CorruptPage as error:
            raise NodeError(f"the state of height {store.height} is damaged: {error}") from error
        faults = violations(store)
        if faults:
            more = f"; and {len(faults) - MAX_FAULTS_SHOWN} more" if len(faults) > MAX_FAULTS_SHOWN else ""
            raise NodeError(
                f"the state of height {store.height} contradicts itself, although its tree is whole: "
                f"{'; '.join(faults[:MAX_FAULTS_SHOWN])}{more}. This is a bug: keep this home and report it"
            )
        return store.height
