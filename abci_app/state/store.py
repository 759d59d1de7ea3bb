"""The demands of the state machine on storage: views, versions and stores, as protocols.

Two implementations exist: `abci_app.state.memory_store.MemoryStore` and `node.leveldb.store.LevelDBStore`. Both use the
same trie code, so they give the same app hashes and proofs.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Final, Protocol, Self

from abci_app.state.proof import ProofTooDeep, SimpleProof
from abci_app.state.staging import StagedBlock
from abci_app.state.work import Spend, free

HISTORY_HEIGHTS = 128
Change = tuple[bytes, bytes | None]
NOTHING_KNOWN: Final[Mapping[bytes, bytes]] = MappingProxyType({})

__all__ = [
    "HISTORY_HEIGHTS",
    "NOTHING_KNOWN",
    "Change",
    "ProofTooDeep",
    "SimpleProof",
    "StagedBlock",
    "StateView",
    "Store",
    "UnknownHeight",
    "Version",
]


class UnknownHeight(LookupError):
    """A height that is not kept: pruned, rolled back or not committed yet; the text says which heights are."""


class StateView(Protocol):
    """Read access to one state."""

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        ...

    def iterate(self, start: bytes, end: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """(key, value) of start <= key < end, in key order."""
        ...


class Version(StateView, Protocol):
    """One committed height: immutable, usable from another thread while blocks go on; a context manager.

    It counts what its caller cannot see: rows of the history that it passes over, pages of the tree, leaves of a proof.
    What a view of it hands out is counted by that view (views.py).
    """

    height: int
    app_hash: bytes

    def prove(
        self,
        keys: Sequence[bytes],
        ranges: Sequence[tuple[bytes, bytes]],
        known: Mapping[bytes, bytes] = NOTHING_KNOWN,
    ) -> bytes:
        """Native proof (design 4.4) of keys (present or absent) and of whole ranges [start, end).

        `known` are values of this version that were read already.
        """
        ...

    def prove_simple(self, key: bytes) -> SimpleProof:
        """Path of an existing key for a `simple:v` operator; raises `ProofTooDeep` beyond 62 levels."""
        ...

    def path(self, key: bytes) -> tuple[bytes, list[tuple[bytes, bool]]] | None:
        """(leaf hash, siblings bottom-up with True for a left one) of an existing key, else None."""
        ...

    def neighbours(self, key: bytes) -> tuple[bytes | None, bytes | None]:
        """Nearest existing keys below and above an absent one."""
        ...

    def root_hash(self) -> bytes:
        """Root of the tree below the upper leaf."""
        ...

    def close(self) -> None:
        """Give back what keeps this version readable."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Store(StateView, Protocol):
    """The committed state. One thread writes; `version` may be called from any."""

    @property
    def height(self) -> int:
        """Height of the last commit; 0 = nothing committed."""
        ...

    @property
    def app_hash(self) -> bytes:
        """After the last commit; that of the empty tree before the first."""
        ...

    @property
    def earliest_height(self) -> int:
        """The oldest height that can still be proven."""
        ...

    def latest(self, spend: Spend = free) -> Version:
        """The last committed version; `spend` hears of the work that reading it costs."""
        ...

    def version(self, height: int, spend: Spend = free) -> Version:
        """A kept version; raises `UnknownHeight`."""
        ...

    def stage_genesis(self, initial_height: int, changes: Sequence[Change]) -> bytes:
        """Build the genesis state and return its app hash. Repeatable until the first commit.

        `height` stays 0; `get` and `iterate` read the staged genesis state; the commit of `initial_height` adopts it.
        """
        ...

    def stage(self, height: int, changes: Sequence[Change]) -> StagedBlock:
        """Compute the root after `changes` (sorted by key, None removes) on the last commit or staged genesis."""
        ...

    def commit(self, staged: StagedBlock) -> None:
        """Make a staged block durable: one synced write."""
        ...

    def rollback(self) -> None:
        """Go back by one height; raises `UnknownHeight` where that is not kept."""
        ...

    def close(self) -> None:
        """Release the storage."""
        ...
