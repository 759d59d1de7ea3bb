"""The light client's shell: nodes, trust store and clock around `openledger.light.Session`.

    client = LightClient("http://127.0.0.1:26657", ["http://127.0.0.1:26667"], anchor=parse_genesis(data))
    answer = client.query("models", "lineage", LineageArgs(...))
    answer.value, answer.height, answer.header, answer.anchor, answer.witnesses

Sync and async drive the same generators; only how they ask differs.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from openledger.client.rpc import AsyncRpcClient, RpcClient
from openledger.client.rpc_calls import Call, status
from openledger.client.steps import Batch, Pause, drive, drive_async
from openledger.client.trust_store import MemoryTrustStore, TrustStore
from openledger.errors import Denied, OpenLedgerError, UsageError
from openledger.light.anchors import Anchor, GenesisAnchor
from openledger.light.attachments import Attachment
from openledger.light.bundle import Bundle, make_bundle
from openledger.light.errors import Divergence
from openledger.light.path import Ask, Steps
from openledger.light.query import Denial, ReadAnswer, ReadQuestion, query_question
from openledger.light.results import LightSettings, Verified, VerifiedHeader
from openledger.light.session import Session

T = TypeVar("T")
_MAX_WITNESSES = 16


class Provider(Protocol):
    """A node, or something that plays one in a test."""

    def send_batch(self, calls: Sequence[Call[Any]]) -> list[Any]:
        """Each call's value or `RpcRejected`; raises `OpenLedgerError`."""
        ...


class AsyncProvider(Protocol):
    """A node, or something that plays one in a test, for asyncio."""

    async def send_batch(self, calls: Sequence[Call[Any]]) -> list[Any]:
        """Each call's value or `RpcRejected`; raises `OpenLedgerError`."""
        ...


class _Shell:
    """The parts that both clients share: the session and its storage."""

    def __init__(
        self,
        names: Sequence[str],
        anchor: Anchor | None,
        settings: LightSettings | None,
        store: TrustStore | None,
        clock: Callable[[], int],
    ) -> None:
        if len(names) > 1 + _MAX_WITNESSES:
            raise UsageError(f"{len(names) - 1} witnesses, at most {_MAX_WITNESSES} are asked")
        self.settings = settings or LightSettings()
        self._names = tuple(names)
        self._anchor = anchor
        self._store = store or MemoryTrustStore()
        self._clock = clock
        self._session: Session | None = None
        self._chain_id = ""

    def _steps(self, chain_id: str, work: Callable[[Session], Steps[T]]) -> Steps[T]:
        """Run `work` in the session; store what was verified, and evidence of an attack."""
        if self._session is None:
            self._chain_id = chain_id
            trusted = self._store.load(chain_id)
            self._session = Session(self._anchor, self._names, self._clock, self.settings, trusted)
        session = self._session
        before = session.trusted
        try:
            result = yield from work(session)
        except Divergence as divergence:
            place = self._store.save_evidence(self._chain_id, divergence)
            text = f"{divergence}; evidence saved in {place}"
            raise Divergence(text, divergence.primary, divergence.witness, divergence.witness_name) from divergence
        if session.trusted != before:
            self._store.save(session.trusted.blocks[-1].header.chain_id, session.trusted)
        return result

    def _known_chain_id(self) -> str:
        """The chain id that the user stated: by name, by genesis document, or by trusting one chain only.

        Raises `UsageError` where several are trusted and none is named: the node would choose which one answers.
        """
        if isinstance(self._anchor, GenesisAnchor):
            return self._anchor.genesis.chain_id
        if self.settings.chain_id or self._anchor is not None:
            return self.settings.chain_id
        known = self._store.chains()
        if len(known) > 1:
            raise UsageError(
                f"several chains are trusted here ({', '.join(known)}): name the one to ask with --chain-id"
            )
        return ""


def _bundle_steps(
    answer: Verified[Any], attachments: Sequence[Attachment], anchor_above: int
) -> Callable[[Session], Steps[bytes]]:
    def steps(session: Session) -> Steps[bytes]:
        blocks, headers = yield from session.full_path(answer.header.height)
        if anchor_above:
            headers = yield from session.headers_down(anchor_above, answer.header.height)
        return make_bundle(
            Bundle(
                question=answer.question,
                height=answer.height,
                blocks=blocks,
                headers=headers,
                proof=answer.proof,
                attachments=tuple(attachments),
            )
        )

    return steps


def granted(verified: Verified[T]) -> Verified[T]:
    """The answer, unless it is a proven no: that is raised as `Denied`, with the answer as its evidence."""
    value: object = verified.value
    if isinstance(value, Denial):
        raise Denied(value.code, value.codespace, value.text, verified.in_words(), verified)
    return verified


class LightClient(_Shell):
    """Asks a node and believes nothing that is not proven under a verified header. Not for several threads at once."""

    def __init__(
        self,
        primary: str | Provider,
        witnesses: Sequence[str | Provider] = (),
        *,
        anchor: Anchor | None = None,
        settings: LightSettings | None = None,
        store: TrustStore | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """`primary` and `witnesses` are node addresses. Without `anchor` the store must know the chain already."""
        self._owned = [RpcClient(each) if isinstance(each, str) else None for each in (primary, *witnesses)]
        self._providers: list[Any] = [
            own or given for own, given in zip(self._owned, (primary, *witnesses), strict=True)
        ]
        super().__init__([_name(each) for each in self._providers], anchor, settings, store, clock)
        self._pool = ThreadPoolExecutor(max_workers=1 + len(witnesses), thread_name_prefix="witness")

    def query(self, module: str, name: str, args: Any, height: int = 0) -> Verified[Any]:
        """A module's query, run again here on proven state; `args` may be `Named`.

        Raises `Denied` where the answer is no, `LightError` and `RpcError`.
        """
        question = query_question(module, name, args)
        return granted(self._run(lambda session: session.ask(question, height)))

    def read(
        self, keys: Sequence[bytes] = (), ranges: Sequence[tuple[bytes, bytes]] = (), height: int = 0
    ) -> Verified[ReadAnswer]:
        """Raw state keys (present or proven absent) and complete ranges [start, end)."""
        question = ReadQuestion(tuple(keys), tuple(ranges))
        question.check()
        return self._run(lambda session: session.ask(question, height))

    def header(self, height: int = 0) -> VerifiedHeader:
        """A verified header; 0 asks for the newest."""
        return self._run(lambda session: session.header_at(height))

    def bundle(self, answer: Verified[Any], attachments: Sequence[Attachment] = (), anchor_above: int = 0) -> bytes:
        """Proof bundle of an answer; with `anchor_above` also the headers down from that height."""
        return self._run(_bundle_steps(answer, attachments, anchor_above))

    def _run(self, work: Callable[[Session], Steps[T]]) -> T:
        chain_id = self._known_chain_id() or self._ask_chain_id()
        return drive(self._steps(chain_id, work), self._perform, OpenLedgerError)

    def _ask_chain_id(self) -> str:
        """Only to find the trust store's file; headers are checked against it."""
        if self._session is not None:
            return ""
        (answer,) = self._providers[0].send_batch([status()])
        if isinstance(answer, OpenLedgerError):
            raise answer
        return str(answer.node_info.network)

    def _perform(self, ask: Ask) -> Any:
        if isinstance(ask, Pause):
            time.sleep(ask.seconds)
            return None
        if isinstance(ask, Batch):
            return self._providers[ask.provider].send_batch(ask.calls)
        return list(self._pool.map(self._try_exchange, ask.batches))

    def _try_exchange(self, exchange: Batch) -> "list[Any] | OpenLedgerError":
        try:
            results: list[Any] = self._providers[exchange.provider].send_batch(exchange.calls)
        except OpenLedgerError as error:
            return error
        return results

    def close(self) -> None:
        """Close connections that this client opened."""
        self._pool.shutdown()
        for client in self._owned:
            if client is not None:
                client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncLightClient(_Shell):
    """A light client for asyncio; calls on one instance run one after another."""

    def __init__(
        self,
        primary: str | AsyncProvider,
        witnesses: Sequence[str | AsyncProvider] = (),
        *,
        anchor: Anchor | None = None,
        settings: LightSettings | None = None,
        store: TrustStore | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """Take the same arguments as `LightClient`."""
        self._owned = [AsyncRpcClient(each) if isinstance(each, str) else None for each in (primary, *witnesses)]
        self._providers: list[Any] = [
            own or given for own, given in zip(self._owned, (primary, *witnesses), strict=True)
        ]
        super().__init__([_name(each) for each in self._providers], anchor, settings, store, clock)
        self._turn = asyncio.Lock()

    async def query(self, module: str, name: str, args: Any, height: int = 0) -> Verified[Any]:
        """Do the work of `LightClient.query` for asyncio."""
        question = query_question(module, name, args)
        return granted(await self._run(lambda session: session.ask(question, height)))

    async def read(
        self, keys: Sequence[bytes] = (), ranges: Sequence[tuple[bytes, bytes]] = (), height: int = 0
    ) -> Verified[ReadAnswer]:
        """Do the work of `LightClient.read` for asyncio."""
        question = ReadQuestion(tuple(keys), tuple(ranges))
        question.check()
        return await self._run(lambda session: session.ask(question, height))

    async def header(self, height: int = 0) -> VerifiedHeader:
        """Do the work of `LightClient.header` for asyncio."""
        return await self._run(lambda session: session.header_at(height))

    async def bundle(
        self, answer: Verified[Any], attachments: Sequence[Attachment] = (), anchor_above: int = 0
    ) -> bytes:
        """Do the work of `LightClient.bundle` for asyncio."""
        return await self._run(_bundle_steps(answer, attachments, anchor_above))

    async def _run(self, work: Callable[[Session], Steps[T]]) -> T:
        async with self._turn:
            chain_id = self._known_chain_id() or await self._ask_chain_id()
            return await drive_async(self._steps(chain_id, work), self._perform, OpenLedgerError)

    async def _ask_chain_id(self) -> str:
        if self._session is not None:
            return ""
        (answer,) = await self._providers[0].send_batch([status()])
        if isinstance(answer, OpenLedgerError):
            raise answer
        return str(answer.node_info.network)

    async def _perform(self, ask: Ask) -> Any:
        if isinstance(ask, Pause):
            await asyncio.sleep(ask.seconds)
            return None
        if isinstance(ask, Batch):
            return await self._providers[ask.provider].send_batch(ask.calls)
        return list(await asyncio.gather(*[self._try_exchange(each) for each in ask.batches]))

    async def _try_exchange(self, exchange: Batch) -> "list[Any] | OpenLedgerError":
        try:
            results: list[Any] = await self._providers[exchange.provider].send_batch(exchange.calls)
        except OpenLedgerError as error:
            return error
        return results

    async def close(self) -> None:
        """Close connections that this client opened."""
        for client in self._owned:
            if client is not None:
                await client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _name(provider: object) -> str:
    return str(getattr(provider, "url", None) or getattr(provider, "name", None) or type(provider).__name__)
