"""Run generated inputs through all targets, watch app hash, memory and time, and say what came of them."""

import gc
import hashlib
import logging
import random
import resource
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz import dear_queries, documents, pages, queries, streams, threads, transactions
from tests.fuzz.corpus import Corpus
from tests.fuzz.target import Target, Violation

TARGETS: tuple[Target, ...] = (
    *transactions.TARGETS, *queries.TARGETS, *streams.TARGETS, *documents.TARGETS, *threads.TARGETS,
    *dear_queries.TARGETS, *pages.TARGETS,
)  # fmt: skip
TARGETS_BY_NAME = {target.name: target for target in TARGETS}

CHECK_HASH_EVERY = 500
# After this part of the run all bounded caches have been filled, those of the threaded node by a hundred bursts
# (`SMALL_MEMORY`); what grows from then on is a leak.
WARM_PART = 0.2
MAX_GROWTH_BYTES = 48 * 1024 * 1024
# CPU time of one input: everything is bounded far below that.
MAX_SECONDS = 3.0
MAX_VIOLATIONS = 10


@dataclass(frozen=True, slots=True)
class Failure:
    """One input that was answered in a way that nobody may see."""

    target: str
    data: bytes
    text: str

    @property
    def file_name(self) -> str:
        """Begins with the target, so that a replay knows who judges it."""
        return f"{self.target}.{hashlib.sha256(self.data).hexdigest()[:16]}.input"


@dataclass(slots=True)
class Tally:
    """Outcomes of one target's inputs."""

    count: int = 0
    seconds: float = 0.0
    slowest_seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Report:
    """Outcome of a run."""

    tallies: dict[str, Tally] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    warm_bytes: int = 0
    end_bytes: int = 0
    app_hash_before: bytes = b""
    app_hash_after: bytes = b""

    @property
    def count(self) -> int:
        """Inputs judged."""
        return sum([tally.count for tally in self.tallies.values()])

    @property
    def faults(self) -> list[str]:
        """One line for everything that is wrong; empty = the run passed."""
        lines = [f"{failure.target}: {failure.text.splitlines()[-1]}" for failure in self.failures]
        if self.end_bytes - self.warm_bytes > MAX_GROWTH_BYTES:
            lines.append(f"memory grew by {(self.end_bytes - self.warm_bytes) // 2**20} MiB after the caches were full")
        if self.app_hash_before != self.app_hash_after:
            lines.append(f"app hash {self.app_hash_before.hex()} became {self.app_hash_after.hex()}")
        return lines


def resident_bytes() -> int:
    """Memory of this process now; its peak where the system does not tell."""
    gc.collect()
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return pages * resource.getpagesize()


@contextmanager
def quiet_log() -> Iterator[None]:
    """The server logs every connection that it refuses: a million lines that nobody reads."""
    log = logging.getLogger("openledger.abci")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def run_campaign(
    corpus: Corpus,
    count: int,
    seed: int,
    *,
    targets: tuple[Target, ...] = TARGETS,
    tell: Callable[[int], None] | None = None,
) -> Report:
    """Judge `count` inputs made from `seed`; stops early after ten violations. `tell` hears how far it is."""
    report = Report(app_hash_before=corpus.app_hash)
    weights = [target.weight for target in targets]
    warm_at = int(count * WARM_PART)
    with quiet_log():
        for number in range(count):
            if number == warm_at:
                report.warm_bytes = resident_bytes()
            rng = random.Random(f"{seed}/{number}")
            target = rng.choices(targets, weights)[0]
            data = target.make(rng, corpus)
            failure = _judge(corpus, target, data, report.tallies.setdefault(target.name, Tally()))
            if failure is None and number % CHECK_HASH_EVERY == 0:
                failure = _check_hash(corpus, target, data)
            if failure is not None:
                report.failures.append(failure)
                if len(report.failures) == MAX_VIOLATIONS:
                    break
            if tell is not None and number % 10_000 == 9_999:
                tell(number + 1)
    report.end_bytes = resident_bytes()
    report.app_hash_after = state_hash(corpus)
    return report


def _judge(corpus: Corpus, target: Target, data: bytes, tally: Tally) -> Failure | None:
    started = time.thread_time()
    try:
        outcome = target.judge(corpus, data)
    except Exception:  # noqa: BLE001 - any exception is a finding
        return Failure(target.name, data, traceback.format_exc().strip())
    finally:
        seconds = time.thread_time() - started
        tally.count += 1
        tally.seconds += seconds
        tally.slowest_seconds = max(tally.slowest_seconds, seconds)
    tally.outcomes[outcome] += 1
    if seconds > MAX_SECONDS:
        return Failure(target.name, data, f"took {seconds:.1f} s of CPU time, at most {MAX_SECONDS} are allowed")
    return None


def _check_hash(corpus: Corpus, target: Target, data: bytes) -> Failure | None:
    now = state_hash(corpus)
    if now == corpus.app_hash:
        return None
    return Failure(target.name, data, f"app hash {corpus.app_hash.hex()} became {now.hex()}")


def state_hash(corpus: Corpus) -> bytes:
    """The app hash that the store reports, once it agrees with what a version of it reports."""
    with corpus.store.latest() as version:
        if version.app_hash != corpus.store.app_hash:
            raise Violation("the store and its latest version have different app hashes")
        return version.app_hash


def replay(corpus: Corpus, path: Path) -> str:
    """Judge a saved input again; the file's name says by which target. Raises what it raised."""
    target = TARGETS_BY_NAME.get(path.name.split(".")[0])
    if target is None:
        raise ValueError(f"{path.name} does not begin with one of: {', '.join(TARGETS_BY_NAME)}")
    with quiet_log():
        return target.judge(corpus, path.read_bytes())


def table(report: Report) -> str:
    """Show the outcomes of the inputs, one line a target and one an outcome."""
    lines = [f"{'target':<22}{'inputs':>10}{'us each':>10}{'slowest ms':>12}  outcomes"]
    for name in TARGETS_BY_NAME:
        tally = report.tallies.get(name)
        if tally is None:
            continue
        each = 1e6 * tally.seconds / tally.count
        lines.append(f"{name:<22}{tally.count:>10,}{each:>10.0f}{1e3 * tally.slowest_seconds:>12.1f}")
        lines += [f"{'':<56}{count:>10,}  {outcome}" for outcome, count in tally.outcomes.most_common()]
    growth = (report.end_bytes - report.warm_bytes) / 2**20
    lines.append(
        f"{report.count:,} inputs; app hash {report.app_hash_after.hex()}, as before: "
        f"{'yes' if report.app_hash_before == report.app_hash_after else 'NO'}"
    )
    lines.append(f"memory {report.end_bytes / 2**20:.0f} MiB at the end, {growth:+.1f} MiB since caches were full")
    return "\n".join(lines)
