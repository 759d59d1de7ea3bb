"""The process without a network: connections fail, files verify."""

import os
import subprocess
import sys
from pathlib import Path

from openledger.exit_codes import ExitCode

REPOSITORY = Path(__file__).parents[3]


def _offline(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "openledger_cli.demo.offline", *words],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_nothing_can_be_asked() -> None:
    done = _offline("status", "--node", "http://127.0.0.1:9")
    assert done.returncode == ExitCode.NODE
    assert "no network here" in done.stderr


def test_a_file_that_is_no_bundle_is_refused_without_a_network(tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_text("{}")
    assert _offline("verify", str(tmp_path / "bundle.json")).returncode == ExitCode.NOT_VERIFIED
