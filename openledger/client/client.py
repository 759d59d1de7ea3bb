"""`Client`: one chain through one node, without asyncio.

    with Client("http://127.0.0.1:26657") as client:
        sent = client.send(wallet.signer("alice", passphrase), Transfer(recipient, 10**9))
        print(sent.wait().height)
        print(client.lineage("gardener").contributors)       # verified by the light client

Reads that build a transaction (sequence, policy, fees) are the node's word: the chain checks them again. Questions are
verified unless `prove=False`. One client may be used by several threads; sends take turns.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from abci_app.chain.simulation import Simulation
from abci_app.module import Message
from openledger.client import flows
from openledger.client import rpc_calls as calls
from openledger.client.core import Core, Party, SendOptions, SigningParty
from openledger.client.flows import Flow
from openledger.client.provenance import Pages, drive_pages
from openledger.client.results import Answer, Committed, HistoryPage, Sent
from openledger.client.rpc import RpcClient
from openledger.client.steps import Batch, Pause, drive
from openledger.client.transactions import Draft
from openledger.client.typed import questions
from openledger.client.typed.locks import LocksFound, ask_locks
from openledger.client.typed.make import People
from openledger.client.typed.results import AccountFound, Clean, Impact, Lineage, MixVerdict, Permission
from openledger.errors import TransactionFailed, UsageError
from openledger.keys.turns import KeyTurns

if TYPE_CHECKING:
    from openledger.client.light_client import LightClient
    from openledger.light.results import Verified

T = TypeVar("T")
DEFAULT_WAIT_SECONDS = 30.0


class PendingTransaction:
    """A transaction on its way; `wait` returns when it is in a block."""

    def __init__(self, client: "Client", sent: Sent) -> None:
        self._client = client
        self.sent = sent

    def wait(self, timeout_seconds: float = DEFAULT_WAIT_SECONDS, *, check: bool = True) -> Committed:
        """Block until committed; with `check`, a transaction that failed in its block raises `TransactionFailed`."""
        return checked(self._client.wait(self.sent, timeout_seconds), check)


class Client:
    """Builds, signs, sends, waits and queries."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:26657",
        *,
        chain_id: str = "",
        light: "LightClient | None" = None,
        rpc: RpcClient | None = None,
    ) -> None:
        """`chain_id`: refuse any other chain. `light`: who verifies queries; closed with this client."""
        self.rpc = rpc or _rpc(url)
        self.light = light
        # Address -> what its key is called here, for results; `openledger.connect` fills it from the home.
        self.people: People = {}
        # Whether what is bound to fail is tried out and not sent; turns with other programs of the same key and home.
        # `openledger.connect` sets both.
        self.try_first = False
        self.turns: KeyTurns | None = None
        self._core = Core(chain_id, url)
        self._turn = threading.Lock()
        self._light_turn = threading.Lock()

    # --- Transactions

    def prepare(self, party: Party, *messages: Message, **options: Unpack[SendOptions]) -> Draft:
        """An unsigned transaction, ready for `.sign`, for a file, or for a dry run."""
        with self._turn:
            return self.run(self._core.prepare(party, messages, options))

    def send(
        self,
        signer: SigningParty | Sequence[SigningParty],
        *messages: Message,
        mode: str = "sync",
        **options: Unpack[SendOptions],
    ) -> PendingTransaction:
        """Build, sign and hand over. Several signers share one account, or the second is the sponsor.

        Mode "sync" waits for the node's check, "async" does not. Raises `TransactionFailed` when it is refused, and
        `WouldFail` before anything is sent where `try_first` is set and it is bound to fail.
        """
        signers = list(signer) if isinstance(signer, Sequence) else [signer]
        with self.turn_of(options.get("account", signers[0]).address):
            if self.try_first:
                self.run(self._core.try_out(signers[0], messages, options))
            return PendingTransaction(self, self.run(self._core.send(signers, messages, options, mode)))

    def send_many(
        self,
        signer: SigningParty,
        groups: Sequence[Sequence[Message]],
        *,
        mode: str = "sync",
        timeout_seconds: float = 60.0,
        **options: Unpack[SendOptions],
    ) -> list[Sent]:
        """One transaction a group of messages, pipelined; raises `flows.BatchFailed` at the first that is refused."""
        with self.turn_of(options.get("account", signer).address):
            if self.try_first and groups:
                # Later groups may build on the first one, so only that can be tried.
                self.run(self._core.try_out(signer, groups[0], options))
            flow = self._core.send_many(signer, groups, options, time.monotonic, timeout_seconds, mode)
            return self.run(flow)

    def broadcast(self, raw: bytes, *, mode: str = "sync") -> PendingTransaction:
        """Hand over a transaction that is signed already."""
        return PendingTransaction(self, self.run(flows.broadcast(raw, mode)))

    def wait(self, sent: Sent, timeout_seconds: float = DEFAULT_WAIT_SECONDS) -> Committed:
        """Block until a transaction is in a block, with any result code."""
        return self.run(flows.wait(sent, time.monotonic, timeout_seconds))

    def wait_all(
        self, sent: Sequence[Sent], timeout_seconds: float = DEFAULT_WAIT_SECONDS, *, check: bool = True
    ) -> list[Committed]:
        """Block until all of many transactions are in blocks, with few requests."""
        return [checked(one, check) for one in self.run(flows.wait_all(sent, time.monotonic, timeout_seconds))]

    def simulate(self, party: Party, *messages: Message, **options: Unpack[SendOptions]) -> Simulation:
        """Ask the node what the messages would do now: code, fee, effects. The question needs no signature."""
        with self._turn:
            return self.run(self._core.rehearse(party, messages, options))

    def try_out(self, party: Party, *messages: Message, **options: Unpack[SendOptions]) -> None:
        """Raise `WouldFail` when the messages are bound to fail now; nothing is sent."""
        with self._turn:
            self.run(self._core.try_out(party, messages, options))

    def settle(self, draft: Draft) -> Draft:
        """A draft, signed or not, with its policies present where the chain asks for them now."""
        return self.run(self._core.settle(draft))

    def simulate_draft(self, draft: Draft) -> Simulation:
        """Dry run of a draft, signed or not."""
        return self.run(flows.simulate(self.settle(draft).unsigned_envelope()))

    # --- Queries

    def query(self, module: str, name: str, args: Any, *, height: int = 0, prove: bool = True) -> Answer[Any]:
        """A module's query; verified by the light client unless `prove` is false.

        Raises `QueryFailed`, `NotVerified`, and the other errors of `openledger.light.errors`.
        """
        if not prove:
            return self.run(flows.query_answer(module, name, args, height))
        if self.light is None:
            raise UsageError("no light client to verify the answer: pass light=LightClient(...), or prove=False")
        with self._light_turn:
            return answer_of(self.light.query(module, name, args, height))

    # --- What people ask most, as objects with attributes (openledger.client.typed)

    def lineage(self, model: str, *, height: int = 0, prove: bool = True) -> Lineage:
        """Everything that a model (`NAME`, `NAME@VERSION`, `olrun1...`) was made from, all pages of it."""
        return self._ask(questions.ask_lineage(self.people, model, height), prove)

    def impact(self, datanet: str, *, direct_only: bool = False, height: int = 0, prove: bool = True) -> Impact:
        """Everything that was made from a DataNet (`NAME`: any version, `NAME@VERSION`, `oldata1...`)."""
        return self._ask(questions.ask_impact(datanet, height, direct_only=direct_only), prove)

    def clean(self, model: str, datanet: str, *, height: int = 0, prove: bool = True) -> Clean:
        """Whether a DataNet, any version or `NAME@VERSION`, is among what a model was made from."""
        return self._ask(questions.ask_clean(model, datanet, height), prove)

    def verdict(
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
        return self._ask(questions.ask_verdict(inputs, parents, terms, at_seconds, height), prove)

    def may(
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
        return self._ask(steps, prove)

    def account(self, account: str | bytes, *, height: int = 0, prove: bool = True) -> AccountFound:
        """An account by its address, or by what its key is called here (`people`)."""
        return self._ask(questions.ask_account(self.people, account, height), prove)

    def locks(self, account: str | bytes, *, height: int = 0, prove: bool = True) -> LocksFound:
        """Everything that an account has locked (bonds, stakes, gOPEN) and what of it is leaving until when."""
        return self._ask(ask_locks(self.people, account, height), prove)

    def history(self, address: bytes, page: int = 1, per_page: int = 30) -> HistoryPage:
        """An account's transactions from the node's index, newest first (not proven)."""
        return self.run(flows.history(address, page, per_page))

    def transaction(self, transaction_hash: str) -> Committed:
        """A committed transaction by CometBFT's hash."""
        return self.run(flows.transaction(transaction_hash))

    def status(self) -> calls.RpcStatus:
        """Who the node is and how far it is."""
        return self.run(flows.status())

    @property
    def chain_id(self) -> str:
        """The chain's id (asks the node once)."""
        return self.run(self._core.ensure_chain())

    # --- Inside

    @contextmanager
    def turn_of(self, address: bytes) -> Iterator[None]:
        """The turn to build and hand over a transaction of an account: nobody else does so meanwhile."""
        chain_id = self.chain_id if self.turns is not None else ""
        with self._turn, nullcontext() if self.turns is None else self.turns.of(address, chain_id):
            if self.turns is not None:
                self.run(self._core.catch_up(address))
            yield

    def _ask(self, steps: Pages[T], prove: bool) -> T:
        return drive_pages(self, steps, prove)

    def run(self, flow: Flow[T]) -> T:
        """Drive a flow to its end."""
        return drive(flow, self._perform, calls.RpcError)

    def _perform(self, step: flows.Step) -> Any:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        return self.rpc.send_batch(step.calls) if isinstance(step, Batch) else self.rpc.send(step)

    def close(self) -> None:
        """Close the connections."""
        self.rpc.close()
        if self.light is not None:
            self.light.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _rpc(url: str) -> RpcClient:
    try:
        return RpcClient(url)
    except ValueError as error:
        raise UsageError(str(error)) from None


def checked(committed: Committed, check: bool) -> Committed:
    """Raise `TransactionFailed` for a transaction that failed in its block."""
    if check and committed.code:
        raise TransactionFailed(committed.code, committed.codespace, committed.log, committed.height)
    return committed


def answer_of(verified: "Verified[Any]") -> Answer[Any]:
    """A verified answer in the SDK's form, with how it was verified in words."""
    note = verified.in_words()
    return Answer(
        value=verified.value, height=verified.height, verified=True, note=note, evidence=verified, names=verified.names
    )
