"""Ports of this machine: whether one is free, and free ones."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator

from node.errors import NodeError

# Below the range from which systems take the ports of outgoing connections, so a free one stays free until it is used.
_FIRST, _LAST = 20_000, 32_000
_ATTEMPTS = 1000


def is_free(host: str, port: int) -> bool:
    """Whether a listener could bind there now."""
    return _refusal(host, port) is None


def require_free(host: str, port: int, remedy: str) -> None:
    """Raises NodeError, ending with the remedy, when a listener could not bind there."""
    refusal = _refusal(host, port)
    if refusal is not None:
        raise NodeError(f"port {port} on {host} cannot be had ({refusal}): {remedy}")


def free_ports(host: str = "127.0.0.1") -> Iterator[int]:
    """Free ports, each different. Raises NodeError when none is found."""
    given: list[int] = []
    for _ in range(_ATTEMPTS):
        port = _FIRST + secrets.randbelow(_LAST - _FIRST)
        if port not in given and is_free(host, port):
            given.append(port)
            yield port
    raise NodeError(f"found no free port from {_FIRST} to {_LAST}; stop other programs or choose ports yourself")


def _refusal(host: str, port: int) -> str | None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as CometBFT listens
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror or str(error)
    return None
