"""Whether the parts of a stopped home belong together: genesis document, application's state, CometBFT's databases.

CometBFT's handshake repairs an application that is behind (cometbft.md 3.2) and panics over one that is ahead or of
another chain. Those are found here, before anything starts, and said in words.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import plyvel
from google.protobuf.message import DecodeError

from abci_app.parameters import CHAIN
from abci_app.state.store import StateView
from abci_app.versions import UnknownVersion, app_version_at
from node import genesis
from node.comet_heights import comet_base, comet_heights
from node.errors import NodeError
from node.home import Home

_LOG = logging.getLogger("openledger.node")


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

    @property
    def equal(self) -> bool:
        """Whether nothing is left to replay."""
        return self.application == self.comet_state == self.comet_blocks


def heights(home: Home, application_height: int) -> Heights:
    """The heights of a stopped node. Raises NodeError when CometBFT's databases cannot be read."""
    try:
        return Heights(application_height, *comet_heights(home))
    except (plyvel.Error, OSError, DecodeError) as error:
        raise NodeError(
            f"CometBFT's databases in {home.data_folder} cannot be read: {error}; restore a backup of that folder"
        ) from error


def _require_known_version(home: Home, state: StateView, application_height: int) -> None:
    """Raises NodeError for a state whose rules this program does not know."""
    if application_height and CHAIN.get(state) is None:
        raise NodeError(
            f"{home.store_folder} holds a state of version 1 of the rules, which was never released and is not read "
            "any more: start a new chain in a new home with `openledger node init`"
        )
    try:
        app_version_at(state, application_height + 1)
    except UnknownVersion as error:
        raise NodeError(f"{home.store_folder}: {error}") from error


def require_agreement(home: Home, state: StateView, application_height: int) -> Heights:
    """Raises NodeError for what no replay repairs: another chain's state, or an application ahead of the blocks."""
    chain, named = CHAIN.get(state), genesis.chain_id(home.genesis_file)
    _require_known_version(home, state, application_height)
    if chain is not None and chain.chain_id != named:
        raise NodeError(
            f"{home.store_folder} holds the state of chain {chain.chain_id}, {home.genesis_file} is for chain "
            f"{named}: put that chain's document back, or give another --home"
        )
    found = heights(home, application_height)
    if found.application > found.comet_blocks:
        raise NodeError(
            f"the application is ahead of the blocks ({found}), so they are not of one backup: restore all of "
            f"{home.data_folder} from one, or delete {home.store_folder} to execute all blocks again"
            + ("" if found.comet_blocks else ", which are then fetched from the peers")
        )
    base = comet_base(home)
    if base > 1 and found.application < base - 1:
        raise NodeError(
            f"the application is at height {found.application} and CometBFT has no blocks below {base} to execute "
            "again: restore a backup (`openledger node restore`), or join anew with `openledger node init --state-sync`"
        )
    if found.application < found.comet_blocks:
        first, last = found.application + 1, found.comet_blocks
        _LOG.info("executed again: %s", f"block {last}" if first == last else f"blocks {first} to {last}")
    return found
