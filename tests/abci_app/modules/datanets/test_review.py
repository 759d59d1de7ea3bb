"""datanets under attack: what a block of versions costs."""

from collections.abc import Iterator

from abci_app.modules.datanets.records import VERSIONS, CreateDatanet, CreateVersion, Decision, ReviewContribution
from abci_app.modules.licences import RegisterTerms, terms_id_of
from abci_app.state.overlay import Overlay
from abci_app.state.store import StateView
from tests.kit.modules.drafts import FREE, contribute, contribution_id, new_id
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
