"""Calls to a CometBFT RPC of this machine, for status and devnets. Clients use `openledger.Client`."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from node.errors import NoAnswer, NodeRpcError

__all__ = ["NoAnswer", "NodeRpcError", "call"]

_SECONDS = 10.0


def call(url: str, method: str, **parameters: str | bool) -> dict[str, Any]:
    """The `result` of one JSON-RPC call (numbers are texts in CometBFT's JSON). Raises NoAnswer or NodeRpcError."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=_SECONDS)
    try:
        connection.request("POST", "/", body, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoAnswer(f"no node answers at {url} ({error}); start it with `openledger node start`") from error
    finally:
        connection.close()
    if "error" in answer:
        failure = answer["error"]
        raise NodeRpcError(f"{method}: {failure.get('message', '')} {failure.get('data', '')}".strip())
    result: dict[str, Any] = answer["result"]
    return result
