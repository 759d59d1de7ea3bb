"""RPC client against answers of all kinds: right, wrong, too large, too late, none."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from openledger.client import rpc_calls as calls
from openledger.client.rpc import AsyncRpcClient, RpcClient, node_url
from openledger.client.rpc_calls import AnswerTooLarge, BadAnswer, NodeDown, QueryAnswer, RpcRejected, RpcTimeout
from openledger.errors import NodeUnreachable

URL = "http://node.example:26657"
Handler = Callable[[httpx.Request], httpx.Response]


def _ok(content: bytes) -> httpx.Response:
    """Make a response as it comes from a socket: not read yet."""
    return httpx.Response(200, stream=httpx.ByteStream(content))


def _client(handler: Handler, **options: Any) -> RpcClient:
    return RpcClient(URL, transport=httpx.MockTransport(handler), **options)


def _answers(*documents: Any, as_list: bool = False) -> Handler:
    body = list(documents) if as_list else documents[0]
    return lambda _request: _ok(json.dumps(body).encode())


def _result(value: Any, identifier: int = 0) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identifier, "result": value}


_SENT = {"code": 0, "hash": "AB", "log": "", "codespace": ""}
_ERROR = {"jsonrpc": "2.0", "id": 0, "error": {"code": -32603, "message": "Internal error", "data": "mempool is full"}}


def test_a_query_is_asked_in_cometbfts_encoding_and_read_typed() -> None:
    seen: list[Any] = []

    def node(request: httpx.Request) -> httpx.Response:
        seen.append(json.loads(request.content))
        response = {
            "code": 0,
            "log": "",
            "height": "7",
            "key": None,
            "value": "AQI=",
            "proofOps": None,
            "codespace": "",
        }
        return _ok(json.dumps(_result({"response": response})).encode())

    answer = _client(node).send(calls.abci_query("/query/bank/account", b"\x01\xff", 7, True))
    assert answer == QueryAnswer(0, "", "", 7, b"", b"\x01\x02", ())
    params = {"path": "/query/bank/account", "data": "01ff", "height": "7", "prove": True}
    assert seen == [{"jsonrpc": "2.0", "id": 0, "method": "abci_query", "params": params}]


def test_transactions_travel_in_base64() -> None:
    seen: list[Any] = []

    def node(request: httpx.Request) -> httpx.Response:
        seen.append(json.loads(request.content)["params"])
        return _ok(json.dumps(_result(_SENT)).encode())

    assert _client(node).send(calls.broadcast_tx_sync(b"\xff\x00")) == calls.BroadcastAnswer(0, "AB")
    assert seen == [{"tx": "/wA="}]


def test_a_batch_keeps_its_order_and_shows_what_was_refused() -> None:
    node = _answers(_result(_SENT | {"hash": "CD"}, 1), _ERROR, as_list=True)
    results = _client(node).send_batch([calls.broadcast_tx_sync(b"a"), calls.broadcast_tx_sync(b"b")])
    assert isinstance(results[0], RpcRejected)
    assert (str(results[0]), results[0].code) == ("broadcast_tx_sync: Internal error: mempool is full", -32603)
    assert results[1].hash == "CD"


def test_a_batch_of_one_is_answered_without_a_list() -> None:
    assert _client(_answers(_result(_SENT))).send_batch([calls.broadcast_tx_sync(b"a")])[0].hash == "AB"


def test_more_calls_than_a_node_takes_at_once_are_sent_in_parts() -> None:
    sizes: list[int] = []

    def node(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        sizes.append(len(asked))
        return _ok(json.dumps([_result(_SENT, each["id"]) for each in asked]).encode())

    assert len(_client(node).send_batch([calls.broadcast_tx_async(b"x")] * 24)) == 24
    assert sizes == [10, 10, 4]


def test_a_refusal_is_raised_with_its_reason() -> None:
    with pytest.raises(RpcRejected, match=r"^broadcast_tx_sync: Internal error: mempool is full$"):
        _client(_answers(_ERROR)).send(calls.broadcast_tx_sync(b"a"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>", "does not answer like a CometBFT node"),
        (b"[]", "does not answer like a CometBFT node"),
        (b'{"id":0}', "gave neither result nor error for status"),
        (b'{"id":0,"result":{}}', "the node's answer is malformed"),
        (b"\xff\xff", "does not answer like a CometBFT node"),
    ],
)
def test_what_is_no_answer_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(BadAnswer, match=message):
        _client(lambda _request: _ok(content)).send(calls.status())


@pytest.mark.parametrize("identifiers", [[0], [0, 0], [0, 2], [0, 1, 2]])
def test_a_batch_that_is_not_answered_one_to_one_is_refused(identifiers: list[int]) -> None:
    node = _answers(*[_result(_SENT, each) for each in identifiers], as_list=True)
    with pytest.raises(BadAnswer, match="of 2 calls of a batch"):
        _client(node).send_batch([calls.broadcast_tx_sync(b"a"), calls.broadcast_tx_sync(b"b")])


def test_an_answer_beyond_the_limit_is_dropped_while_it_arrives() -> None:
    def endless() -> Any:
        while True:
            yield b" " * 1000

    with pytest.raises(AnswerTooLarge, match=r"node\.example:26657 sent more than 5000 bytes: ask for less at a time"):
        _client(lambda _request: httpx.Response(200, content=endless()), max_answer_bytes=5000).send(calls.status())


def test_a_compressed_answer_is_refused() -> None:
    import gzip

    packed = gzip.compress(b" " * 10_000_000)
    response = httpx.Response(200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(packed))
    with pytest.raises(BadAnswer, match="compresses its answers"):
        _client(lambda _request: response).send(calls.status())


def test_another_http_status_is_named() -> None:
    with pytest.raises(BadAnswer, match="answers HTTP 404: check the address and port"):
        _client(lambda _request: httpx.Response(404)).send(calls.status())


def test_a_redirect_is_not_followed() -> None:
    with pytest.raises(BadAnswer, match="answers HTTP 302"):
        _client(lambda _request: httpx.Response(302, headers={"location": "http://other"})).send(calls.status())


def _raising(error: Exception) -> Handler:
    def node(_request: httpx.Request) -> httpx.Response:
        raise error

    return node


def test_a_node_that_is_down_is_named_with_what_to_do() -> None:
    with pytest.raises(NodeDown) as caught:
        _client(_raising(httpx.ConnectError("connection refused"))).send(calls.status())
    assert str(caught.value) == (
        f"no node answers at {URL} (connection refused): start it with `openledger node start`, or name another one"
    )
    assert isinstance(caught.value, NodeUnreachable)


def test_a_slow_node_is_given_up() -> None:
    with pytest.raises(RpcTimeout, match=r"gave no answer within 0\.5 s"):
        _client(_raising(httpx.ReadTimeout("slow")), timeout_seconds=0.5).send(calls.status())


def test_a_dripping_node_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr("openledger.client.rpc.time.monotonic", lambda: next(clock))
    with pytest.raises(RpcTimeout):
        _client(lambda _request: httpx.Response(200, content=iter([b" "] * 50))).send(calls.status())


def _breaks_once() -> tuple[Handler, list[int]]:
    asked: list[int] = []

    def node(_request: httpx.Request) -> httpx.Response:
        asked.append(1)
        if len(asked) == 1:
            raise httpx.RemoteProtocolError("server disconnected")
        return _ok(json.dumps(_result(_SENT)).encode())

    return node, asked


def test_a_question_is_repeated_once_when_the_connection_broke() -> None:
    node, asked = _breaks_once()
    assert _client(node).send(calls.raw("health")) == _SENT
    assert len(asked) == 2


def test_a_transaction_is_never_sent_twice() -> None:
    node, asked = _breaks_once()
    with pytest.raises(NodeDown, match=r"the connection to .* broke \(server disconnected\)"):
        _client(node).send(calls.broadcast_tx_sync(b"a"))
    assert len(asked) == 1


def test_asyncio_sends_the_same_and_fails_the_same() -> None:
    async def ask() -> tuple[Any, Any]:
        async with AsyncRpcClient(URL, transport=httpx.MockTransport(_answers(_result(_SENT)))) as client:
            one = await client.send(calls.broadcast_tx_sync(b"a"))
            batch = await client.send_batch([calls.broadcast_tx_sync(b"a")])
        down = httpx.MockTransport(_raising(httpx.ConnectError("connection refused")))
        async with AsyncRpcClient(URL, transport=down) as client:
            with pytest.raises(NodeDown):
                await client.send(calls.status())
        return one, batch

    answer = calls.BroadcastAnswer(0, "AB")
    assert asyncio.run(ask()) == (answer, [answer])


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("127.0.0.1:26657", "http://127.0.0.1:26657"),
        ("tcp://127.0.0.1:26657/", "http://127.0.0.1:26657"),
        (" https://node.example ", "https://node.example"),
    ],
)
def test_addresses_are_read_as_people_write_them(text: str, url: str) -> None:
    assert node_url(text) == url


@pytest.mark.parametrize("text", ["", "ftp://node", "http://", "http://[::1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="give http://HOST:PORT"):
        node_url(text)
