"""A node whose chain knows who reveals: `python -m tests.kit.integration.revealing_node`.

$OPENLEDGER_TEST_REVEALERS names a file of JSON, {consensus address: [owner, onion]}, all in hex, the same for all nodes
of a chain. Block 1 sets the onions. $OPENLEDGER_TEST_REVEAL makes this node's proposals hostile:

    wrong     the first transaction is a reveal that leads nowhere
    twice     its reveal stands there twice

Nothing of it is in the node: modules and proposals are changed from outside, by this program, before it starts.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

from abci_app.chain import block as block_module
from abci_app.chain.application import Application
from abci_app.chain.registry import MODULES
from abci_app.mechanisms import beacon
from abci_app.module import Module, Revealers
from abci_app.pb import abci_pb2 as pb
from node.run import main
from tests.kit.revealing import BONDS, TAKEN, Bond, RevealersCode, RevealersModule, bond_of

REVEALERS, HOSTILE = "OPENLEDGER_TEST_REVEALERS", "OPENLEDGER_TEST_REVEAL"
_prepare_proposal = Application.prepare_proposal


def _plant(known: dict[str, list[str]]) -> None:
    """Let blocks know the module."""
    owners = {bytes.fromhex(address): bytes.fromhex(owner) for address, (owner, _) in known.items()}
    module = RevealersModule(owners)

    def set_up(state: object, context: object) -> None:
        for owner, onion in known.values():
            beacon.set_onion(state, context.block, bytes.fromhex(owner), bytes.fromhex(onion))  # type: ignore[arg-type,attr-defined]
            BONDS.set(state, bytes.fromhex(owner), Bond(10**14, 0))  # type: ignore[arg-type]

    module.at(1, set_up)
    planted = Module(
        name="revealers",
        tables=(BONDS, TAKEN),
        errors=RevealersCode,
        begin_block=module.begin,
        revealers=Revealers(
            owner_of=lambda view, address: owners.get(address),
            bond_nopen=lambda view, owner: bond_of(view, owner).bond_nopen,
            fine=module.fine,
        ),
    )
    block_module.MODULES = (*[replace(each, revealers=None) for each in MODULES], planted)  # type: ignore[attr-defined]


def _prepare_hostile(application: Application, request: pb.RequestPrepareProposal) -> pb.ResponsePrepareProposal:
    chosen = list(_prepare_proposal(application, request).txs)
    own = [raw for raw in chosen if beacon.is_reveal(raw)]
    others = [raw for raw in chosen if not beacon.is_reveal(raw)]
    own = [beacon.reveal_transaction(bytes(32))] if os.environ[HOSTILE] == "wrong" else own * 2
    return pb.ResponsePrepareProposal(txs=[*own, *others])


def run() -> int:
    """Plant the module, then run the node."""
    _plant(json.loads(Path(os.environ[REVEALERS]).read_text()))
    if os.environ.get(HOSTILE):
        Application.prepare_proposal = _prepare_hostile  # type: ignore[assignment,method-assign]
    return main()


if __name__ == "__main__":
    sys.exit(run())
