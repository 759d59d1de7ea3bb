"""Asking the own node's application over RPC, unproven: one's own node is believed."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from abci_app.errors import Code
from abci_app.state.codec import encode
from node import rpc
from node.errors import NodeRpcError


def ask(rpc_url: str, module: str, query: str, arguments: Any, result: Any) -> Any:
    """The answer to one query; None before the first block and for what there is not.

    Raises NodeRpcError for any other refusal, NoAnswer where nobody answers.
    """
    data = encode(arguments).hex()
    response = rpc.call(rpc_url, "abci_query", path=f"/query/{module}/{query}", data=data)["response"]
    code = int(response.get("code", 0))
    if code in (Code.HEIGHT_UNAVAILABLE, Code.NOT_FOUND):
        return None
    if code:
        raise NodeRpcError(f"abci_query {module}/{query}: code {code} {response.get('log', '')}".strip())
    try:
        return msgspec.msgpack.decode(base64.b64decode(response.get("value") or ""), type=result)
    except (msgspec.MsgspecError, ValueError) as error:
        raise NodeRpcError(f"abci_query {module}/{query}: {error}") from None
