"""The command in processes of its own, for tests that stop it, kill it or look at its settings."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from tests.kit.repository import ROOT


def run_command(*words: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The command, which must end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "openledger_cli.main", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=30, check=False, env={**os.environ, **(environment or {})},
    )  # fmt: skip


def start_command(*words: str) -> subprocess.Popen[str]:
    """The command, which goes on until it is stopped."""
    return subprocess.Popen(
        [sys.executable, "-m", "openledger_cli.main", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def sourced(script: Path) -> dict[str, str]:
    """The variables that a shell has after sourcing the file."""
    done = subprocess.run(
        ["env", "-i", "sh", "-c", f". {shlex.quote(str(script))} && env"], capture_output=True, text=True, check=True
    )
    pairs = [line.partition("=") for line in done.stdout.splitlines()]
    return {name: value for name, _, value in pairs if name.startswith("OPENLEDGER_")}
