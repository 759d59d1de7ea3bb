"""Which version of the rules is in force: state, so that every height's rules are known to every reader of its proof.

    chain/version/value -> AppVersion(current, next, from_height)
    upgrade/value -> Plan(height, name, app_version, lock_digest)      the last upgrade that was decided

A binary knows the rules of `OLDEST_APP_VERSION` to `NEWEST_APP_VERSION` and branches on the version of the block or of
the state that it looks at, never on its own. So a new binary may be installed early, replay from genesis gives the same
hashes, and a proof of an old height is read by the rules of that height.

A version is scheduled for a height in advance, by a plan that governance decides. The first block of that height
migrates the state before anything else; the block before it tells CometBFT, whose headers carry the version. A binary
that lacks the version commits that block before, and stops.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from abci_app.errors import MachineFailure
from abci_app.state.codec import Record
from abci_app.state.store import StateView
from abci_app.state.table import Item, MutableState
from abci_app.types import U32, Bytes32, Height, Name

if TYPE_CHECKING:
    from abci_app.module import BlockContext
    from abci_app.state.overlay import Overlay

# Version 1 was never released: its bytes are not read.
OLDEST_APP_VERSION = 2
# Must equal the genesis document's consensus_params.version.app (cometbft.md 3.4).
NEWEST_APP_VERSION = 2


class AppVersion(Record, frozen=True, array_like=True, tag=1, gc=False):
    """The version that made this state, and the one that follows it from a height on (0 and 0: none is scheduled)."""

    current: U32
    next: U32
    from_height: Height


APP_VERSION = Item("chain/version/", AppVersion)


class Plan(Record, frozen=True, array_like=True, tag=1, gc=False):
    """An upgrade: from which height on which version of the rules holds, and the release that knows it.

    `lock_digest` is of that release's Python version and pinned packages (node/release.py).
    """

    height: Height
    name: Name
    app_version: U32
    lock_digest: Bytes32


PLAN = Item("upgrade/", Plan)

Migration = Callable[["Overlay", "BlockContext"], None]


@dataclass(frozen=True, slots=True)
class Rules:
    """Versions that this binary knows: the oldest, the newest, and how the state enters a version that changes it."""

    oldest: int
    newest: int
    migrations: Mapping[int, Migration]

    def __str__(self) -> str:
        return f"{self.oldest} to {self.newest}"

    def knows(self, version: int) -> bool:
        """Whether this binary can execute and read blocks of a version."""
        return self.oldest <= version <= self.newest


# Read as `versions.RULES` and never copied: tests put a program of another version in its place.
RULES = Rules(OLDEST_APP_VERSION, NEWEST_APP_VERSION, {})


class UnknownVersion(MachineFailure):
    """The chain's rules are of a version that this binary does not know; nothing can be executed or read by guess."""

    def __init__(self, version: int, plan: Plan | None = None) -> None:
        release = "the release that the chain upgraded to"
        if plan is not None and plan.app_version == version:
            release = f"release {plan.name}, lock digest {plan.lock_digest.hex()}, which takes over at {plan.height}"
        super().__init__(f"the chain's rules are version {version}, this program knows {RULES}: install {release}")


def app_version_of(view: StateView) -> int:
    """The version of the rules that made a state; raises `UnknownVersion` where this binary does not know it."""
    record = APP_VERSION.get(view)
    version = RULES.oldest if record is None else record.current
    return _known(version)


def app_version_at(view: StateView, height: int) -> int:
    """The version of the rules of the block `height` that follows a state; raises `UnknownVersion`."""
    record = APP_VERSION.get(view)
    if record is None:
        return RULES.oldest
    version = record.next if record.next and height >= record.from_height else record.current
    # Nobody proves this: a node reads its own state, and tells its operator what to install.
    return _known(version, None if RULES.knows(version) else PLAN.get(view))


def _known(version: int, plan: Plan | None = None) -> int:
    if not RULES.knows(version):
        raise UnknownVersion(version, plan)
    return version


def schedule_version(state: MutableState, version: int, from_height: int, height: int) -> None:
    """Let `version` follow from a height after this block's on; raises ValueError for a past height or a step back."""
    record = APP_VERSION.get(state)
    if record is None or version <= record.current or from_height <= height + 1:
        raise ValueError(f"version {version} from height {from_height} cannot follow {record} after height {height}")
    APP_VERSION.set(state, AppVersion(record.current, version, from_height))


def cancel_version(state: MutableState, height: int) -> None:
    """Let no version follow; raises ValueError where none is scheduled for a height after this block's."""
    record = APP_VERSION.get(state)
    if record is None or not record.next or record.from_height <= height:
        raise ValueError(f"no version follows {record} after height {height}")
    APP_VERSION.set(state, AppVersion(record.current, 0, 0))


def scheduled_version(view: StateView) -> AppVersion | None:
    """The record while a version is scheduled to follow, else None."""
    record = APP_VERSION.get(view)
    return record if record is not None and record.next else None


def begins_after(view: StateView, height: int) -> int:
    """The version that begins with the block after `height`, or 0: CometBFT is told one block ahead."""
    record = APP_VERSION.get(view)
    return record.next if record is not None and record.next and record.from_height == height + 1 else 0


def enter_version(state: "Overlay", block: "BlockContext") -> None:
    """Migrate the state when this block is the first of its version."""
    record = APP_VERSION.get(state)
    if record is None or record.current == block.app_version:
        return
    for version in range(record.current + 1, block.app_version + 1):
        migration = RULES.migrations.get(version)
        if migration is not None:
            migration(state, block)
    APP_VERSION.set(state, AppVersion(block.app_version, 0, 0))
