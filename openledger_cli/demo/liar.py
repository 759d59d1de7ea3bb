"""A node that lies: an HTTP proxy in front of an honest node's RPC that changes what queries answer."""

from __future__ import annotations

import base64
import json
import threading
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

# The bytes of an answer -> what the liar says instead.
Lie = Callable[[bytes], bytes]
_SECONDS = 30.0


class LyingNode:
    """Serves an honest node's JSON-RPC on a free loopback port; `lie` is applied to every `abci_query` answer."""

    def __init__(self, target: str, lie: Lie = bytes) -> None:
        self.lie = lie
        self.lies_told = 0
        node = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                content = node.answer(target, body)
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def answer(self, target: str, body: bytes) -> bytes:
        """The honest node's answer, changed where it answers a query."""
        request = urllib.request.Request(target, body, {"Content-Type": "application/json"})  # noqa: S310 - our node
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
            content: bytes = answer.read()
        asked, document = json.loads(body), json.loads(content)
        # CometBFT answers a batch of one call without the list around it.
        calls = asked if isinstance(asked, list) else [asked]
        answers = document if isinstance(document, list) else [document]
        queries = {call["id"] for call in calls if call["method"] == "abci_query"}
        for one in answers:
            if one["id"] in queries and "result" in one:
                self._change(one["result"]["response"])
        return json.dumps(document).encode()

    def _change(self, response: dict[str, Any]) -> None:
        value = base64.b64decode(response.get("value") or "")
        changed = self.lie(value)
        self.lies_told += changed != value
        response["value"] = base64.b64encode(changed).decode()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
