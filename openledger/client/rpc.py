"""JSON-RPC to a CometBFT node, sync and async: bounded answers, bounded time, errors that say what to do.

    with RpcClient("http://127.0.0.1:26657") as rpc:
        rpc.send(calls.status())
        rpc.send_batch([calls.broadcast_tx_sync(a), calls.broadcast_tx_sync(b)])

`calls` is `openledger.client.rpc_calls`. Both clients send the same bytes and read them with the same functions.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import msgspec

from openledger.client import patience
from openledger.client.rpc_calls import (
    MAX_BATCH_CALLS,
    AnswerTooLarge,
    BadAnswer,
    Call,
    NodeDown,
    RpcRejected,
    RpcTimeout,
)

T = TypeVar("T")
DEFAULT_TIMEOUT_SECONDS = 10.0
# Answers hold at most 8 MiB, in base64 with an envelope; blocks hold 4 MiB.
MAX_ANSWER_BYTES = 16 * 1024 * 1024
_HEADERS = {"content-type": "application/json", "accept-encoding": "identity"}
_MAX_CONNECTIONS = 32


class _Failure(msgspec.Struct, frozen=True):
    code: int = 0
    message: str = ""
    data: str | None = ""


class _Envelope(msgspec.Struct, frozen=True):
    id: int = -1
    result: msgspec.Raw = msgspec.Raw(b"")
    error: _Failure | None = None


_one = msgspec.json.Decoder(_Envelope)
_many = msgspec.json.Decoder(list[_Envelope])


def node_url(text: str) -> str:
    """`host:port`, `tcp://host:port` or a URL as an http URL; raises `ValueError`."""
    text = text.strip()
    if text.startswith("tcp://"):
        text = text.removeprefix("tcp://")
    if "://" not in text:
        text = f"http://{text}"
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ValueError(f"node address {text!r}: {error}; give http://HOST:PORT") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"node address {text!r}: give http://HOST:PORT")
    return text.rstrip("/")


class _Wire:
    """The parts that both clients share: request bytes, reading of answers, error texts."""

    def __init__(self, url: str, timeout_seconds: float, max_answer_bytes: int) -> None:
        self.url = node_url(url)
        self.timeout_seconds = timeout_seconds
        self.max_answer_bytes = max_answer_bytes

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def _limits(self) -> dict[str, Any]:
        limits = httpx.Limits(max_connections=_MAX_CONNECTIONS, max_keepalive_connections=_MAX_CONNECTIONS)
        # The node is the one that was named: no proxy, no other place.
        return {"timeout": self.timeout_seconds, "limits": limits, "trust_env": False, "follow_redirects": False}

    def _read_one(self, data: bytes, call: Call[T]) -> T:
        try:
            envelope = _one.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise self._no_rpc(error) from error
        return self._result(envelope, call)

    def _read_batch(self, data: bytes, calls: Sequence[Call[Any]]) -> list[Any]:
        try:
            # CometBFT answers a batch of one with an object, not with a list.
            envelopes = [_one.decode(data)] if len(calls) == 1 else _many.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            # A batch that is refused as a whole comes back as one error.
            self._read_one(data, calls[0])
            raise self._no_rpc(error) from error
        by_id = {envelope.id: envelope for envelope in envelopes}
        if len(envelopes) != len(calls) or by_id.keys() != set(range(len(calls))):
            raise BadAnswer(f"{self.url} answered {len(envelopes)} of {len(calls)} calls of a batch")
        results: list[Any] = []
        for index, call in enumerate(calls):
            try:
                results.append(self._result(by_id[index], call))
            except RpcRejected as rejection:
                results.append(rejection)
        return results

    def _result(self, envelope: _Envelope, call: Call[T]) -> T:
        if envelope.error is not None:
            error = envelope.error
            raise RpcRejected(call.method, error.code, error.message, error.data or "")
        if not bytes(envelope.result):
            raise BadAnswer(f"{self.url} gave neither result nor error for {call.method}")
        return call.read(bytes(envelope.result))

    def _no_rpc(self, error: Exception) -> BadAnswer:
        return BadAnswer(f"{self.url} does not answer like a CometBFT node ({error}): check the address and port")

    def _check_head(self, response: httpx.Response) -> None:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise BadAnswer(f"{self.url} compresses its answers, which were asked for as they are")
        if response.status_code not in (200, 500):
            raise BadAnswer(f"{self.url} answers HTTP {response.status_code}: check the address and port")

    def _check_progress(self, size_bytes: int, started: float) -> None:
        """httpx bounds the wait for each chunk; a node that drips must not hold us for ever either."""
        if time.monotonic() - started > self.timeout_seconds:
            raise self._too_slow()
        if size_bytes > self.max_answer_bytes:
            raise AnswerTooLarge(f"{self.url} sent more than {self.max_answer_bytes} bytes: ask for less at a time")

    def _too_slow(self) -> RpcTimeout:
        return RpcTimeout(
            f"{self.url} gave no answer within {self.timeout_seconds:g} s: it may be overloaded or catching up"
        )

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        """Turn transport errors into ours."""
        try:
            yield
        except httpx.ConnectError as error:
            raise NodeDown(
                f"no node answers at {self.url} ({error}): start it with `openledger node start`, or name another one"
            ) from error
        except httpx.TimeoutException as error:
            raise self._too_slow() from error
        except httpx.HTTPError as error:
            raise NodeDown(f"the connection to {self.url} broke ({str(error) or type(error).__name__})") from error


def _encode_one(call: Call[Any], identifier: int) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identifier, "method": call.method, "params": call.params}


def _encode(calls: Sequence[Call[Any]]) -> bytes:
    return msgspec.json.encode([_encode_one(call, index) for index, call in enumerate(calls)])


def _parts(calls: Sequence[Call[Any]]) -> Iterator[Sequence[Call[Any]]]:
    """Split calls into parts of as many calls as a node takes at once."""
    for start in range(0, len(calls), MAX_BATCH_CALLS):
        yield calls[start : start + MAX_BATCH_CALLS]


class RpcClient(_Wire):
    """Talks to one node; one instance may be used by several threads."""

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        super().__init__(url, timeout_seconds, max_answer_bytes)
        self._http = httpx.Client(transport=transport, **self._limits())

    def send(self, call: Call[T]) -> T:
        """One call; raises `RpcError`. A busy node is asked again."""
        body = msgspec.json.encode(_encode_one(call, 0))
        answer = self._read_one(self._post(body, call.may_repeat), call)
        for wait_seconds in patience.waits():
            if not patience.is_busy(answer):
                break
            time.sleep(wait_seconds)
            answer = self._read_one(self._post(body, call.may_repeat), call)
        return answer

    def send_batch(self, calls: Sequence[Call[Any]]) -> list[Any]:
        """Several calls in few requests; each result is the value or its `RpcRejected`. Raises `RpcError`."""
        results: list[Any] = []
        for part in _parts(calls):
            may_repeat = all(call.may_repeat for call in part)
            results += self._read_batch(self._post(_encode(part), may_repeat), part)
        for wait_seconds in patience.waits():
            places = patience.busy_places(results)
            if not places:
                break
            time.sleep(wait_seconds)
            places = places[:MAX_BATCH_CALLS]
            again = [calls[place] for place in places]
            for place, result in zip(places, self._read_batch(self._post(_encode(again), True), again), strict=True):
                results[place] = result
        return results

    def _post(self, body: bytes, may_repeat: bool) -> bytes:
        with self._plain_errors():
            try:
                return self._post_once(body)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                # The node closes idle connections; a fresh one is worth a try.
                if not may_repeat:
                    raise
                return self._post_once(body)

    def _post_once(self, body: bytes) -> bytes:
        received, started = bytearray(), time.monotonic()
        with self._http.stream("POST", self.url, content=body, headers=_HEADERS) as response:
            self._check_head(response)
            for chunk in response.iter_raw():
                received += chunk
                self._check_progress(len(received), started)
        return bytes(received)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncRpcClient(_Wire):
    """An RPC client for asyncio."""

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(url, timeout_seconds, max_answer_bytes)
        self._http = httpx.AsyncClient(transport=transport, **self._limits())

    async def send(self, call: Call[T]) -> T:
        """One call; raises `RpcError`. A busy node is asked again."""
        body = msgspec.json.encode(_encode_one(call, 0))
        answer = self._read_one(await self._post(body, call.may_repeat), call)
        for wait_seconds in patience.waits():
            if not patience.is_busy(answer):
                break
            await asyncio.sleep(wait_seconds)
            answer = self._read_one(await self._post(body, call.may_repeat), call)
        return answer

    async def send_batch(self, calls: Sequence[Call[Any]]) -> list[Any]:
        """Several calls in few requests; each result is the value or its `RpcRejected`. Raises `RpcError`."""
        results: list[Any] = []
        for part in _parts(calls):
            may_repeat = all(call.may_repeat for call in part)
            results += self._read_batch(await self._post(_encode(part), may_repeat), part)
        for wait_seconds in patience.waits():
            places = patience.busy_places(results)
            if not places:
                break
            await asyncio.sleep(wait_seconds)
            places = places[:MAX_BATCH_CALLS]
            again = [calls[place] for place in places]
            received = self._read_batch(await self._post(_encode(again), True), again)
            for place, result in zip(places, received, strict=True):
                results[place] = result
        return results

    async def _post(self, body: bytes, may_repeat: bool) -> bytes:
        with self._plain_errors():
            try:
                return await self._post_once(body)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                if not may_repeat:
                    raise
                return await self._post_once(body)

    async def _post_once(self, body: bytes) -> bytes:
        received, started = bytearray(), time.monotonic()
        async with self._http.stream("POST", self.url, content=body, headers=_HEADERS) as response:
            self._check_head(response)
            async for chunk in response.aiter_raw():
                received += chunk
                self._check_progress(len(received), started)
        return bytes(received)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
