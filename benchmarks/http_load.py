"""A lean HTTP load generator: raw keep-alive connections, one request under way on each, bodies made beforehand."""

import asyncio
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

# A mempool that is full says so; the same body is sent again after this pause, this many times.
_FULL_PAUSE_SECONDS = 0.05
_FULL_ATTEMPTS = 2_000
Check = Callable[[bytes], None]


class RequestFailed(RuntimeError):
    """The node answered a request with an error; the text is its answer."""


def requests(url: str, bodies: Sequence[bytes]) -> list[bytes]:
    """Whole HTTP requests for these bodies."""
    host = urlsplit(url).netloc
    head = f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: "
    return [head.encode() + b"%d\r\n\r\n" % len(body) + body for body in bodies]


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    lowered = head.lower()
    place = lowered.find(b"content-length: ")
    if place >= 0:
        return await reader.readexactly(int(lowered[place + 16 : lowered.index(b"\r\n", place)]))
    content = b""
    while True:  # chunked, for answers that the server did not size beforehand
        size = int(await reader.readline(), 16)
        content += await reader.readexactly(size)
        await reader.readexactly(2)
        if not size:
            return content


async def _worker(
    url: str, waiting: Sequence[bytes], taken: list[int], sent: list[float], check: Check, interval_seconds: float
) -> None:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=2**24)
    started, own = time.monotonic(), 0
    while taken[0] < len(waiting):
        index = taken[0]
        taken[0] += 1
        if interval_seconds:
            await asyncio.sleep(max(0.0, started + own * interval_seconds - time.monotonic()))
        own += 1
        sent[index] = time.time()
        content = b""
        for _ in range(_FULL_ATTEMPTS):
            writer.write(waiting[index])
            content = await _answer(reader)
            if b"mempool is full" not in content:
                break
            await asyncio.sleep(_FULL_PAUSE_SECONDS)
        check(content)
    writer.close()
    await writer.wait_closed()


def no_error(content: bytes) -> None:
    """Raises for a JSON-RPC error answer."""
    if b'"error":' in content and b'"error":null' not in content:
        raise RequestFailed(content[:300].decode(errors="replace"))


async def send(
    url: str,
    bodies: Sequence[bytes],
    connections: int,
    *,
    rate_per_second: float = 0.0,
    check: Check = no_error,
) -> list[float]:
    """Post every body once; returns when each was sent (Unix seconds). With a rate, spread evenly at that rate."""
    sent = [0.0] * len(bodies)
    waiting = requests(url, bodies)
    taken = [0]
    interval_seconds = connections / rate_per_second if rate_per_second else 0.0
    workers = [_worker(url, waiting, taken, sent, check, interval_seconds) for _ in range(connections)]
    await asyncio.gather(*workers)
    return sent
