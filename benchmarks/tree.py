"""The state tree on LevelDB: cost of a block per changed key, of proofs, memory and disk, at any number of keys.

python -m benchmarks.tree --keys 1000000 --batch 4000

Keys are an account table's: 8 bytes of prefix and 32 random bytes; values have 60 bytes. The state is built by a
process of its own, so memory is that of one which opened it and then worked; what LevelDB maps of its own files is
shown apart, since the system takes it back when it needs to. `update` is the tree in memory, `write` the one synced
batch; both per changed key, over blocks. Blocks right after opening find an empty cache: they are reported apart.
"""

import argparse
import multiprocessing
import os
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from abci_app.hashing import sha256
from abci_app.state.proof import verify, verify_simple
from abci_app.state.store import Change
from benchmarks.report import anonymous_mib, print_table, resident_mib, spread
from node.leveldb.memory import StoreMemory
from node.leveldb.store import LevelDBStore
from node.run import calm_collector

KEY_PREFIX = b"account/"
VALUE_BYTES = 60
MICROSECONDS = 1_000_000
# Blocks until a cache of any size has seen what it will keep of the top of the tree.
WARM_UP_BLOCKS = 15
PROOFS = 300
RANGE_KEYS = 1_000


def _key(number: int) -> bytes:
    return KEY_PREFIX + sha256(b"tree benchmark %d" % number)


def _build(folder: str, keys: int) -> None:
    """The state at height 1."""
    generator = random.Random(1)
    rows = sorted([(_key(number), generator.randbytes(VALUE_BYTES)) for number in range(keys)])
    with LevelDBStore.open(Path(folder)) as store:
        store.stage_genesis(1, rows)
        store.commit(store.stage(1, []))


@dataclass(slots=True)
class Costs:
    """Microseconds per changed key, one number a block."""

    update: list[float] = field(default_factory=list)
    write: list[float] = field(default_factory=list)
    # Processor time of both: the figure to compare when other programs share the machine.
    processor: list[float] = field(default_factory=list)

    @property
    def both(self) -> list[float]:
        """Update and write of each block."""
        return [update + write for update, write in zip(self.update, self.write, strict=True)]

    def row(self, title: str) -> list[str]:
        """For the table."""
        columns = (self.both, self.update, self.write, self.processor)
        return [title, str(len(self.update)), *[spread(column, 1) for column in columns]]


class Workload:
    """Blocks of changed keys: existing ones, or half of them existing, a quarter new, a quarter removed."""

    def __init__(self, keys: int, batch: int) -> None:
        self._random = random.Random(2)
        self._live = list(range(keys))
        self._next = keys
        self._batch = batch

    def updates(self) -> list[Change]:
        """New values of existing keys."""
        chosen = self._random.sample(range(len(self._live)), self._batch)
        return sorted([(_key(self._live[place]), self._random.randbytes(VALUE_BYTES)) for place in chosen])

    def mixed(self) -> list[Change]:
        """Changes, insertions and removals; as many keys afterwards as before."""
        places = self._random.sample(range(len(self._live)), 3 * self._batch // 4)
        quarter = self._batch // 4
        changes: list[Change] = []
        for place in places[:quarter]:
            changes.append((_key(self._live[place]), None))
            self._live[place] = self._next
            changes.append((_key(self._next), self._random.randbytes(VALUE_BYTES)))
            self._next += 1
        changes += [(_key(self._live[place]), self._random.randbytes(VALUE_BYTES)) for place in places[quarter:]]
        return sorted(changes)

    def existing(self, count: int) -> list[bytes]:
        """Keys that exist."""
        return [_key(self._live[place]) for place in self._random.sample(range(len(self._live)), count)]


def _blocks(store: LevelDBStore, number: int, changes_of: Callable[[], Sequence[Change]]) -> Costs:
    costs = Costs()
    for _ in range(number):
        changes = changes_of()
        processor = time.thread_time()
        started = time.perf_counter()
        staged = store.stage(store.height + 1, changes)
        updated = time.perf_counter()
        store.commit(staged)
        written = time.perf_counter()
        costs.processor.append((time.thread_time() - processor) * MICROSECONDS / len(changes))
        costs.update.append((updated - started) * MICROSECONDS / len(changes))
        costs.write.append((written - updated) * MICROSECONDS / len(changes))
    return costs


def _proof_rows(store: LevelDBStore, workload: Workload) -> list[list[str]]:
    """Proofs at the last height but one, which is the one that queries are answered from."""
    version = store.version(store.height - 1)
    kinds: dict[str, tuple[list[float], list[float], list[float]]] = {}

    def note(kind: str, made: float, checked: float, size_bytes: int) -> None:
        for column, value in zip(
            kinds.setdefault(kind, ([], [], [])), (made * MICROSECONDS, checked * MICROSECONDS, size_bytes), strict=True
        ):
            column.append(value)

    for key in workload.existing(PROOFS):
        started = time.perf_counter()
        simple = version.prove_simple(key)
        made = time.perf_counter()
        value = version.get(key)
        if value is None:
            raise RuntimeError(f"key {key.hex()} is missing")
        begun = time.perf_counter()
        verify_simple(simple, key, value, version.app_hash)
        note("simple:v", made - started, time.perf_counter() - begun, 32 * len(simple.aunts))
        far = b"%s%s" % (key[:20], b"\xff" * 20)
        end = b"%s%s" % (key[:8], min(int.from_bytes(key[8:11], "big") + 2, 2**24 - 1).to_bytes(3, "big"))
        requests: dict[str, tuple[list[bytes], list[tuple[bytes, bytes]]]] = {
            "one key": ([key], []),
            "absent key": ([far], []),
            "one key and a short range": ([key], [(key, end)]),
        }
        for kind, (keys, ranges) in requests.items():
            started = time.perf_counter()
            proof = version.prove(keys, ranges)
            made = time.perf_counter()
            verify(proof, version.app_hash)
            note(kind, made - started, time.perf_counter() - made, len(proof))
    for key in workload.existing(PROOFS // 20):
        rows = [row for row, _ in zip(version.iterate(key, b"account0"), range(RANGE_KEYS), strict=False)]
        started = time.perf_counter()
        proof = version.prove([], [(rows[0][0], rows[-1][0])])
        made = time.perf_counter()
        verify(proof, version.app_hash)
        note(f"range of {RANGE_KEYS:,} keys", made - started, time.perf_counter() - made, len(proof))
    return [[kind, spread(made), spread(checked), spread(sizes)] for kind, (made, checked, sizes) in kinds.items()]


def _disk_mib(folder: Path) -> float:
    return sum([path.stat().st_size for path in folder.iterdir()]) / 2**20


def main() -> None:
    """Run and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=4_000, help="changed keys a block")
    parser.add_argument("--blocks", type=int, default=40, help="measured blocks of each kind")
    parser.add_argument("--cache-mib", type=int, default=192, help="page cache; LevelDB's own memory is 96 MiB at most")
    parser.add_argument("--folder", type=Path, default=None, help="where the store is built (default: temporary)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="openledger-benchmark-", dir=options.folder) as name:
        folder = Path(name) / "state"
        started = time.perf_counter()
        builder = multiprocessing.get_context("spawn").Process(target=_build, args=(str(folder), options.keys))
        builder.start()
        builder.join()
        if builder.exitcode:
            raise SystemExit("the state could not be built; the reason stands above")
        built_seconds = time.perf_counter() - started
        disk_mib = _disk_mib(folder)
        _measure(options, folder, built_seconds, disk_mib)


def _measure(options: argparse.Namespace, folder: Path, built_seconds: float, disk_mib: float) -> None:
    workload = Workload(options.keys, options.batch)
    calm_collector()  # as a node does
    base_mib = anonymous_mib(os.getpid())
    with LevelDBStore.open(folder, memory=StoreMemory(pages_bytes=options.cache_mib * 2**20)) as store:
        first = _blocks(store, WARM_UP_BLOCKS, workload.updates)
        updates = _blocks(store, options.blocks, workload.updates)
        mixed = _blocks(store, options.blocks, workload.mixed)
        _blocks(store, 1, workload.updates)  # proofs are for the height before this one
        memory_mib, mapped_mib = anonymous_mib(os.getpid()), resident_mib(os.getpid())
        print_table(
            f"Tree of {options.keys:,} keys, {options.batch:,} changed keys a block, microseconds per changed key",
            ["blocks", "number", "update + write, median (range)", "update", "synced write", "processor"],
            [
                first.row("updates, right after opening"),
                updates.row("updates"),
                mixed.row("half updates, quarter new, quarter removed"),
            ],
        )
        proofs = _proof_rows(store, workload)
    print_table(
        "Proofs at the last height but one", ["proof", "made, us median (range)", "verified, us", "bytes"], proofs
    )
    print_table(
        f"Memory and disk, page cache {options.cache_mib} MiB",
        [
            "MiB before opening",
            "MiB working",
            "with mapped files",
            "disk MiB after genesis",
            "bytes a key",
            "genesis built in s",
        ],
        [
            [
                f"{base_mib:.0f}",
                f"{memory_mib:.0f}",
                f"{mapped_mib:.0f}",
                f"{disk_mib:.0f}",
                f"{disk_mib * 2**20 / options.keys:.0f}",
                f"{built_seconds:.0f}",
            ]
        ],
    )


if __name__ == "__main__":
    main()
