"""A recorded chain, and everything that an execution of it shows: each byte that consensus or a client may see.

As a program: `python -m tests.determinism.history FILE memory|leveldb:FOLDER` prints the trace, one line an item.
"""

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec

from abci_app.chain.application import Application
from abci_app.pb import abci_pb2 as pb
from abci_app.state.memory_store import MemoryStore
from abci_app.state.store import Store
from tests.kit.chain import END_OF_KEYS, Chain

# Every so many blocks queries are asked; they are the same ones each time.
ASK_EVERY_BLOCKS = 15


class History(msgspec.Struct, frozen=True):
    """InitChain's request, the transactions of each block, queries."""

    init: bytes
    blocks: list[list[bytes]]
    queries: list[bytes]

    def save(self, path: Path) -> None:
        """Write the file that the program reads."""
        path.write_bytes(msgspec.msgpack.encode(self))

    @classmethod
    def load(cls, path: Path) -> "History":
        """Read it."""
        return msgspec.msgpack.decode(path.read_bytes(), type=cls)


@dataclass(frozen=True, slots=True)
class Way:
    """How a node comes to a block's result. None of it may show in the result."""

    # CheckTx and PrepareProposal before, so that caches are warm.
    warm: bool = False
    # ProcessProposal of the block, and of half of it as the proposal of a round that failed.
    rounds: bool = False
    # A new process every so many blocks (0 = never).
    restart_every: int = 0
    # FinalizeBlock twice, as after a crash before Commit.
    twice: bool = False


PLAIN = Way()


def digest(data: bytes) -> str:
    """Short enough to read in a difference."""
    return hashlib.sha256(data).hexdigest()[:24]


def execute(history: History, store: Store, way: Way = PLAIN) -> list[str]:
    """One line a block with app hash and all result and event bytes, one a query, and one for the whole state."""
    init = pb.RequestInitChain.FromString(history.init)
    application = Application(store)
    trace = [f"genesis {application.init_chain(init).app_hash.hex()}"]
    chain = Chain(application, init)
    for number, transactions in enumerate(history.blocks, 1):
        if way.restart_every and number % way.restart_every == 0 and number > 1:
            chain.application = Application(store)
        trace.append(_block(chain, transactions, way))
        if number % ASK_EVERY_BLOCKS == 0:
            trace += _answers(chain, history.queries)
    state = b"".join([key + b"\x00" + value + b"\x00" for key, value in store.iterate(b"\x00", END_OF_KEYS)])
    return [*trace, f"state {digest(state)} {store.app_hash.hex()}"]


def _block(chain: Chain, transactions: list[bytes], way: Way) -> str:
    if way.warm:
        for raw in transactions:
            chain.check(raw)
        chain.propose(*transactions)
    if way.rounds:
        chain.accepts(*transactions[: len(transactions) // 2])
        chain.accepts(*transactions)
    response = chain.finalize(*transactions)
    if way.twice:
        chain.application.discard_uncommitted()
        assert chain.finalize(*transactions) == response
    chain.application.commit(pb.RequestCommit())
    results = [digest(result.SerializeToString(deterministic=True)) for result in response.tx_results]
    codes = [result.code for result in response.tx_results]
    rest = pb.ResponseFinalizeBlock(
        events=response.events,
        validator_updates=response.validator_updates,
        consensus_param_updates=response.consensus_param_updates,
    )
    return f"block {chain.height} {response.app_hash.hex()} {codes} {results} {digest(rest.SerializeToString())}"


def _answers(chain: Chain, queries: list[bytes]) -> list[str]:
    lines = []
    for encoded in queries:
        for prove in (False, True):
            request = pb.RequestQuery.FromString(encoded)
            request.prove = prove
            answer = chain.application.query(request)
            shown = digest(answer.SerializeToString(deterministic=True))
            lines.append(f"query {chain.height} {request.path} prove={prove} code={answer.code} {shown}")
    return lines


def main(path: str, kind: str) -> None:
    """Print the trace."""
    history = History.load(Path(path))
    if kind == "memory":
        print("\n".join(execute(history, MemoryStore())))
        return
    from node.leveldb.store import LevelDBStore

    with LevelDBStore.open(Path(kind.removeprefix("leveldb:"))) as store:
        print("\n".join(execute(history, store)))


if __name__ == "__main__":
    main(*sys.argv[1:])
