"""`client.locks`: everything that an account has locked, of all pages, at one height."""

import asyncio

import pytest

from abci_app.accounts import show_address
from abci_app.mechanisms.locks import LockKey, Purpose, leave, take
from abci_app.module import HookContext
from abci_app.state.overlay import Overlay
from openledger.client.typed import locks as typed_locks
from openledger.client.typed.locks import LeavingFound, LockFound, LocksFound, withdrawable_nopen
from openledger.errors import NodeFailure
from tests.kit.modules.drafts import digest
from tests.kit.modules.ledger import ALICE, BOB, Ledger
from tests.kit.openledger.fake_node import FakeNode
from tests.kit.scheduled import Jobs

OBJECTS = sorted([digest(str(number)) for number in range(5)])


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> FakeNode:
    jobs = Jobs().register(monkeypatch)

    def begin(state: Overlay, context: HookContext, _: bytes) -> None:
        if context.height == 1:
            for each in OBJECTS:
                take(state, LockKey(Purpose.DEPOSIT, each, ALICE.address), 10)
            leave(state, context.block, LockKey(Purpose.DEPOSIT, OBJECTS[0], ALICE.address), 4, 5, 6)

    jobs.deeds["begin"] = begin
    return FakeNode(Ledger.start().chain)


def test_all_pages_make_one_answer(node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typed_locks, "_PAGE", 2)
    client = node.client()
    client.people = {ALICE.address: "alice"}
    found = client.locks("alice", prove=False)
    seconds = node.chain.seconds(1)
    leaving = (LeavingFound(amount_nopen=4, height=6, time_seconds=seconds + 6),)
    assert (found.address, found.name, found.total_nopen) == (show_address(ALICE.address), "alice", 50)
    assert found.locks == tuple(
        [
            LockFound(
                purpose="deposit",
                object_id=each.hex(),
                locked_nopen=6 if each == OBJECTS[0] else 10,
                leaving=leaving if each == OBJECTS[0] else (),
            )
            for each in OBJECTS
        ]
    )
    assert repr(found) == f"<Locks of alice: 5 locks, 0.00000005 OPEN; NOT VERIFIED at height {found.height}>"
    first = found.record[0]
    assert [withdrawable_nopen(first, *at) for at in ((5, seconds + 6), (6, seconds + 5), (6, seconds + 6))] == [
        0,
        0,
        4,
    ]

    async def ask() -> LocksFound:
        async with node.async_client() as other:
            return await other.locks(ALICE.address, prove=False)

    assert asyncio.run(ask()).locks == found.locks
    assert client.locks(BOB.address, prove=False).locks == ()


def test_a_list_without_end_is_no_list(node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typed_locks, "_PAGE", 2)
    monkeypatch.setattr(typed_locks, "MAX_PAGES", 2)
    with pytest.raises(NodeFailure, match="lists more than 4 locks of one account"):
        node.client().locks(ALICE.address, prove=False)
