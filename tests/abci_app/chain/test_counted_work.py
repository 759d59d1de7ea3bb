"""No message is more work than it weighs, told by counting: instructions, reads, bytes, signatures, by no clock."""

from collections.abc import Callable
from typing import Any

import pytest

from abci_app import policy
from abci_app.accounts import ACCOUNTS
from abci_app.chain.registry import HANDLERS
from abci_app.hashing import tagged_hash
from abci_app.module import Context
from abci_app.modules.bank import Burn
from abci_app.state.codec import decode, encode
from benchmarks.counted_work import LARGEST_FACTOR, count
from benchmarks.message_world import Case
from benchmarks.messages import ALL_CASES

BURNS = next(case for case in ALL_CASES if case.name == "bank.burn, 16")


@pytest.mark.parametrize("case", ALL_CASES, ids=lambda case: case.name)
def test_a_message_is_not_more_work_than_it_weighs(case: Case) -> None:
    found = count(case)
    assert found.factor <= LARGEST_FACTOR, f"{found.name}: {found.work.counts}"


def test_the_same_work_is_counted_the_same_every_time() -> None:
    assert count(BURNS) == count(BURNS)


def loop(context: Context) -> None:
    """A list that grew."""
    total = 0
    for number in range(5_000):
        total += number


def read(context: Context) -> None:
    """Records of others."""
    for number in range(50):
        context.state.get(b"nobody/" + number.to_bytes(2, "big"))


def iterate(context: Context) -> None:
    """Rows without a limit."""
    for _ in range(10):
        list(ACCOUNTS.iterate(context.state))


def digest(context: Context) -> None:
    """What a sender may make long."""
    tagged_hash("openledger/row/v1", bytes(50_000))


def parse(context: Context) -> None:
    """A record that grew."""
    decode(tuple[int, ...], encode((0,) * 50_000))


def verify(context: Context) -> None:
    """Signatures besides those that the transaction weighs."""
    for _ in range(3):
        policy.signature_is_valid(bytes(32), bytes(64), b"")


@pytest.mark.parametrize("deed", [loop, read, iterate, digest, parse, verify])
def test_a_handler_that_grew_dearer_is_found(deed: Callable[[Context], None], monkeypatch: pytest.MonkeyPatch) -> None:
    module, execute = HANDLERS[Burn]

    def dearer(context: Context, message: Burn) -> None:
        deed(context)
        execute(context, message)

    assert count(BURNS).factor < LARGEST_FACTOR
    handlers: dict[Any, Any] = HANDLERS
    monkeypatch.setitem(handlers, Burn, (module, dearer))
    assert count(BURNS).factor > LARGEST_FACTOR
