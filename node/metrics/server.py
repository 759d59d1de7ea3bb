"""Serves the page of metrics over HTTP on loopback. From elsewhere it is seen through a proxy."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Final

from node.metrics.exposition import CONTENT_TYPE

_LOG = logging.getLogger("openledger.metrics")

HOST: Final = "127.0.0.1"
PATH: Final = "/metrics"
# Callers wait in line; one that sends nothing is let go after this.
_PATIENCE_SECONDS: Final = 2.0
# Reading the page costs file and state reads: asked faster than this, callers get the same page.
_PAGE_SECONDS: Final = 1.0


class MetricsServer(HTTPServer):
    """Answers GET /metrics, one caller after another, with a page that is at most a second old."""

    def __init__(self, port: int, page: Callable[[], str], clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__((HOST, port), _Handler)
        self._page = page
        self._clock = clock
        self._known: tuple[float, bytes] | None = None

    @property
    def port(self) -> int:
        """Where it listens; another than asked for where that was 0."""
        return int(self.server_address[1])

    def page(self) -> bytes:
        """The page, or a moment ago's."""
        now = self._clock()
        if self._known is None or now - self._known[0] >= _PAGE_SECONDS:
            self._known = now, self._page().encode()
        return self._known[1]

    def handle_error(self, request: object, client_address: object) -> None:
        """A caller that went away or stays silent is nothing to tell of."""
        _LOG.debug("a reader of the metrics went away", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    timeout = _PATIENCE_SECONDS

    def do_GET(self) -> None:
        assert isinstance(self.server, MetricsServer)
        if self.path.partition("?")[0] != PATH:
            self._answer(404, "text/plain; charset=utf-8", f"only {PATH} is here\n".encode())
            return
        try:
            body = self.server.page()
        except Exception:  # noqa: BLE001 - a page that cannot be read must not end the server, and is told to its reader
            _LOG.exception("the metrics cannot be read")
            self._answer(500, "text/plain; charset=utf-8", b"the node's log says why\n")
            return
        self._answer(200, CONTENT_TYPE, body)

    def version_string(self) -> str:
        return "openledger"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server gives it
        """Nothing: readers come every few seconds."""

    def _answer(self, code: int, content_type: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving(port: int, page: Callable[[], str]) -> Iterator[MetricsServer | None]:
    """Serve from a thread of its own; not at all where the port is 0. Raises OSError when the port cannot be had."""
    if not port:
        yield None
        return
    with MetricsServer(port, page) as server:
        thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
