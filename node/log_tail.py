"""The end of a node's own log, for those who ask how the node is: what its lines begin with, and the last of them."""

import json
from collections.abc import Iterator
from pathlib import Path

NODE_LOG = "node.log"
# Lines of the node's log by which readers find their way; node/run.py writes them.
STARTED = " INFO openledger.node: node started"
STOPPED = " INFO openledger.node: stopped"
CRITICAL = " CRITICAL openledger"
# Far more than a node writes between two starts that end at once.
_TAIL_BYTES = 1024 * 1024


def last_lines(log_file: Path, most_bytes: int = _TAIL_BYTES) -> list[str]:
    """Lines at the end of a log, the oldest first; the first one may be cut. None where it cannot be read.

    A line that is a JSON object (node/logs.py) comes as the lines of text that it stands for.
    """
    try:
        with log_file.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - most_bytes))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return []
    return [text for line in lines for text in _as_text(line)]


def _as_text(line: str) -> Iterator[str]:
    if line.startswith("{"):
        try:
            found = json.loads(line)
            yield f"{found['time']} {found['level']} {found['logger']}: {found['message']}"
            yield from str(found.get("details", "")).splitlines()
            return
        except (ValueError, KeyError, TypeError):
            pass  # a line of text that begins like an object, or one that was cut
    yield line
