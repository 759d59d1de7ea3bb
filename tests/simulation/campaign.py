"""Many lives, with a mutant or without: which seeds break an invariant, which one, and in which block."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.simulation.life import Broken, find_fault
from tests.simulation.mutants import MUTANTS
from tests.simulation.planting import Mutant, planted

# How a fault's text begins -> the invariant that found it; the numbers are those of the specification.
INVARIANTS: tuple[tuple[str, str], ...] = (
    ("the book differs: balance", "balances are the book's (1, 15)"),
    ("the book differs: lock", "locks are the book's (1, 2)"),
    ("the book differs: job", "jobs run when the book says so (3)"),
    ("the book differs: lane", "what waits is what the book has (3)"),
    ("the book differs: draws", "draws are the book's (11)"),
    ("the book differs: beacon's waiting", "draws that wait are the book's (16)"),
    ("the book differs: beacon's at stake", "draws that wait are the book's (16)"),
    ("the book differs: beacon", "beacon is the book's (11)"),
    ("the book differs: a reveal", "only valid reveals are taken (11)"),
    ("the book differs: proposal", "proposals are the book's (3, 8)"),
    ("the book differs: power", "power by epochs is the book's (7)"),
    ("the book differs: a vote", "only power of before votes (8)"),
    ("a false reveal", "only valid reveals are taken (11)"),
    ("the book differs: an epoch", "limits of an epoch (9)"),
    ("the book differs: only", "limits of an epoch (9)"),
    ("another node that replays", "replay gives the same hashes (14)"),
    ("CometBFT stops", "CometBFT goes on (9)"),
)


def invariant_of(what: str) -> str:
    """Which invariant found a fault."""
    found = [name for beginning, name in INVARIANTS if what.startswith(beginning)]
    if found:
        return found[0]
    if "stuck" in what:
        return "jobs run when the book says so (3)"
    if "signed twice" in what or "TOMBSTONED" in what:
        return "double signers have no power (10)"
    if "operation.certain" in what or "were refused" in what:
        return "what must succeed succeeds (15)"
    if "operation.hostile" in what or "succeeded" in what:
        return "what is hostile is refused (15)"
    if "power" in what:
        return "powers are those that were told (9)"
    if "withdrew" in what or "Withdraw" in what:
        return "withdrawals succeed when the book says so (15)"
    return "what people expect of their messages"


@dataclass
class Finding:
    """What became of a mutant, or of none, over some seeds."""

    name: str
    what: str
    seeds: int
    broken: list[Broken] = field(default_factory=list)

    @property
    def finders(self) -> list[str]:
        """Invariants that found it, the most frequent first."""
        names = [invariant_of(each.what) for each in self.broken]
        return sorted(dict.fromkeys(names), key=lambda name: (-names.count(name), name))


def hunt(
    mutant: Mutant | None,
    seeds: Sequence[int],
    blocks: int,
    tell: Callable[[int, int], None],
    found: Callable[[Broken], None] = lambda broken: None,
) -> Finding:
    """Live every seed with a mutant; `tell` hears of each block, `found` of each fault at once."""
    finding = Finding(mutant.name if mutant else "none", mutant.what if mutant else "nothing is wrong", len(seeds))
    for seed in seeds:

        def told(height: int, seed: int = seed) -> None:
            tell(seed, height)

        with planted(mutant):
            broken = find_fault(seed, blocks, told, replays=mutant is None)
        if broken is not None:
            finding.broken.append(broken)
            found(broken)
    return finding


def table(findings: Sequence[Finding]) -> str:
    """The mutants as a table of Markdown."""
    lines = ["| mutant | what is wrong | found by | in how many seeds | earliest block |", "|---|---|---|---|---|"]
    for each in findings:
        finders = "; ".join(each.finders[:2]) or "**not found**"
        earliest = str(min([one.height for one in each.broken])) if each.broken else "-"
        lines.append(f"| `{each.name}` | {each.what} | {finders} | {len(each.broken)} of {each.seeds} | {earliest} |")
    return "\n".join(lines)


def chosen(name: str) -> list[Mutant | None]:
    """The mutants that a name stands for: one, `all`, or none."""
    if not name:
        return [None]
    return [mutant for mutant in MUTANTS if name in ("all", mutant.name)]
