"""The disk ends while a run is being recorded: one line, no half files, nothing on the chain; afterwards it goes on."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from openledger.content.store import ContentStore
from openledger.data.manifest import files_of, get_manifest
from openledger.exit_codes import ExitCode
from openledger_cli.main import main
from tests.kit.openledger.fake_ledger import FakeLedger, use_fake_ledger
from tests.kit.trainer.tiny import tiny_model

pytestmark = pytest.mark.ml


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeLedger:
    return use_fake_ledger(tmp_path, monkeypatch)


def words(content: Path) -> list[str]:
    return [
        "record", "--model", "mine", "--kind", "full", str(tiny_model()), "--recipe", "recipe.yaml",
        "--framework", "axolotl", "--parent", "base", "--input", "questions@1", "--from", "alice",
        "--content", str(content),
    ]  # fmt: skip


def half_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.startswith(".incoming-")]


@pytest.fixture
def full_after(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The disk is full for the write of this number, counted from 0; how many were asked for comes second."""
    counts = [-1, 0]
    fsync = os.fsync

    def full(descriptor: int) -> None:
        counts[1] += 1
        if counts[1] - 1 == counts[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    return counts


def test_whichever_file_meets_the_end_of_the_disk_nothing_is_recorded_and_nothing_half_is_left(
    ledger: FakeLedger, tmp_path: Path, full_after: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(tmp_path / "whole")) == ExitCode.OK
    (expected,) = ledger.records
    writes = full_after[1]
    assert writes >= 4, "recipe, manifest and every file of the model"
    for place in range(writes):
        content = tmp_path / f"content-{place}"
        full_after[:] = [place, 0]
        capsys.readouterr()
        assert main(words(content)) == ExitCode.FAILURE
        said = capsys.readouterr().err
        assert said.startswith(f"error: {content}")
        assert said.endswith("No space left on device; free space on that disk and try again\n")
        assert (said.count("\n"), half_files(content), len(ledger.records)) == (1, [], 1)
        full_after[:] = [-1, 0]
        assert main(words(content)) == ExitCode.OK
        assert ledger.records.pop().entry == expected.entry
        store = ContentStore.open(content)
        manifest = get_manifest(store, expected.entry.manifest_root)
        assert all(store.get(file.digest) for file in files_of(manifest))


def test_on_a_disk_that_is_too_small_the_command_ends_with_one_line(
    ledger: FakeLedger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = tmp_path / "small"
    content.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(content)], check=False)
    if done.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        assert main(words(content)) == ExitCode.FAILURE
        said = capsys.readouterr().err
        assert said.endswith("No space left on device; free space on that disk and try again\n")
        assert (said.count("\n"), half_files(content), ledger.records) == (1, [], [])
    finally:
        subprocess.run(["umount", str(content)], check=True)
