"""Consequences of a revocation, said beforehand: versions, and what can no longer be trained on."""

from pathlib import Path

import pytest

from abci_app.modules.datanets.records import CreateVersion, Reason, RevokeContribution
from openledger.content.store import ContentStore
from openledger.data.reading import read_submission
from openledger_cli.data.revoke import consequences
from tests.kit.modules.ledger import ALICE, CARL, DORA
from tests.kit.openledger.garden import Garden


@pytest.fixture
def garden(tmp_path: Path) -> Garden:
    return Garden.grow(ContentStore.open(tmp_path / "content"))


def versions(garden: Garden, number: int) -> tuple[list[int], list[int]]:
    datanet, submission = read_submission(garden, f"garden#{number}")
    found = consequences(garden, datanet, submission, prove=True)  # type: ignore[arg-type]
    return found["versions"], found["unusable"]


def test_versions_that_hold_a_contribution_are_found_before_and_after_its_revocation(garden: Garden) -> None:
    assert [versions(garden, number) for number in (1, 2, 3, 4)] == [
        ([1, 2], [1, 2]),
        ([1, 2], [1, 2]),
        ([2], [1, 2]),
        ([], []),
    ]
    garden.ledger.accept(CARL, RevokeContribution(garden.contributions[1], Reason.LICENCE))
    assert versions(garden, 2)[0] == [1, 2]
    garden.ledger.accept(ALICE, CreateVersion(garden.datanet_id, "third"))
    assert [versions(garden, number)[0] for number in (1, 2, 3)] == [[1, 2, 3], [1, 2], [2, 3]]
    garden.ledger.accept(DORA, RevokeContribution(garden.contributions[2], Reason.OTHER))
    garden.ledger.accept(ALICE, CreateVersion(garden.datanet_id, "fourth"))
    assert [versions(garden, number)[0] for number in (1, 2, 3)] == [[1, 2, 3, 4], [1, 2], [2, 3]]


def test_one_that_was_accepted_after_the_last_version_is_in_none_also_when_it_is_revoked(garden: Garden) -> None:
    garden.contribute(DORA, [{"text": "a later row"}])
    assert versions(garden, 5) == ([], [])
    garden.ledger.accept(DORA, RevokeContribution(garden.contributions[4], Reason.OTHER))
    assert versions(garden, 5) == ([], [])
