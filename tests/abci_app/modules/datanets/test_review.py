"""datanets under attack: what versions, acceptances and revocations cost in a DataNet that is full."""

from collections.abc import Iterator

from abci_app.module import Message
from abci_app.modules.datanets.invariants import INVARIANTS
from abci_app.modules.datanets.records import (
    VERSIONS,
    CreateDatanet,
    CreateVersion,
    Decision,
    ReviewContribution,
    RevokeContribution,
)
from abci_app.modules.licences import terms_id_of
from abci_app.modules.licences.handlers import RegisterTerms
from abci_app.state.overlay import Overlay
from abci_app.state.store import StateView
from abci_app.state.views import EmptyView
from tests.kit.modules.drafts import FREE, contribute, contribution_id, new_id, terms
from tests.kit.modules.ledger import ALICE, DORA, Ledger, execute


class PointReads:
    """A state that refuses to be walked."""

    def __init__(self, view: StateView) -> None:
        self._view = view

    def get(self, key: bytes) -> bytes | None:
        return self._view.get(key)

    def iterate(self, start: bytes, end: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        raise AssertionError(f"walked from {start!r} to {end!r}, reverse {reverse}")


def test_a_version_is_made_without_walking_a_range() -> None:
    """A walk looks through all that the block has written: ten thousand versions in one block took minutes."""
    ledger = Ledger.start()
    free_id = terms_id_of(FREE)
    ledger.accept(ALICE, RegisterTerms(FREE), CreateDatanet("tickets", "", free_id, (), 1))
    net = new_id("datanet", ALICE.address, 0, 1)
    batches = [contribute(net, name) for name in ("a", "b", "c")]
    ledger.accept(DORA, *batches)
    ids = [contribution_id(batch, DORA.address, free_id) for batch in batches]
    ledger.accept(ALICE, *[ReviewContribution(each, Decision.ACCEPT, 0) for each in ids])
    state = Overlay(PointReads(ledger.store))
    execute(state, ALICE, CreateVersion(net, ""), ledger.height + 1)
    made = VERSIONS.get(state, net, 1)
    ledger.accept(ALICE, CreateVersion(net, ""))
    assert made == VERSIONS.get(ledger.store, net, 1)
    assert made is not None
    assert made.contribution_count == 3


class CountedReads:
    """A state that counts what is asked of DataNets and terms."""

    def __init__(self, view: StateView) -> None:
        self._view = view
        self.reads = 0

    def get(self, key: bytes) -> bytes | None:
        self.reads += not key.startswith(b"parameters/")
        return self._view.get(key)

    def iterate(self, start: bytes, end: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        raise AssertionError(f"walked from {start!r} to {end!r}, reverse {reverse}")


def full_datanet(count: int) -> tuple[Overlay, list[bytes]]:
    """A DataNet of five terms with `count` accepted contributions and one that waits; all ids."""
    state = Overlay(EmptyView())
    kinds = [terms(name=f"terms {number}") for number in range(5)]
    for kind in kinds:
        execute(state, ALICE, RegisterTerms(kind), 1)
    execute(state, ALICE, CreateDatanet("tickets", "", terms_id_of(kinds[0]), (), 1), 1)
    ids = []
    for number in range(count + 1):
        batch = contribute(NET, str(number), terms_id=terms_id_of(kinds[number % 5]))
        execute(state, DORA, batch, 2)
        ids.append(contribution_id(batch, DORA.address, b""))
    for accepted_id in ids[:count]:
        execute(state, ALICE, ReviewContribution(accepted_id, Decision.ACCEPT, 0), 2)
    return state, ids


def work(state: Overlay, message: Message, height: int) -> tuple[int, int]:
    """Reads and writes of one message."""
    counted = CountedReads(state)
    written = Overlay(counted)
    execute(written, ALICE, message, height)
    written.merge_into(state)
    return counted.reads, len(written.writes)


NET = new_id("datanet", ALICE.address, 0)


def test_a_version_costs_the_same_in_a_datanet_of_ten_and_of_two_thousand_contributions() -> None:
    """One full DataNet took 30 ms a version, and 120 of them in one block held a proposer for four seconds."""
    counts = []
    for size in (10, 2_000):
        state, ids = full_datanet(size)
        made = work(state, CreateVersion(NET, ""), 3)
        revoked = work(state, RevokeContribution(ids[7], 1), 4)
        accepted = work(state, ReviewContribution(ids[-1], Decision.ACCEPT, 0), 4)
        again = work(state, CreateVersion(NET, ""), 5)
        counts.append((made, revoked, accepted, again))
        assert [fault for invariant in INVARIANTS for fault in invariant(state)] == []
    small, large = counts
    # A read for each binary digit of 2,000 (of 10), and a rewritten node for each level.
    assert small == ((5, 2), (8, 7), (5, 5), (7, 2))
    assert large == ((9, 2), (15, 14), (5, 5), (11, 2))
