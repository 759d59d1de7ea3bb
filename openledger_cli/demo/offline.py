"""The `openledger` command in a process that cannot open a connection: `python -m openledger_cli.demo.offline ...`.

Ends with an error when the command loaded LevelDB or torch, which a light client must not need.
"""

from __future__ import annotations

import socket
import sys


class _NoNetwork(socket.socket):
    """A socket that cannot connect."""

    def connect(self, address: object) -> None:
        """Refuse."""
        raise OSError(f"no network here: {address!r}")

    def connect_ex(self, address: object) -> int:
        """Refuse."""
        raise OSError(f"no network here: {address!r}")


def main(words: list[str]) -> int:
    """Run one command line without a network."""
    socket.socket = _NoNetwork  # type: ignore[misc]
    from openledger_cli.main import main as run

    code = run(words)
    loaded = sorted({"plyvel", "torch"} & set(sys.modules))
    if loaded:
        print(f"error: verification loaded {', '.join(loaded)}", file=sys.stderr)
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
