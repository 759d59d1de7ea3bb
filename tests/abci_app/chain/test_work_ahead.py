"""Work that is done while validators vote changes nothing that anybody sees."""

from collections.abc import Sequence

import pytest

from abci_app.modules.bank import Burn
from abci_app.state.staging import Change, StagedBlock
from tests.kit.chain import Chain, accounts_with
from tests.kit.signing import Signer

FUNDS_NOPEN = 10**9


def test_the_tree_computed_ahead_is_that_of_the_decided_block_or_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alice, bob = Signer.named("alice"), Signer.named("bob")
    chain = Chain.start(accounts_with(FUNDS_NOPEN, [alice, bob]))
    hers, his = alice.transaction(Burn(4)), bob.transaction(Burn(5))
    fresh = Chain.start(accounts_with(FUNDS_NOPEN, [alice, bob]))
    staged: list[int] = []
    stage = chain.application.store.stage

    def note(height: int, changes: Sequence[Change]) -> StagedBlock:
        staged.append(height)
        return stage(height, changes)

    monkeypatch.setattr(chain.application.store, "stage", note)
    chain.application.work_ahead()
    assert staged == []
    for node in (chain, fresh):
        assert node.accepts(hers)
        assert node.accepts(his)
    chain.application.work_ahead()
    chain.application.work_ahead()
    assert staged == [1]
    assert chain.finalize(hers) == fresh.finalize(hers)  # another round won
    assert staged == [1, 1]
    for node in (chain, fresh):
        node.application.discard_uncommitted()
        assert node.accepts(his)
    chain.application.work_ahead()
    assert [node.codes(his) for node in (chain, fresh)] == [[0], [0]]
    assert staged == [1, 1, 1]
    chain.application.work_ahead()
    assert (chain.hashes, len(staged)) == (fresh.hashes, 3)
