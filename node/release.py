"""The lock digest: one number for the Python version and the pinned packages that a release runs with.

An upgrade's plan names it, so that operators can compare before the height comes: nodes that execute the same rules
with other libraries could come to other results.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from abci_app.hashing import sha256
from abci_app.modules.governance import UpgradeQuery, UpgradeView
from node.application_query import ask
from node.errors import NodeError, NodeRpcError

if TYPE_CHECKING:
    from abci_app.versions import Plan

# What a node runs with; the other files are for training and development.
LOCKED_FILES = ("base.txt", "node.txt")
REQUIREMENTS_FOLDER = Path(__file__).resolve().parents[1] / "requirements"


@dataclass(frozen=True, slots=True)
class ReleaseCheck:
    """How this installation stands to the plan of an upgrade."""

    own_digest: bytes
    plan: Plan | None

    @property
    def is_of_plan(self) -> bool:
        """Whether this installation is the one that the plan names."""
        return self.plan is not None and self.plan.lock_digest == self.own_digest

    def __str__(self) -> str:
        if self.plan is None:
            return f"lock digest {self.own_digest.hex()}; no upgrade was planned"
        which = "this installation" if self.is_of_plan else f"this one has {self.own_digest.hex()}"
        return f"release {self.plan.name} of height {self.plan.height} has {self.plan.lock_digest.hex()}: {which}"


def planned_upgrade(rpc_url: str) -> UpgradeView:
    """Ask the running node for the chain's rules and plan, without proof; raises `NoAnswer` or `NodeRpcError`."""
    view: UpgradeView | None = ask(rpc_url, "governance", "upgrade", UpgradeQuery(), UpgradeView)
    if view is None:
        raise NodeRpcError("abci_query governance/upgrade: the chain has not started yet")
    return view


def lock_digest(folder: Path = REQUIREMENTS_FOLDER, python: tuple[int, int] | None = None) -> bytes:
    """SHA-256 of Python's version and of the pinned requirements; raises `NodeError` where they are not here."""
    major, minor = python or sys.version_info[:2]
    parts = [f"python {major}.{minor}\n".encode()]
    for name in LOCKED_FILES:
        try:
            text = (folder / name).read_bytes()
        except OSError as error:
            raise NodeError(
                f"{folder / name} cannot be read ({error.strerror}): the lock digest is that of a release's sources, "
                "so run this from where they are"
            ) from error
        parts.append(f"{name} {len(text)}\n".encode() + text)
    return sha256(b"".join(parts))


def compare_release(plan: Plan | None, folder: Path = REQUIREMENTS_FOLDER) -> ReleaseCheck:
    """Compare this installation with the plan of an upgrade, if there is one; raises `NodeError`."""
    return ReleaseCheck(lock_digest(folder), plan)
