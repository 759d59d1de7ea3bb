"""The lock digest: the same for the same Python and pinned packages, and compared with an upgrade's plan."""

from pathlib import Path

import pytest

from abci_app.versions import Plan
from node.errors import NodeError
from node.release import ReleaseCheck, compare_release, lock_digest


def write(folder: Path, node: str = "plyvel==1\n") -> Path:
    (folder / "base.txt").write_text("anyio==4\n")
    (folder / "node.txt").write_text(node)
    return folder


def test_the_digest_is_of_python_and_of_every_pinned_byte(tmp_path: Path) -> None:
    first = lock_digest(write(tmp_path), (3, 11))
    assert first == lock_digest(write(tmp_path), (3, 11))
    assert len({first, lock_digest(tmp_path, (3, 12)), lock_digest(write(tmp_path, "plyvel==2\n"), (3, 11))}) == 3


def test_this_repository_has_one() -> None:
    assert len(lock_digest()) == 32


def test_an_installation_is_compared_with_the_plan(tmp_path: Path) -> None:
    own = lock_digest(write(tmp_path))
    plan = Plan(height=500, name="two", app_version=3, lock_digest=own)
    other = Plan(height=500, name="two", app_version=3, lock_digest=bytes(32))
    assert compare_release(plan, tmp_path).is_of_plan
    assert str(compare_release(plan, tmp_path)) == f"release two of height 500 has {own.hex()}: this installation"
    assert not compare_release(other, tmp_path).is_of_plan
    assert str(compare_release(other, tmp_path)) == (
        f"release two of height 500 has {bytes(32).hex()}: this one has {own.hex()}"
    )
    assert str(ReleaseCheck(own, None)) == f"lock digest {own.hex()}; no upgrade was planned"


def test_without_the_sources_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match=r"base.txt cannot be read \(No such file or directory\): the lock digest is "):
        lock_digest(tmp_path)
