"""Execute one block: begin hooks, transactions in order, deadlines, end hooks. Nothing here touches committed state.

A beacon reveal may stand before the transactions (`mechanisms/beacon`).

Hooks and deadlines run protected (`mechanisms/protection.py`): what one of them raises cannot leave the block.

Fees are collected in the block and credited to the `fees` module account at its end, so that the busiest leaf of the
tree is written once a block and not once a transaction.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cache

from abci_app import accounts
from abci_app.chain.authentication import take_fee_and_sequence
from abci_app.chain.registry import HANDLERS, MODULES, TAG_OF
from abci_app.chain.transaction import Transaction
from abci_app.chain.validator_set import take_powers
from abci_app.chain.weight import MAX_BLOCK_WEIGHT
from abci_app.errors import MACHINE_ERRORS, Code, Rejected
from abci_app.hashing import sha256
from abci_app.mechanisms import beacon
from abci_app.mechanisms.deadlines import kinds_by_number, run_deadlines
from abci_app.mechanisms.hooks import run_hooks
from abci_app.module import (
    FEES_ACCOUNT,
    NOBODY,
    Alarm,
    BlockContext,
    ConsensusUpdate,
    Context,
    Event,
    HookContext,
    Machinery,
    Message,
    Module,
    snake_case,
)
from abci_app.modules import members
from abci_app.state.overlay import Overlay
from abci_app.state.store import StateView
from abci_app.types import Address
from abci_app.versions import begins_after, enter_version

# (key, value, indexed)
Attribute = tuple[str, str, bool]
Decoder = Callable[[bytes], Transaction]


@dataclass(slots=True)
class TransactionResult:
    """Outcome of one transaction; only `code` enters consensus, the rest is for people and indexers."""

    code: int = 0
    log: str = ""
    codespace: str = ""
    events: list[tuple[str, list[Attribute]]] = field(default_factory=list)
    fee_nopen: int = 0
    # False: fee and sequence were not taken, the transaction left no trace; honest proposers leave such ones out.
    paid: bool = True


@dataclass(slots=True)
class BlockResult:
    """Outcome of a block: one result a transaction, every changed key (None = removed) sorted, and what hooks hand out.

    Alarms are for operators: they enter no consensus.
    """

    context: BlockContext
    results: list[TransactionResult]
    changes: list[tuple[bytes, bytes | None]]
    events: list[tuple[str, list[Attribute]]] = field(default_factory=list)
    # (consensus key, power), by key.
    powers: list[tuple[bytes, int]] = field(default_factory=list)
    consensus: ConsensusUpdate | None = None
    alarms: list[Alarm] = field(default_factory=list)
    # Units of all that paid for its place (weight.py).
    weight: int = 0


class TransactionFailure(Exception):
    """An unexpected exception while executing a transaction: a bug. Carries where, so that operators can tell."""

    def __init__(self, height: int, position: int, raw: bytes) -> None:
        digest = sha256(raw).hex().upper()
        super().__init__(f"unexpected error in transaction {position} of height {height}, hash {digest}")
        self.height = height
        self.position = position
        self.raw = raw


class UnpaidTransaction(Exception):
    """A transaction of a proposed block cannot pay for its place: no honest proposer put it there."""


class BlockExecution:
    """One block being executed on an overlay over committed state."""

    def __init__(self, view: StateView, context: BlockContext, decode: Decoder) -> None:
        self.context = context
        self.state = Overlay(view)
        self.results: list[TransactionResult] = []
        self._decode = decode
        self._fees_nopen = 0
        # Units of all that was executed (weight.py).
        self.weight = 0
        self._hooks = HookContext(context, machinery=machinery_of(MODULES))
        enter_version(self.state, context)
        run_hooks(self.state, self._hooks, [(f"{module.name}.begin_block", module.begin_block) for module in MODULES])

    def execute(self, raw: bytes, *, only_if_paid: bool = False, proposed: bool = False) -> TransactionResult:
        """Execute one transaction and keep its result, unless it must pay for its place and cannot.

        In a proposal it gets no place either when the block would become too heavy: it counts as unpaid.
        An exception other than `Rejected` comes out as it is and leaves the block as it was before.
        """
        paid = Overlay(self.state)
        try:
            transaction = self._decode(raw)
            if proposed:
                self._require_room(transaction)
            fee = take_fee_and_sequence(paid, transaction, self.context)
        except Rejected as rejection:
            result = TransactionResult(
                code=rejection.code, log=rejection.text, codespace=codespace_of(rejection.code), paid=False
            )
            if not only_if_paid:
                self.results.append(result)
            return result
        result = execute_messages(paid, transaction, self.context, fee)
        paid.merge_into(self.state)
        self._fees_nopen += fee
        self.weight += transaction.weight
        self.results.append(result)
        return result

    def _require_room(self, transaction: Transaction) -> None:
        if self.weight + transaction.weight > MAX_BLOCK_WEIGHT:
            raise Rejected(Code.TOO_HEAVY, f"the block holds {self.weight} units, {transaction.weight} are too many")

    def due_onion(self) -> beacon.OnionInForce | None:
        """The onion that this block's beacon reveal must lead to; None where its proposer owes none."""
        return beacon.due_onion(self.state, self.context, self._hooks.machinery.revealers)

    def show(self, raw: bytes) -> TransactionResult:
        """Take the block's beacon reveal, before any transaction: it is free, and one that is not valid has no place.

        The result says in words what it is, for who lists transactions.
        """
        shown = Overlay(self.state)
        result = TransactionResult(log=beacon.REVEAL_IN_WORDS)
        try:
            beacon.show(shown, self.context, self._hooks.machinery.revealers, raw)
            shown.merge_into(self.state)
        except Rejected as rejection:
            result = TransactionResult(
                code=rejection.code, log=rejection.text, codespace=codespace_of(rejection.code), paid=False
            )
        self.results.append(result)
        return result

    def execute_or_fail(self, raw: bytes, *, proposed: bool = False, first: bool = False) -> TransactionResult:
        """Execute one transaction, or the reveal that may stand first in a block.

        A bug comes out as `TransactionFailure`, errors of the machine as they are.
        """
        try:
            if first and beacon.is_reveal(raw):
                return self.show(raw)
            return self.execute(raw, proposed=proposed)
        except MACHINE_ERRORS:
            raise
        except Exception as error:  # determinism: rethrown with the place named, never turned into a result
            raise TransactionFailure(self.context.height, len(self.results), raw) from error

    def finish(self) -> BlockResult:
        """Run what is due and the end hooks, and hand out the changes."""
        if self._fees_nopen:
            accounts.credit(self.state, FEES_ACCOUNT, self._fees_nopen)
        hooks = self._hooks
        run_hooks(self.state, hooks, beacon.END_HOOKS)
        run_deadlines(self.state, hooks, hooks.machinery.kinds)
        run_hooks(self.state, hooks, [(f"{module.name}.end_block", module.end_block) for module in MODULES])
        powers = take_powers(self.state, hooks)
        next_version = begins_after(self.state, self.context.height)
        if next_version:
            hooks.consensus = replace(hooks.consensus or ConsensusUpdate(), app_version=next_version)
        return BlockResult(
            context=self.context,
            results=self.results,
            changes=self.state.changes(),
            events=[encode_event(event) for event in hooks.events],
            powers=powers,
            consensus=hooks.consensus,
            alarms=hooks.alarms,
            weight=self.weight,
        )


def machinery_of(modules: Sequence[Module]) -> Machinery:
    """Collect all that these modules declare which acts by itself from inside a deadline."""
    return Machinery(
        kinds=kinds_by_number([kind for module in modules for kind in module.deadlines]),
        revealers=next((module.revealers for module in modules if module.revealers is not None), NOBODY),
        epoch_ends=tuple([(f"{module.name}.epoch_end", module.epoch_end) for module in modules]),
    )


def execute_block(
    view: StateView, context: BlockContext, transactions: Sequence[bytes], decode: Decoder, *, all_pay: bool = False
) -> BlockResult:
    """Execute all transactions of a decided or proposed block; a bug comes out as `TransactionFailure`.

    With `all_pay`, as of a proposal, the first one that does not pay or no longer fits ends it with
    `UnpaidTransaction`: what no honest proposer sends must not cost a validator more than one look.
    """
    execution = BlockExecution(view, context, decode)
    for place, raw in enumerate(transactions):
        if not execution.execute_or_fail(raw, proposed=all_pay, first=place == 0).paid and all_pay:
            raise UnpaidTransaction
    return execution.finish()


def execute_messages(state: Overlay, transaction: Transaction, block: BlockContext, fee: int) -> TransactionResult:
    """Execute the messages, all or nothing; the transaction's own event names every account involved."""
    body = transaction.body
    overlay = Overlay(state)
    context = Context(state=overlay, block=block, sender=Address(body.sender), sequence=body.sequence)
    sender = body.sender.hex()
    own_event = ("tx", [("account", sender, True), ("sequence", f"{sender}/{body.sequence}", True)])
    result = TransactionResult(events=[own_event], fee_nopen=fee)
    try:
        for index, message in enumerate(body.messages):
            message_type = type(message)
            context.message_index = index
            _require_known(block, message_type)
            members.require_role_for(context, TAG_OF[message_type])
            HANDLERS[message_type][1](context, message)
    except Rejected as rejection:
        prefix = f"message {context.message_index}: " if len(body.messages) > 1 else ""
        result.code = rejection.code
        result.log = prefix + rejection.text
        result.codespace = codespace_of(rejection.code)
        return result
    overlay.merge_into(state)
    own_event[1].extend([("account", address.hex(), True) for address in context.involved])
    result.events.extend([encode_event(event) for event in context.events])
    return result


def _require_known(block: BlockContext, message_type: type[Message]) -> None:
    """Raises for a message type that a later version of the rules brings: nodes that have it must refuse it too."""
    since = HANDLERS[message_type][0].since.get(message_type, 0)
    if since > block.app_version:
        raise Rejected(
            Code.NOT_PERMITTED,
            f"{message_type.__name__} comes with version {since} of the rules, the chain has {block.app_version}",
        )


@cache
def codespace_of(code: IntEnum) -> str:
    """The module that a code belongs to; the transaction layer's codes have `openledger`."""
    for module in MODULES:
        if isinstance(code, module.errors):
            return module.name
    return "openledger"


@cache
def event_name(event_type: type[Event]) -> str:
    """`RunRecorded` -> `run_recorded`."""
    return snake_case(event_type.__name__)


def encode_event(event: Event) -> tuple[str, list[Attribute]]:
    """Bytes become indexed hex attributes; everything else is plain text and not indexed."""
    attributes: list[Attribute] = []
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if isinstance(value, bytes):
            attributes.append((name, value.hex(), True))
        else:
            attributes.append((name, str(value), False))
    return event_name(type(event)), attributes
