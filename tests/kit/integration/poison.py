"""A node with a bug: `python -m tests.kit.integration.poison` runs the node with a transfer handler that raises.

    OPENLEDGER_TEST_BUG=handler     (default) a transfer of POISON_NOPEN raises wherever it is executed
    OPENLEDGER_TEST_BUG=proposer    the same, and this node puts every pending transaction into its proposals
    OPENLEDGER_TEST_BUG=finalize    a transfer of LATE_NOPEN raises in FinalizeBlock only, on this node only

Nothing of it is in the node: the handler table is changed from outside, by this program, before the node starts.
"""

from __future__ import annotations

import os
import sys

from abci_app.chain.application import Application
from abci_app.chain.registry import HANDLERS
from abci_app.module import Context
from abci_app.modules.bank import Transfer, execute_transfer
from abci_app.pb import abci_pb2 as pb
from node.run import main

VARIABLE = "OPENLEDGER_TEST_BUG"
POISON_NOPEN = 666
LATE_NOPEN = 667

_finalizing = False


def _transfer(context: Context, message: Transfer) -> None:
    if message.amount_nopen == POISON_NOPEN or (_finalizing and message.amount_nopen == LATE_NOPEN):
        raise ZeroDivisionError("a bug in a handler")
    execute_transfer(context, message)


def _prepare_everything(_application: Application, request: pb.RequestPrepareProposal) -> pb.ResponsePrepareProposal:
    return pb.ResponsePrepareProposal(txs=list(request.txs))


def _finalize_without_memory(application: Application, request: pb.RequestFinalizeBlock) -> pb.ResponseFinalizeBlock:
    """Execute anew, as a node does that never saw the proposal."""
    global _finalizing
    application.discard_uncommitted()
    _finalizing = True
    try:
        return _finalize_block(application, request)
    finally:
        _finalizing = False


_finalize_block = Application.finalize_block


def run() -> int:
    """Plant the bug, then run the node."""
    bug = os.environ.get(VARIABLE, "handler")
    module, _ = HANDLERS[Transfer]
    HANDLERS[Transfer] = (module, _transfer)
    if bug == "proposer":
        Application.prepare_proposal = _prepare_everything  # type: ignore[assignment,method-assign]
    elif bug == "finalize":
        Application.finalize_block = _finalize_without_memory  # type: ignore[assignment,method-assign]
    return main()


if __name__ == "__main__":
    sys.exit(run())
