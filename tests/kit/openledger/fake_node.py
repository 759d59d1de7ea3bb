"""A CometBFT node in one process: the real application behind JSON-RPC over httpx's in-process transport.

    node = FakeNode(Chain.start({alice.address: 10**12}))
    client = node.client()
    node.make_block()          # what waits goes into a block

`make_blocks_after = n` makes a block by itself after n calls without one, so that `.wait()` ends.
"""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import httpx

from abci_app.pb import abci_pb2 as pb
from openledger.client.async_client import AsyncClient
from openledger.client.client import Client
from openledger.client.rpc import AsyncRpcClient, RpcClient
from tests.kit.chain import Chain

URL = "http://fake:26657"


class Refusal(Exception):
    """A JSON-RPC error."""


@dataclass
class FakeNode:
    """Mempool, blocks and index of one node."""

    chain: Chain
    chain_id: str = ""
    waiting: list[bytes] = field(default_factory=list)
    # hash -> (height, index, transaction, result)
    index: dict[str, tuple[int, int, bytes, pb.ExecTxResult]] = field(default_factory=dict)
    make_blocks_after: int = 0
    pool_size: int = 5_000
    index_enabled: bool = True
    down: bool = False
    calls: list[str] = field(default_factory=list)
    requests: int = 0
    _idle: int = 0

    def __post_init__(self) -> None:
        self.chain_id = self.chain_id or self.chain.init.chain_id
        self.chain.block()
        self.chain.block()

    def client(self, **options: Any) -> Client:
        """A client of this node."""
        return Client(URL, rpc=RpcClient(URL, transport=httpx.MockTransport(self.answer)), **options)

    def async_client(self, **options: Any) -> AsyncClient:
        """An async client of this node."""
        return AsyncClient(URL, rpc=AsyncRpcClient(URL, transport=httpx.MockTransport(self.answer)), **options)

    def make_block(self) -> None:
        """Put everything that waits into a block."""
        chosen = self.chain.propose(*self.waiting)
        results = self.chain.block(*chosen)
        for place, (raw, result) in enumerate(zip(chosen, results, strict=True)):
            self.index[_hash(raw)] = (self.chain.height, place, raw, result)
        self.waiting = [raw for raw in self.waiting if raw not in chosen and not self.chain.check(raw, recheck=True)[0]]

    def answer(self, request: httpx.Request) -> httpx.Response:
        """One HTTP request."""
        if self.down:
            raise httpx.ConnectError("Connection refused")
        self.requests += 1
        body = json.loads(request.content)
        answers = [self._one(call) for call in (body if isinstance(body, list) else [body])]
        self._idle += 1
        if self.make_blocks_after and self._idle >= self.make_blocks_after:
            self._idle = 0
            self.make_block()
        document = json.dumps(answers if isinstance(body, list) else answers[0])
        return httpx.Response(200, stream=httpx.ByteStream(document.encode()))

    def _one(self, call: dict[str, Any]) -> dict[str, Any]:
        self.calls.append(call["method"])
        head = {"jsonrpc": "2.0", "id": call["id"]}
        try:
            return {**head, "result": getattr(self, f"_{call['method']}")(**call["params"])}
        except Refusal as refusal:
            return {**head, "error": {"code": -32603, "message": "Internal error", "data": str(refusal)}}

    def _status(self) -> dict[str, Any]:
        sync = {
            "latest_block_hash": "AA" * 32,
            "latest_app_hash": "BB" * 32,
            "latest_block_height": str(self.chain.height),
            "latest_block_time": "2026-01-01T00:00:00Z",
            "catching_up": False,
        }
        return {
            "node_info": {"id": "00" * 20, "network": self.chain_id, "version": "0.38.25", "moniker": "fake"},
            "sync_info": sync,
        }

    def _abci_query(self, path: str, data: str, height: str, prove: bool) -> dict[str, Any]:
        response = self.chain.query(path, bytes.fromhex(data), height=int(height), prove=prove)
        document = {
            "code": response.code,
            "log": response.log,
            "codespace": response.codespace,
            "height": str(response.height),
            "key": base64.b64encode(response.key).decode(),
            "value": base64.b64encode(response.value).decode(),
            "proofOps": None,
        }
        return {"response": document}

    def _broadcast_tx_sync(self, tx: str) -> dict[str, Any]:
        raw = base64.b64decode(tx)
        if raw in self.waiting or _hash(raw) in self.index:
            raise Refusal("tx already exists in cache")
        if len(self.waiting) >= self.pool_size:
            raise Refusal(f"mempool is full: number of txs {len(self.waiting)} (max: {self.pool_size})")
        code, log, codespace = self.chain.application.check_tx(raw, False)
        if not code:
            self.waiting.append(raw)
        return {"code": int(code), "log": log, "codespace": codespace, "hash": _hash(raw), "data": ""}

    def _broadcast_tx_async(self, tx: str) -> dict[str, Any]:
        return {**self._broadcast_tx_sync(tx), "code": 0, "log": ""}

    def _tx(self, hash: str, prove: bool) -> dict[str, Any]:  # noqa: A002 - CometBFT's parameter name
        name = base64.b64decode(hash).hex().upper()
        if not self.index_enabled:
            raise Refusal("transaction indexing is disabled")
        if name not in self.index:
            raise Refusal(f"tx ({name}) not found")
        return self._indexed(name)

    def _tx_search(self, query: str, prove: bool, page: str, per_page: str, order_by: str) -> dict[str, Any]:
        key, value = query.split("=")
        found = [name for name, row in self.index.items() if (key, value.strip("'")) in _attributes(row[3])]
        if order_by == "desc":
            found.reverse()
        pages = max(-(-len(found) // int(per_page)), 1)
        if int(page) > pages:
            raise Refusal(f"page should be within [1, {pages}] range, given {page}")
        start = (int(page) - 1) * int(per_page)
        shown = found[start : start + int(per_page)]
        return {"txs": [self._indexed(name) for name in shown], "total_count": str(len(found))}

    def _indexed(self, name: str) -> dict[str, Any]:
        height, place, raw, result = self.index[name]
        events = [
            {
                "type": event.type,
                "attributes": [{"key": one.key, "value": one.value, "index": one.index} for one in event.attributes],
            }
            for event in result.events
        ]
        return {
            "hash": name,
            "height": str(height),
            "index": place,
            "tx": base64.b64encode(raw).decode(),
            "tx_result": {
                "code": result.code,
                "log": result.log,
                "codespace": result.codespace,
                "events": events,
                "gas_used": "0",
            },
        }


def _attributes(result: pb.ExecTxResult) -> list[tuple[str, str]]:
    return [(f"{event.type}.{one.key}", one.value) for event in result.events for one in event.attributes if one.index]


def _hash(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest().upper()
