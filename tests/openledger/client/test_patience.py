"""A node that is busy is asked again, some times and not for ever."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from abci_app.errors import Code
from openledger.client import patience
from openledger.client import rpc_calls as calls
from openledger.client.rpc import AsyncRpcClient, RpcClient

URL = "http://node.example:26657"


def answer(code: int, identifier: int = 0, codespace: str = "openledger") -> dict[str, Any]:
    response = {"code": code, "log": "", "height": "7", "key": None, "value": "", "proofOps": None}
    return {"jsonrpc": "2.0", "id": identifier, "result": {"response": {**response, "codespace": codespace}}}


class BusyNode:
    """Answers BUSY to the first so many questions of each key."""

    def __init__(self, busy: dict[str, int], codespace: str = "openledger") -> None:
        self.busy = busy
        self.codespace = codespace
        self.asked: list[list[str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        one = isinstance(asked, dict)
        keys = [item["params"]["data"] for item in ([asked] if one else asked)]
        self.asked.append(keys)
        answers = []
        for identifier, key in enumerate(keys):
            left = self.busy.get(key, 0)
            self.busy[key] = left - 1
            answers.append(answer(int(Code.BUSY) if left > 0 else 0, identifier, self.codespace))
        content = json.dumps(answers[0] if len(answers) == 1 else answers).encode()
        return httpx.Response(200, stream=httpx.ByteStream(content))


@pytest.fixture(autouse=True)
def hasten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_LONGEST_WAIT_SECONDS", patience._SHORTEST_WAIT_SECONDS / 10)
    monkeypatch.setattr(patience, "_SHORTEST_WAIT_SECONDS", 0.0)


def question(key: str) -> calls.Call[calls.QueryAnswer]:
    return calls.abci_query("/store/openledger/key", bytes.fromhex(key))


def test_a_busy_node_is_asked_again_until_it_answers() -> None:
    node = BusyNode({"aa": 3})
    assert RpcClient(URL, transport=httpx.MockTransport(node)).send(question("aa")).code == 0
    assert node.asked == [["aa"]] * 4


def test_a_node_that_stays_busy_is_believed_in_the_end() -> None:
    node = BusyNode({"aa": 1_000})
    assert RpcClient(URL, transport=httpx.MockTransport(node)).send(question("aa")).code == Code.BUSY
    assert len(node.asked) == patience.TRIES


def test_of_a_batch_only_what_was_refused_is_asked_again_and_the_order_is_kept() -> None:
    node = BusyNode({"bb": 2, "cc": 1})
    client = RpcClient(URL, transport=httpx.MockTransport(node))
    assert [result.code for result in client.send_batch([question(key) for key in ("aa", "bb", "cc")])] == [0, 0, 0]
    assert node.asked == [["aa", "bb", "cc"], ["bb", "cc"], ["bb"]]


def test_the_same_code_of_something_else_is_an_answer() -> None:
    node = BusyNode({"aa": 1}, codespace="other")
    assert RpcClient(URL, transport=httpx.MockTransport(node)).send(question("aa")).code == Code.BUSY
    assert len(node.asked) == 1


def test_an_asynchronous_client_is_as_patient() -> None:
    node = BusyNode({"aa": 2, "bb": 1})

    async def ask() -> list[int]:
        async with AsyncRpcClient(URL, transport=httpx.MockTransport(node)) as client:
            one = await client.send(question("aa"))
            return [one.code, *[result.code for result in await client.send_batch([question("aa"), question("bb")])]]

    assert asyncio.run(ask()) == [0, 0, 0]
    assert node.asked == [["aa"], ["aa"], ["aa"], ["aa", "bb"], ["bb"]]
