"""The last commit as the consensus connection publishes it: the only state that CheckTx and queries may read.

Ownership (ADR 22). Consensus owns the store, the candidate blocks and the uncommitted work. The mempool connection
owns the books of pending transactions. Queries own nothing. Between them stands one reference to a `CommittedState`,
which consensus replaces as a whole and nobody changes: a reader takes it once and has one commit, without a lock.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from abci_app.module import BlockContext
from abci_app.state.store import StateView


@dataclass(frozen=True, slots=True)
class CommittedState:
    """One commit; height 0 is the genesis state, or nothing at all (`next_block` None) before InitChain."""

    height: int
    # An immutable version. At height 0 the store itself: only InitChain changes it then, and it makes a new record.
    view: StateView
    # The block that CheckTx judges for: the next one, which is not earlier than the last.
    next_block: BlockContext | None
    # Header time of the last block; 0 while this process has executed none.
    last_block_seconds: int
    # What this commit changed against the one before it.
    writes: Mapping[bytes, bytes | None]
