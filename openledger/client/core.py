"""The memory of a client between calls, and the flows of building and sending: sequences, policies, fees, chain id.

Sequences are counted here so that hundreds of transactions can be on their way at once; a refusal by the chain
makes the client ask again. Nothing here opens a connection.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypedDict, cast

from abci_app.chain.simulation import Simulation
from abci_app.errors import Code
from abci_app.module import Message
from abci_app.parameters import Parameters
from openledger.client import flows, transactions
from openledger.client import rpc_calls as calls
from openledger.client.flows import BatchFailed, Clock, Flow
from openledger.client.results import Sent
from openledger.client.steps import Pause
from openledger.client.transactions import CanSign, Draft, Slot
from openledger.errors import (
    NodeFailure,
    NodeUnreachable,
    QueryFailed,
    TimedOut,
    TransactionFailed,
    UsageError,
    WouldFail,
)

_ATTEMPTS = 3
# Half a minute for transactions of the account that wait for their block.
_TRIALS, _TRIAL_PAUSE_SECONDS = 60, 0.5
# A sponsored transaction must expire; this gives its signers and the mempool some minutes.
SPONSORED_EXPIRY_BLOCKS = 200


class Party(Protocol):
    """An account that agrees: `openledger.Signer`, or a key of the wallet without its secret."""

    @property
    def address(self) -> bytes:
        """32 bytes."""

    @property
    def policy(self) -> bytes:
        """Canonical bytes of the account's first policy."""


class SigningParty(Party, CanSign, Protocol):
    """An account whose key is at hand."""


@dataclass(frozen=True, slots=True)
class SigningAccount:
    """A party known by its address, and by its first policy until that is stored."""

    address: bytes
    policy: bytes = b""


class SendOptions(TypedDict, total=False):
    """Keyword arguments of building and sending."""

    # Default: the estimate for the fees as they are now.
    fee_limit_nopen: int
    # Last height at which it may be included; 0 = none.
    expiry_height: int
    # Who pays the fee instead of the sender; must sign too.
    sponsor: Party
    # SHA-256 of a note that is kept elsewhere.
    memo_digest: bytes
    # Default: the next one, pending transactions counted.
    sequence: int
    # Default: the signer's own account. Another one when the key was rotated in, shares it, or acts by delegation.
    account: Party
    # The signer's key is delegated by `account`.
    delegated: bool


@dataclass(slots=True)
class Core:
    """Memory of one client."""

    chain_id: str = ""
    url: str = ""
    _checked: bool = False
    _fees: Parameters | None = None
    _sequences: dict[bytes, int] = field(default_factory=dict)
    _policies: dict[bytes, bytes] = field(default_factory=dict)

    def ensure_chain(self) -> Flow[str]:
        """The chain id, compared with the node's once; raises `UsageError` when they differ."""
        if not self._checked:
            status = yield calls.status()
            network = status.node_info.network
            if self.chain_id and self.chain_id != network:
                raise UsageError(
                    f"wrong chain id: {self.url} is on chain {network!r}, not {self.chain_id!r}: "
                    f"pass --chain-id {network}, or name a node of {self.chain_id!r} with --node"
                )
            self.chain_id = network
            self._checked = True
        return self.chain_id

    def fees(self) -> Flow[Parameters]:
        """Parameters of fees, asked for once and again when a fee was refused."""
        if self._fees is None:
            self._fees = yield from flows.fees()
        return self._fees

    def prepare(self, party: Party, messages: Sequence[Message], options: SendOptions) -> Flow[Draft]:
        """An unsigned transaction with sequence, fee limit and policies filled in."""
        chain_id = yield from self.ensure_chain()
        sender = options.get("account", party)
        sequence = options.get("sequence")
        if sequence is None:
            sequence = yield from self._next_sequence(sender.address)
        slots = [(yield from self._sender_slot(sender, party, sequence, options))]
        expiry_height = options.get("expiry_height", 0)
        if "sponsor" in options:
            sponsor = options["sponsor"]
            slots.append((yield from self._slot(sponsor)))
            if not expiry_height:
                status = yield calls.status()
                expiry_height = status.sync_info.latest_block_height + SPONSORED_EXPIRY_BLOCKS
        memo_digest = options.get("memo_digest", b"")
        fee_limit_nopen = options.get("fee_limit_nopen")
        if fee_limit_nopen is not None:
            return transactions.build(chain_id, slots, sequence, messages, fee_limit_nopen, expiry_height, memo_digest)
        fees = yield from self.fees()
        return transactions.with_fee(chain_id, slots, sequence, messages, fees, expiry_height, memo_digest)

    def rehearse(self, party: Party, messages: Sequence[Message], options: SendOptions) -> Flow[Simulation]:
        """Dry run on the latest committed state, hence with the committed sequence (again if a block came between)."""
        sender = options.get("account", party).address
        for attempt in range(_ATTEMPTS):
            sequence = options.get("sequence")
            if sequence is None:
                sequence = (yield from flows.account(sender)).sequence
            draft = yield from self.prepare(party, messages, {**options, "sequence": sequence})
            simulation = yield from flows.simulate(draft.unsigned_envelope())
            if simulation.code != Code.WRONG_SEQUENCE or "sequence" in options or attempt + 1 == _ATTEMPTS:
                return simulation
        raise AssertionError("the loop returns")

    def try_out(self, party: Party, messages: Sequence[Message], options: SendOptions) -> Flow[None]:
        """Raise `WouldFail` when the messages are bound to fail, so that nothing is sent and no fee is lost.

        While transactions of the account wait for their block, it is tried again: it may build on them.
        """
        sender = options.get("account", party).address
        now = cast("SendOptions", {name: value for name, value in options.items() if name != "sequence"})
        simulation = yield from self.rehearse(party, messages, now)
        for _ in range(_TRIALS):
            committed = (yield from flows.account(sender)).sequence
            if not simulation.code or (yield from flows.next_sequence(sender)) <= committed:
                break
            yield Pause(_TRIAL_PAUSE_SECONDS)
            simulation = yield from self.rehearse(party, messages, now)
        if simulation.code:
            raise WouldFail(simulation.code, simulation.codespace, simulation.log)

    def send(
        self, signers: Sequence[SigningParty], messages: Sequence[Message], options: SendOptions, mode: str = "sync"
    ) -> Flow[Sent]:
        """Build, sign and hand over; a stale sequence, fee or policy of our own memory is corrected and tried again."""
        for attempt in range(_ATTEMPTS):
            draft = yield from self.prepare(signers[0], messages, options)
            try:
                sent = yield from flows.broadcast(draft.sign(*signers).envelope(), mode, known_is_fine=False)
            except (NodeFailure, NodeUnreachable, TimedOut):
                self.forget(draft.body.sender)
                raise
            except TransactionFailed as failure:
                self.forget(draft.body.sender)
                if attempt + 1 == _ATTEMPTS or not _may_retry(failure.code, options):
                    raise
                continue
            self._sequences[draft.body.sender] = draft.body.sequence + 1
            return sent
        raise AssertionError("the loop returns or raises")

    def send_many(
        self,
        signer: SigningParty,
        groups: Sequence[Sequence[Message]],
        options: SendOptions,
        clock: Clock,
        timeout_seconds: float,
        mode: str = "sync",
    ) -> Flow[list[Sent]]:
        """One transaction a group, in order, all on their way at once. Raises `BatchFailed` at the first refused one.

        A batch that starts with a stale sequence of our own memory is built again once.
        """
        for attempt in range(_ATTEMPTS):
            raws: list[bytes] = []
            sender = options.get("account", signer).address
            for group in groups:
                draft = yield from self.prepare(signer, group, options)
                raws.append(draft.sign(signer).envelope())
                self._sequences[sender] = draft.body.sequence + 1
            try:
                return (yield from flows.broadcast_many(raws, clock, timeout_seconds, mode, known_is_fine=False))
            except BatchFailed as failure:
                self.forget(sender)
                if failure.sent or attempt + 1 == _ATTEMPTS or not _may_retry(failure.code, options):
                    raise
        raise AssertionError("the loop returns or raises")

    def settle(self, draft: Draft) -> Flow[Draft]:
        """A signed draft with its policies present where the chain asks for them now.

        One whose sequence was used is left as it is: it may be the very one that is in a block.
        """
        stored: dict[bytes, bytes] = {}
        for slot in draft.slots:
            account = yield from flows.account(slot.account)
            if slot.account == draft.body.sender and account.sequence > draft.body.sequence:
                return draft
            stored[slot.account] = account.policy
        return transactions.settle(draft, stored)

    def catch_up(self, address: bytes) -> Flow[None]:
        """Go beyond the sequences that other programs have used since."""
        if address in self._sequences:
            found = yield from flows.next_sequence(address)
            self._sequences[address] = max(found, self._sequences[address])

    def forget(self, address: bytes) -> None:
        """Ask again for what may have changed: sequence, policy, fees."""
        self._sequences.pop(address, None)
        self._policies.pop(address, None)
        self._fees = None

    def _next_sequence(self, address: bytes) -> Flow[int]:
        if address not in self._sequences:
            self._sequences[address] = yield from flows.next_sequence(address)
        return self._sequences[address]

    def _sender_slot(self, sender: Party, signer: Party, sequence: int, options: SendOptions) -> Flow[Slot]:
        if options.get("delegated"):
            public_key = getattr(signer, "public_key", b"")
            if not public_key:
                raise UsageError("a delegated transaction is signed by one key: name that key")
            return transactions.delegated_slot(sender.address, public_key)
        return (yield from self._slot(sender, sequence))

    def _slot(self, party: Party, sequence: int = 0) -> Flow[Slot]:
        stored = self._policies.get(party.address, b"")
        if not stored:
            stored = (yield from flows.account(party.address)).policy
            if stored:
                self._policies[party.address] = stored
        if not stored and not party.policy:
            raise QueryFailed(
                Code.UNKNOWN_ACCOUNT,
                "openledger",
                "this account has sent nothing yet, so its policy is not on the chain: name its key",
            )
        return transactions.single_slot(party.address, party.policy, stored, sequence)


def _may_retry(code: int, options: SendOptions) -> bool:
    """Whether asking the chain again can mend it: never what the caller has fixed."""
    if code == Code.WRONG_SEQUENCE:
        return "sequence" not in options
    if code == Code.INSUFFICIENT_FEE:
        return "fee_limit_nopen" not in options
    return code in (Code.BAD_SIGNATURE, Code.BAD_POLICY)
