"""A lean HTTP load generator: raw keep-alive connections, one request under way on each, bodies made beforehand.

It shares the cores with what it measures, so it is one loop over `poll` and does nothing that is not needed.
"""

import select
import socket
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

# A mempool that is full says so; the same body is sent again after this pause, this many times.
_FULL_PAUSE_SECONDS = 0.05
_FULL_ATTEMPTS = 2_000
_READ_BYTES = 256 * 1024
Check = Callable[[bytes], None]


class RequestFailed(RuntimeError):
    """The node answered a request with an error; the text is its answer."""


def requests(url: str, bodies: Sequence[bytes]) -> list[bytes]:
    """Whole HTTP requests for these bodies."""
    host = urlsplit(url).netloc
    head = f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: "
    return [head.encode() + b"%d\r\n\r\n" % len(body) + body for body in bodies]


class _LoadConnection:
    """One keep-alive connection with at most one request under way."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port or 80), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.index = -1
        self.attempts = 0
        self._received = b""

    def send(self, index: int, request: bytes) -> None:
        """Begin a request."""
        self.index = index
        self._received = b""
        self.socket.sendall(request)

    def receive(self) -> bytes | None:
        """Take what arrived; the body once the answer is whole."""
        data = self.socket.recv(_READ_BYTES)
        if not data:
            raise RequestFailed("the node closed the connection")
        self._received = self._received + data if self._received else data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return None
        start = end + 4
        place = self._received.find(b"Content-Length: ", 0, end)
        if place < 0:  # chunked: an answer that the server did not size beforehand
            return _join_chunks(self._received[start:]) if self._received.endswith(b"0\r\n\r\n") else None
        size = int(self._received[place + 16 : self._received.index(b"\r\n", place)])
        return self._received[start:] if len(self._received) >= start + size else None


def _join_chunks(data: bytes) -> bytes:
    content, offset = b"", 0
    while True:
        line_end = data.index(b"\r\n", offset)
        size = int(data[offset:line_end], 16)
        if not size:
            return content
        content += data[line_end + 2 : line_end + 2 + size]
        offset = line_end + 2 + size + 2


def no_error(content: bytes) -> None:
    """Raises for a JSON-RPC error answer."""
    if b'"error":' in content and b'"error":null' not in content:
        raise RequestFailed(content[:300].decode(errors="replace"))


def send(
    url: str,
    bodies: Sequence[bytes],
    connections: int,
    *,
    rate_per_second: float = 0.0,
    check: Check = no_error,
) -> list[float]:
    """Post every body once; returns when each was sent (Unix seconds). With a rate, spread evenly at that rate."""
    waiting = requests(url, bodies)
    sent = [0.0] * len(waiting)
    opened = [_LoadConnection(url) for _ in range(min(connections, len(waiting)))]
    poller = select.poll()
    by_descriptor = {connection.socket.fileno(): connection for connection in opened}
    idle = list(opened)
    taken = done = 0
    started = due = time.time()
    while done < len(waiting):
        while idle and taken < len(waiting):
            due = started + taken / rate_per_second if rate_per_second else 0.0
            if due > time.time():
                break
            connection = idle.pop()
            sent[taken] = time.time()
            connection.send(taken, waiting[taken])
            poller.register(connection.socket, select.POLLIN)
            taken += 1
        # With a rate, wake up for the next due request.
        pause = None if not rate_per_second or not idle else max(0.0, due - time.time()) * 1_000
        for descriptor, _ in poller.poll(pause):
            connection = by_descriptor[descriptor]
            content = connection.receive()
            if content is None:
                continue
            if b"mempool is full" in content and connection.attempts < _FULL_ATTEMPTS:
                connection.attempts += 1
                time.sleep(_FULL_PAUSE_SECONDS)
                connection.send(connection.index, waiting[connection.index])
                continue
            check(content)
            done += 1
            connection.attempts = 0
            if taken < len(waiting) and not rate_per_second:
                sent[taken] = time.time()
                connection.send(taken, waiting[taken])
                taken += 1
            else:
                poller.unregister(descriptor)
                idle.append(connection)
    for connection in opened:
        connection.socket.close()
    return sent
