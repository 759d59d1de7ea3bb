"""Ports: taken ones are named, free ones are free."""

from __future__ import annotations

import socket
from itertools import islice

import pytest

from node.errors import NodeError
from node.ports import free_ports, is_free, require_free


def test_a_port_in_use_gives_one_line_with_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(NodeError) as refusal:
            require_free("127.0.0.1", port, "stop the other node")
        assert str(refusal.value) == (
            f"port {port} on 127.0.0.1 cannot be had (Address already in use): stop the other node"
        )


def test_free_ports_are_free_and_different() -> None:
    ports = list(islice(free_ports(), 20))
    assert len(set(ports)) == 20
    assert all(is_free("127.0.0.1", port) for port in ports)
