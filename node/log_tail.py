"""The end of a node's own log, for those who ask how the node is: what its lines begin with, and the last of them."""

from pathlib import Path

NODE_LOG = "node.log"
# Lines of the node's log by which readers find their way; node/run.py writes them.
STARTED = " INFO openledger.node: node started"
STOPPED = " INFO openledger.node: stopped"
CRITICAL = " CRITICAL openledger"
# Far more than a node writes between two starts that end at once.
_TAIL_BYTES = 1024 * 1024


def last_lines(log_file: Path, most_bytes: int = _TAIL_BYTES) -> list[str]:
    """Lines at the end of a log, the oldest first; the first one may be cut. None where it cannot be read."""
    try:
        with log_file.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - most_bytes))
            return file.read().decode(errors="replace").splitlines()
    except OSError:
        return []
