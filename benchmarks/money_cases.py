"""Transactions for `benchmarks.messages` about who receives, and about what is locked."""

from collections.abc import Sequence

from abci_app.mechanisms.locks import MAX_LEAVING, LockKey, Purpose, Withdraw, leave, take
from abci_app.module import BlockContext
from abci_app.modules.bank import SetPayee
from abci_app.parameters import Parameters
from abci_app.state.overlay import Overlay
from benchmarks.load import LoadAccount
from benchmarks.message_cases import SIXTEEN, new, sixteen
from benchmarks.message_world import CHAIN_ID, Case, digest


def object_of(place: int, number: int) -> bytes:
    """Id of the object of one lock."""
    return digest("locked for", place, number)


def locks(state: Overlay, senders: Sequence[LoadAccount], count: int) -> None:
    """For each: sixteen locks of eight entries that have all finished leaving."""
    block = BlockContext(CHAIN_ID, 1, 1, Parameters())
    for place in range(count):
        for number in range(SIXTEEN):
            key = LockKey(Purpose.DEPOSIT, object_of(place, number), senders[place].address)
            take(state, key, MAX_LEAVING)
            for _ in range(MAX_LEAVING):
                leave(state, block, key, 1, 0, 0)


MONEY_CASES: tuple[Case, ...] = (
    Case("bank.set_payee, 16", sixteen(lambda p, n: SetPayee(new(6, p, n)))),
    Case(
        "locks.withdraw, 16 of 8 entries",
        sixteen(lambda p, n: Withdraw(Purpose.DEPOSIT, object_of(p, n))),
        locks,
    ),
)
