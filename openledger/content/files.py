"""Files that are written whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

READABLE, PRIVATE = 0o644, 0o600


@contextmanager
def replacing(target: Path, mode: int = READABLE) -> Iterator[IO[bytes]]:
    """A temporary file beside `target` that takes its place when the block ends without an exception.

    Readers see the old file or the whole new one, also after a power failure. Nobody else can read it before it has its
    place. Folders on the way are made.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".incoming-")  # created with mode 0600
    try:
        with os.fdopen(descriptor, "wb") as sink:
            yield sink
            sink.flush()
            os.fsync(sink.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def cache_home() -> Path:
    """Folder for what can be made again: $XDG_CACHE_HOME/openledger, outside any repository."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "openledger"
