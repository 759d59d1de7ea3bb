"""Dry run of a transaction on a copy of the latest state: code, fee, effects. Signatures are not needed.

A signature list of the right shape must be there (zeros will do), so that size and fee are those of the real one.
"""

from typing import Final

from msgspec import Struct

from abci_app.chain.block import BlockExecution
from abci_app.chain.registry import table_of_key
from abci_app.chain.transaction import Transaction, decode_transaction
from abci_app.module import BlockContext
from abci_app.state.store import StateView
from abci_app.state.work import Spend, free

# Effects shown; a transaction of 64 runs changes some 700 keys.
MAX_EFFECTS = 1_024
# Work of decoding and of each message or item of its list, beside what it reads; a run of training costs the most.
TRANSACTION_UNITS: Final = 100
MESSAGE_UNITS: Final = 100
# Decoding and checking are quicker than reading from storage, and this counts both ways.
BYTES_A_UNIT: Final = 32


class Effect(Struct, frozen=True):
    """One changed key: its table, the value before and after (empty = absent)."""

    table: str
    key: bytes
    before: bytes
    after: bytes


class SimulatedEvent(Struct, frozen=True):
    """One event with its attributes."""

    name: str
    attributes: tuple[tuple[str, str], ...]


class Simulation(Struct, frozen=True):
    """Result that the transaction would have if it came next."""

    code: int
    codespace: str
    log: str
    fee_nopen: int
    # Units of work (weight.py); a block holds 30,000.
    weight: int
    height: int
    events: tuple[SimulatedEvent, ...]
    effects: tuple[Effect, ...]
    effects_left_out: int


class _EverySignature(set[tuple[bytes, bytes]]):
    """Stands for "every signature is valid": a dry run asks what the messages do, not who sent them."""

    def __contains__(self, fact: object) -> bool:
        return True


def simulate(view: StateView, context: BlockContext, raw: bytes, spend: Spend = free) -> Simulation:
    """Execute `raw` alone on `view`; nothing is kept. Raises `TransactionFailure` where a rule raised.

    `view` counts what is read; what decoding and executing cost beside that is told to `spend`.
    """

    weight = 0

    def decode_unsigned(raw: bytes) -> Transaction:
        nonlocal weight
        spend(TRANSACTION_UNITS + len(raw) // BYTES_A_UNIT)
        transaction = decode_transaction(raw)
        spend(MESSAGE_UNITS * sum([message.list_items() for message in transaction.body.messages]))
        transaction.verified = _EverySignature()
        weight = transaction.weight
        return transaction

    execution = BlockExecution(view, context, decode_unsigned)
    before = dict(execution.state.writes)
    result = execution.execute_or_fail(raw)
    changed = [(key, value) for key, value in execution.state.changes() if before.get(key, b"") != value]
    effects = [_effect(view, key, value) for key, value in changed[:MAX_EFFECTS]]
    events = [
        SimulatedEvent(name, tuple([(key, value) for key, value, _ in attributes]))
        for name, attributes in result.events
    ]
    return Simulation(
        code=int(result.code),
        codespace=result.codespace,
        log=result.log,
        fee_nopen=result.fee_nopen,
        weight=weight,
        height=context.height,
        events=tuple(events),
        effects=tuple(effects),
        effects_left_out=len(changed) - len(effects),
    )


def _effect(view: StateView, key: bytes, value: bytes | None) -> Effect:
    table = table_of_key(key)
    name = table.prefix.decode("ascii").rstrip("/") if table else ""
    return Effect(table=name, key=key, before=view.get(key) or b"", after=value or b"")
