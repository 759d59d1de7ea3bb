"""A node that lies: an HTTP proxy in front of an honest RPC that changes the answers of `abci_query`."""

from __future__ import annotations

import base64
import json
import select
import socket
import threading
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

Lie = Callable[[dict[str, Any]], None]


def flip_value(response: dict[str, Any]) -> None:
    """Change one bit of the value."""
    value = bytearray(base64.b64decode(response["value"]))
    value[-1] ^= 1
    response["value"] = base64.b64encode(bytes(value)).decode()


def tell_the_truth(response: dict[str, Any]) -> None:
    """Change nothing."""


def splice(client: socket.socket, target: str, first: bytes) -> None:
    """Copy bytes between a client and the target until either ends."""
    parts = urlsplit(target)
    with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 80)) as server:
        server.sendall(first.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
        while True:
            for source in select.select([client, server], [], [], 60)[0]:
                data = source.recv(65_536)
                if not data:
                    return
                (server if source is client else client).sendall(data)


class LyingNode:
    """Serves `target`'s JSON-RPC on a free loopback port; `lie` changes each abci_query response in place."""

    def __init__(self, target: str, lie: Lie) -> None:
        self.lie = lie

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler) -> None:  # noqa: N805 - the name that http.server calls
                body = handler.rfile.read(int(handler.headers["Content-Length"]))
                request = urllib.request.Request(target, body, {"Content-Type": "application/json"})
                with urllib.request.urlopen(request, timeout=30) as answer:
                    content = answer.read()
                if b'"abci_query"' in body:
                    document = json.loads(content)
                    self.lie(document["result"]["response"])
                    content = json.dumps(document).encode()
                handler.send_response(200)
                handler.send_header("Content-Type", "application/json")
                handler.send_header("Content-Length", str(len(content)))
                handler.end_headers()
                handler.wfile.write(content)

            def do_GET(handler) -> None:  # noqa: N805
                """A web socket, which the light proxy keeps open for events: passed through as it is."""
                splice(handler.connection, target, f"{handler.requestline}\r\n{handler.headers}".encode("latin-1"))
                handler.close_connection = True

            def log_message(handler, *arguments: object) -> None:  # noqa: N805
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
