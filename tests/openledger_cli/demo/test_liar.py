"""The lying node changes answers to queries and nothing else."""

import base64
import json
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from openledger_cli.demo.liar import LyingNode

VALUE = b"the truth"


def _result(call: dict[str, Any]) -> dict[str, Any]:
    value = base64.b64encode(VALUE).decode()
    return {"id": call["id"], "result": {"response": {"value": value}} if call["method"] == "abci_query" else {"a": 1}}


class _Honest(BaseHTTPRequestHandler):
    """Answers like CometBFT: a batch of one call without the list around it."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answers = [_result(call) for call in (asked if isinstance(asked, list) else [asked])]
        content = json.dumps(answers if len(answers) > 1 else answers[0]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def honest() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Honest)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def _post(url: str, body: Any) -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode()), timeout=10) as answer:
        return json.loads(answer.read())


@pytest.mark.parametrize("in_list", [False, True])
def test_a_query_gets_the_lie(honest: str, in_list: bool) -> None:
    call = {"id": 7, "method": "abci_query"}
    with LyingNode(honest, lambda value: value.replace(b"truth", b"a lie")) as node:
        answer = _post(node.url, [call] if in_list else call)
    assert base64.b64decode(answer["result"]["response"]["value"]) == b"the a lie"
    assert node.lies_told == 1


def test_the_truth_and_other_calls_pass_through(honest: str) -> None:
    calls = [{"id": 1, "method": "abci_query"}, {"id": 2, "method": "status"}]
    with LyingNode(honest) as node:
        assert _post(node.url, calls) == [_result(call) for call in calls]
        assert node.lies_told == 0
        node.lie = lambda _: b"nonsense"
        query, status = _post(node.url, calls)
    assert (base64.b64decode(query["result"]["response"]["value"]), status) == (b"nonsense", _result(calls[1]))
