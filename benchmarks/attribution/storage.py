"""Where results of benchmarks are kept: outside the repository, found again by digest."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/openledger/attribution-benchmarks`, or the same under `~/.cache`."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "openledger" / "attribution-benchmarks"
