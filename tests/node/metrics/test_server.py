"""The page over HTTP: on loopback, for one path, and never the end of the node."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from node.metrics.exposition import CONTENT_TYPE
from node.metrics.server import MetricsServer, serving
from node.ports import free_ports

Answer = tuple[int, str, str]


def ask(port: int, path: str, method: str = "GET") -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.headers.get("Content-Type", ""), answer.read().decode()
    finally:
        connection.close()


@contextmanager
def a_server(*pages: str | Exception) -> Iterator[MetricsServer]:
    left = list(pages)

    def page() -> str:
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    with serving(next(free_ports()), page) as server:
        assert server is not None
        yield server


def test_the_page_is_served_under_one_path_for_reading_only() -> None:
    with a_server("a 1\n") as server:
        assert server.server_address[0] == "127.0.0.1"
        assert ask(server.port, "/metrics?x=1") == (200, CONTENT_TYPE, "a 1\n")
        assert ask(server.port, "/") == (404, "text/plain; charset=utf-8", "only /metrics is here\n")
        assert ask(server.port, "/metrics", "POST")[0] == 501


def test_asked_again_at_once_the_node_is_not_read_again() -> None:
    now = [0.0]
    with MetricsServer(0, iter(["a 1\n", "a 2\n"]).__next__, lambda: now[0]) as server:
        found = [server.page(), server.page()]
        now[0] = 1.0
        assert [*found, server.page()] == [b"a 1\n", b"a 1\n", b"a 2\n"]


def test_a_page_that_fails_and_a_reader_that_goes_away_cost_nothing_else() -> None:
    with a_server(KeyError("a bug"), "a 1\n") as server:
        assert ask(server.port, "/metrics") == (500, "text/plain; charset=utf-8", "the node's log says why\n")
        with socket.create_connection(("127.0.0.1", server.port)) as silent:
            silent.sendall(b"GET /met")
        assert ask(server.port, "/metrics")[0] == 200


def test_port_0_serves_nothing() -> None:
    with serving(0, lambda: "") as server:
        assert server is None
