"""The files of this repository, as git sees them."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def tracked_files(*patterns: str) -> list[Path]:
    """Files in git, and new ones that git does not ignore, relative to ROOT; all of them without a pattern."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return sorted(Path(name) for name in set(listed.split("\0")) if name and (ROOT / name).is_file())
