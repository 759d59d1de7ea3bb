"""`AsyncClient`: the same as `Client` for asyncio.

    async with AsyncClient("http://127.0.0.1:26657") as client:
        sent = await client.send(signer, Transfer(recipient, 10**9))
        committed = await client.wait(sent)

Sends of one client take turns, so that sequences stay in order; everything else runs side by side.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from abci_app.chain.simulation import Simulation
from abci_app.module import Message
from openledger.client import flows
from openledger.client import rpc_calls as calls
from openledger.client.client import DEFAULT_WAIT_SECONDS, answer_of, checked
from openledger.client.core import Core, Party, SendOptions, SigningParty
from openledger.client.flows import Flow
from openledger.client.provenance import Pages, drive_pages_async
from openledger.client.results import Answer, Committed, HistoryPage, Sent
from openledger.client.rpc import AsyncRpcClient
from openledger.client.steps import Batch, Pause, drive_async
from openledger.client.transactions import Draft
from openledger.client.typed import questions
from openledger.client.typed.locks import LocksFound, ask_locks
from openledger.client.typed.make import People
from openledger.client.typed.results import AccountFound, Clean, Impact, Lineage, MixVerdict, Permission
from openledger.errors import UsageError
from openledger.keys.turns import KeyTurns

if TYPE_CHECKING:
    from openledger.client.light_client import AsyncLightClient

T = TypeVar("T")


class AsyncClient:
    """Builds, signs, sends, waits and queries."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:26657",
        *,
        chain_id: str = "",
        light: "AsyncLightClient | None" = None,
        rpc: AsyncRpcClient | None = None,
    ) -> None:
        """`chain_id`: refuse any other chain. `light`: who verifies queries; closed with this client."""
        try:
            self.rpc = rpc or AsyncRpcClient(url)
        except ValueError as error:
            raise UsageError(str(error)) from None
        self.light = light
        # Address -> what its key is called here, for results; `openledger.connect_async` fills it from the home.
        self.people: People = {}
        # Whether what is bound to fail is tried out and not sent, as `Client` does.
        self.try_first = False
        self.turns: KeyTurns | None = None
        self._core = Core(chain_id, url)
        self._turn = asyncio.Lock()

    async def prepare(self, party: Party, *messages: Message, **options: Unpack[SendOptions]) -> Draft:
        """An unsigned transaction, ready for `.sign`, for a file, or for a dry run."""
        async with self._turn:
            return await self.run(self._core.prepare(party, messages, options))

    async def send(
        self,
        signer: SigningParty | Sequence[SigningParty],
        *messages: Message,
        mode: str = "sync",
        **options: Unpack[SendOptions],
    ) -> Sent:
        """Build, sign and hand over; raises `TransactionFailed` when it is refused."""
        signers = list(signer) if isinstance(signer, Sequence) else [signer]
        async with self._turn_of(options.get("account", signers[0]).address):
            if self.try_first:
                await self.run(self._core.try_out(signers[0], messages, options))
            return await self.run(self._core.send(signers, messages, options, mode))

    async def send_many(
        self,
        signer: SigningParty,
        groups: Sequence[Sequence[Message]],
        *,
        mode: str = "sync",
        timeout_seconds: float = 60.0,
        **options: Unpack[SendOptions],
    ) -> list[Sent]:
        """One transaction a group of messages, pipelined; raises `flows.BatchFailed` at the first that is refused."""
        async with self._turn_of(options.get("account", signer).address):
            if self.try_first and groups:
                # Later groups may build on the first one, so only that can be tried.
                await self.run(self._core.try_out(signer, groups[0], options))
            flow = self._core.send_many(signer, groups, options, time.monotonic, timeout_seconds, mode)
            return await self.run(flow)

    async def settle(self, draft: Draft) -> Draft:
        """A draft, signed or not, with its policies present where the chain asks for them now."""
        return await self.run(self._core.settle(draft))

    async def broadcast(self, raw: bytes, *, mode: str = "sync") -> Sent:
        """Hand over a transaction that is signed already."""
        return await self.run(flows.broadcast(raw, mode))

    async def wait(self, sent: Sent, timeout_seconds: float = DEFAULT_WAIT_SECONDS, *, check: bool = True) -> Committed:
        """Until committed; with `check`, a transaction that failed in its block raises `TransactionFailed`."""
        return checked(await self.run(flows.wait(sent, time.monotonic, timeout_seconds)), check)

    async def wait_all(
        self, sent: Sequence[Sent], timeout_seconds: float = DEFAULT_WAIT_SECONDS, *, check: bool = True
    ) -> list[Committed]:
        """Wait until all of many transactions are in blocks, with few requests."""
        found = await self.run(flows.wait_all(sent, time.monotonic, timeout_seconds))
        return [checked(one, check) for one in found]

    async def simulate(self, party: Party, *messages: Message, **options: Unpack[SendOptions]) -> Simulation:
        """Ask the node what the messages would do now: code, fee, effects. The question needs no signature."""
        async with self._turn:
            return await self.run(self._core.rehearse(party, messages, options))

    async def query(self, module: str, name: str, args: Any, *, height: int = 0, prove: bool = True) -> Answer[Any]:
        """A module's query; verified by the light client unless `prove` is false."""
        if not prove:
            return await self.run(flows.query_answer(module, name, args, height))
        if self.light is None:
            raise UsageError("no light client to verify the answer: pass light=AsyncLightClient(...), or prove=False")
        return answer_of(await self.light.query(module, name, args, height))

    # --- What people ask most, as objects with attributes (openledger.client.typed)

    async def lineage(self, model: str, *, height: int = 0, prove: bool = True) -> Lineage:
        """Everything that a model (`NAME`, `NAME@VERSION`, `olrun1...`) was made from, all pages of it."""
        return await self._ask(questions.ask_lineage(self.people, model, height), prove)

    async def impact(self, datanet: str, *, direct_only: bool = False, height: int = 0, prove: bool = True) -> Impact:
        """Everything that was made from a DataNet (`NAME`: any version, `NAME@VERSION`, `oldata1...`)."""
        return await self._ask(questions.ask_impact(datanet, height, direct_only=direct_only), prove)

    async def clean(self, model: str, datanet: str, *, height: int = 0, prove: bool = True) -> Clean:
        """Whether a DataNet, any version or `NAME@VERSION`, is among what a model was made from."""
        return await self._ask(questions.ask_clean(model, datanet, height), prove)

    async def verdict(
        self,
        inputs: Sequence[str] = (),
        parents: Sequence[str] = (),
        *,
        terms: str = "",
        at_seconds: int | None = None,
        height: int = 0,
        prove: bool = True,
    ) -> MixVerdict:
        """May DataNet versions and models be mixed? The chain's licence check, before anything is trained."""
        return await self._ask(questions.ask_verdict(inputs, parents, terms, at_seconds, height), prove)

    async def may(
        self,
        model: str,
        use: str = "sell",
        *,
        field: str = "",
        at_seconds: int | None = None,
        height: int = 0,
        prove: bool = True,
    ) -> Permission:
        """May a model be put to a use: sell, serve, share, research, build, distil? Advisory, not legal advice."""
        steps = questions.ask_permission(self.people, model, use, field, at_seconds, height)
        return await self._ask(steps, prove)

    async def account(self, account: str | bytes, *, height: int = 0, prove: bool = True) -> AccountFound:
        """An account by its address, or by what its key is called here (`people`)."""
        return await self._ask(questions.ask_account(self.people, account, height), prove)

    async def locks(self, account: str | bytes, *, height: int = 0, prove: bool = True) -> LocksFound:
        """Everything that an account has locked (bonds, stakes, gOPEN) and what of it is leaving until when."""
        return await self._ask(ask_locks(self.people, account, height), prove)

    async def history(self, address: bytes, page: int = 1, per_page: int = 30) -> HistoryPage:
        """An account's transactions from the node's index, newest first (not proven)."""
        return await self.run(flows.history(address, page, per_page))

    async def transaction(self, transaction_hash: str) -> Committed:
        """A committed transaction by CometBFT's hash."""
        return await self.run(flows.transaction(transaction_hash))

    async def status(self) -> calls.RpcStatus:
        """Who the node is and how far it is."""
        return await self.run(flows.status())

    @asynccontextmanager
    async def _turn_of(self, address: bytes) -> AsyncIterator[None]:
        """The turn to build and hand over a transaction, also among other programs of this key and home."""
        async with self._turn:
            if self.turns is None:
                yield
                return
            chain_id = await self.run(self._core.ensure_chain())
            with ExitStack() as stack:
                await asyncio.to_thread(stack.enter_context, self.turns.of(address, chain_id))
                await self.run(self._core.catch_up(address))
                yield

    async def _ask(self, steps: Pages[T], prove: bool) -> T:
        return await drive_pages_async(self, steps, prove)

    async def run(self, flow: Flow[T]) -> T:
        """Drive a flow to its end."""
        return await drive_async(flow, self._perform, calls.RpcError)

    async def _perform(self, step: flows.Step) -> Any:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        return await (self.rpc.send_batch(step.calls) if isinstance(step, Batch) else self.rpc.send(step))

    async def close(self) -> None:
        """Close the connections."""
        await self.rpc.close()
        if self.light is not None:
            await self.light.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
