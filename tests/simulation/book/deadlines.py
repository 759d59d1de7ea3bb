"""The book's deadlines: which job runs in which block, and how it ends."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.simulation.deeds import BREAKS, BREAKS_TWICE, REFUSES

# Lane -> how many entries it runs a block.
A_BLOCK = {0: 256, 1: 64, 2: 4}


@dataclass
class JobInBook:
    """When a job is due (0: no more), how often it ran and fell back."""

    due_height: int = 0
    runs: int = 0
    fallbacks: int = 0


@dataclass
class Entry:
    """What is due at a height; `act` returns whether it was not stale. `job`: empty for what is no job."""

    height: int
    act: Callable[[int], bool]
    job: bytes = b""


@dataclass
class Deadlines:
    """All lanes."""

    jobs: dict[bytes, JobInBook] = field(default_factory=dict)
    lanes: dict[int, list[Entry]] = field(default_factory=lambda: {lane: [] for lane in A_BLOCK})
    stuck: list[bytes] = field(default_factory=list)

    def add(self, lane: int, height: int, act: Callable[[int], bool]) -> None:
        """Let anything be due."""
        self.lanes[lane].append(Entry(height, act))

    def schedule(self, lane: int, job: bytes, height: int, now: int) -> None:
        """Let a job be due."""
        due_height = max(height, now + 1)
        self.jobs.setdefault(job, JobInBook()).due_height = due_height

        def end(_: int) -> bool:
            if self.jobs[job].due_height != due_height:
                return False
            self._end(job)
            return True

        self.lanes[lane].append(Entry(due_height, end, job))

    def lane_of(self, job: bytes) -> int:
        """The lane that a job waits in."""
        return next(lane for lane, entries in self.lanes.items() for entry in entries if entry.job == job)

    def run(self, now: int) -> None:
        """Every lane in the order of heights, and of scheduling within one."""
        for lane, budget in A_BLOCK.items():
            due = [entry for entry in self.lanes[lane] if entry.height <= now]
            due.sort(key=lambda entry: entry.height)
            for entry in due:
                if not budget:
                    break
                self.lanes[lane].remove(entry)
                budget -= entry.act(now)

    def _end(self, job: bytes) -> None:
        found = self.jobs[job]
        if job[0] in (BREAKS, BREAKS_TWICE):
            # Put aside as it is: it stays due, and nobody runs it.
            self.stuck.append(job)
            return
        found.due_height = 0
        if job[0] == REFUSES:
            found.fallbacks += 1
        else:
            found.runs += 1
