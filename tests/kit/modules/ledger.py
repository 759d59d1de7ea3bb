"""A chain without fees, one transaction a block: what a transaction changes is what its messages did.

Every refused transaction is checked to leave nothing but the sequence; every question is proven, verified and asked
again of the proof.
"""

from dataclasses import dataclass
from typing import Any

from abci_app.accounts import ACCOUNTS, Account
from abci_app.chain.queries import QUERY_BUDGET_UNITS
from abci_app.chain.registry import HANDLERS, parameters_of, query_named
from abci_app.errors import Rejected
from abci_app.module import BlockContext, Context, Message
from abci_app.parameters import Parameters
from abci_app.pb import abci_pb2 as pb
from abci_app.state import proof
from abci_app.state.codec import decode, encode
from abci_app.state.overlay import Overlay
from abci_app.state.store import StateView
from abci_app.state.views import RecordingView
from abci_app.state.work import Work
from abci_app.types import Address
from abci_app.versions import app_version_of
from tests.kit.chain import GENESIS_SECONDS, Chain, changed
from tests.kit.signing import CHAIN_ID, Signer

FUNDS = 10**9
# Fees of a chain on which nothing costs anything.
FREE = {"fee_per_byte_nopen": 0, "fee_per_weight_nopen": 0}
ALICE, BOB, CARL, DORA, EVE = [Signer.named(name) for name in ("alice", "bob", "carl", "dora", "eve")]
EVERYBODY = (ALICE, BOB, CARL, DORA, EVE)

Changes = dict[bytes, bytes | None]
Events = list[tuple[str, dict[str, str]]]


def _answer(query: Any, view: StateView, args: Any) -> Any:
    """The result, or (code, text) of the refusal."""
    try:
        return query.at(app_version_of(view)).function(view, args)
    except Rejected as rejection:
        return int(rejection.code), rejection.text


def ask(version: Any, module: str, name: str, args: Any) -> Any:
    """A query's answer, or (code, text); the same from the state and from a proof of what it read there."""
    query = query_named(module, name)
    recording = RecordingView(version, Work(QUERY_BUDGET_UNITS))
    answer = _answer(query, recording, decode(query.args_type, encode(args)))
    proven = proof.verify(version.prove(recording.keys, recording.ranges), version.app_hash)
    assert (proven.height, _answer(query, proven, args)) == (version.height, answer)
    return answer


def execute(state: Overlay, sender: Signer, message: Message, height: int, sequence: int = 0) -> None:
    """One message straight on a state, without signature and fee: for thousands of them."""
    message.validate()
    block = BlockContext(CHAIN_ID, height, GENESIS_SECONDS + height, parameters_of(state) or Parameters())
    HANDLERS[type(message)][1](Context(state, block, Address(sender.address), sequence), message)


@dataclass(slots=True)
class Ledger:
    """The chain and shorthand for driving it."""

    chain: Chain

    @classmethod
    def start(cls, *, licence_policy: str = "conservative", **app_state: Any) -> "Ledger":
        """Everybody has `FUNDS`; nothing costs anything."""
        parameters = {
            "fees": FREE,
            "licences": {"licence_policy": licence_policy},
            **app_state.pop("parameters", {}),
        }
        balances = {signer.address: FUNDS for signer in EVERYBODY}
        return cls(Chain.start(balances, parameters=parameters, **app_state))

    @property
    def store(self) -> StateView:
        """The last commit."""
        return self.chain.application.store

    @property
    def height(self) -> int:
        """Height of the last commit."""
        return self.chain.height

    @property
    def seconds(self) -> int:
        """Header time of the last commit."""
        return self.chain.seconds(self.chain.height)

    def next_sequence(self, signer: Signer) -> int:
        """Sequence of the signer's next transaction."""
        return self.chain.account(signer.address).sequence

    def send(self, signer: Signer, *messages: Message) -> pb.ExecTxResult:
        """One transaction in a block of its own."""
        (result,) = self.chain.block(signer.transaction(*messages, sequence=self.next_sequence(signer)))
        return result

    def send_together(self, *sent: tuple[Signer, Message]) -> list[int]:
        """One transaction each, all in one block; their codes."""
        ahead: dict[bytes, int] = {}
        transactions = []
        for signer, message in sent:
            sequence = ahead.get(signer.address, self.next_sequence(signer))
            ahead[signer.address] = sequence + 1
            transactions.append(signer.transaction(message, sequence=sequence))
        return self.chain.codes(*transactions)

    def accept(self, signer: Signer, *messages: Message) -> Events:
        """A transaction that succeeds; the modules' events."""
        result = self.send(signer, *messages)
        assert (result.code, result.data, result.gas_used) == (0, b"", 0), result.log
        return [
            (event.type, {attribute.key: attribute.value for attribute in event.attributes})
            for event in result.events
            if event.type != "tx"
        ]

    def effects(self, signer: Signer, *messages: Message) -> Changes:
        """A transaction that succeeds; every key that it changed but the sender's sequence."""
        before = self.chain.state()
        account = self.chain.account(signer.address)
        self.accept(signer, *messages)
        changes = changed(before, self.chain.state())
        own = changes.pop(ACCOUNTS.key(signer.address))
        assert own == encode(Account(account.sequence + 1, account.balance_nopen, account.policy or signer.policy))
        return changes

    def refuse(self, signer: Signer, *messages: Message) -> tuple[int, str]:
        """A transaction that fails and leaves nothing, or only its sequence; its code and log."""
        before = self.chain.state()
        account = self.chain.account(signer.address)
        result = self.send(signer, *messages)
        assert (result.code > 0, result.data, result.gas_used) == (True, b"", 0)
        changes = changed(before, self.chain.state())
        paid = encode(Account(account.sequence + 1, account.balance_nopen, account.policy or signer.policy))
        assert changes in ({}, {ACCOUNTS.key(signer.address): paid})
        return result.code, result.log

    def involved(self, signer: Signer, *messages: Message) -> list[bytes]:
        """Addresses under which a transaction that succeeds is found."""
        result = self.send(signer, *messages)
        assert result.code == 0
        own = [event for event in result.events if event.type == "tx"]
        return [bytes.fromhex(a.value) for event in own for a in event.attributes if a.key == "account"]

    def ask(self, module: str, name: str, args: Any) -> Any:
        """A query at the last commit (see `ask`)."""
        with self.chain.application.store.latest() as version:
            return ask(version, module, name, args)

    def violations(self) -> list[str]:
        """List the objections of the invariants."""
        return self.chain.violations()
