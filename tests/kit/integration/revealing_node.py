"""A node that can be hostile: `python -m tests.kit.integration.revealing_node`, with $OPENLEDGER_TEST_REVEAL.

    wrong     the first transaction of its proposals is a reveal that leads nowhere
    twice     its reveal stands there twice

Nothing of it is in the node: proposals are changed from outside, by this program, before it starts.
"""

from __future__ import annotations

import os
import sys

from abci_app.chain.application import Application
from abci_app.mechanisms import beacon
from abci_app.pb import abci_pb2 as pb
from node.run import main

HOSTILE = "OPENLEDGER_TEST_REVEAL"
_prepare_proposal = Application.prepare_proposal


def _prepare_hostile(application: Application, request: pb.RequestPrepareProposal) -> pb.ResponsePrepareProposal:
    chosen = list(_prepare_proposal(application, request).txs)
    own = [raw for raw in chosen if beacon.is_reveal(raw)]
    others = [raw for raw in chosen if not beacon.is_reveal(raw)]
    own = [beacon.reveal_transaction(bytes(32))] if os.environ[HOSTILE] == "wrong" else own * 2
    return pb.ResponsePrepareProposal(txs=[*own, *others])


def run() -> int:
    """Change proposals where that is asked for, then run the node."""
    if os.environ.get(HOSTILE):
        Application.prepare_proposal = _prepare_hostile  # type: ignore[assignment,method-assign]
    return main()


if __name__ == "__main__":
    sys.exit(run())
