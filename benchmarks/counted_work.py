"""Work of a transaction counted instead of timed: the same number on every machine, however busy it is.

python -m benchmarks.counted_work [--only TEXT]

While a node executes a transaction that it has not seen, every Python instruction, every call into C, every read of the
store, every byte decoded, encoded or read, and every signature and point checked is counted, each at what it takes on
the reference machine; what a block costs anyway is left out. The table has this estimate beside the weight: it is
no measurement (`benchmarks.messages` is), but it grows with the work that a handler does and with nothing else.
"""

import argparse
import gc
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

from abci_app import policy
from abci_app.chain.application import Application
from abci_app.hashing import sha256, tagged_hash
from abci_app.pb import abci_pb2 as pb
from abci_app.state import codec
from abci_app.state.memory_store import MemoryStore
from abci_app.state.overlay import Overlay
from benchmarks.load import accounts
from benchmarks.message_world import (
    GENESIS_TIME_SECONDS,
    UNIT_SECONDS,
    Case,
    World,
    forget_what_was_seen,
    transaction_of,
)
from benchmarks.messages import ALL_CASES
from benchmarks.report import print_table

# Microseconds of the reference machine: instructions of Python code, calls of built-in functions.
INSTRUCTION_US = 0.007
BUILTIN_CALL_US = 0.05
# One read of the store: LevelDB, where this program uses memory.
READ_US = 4.0
# Bytes read, hashed, decoded or encoded.
BYTE_US = 0.003
# One verification of Ed25519, and one decision whether 32 bytes are a point of the curve.
SIGNATURE_US = 40.0
POINT_US = 50.0
# A message may be estimated at this multiple of its weight. Estimates of the cases lie between 0.3 and 2.2, while
# measured factors stay below 5/3: the estimate knows instructions, not how long each takes.
LARGEST_FACTOR = 2.5
# Transactions of one block.
FEW = 5


@dataclass(slots=True)
class WorkCounts:
    """How often each kind of work was done."""

    counts: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def microseconds(self) -> float:
        """Estimate of the time that this takes."""
        cost = {
            "instructions": INSTRUCTION_US,
            "builtin calls": BUILTIN_CALL_US,
            "reads": READ_US,
            "bytes": BYTE_US,
            "signatures": SIGNATURE_US,
            "points": POINT_US,
        }
        return sum([cost[what] * count for what, count in self.counts.items()])


def _sized_arguments() -> dict[CodeType, str]:
    """Functions whose work is in C and grows with one argument: which one."""
    return {
        codec.decode.__code__: "data",
        sha256.__code__: "data",
        tagged_hash.__code__: "data",
    }


@contextmanager
def counted(work: WorkCounts) -> Iterator[None]:
    """Count everything that this thread does within."""
    sized, counts = _sized_arguments(), work.counts

    def trace(frame: FrameType, event: str, argument: object) -> Callable[..., Any] | None:
        if event == "opcode":
            counts["instructions"] += 1
        elif event == "call":
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            if (name := sized.get(frame.f_code)) is not None:
                counts["bytes"] += len(frame.f_locals[name])
        return trace

    def profile(frame: FrameType, event: str, argument: object) -> None:
        if event == "c_call":
            counts["builtin calls"] += 1

    before_trace, before_profile, collects = sys.gettrace(), sys.getprofile(), gc.isenabled()
    # What a collection takes away decides which weak references are made anew.
    gc.collect()
    gc.disable()
    sys.setprofile(profile)
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before_trace)
        sys.setprofile(before_profile)
        if collects:
            gc.enable()


class CountingStore(MemoryStore):
    """A store in memory that counts reads and rows of latest values."""

    work: WorkCounts | None = None

    def get(self, key: bytes) -> bytes | None:
        """The latest value of a key."""
        value = super().get(key)
        if self.work is not None:
            self.work.counts["reads"] += 1
            self.work.counts["bytes"] += len(value or b"")
        return value

    def iterate(self, start: bytes, end: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Rows of the latest values; opening counts like two reads, each row like one."""
        counts = self.work.counts if self.work is not None else defaultdict[str, float](float)
        counts["reads"] += 2
        for key, value in super().iterate(start, end, reverse=reverse):
            counts["reads"] += 1
            counts["bytes"] += len(value)
            yield key, value


@contextmanager
def counted_signatures(work: WorkCounts) -> Iterator[None]:
    """Count what libsodium is asked."""
    module: Any = policy
    verify, is_point = module.crypto_sign_open, module.crypto_core_ed25519_is_valid_point

    def verify_counted(*arguments: Any) -> Any:
        work.counts["signatures"] += 1
        return verify(*arguments)

    def is_point_counted(*arguments: Any) -> Any:
        work.counts["points"] += 1
        return is_point(*arguments)

    module.crypto_sign_open, module.crypto_core_ed25519_is_valid_point = verify_counted, is_point_counted
    try:
        yield
    finally:
        module.crypto_sign_open, module.crypto_core_ed25519_is_valid_point = verify, is_point


@dataclass(frozen=True, slots=True)
class Counted:
    """One case: the work that its transaction is, and what it weighs."""

    name: str
    work: WorkCounts
    weight: int

    @property
    def factor(self) -> float:
        """Estimate of the cost as a multiple of the weight."""
        return self.work.microseconds / (self.weight * UNIT_SECONDS * 1e6)


def count(case: Case) -> Counted:
    """Count what one more transaction of a case costs in a block that has one, over a state of its own."""
    store = CountingStore()
    world = World(store, senders=accounts(FEW + 1))
    world.start(0)
    senders = [world.registrar] * FEW if case.from_registrar else world.senders[1:]
    sent = [transaction_of(case, sender, place) for place, sender in enumerate(senders)]
    state = Overlay(store)
    case.prepare(state, senders, FEW)
    world.write(state)
    raws = [raw for raw, _ in sent]
    # The first time fills what a process keeps for good: decoders, tables of licences.
    _execute(store, raws, case)
    work, first = _execute(store, raws, case), _execute(store, raws[:1], case)
    each = {kind: (count - first.counts[kind]) / (FEW - 1) for kind, count in work.counts.items()}
    return Counted(case.name, WorkCounts(each), sent[0][1])


def _execute(store: CountingStore, raws: list[bytes], case: Case) -> WorkCounts:
    """Count the work of a block on a node that has seen nothing of it, which is not committed."""
    height = store.height + 1
    proposal = pb.RequestProcessProposal(height=height, txs=raws)
    decided = pb.RequestFinalizeBlock(height=height, txs=raws)
    for request in (proposal, decided):
        request.time.seconds = GENESIS_TIME_SECONDS + height
    application, work = Application(store), WorkCounts()
    forget_what_was_seen()
    store.work = work
    with counted_signatures(work), counted(work):
        accepted = application.process_proposal(proposal).status == pb.ResponseProcessProposal.ACCEPT
        response = application.finalize_block(decided)
    store.work = None
    codes = [result.code for result in response.tx_results]
    if not accepted or codes != [case.code] * len(raws):
        raise RuntimeError(f"{case.name}: accepted {accepted}, codes {codes}: {response.tx_results[0].log}")
    return work


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="cases whose name holds this text")
    arguments = parser.parse_args()
    found = [count(case) for case in ALL_CASES if arguments.only in case.name]
    kinds = ("instructions", "builtin calls", "reads", "bytes", "signatures", "points")
    rows = [
        (one.name, one.weight, *[f"{one.work.counts.get(kind, 0):,.0f}" for kind in kinds], f"{one.factor:.2f}")
        for one in found
    ]
    print_table("Counted work of one transaction against its weight", ("transaction", "weight", *kinds, "factor"), rows)


if __name__ == "__main__":
    main()
