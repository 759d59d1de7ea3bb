"""DataNets read whole and by name, and their rows in order."""

import json
from pathlib import Path
from typing import Any

import pytest

import openledger.data
from abci_app.modules.datanets import Form
from abci_app.modules.datanets.records import Reason, RevokeContribution
from openledger.content.store import ContentErased, ContentStore
from openledger.content.tombstone import Erased, Tombstone
from openledger.data import memory
from openledger.data.loading import find_place, rows
from openledger.data.reading import Nothing, read_datanet, read_names, read_submission, read_version
from openledger.errors import NotVerified, QueryFailed, UsageError
from tests.kit.modules.ledger import BOB, CARL, DORA
from tests.kit.openledger.garden import ROWS, Garden


@pytest.fixture
def garden(tmp_path: Path) -> Garden:
    memory.forget()
    return Garden.grow(ContentStore.open(tmp_path / "content"))


def erase(garden: Garden, number: int) -> None:
    digest = garden.batches[number - 1].commitment().content_digest
    garden.store.erase("sha256", digest, Tombstone(Erased.ROWS, f"garden#{number}", b"\1" * 32, "other", 0))


def test_a_version_is_read_whole_with_its_contributions_as_they_were_accepted(garden: Garden) -> None:
    version = read_version(garden, "garden@2")
    assert (version.reference, version.record.row_count, version.record.note) == ("garden@2", 7, "second")
    assert [(each.reference, each.stored.contribution.contributor) for each in version.contributions] == [
        ("garden#1", BOB.address),
        ("garden#2", CARL.address),
        ("garden#3", DORA.address),
    ]
    record = version.checked_record
    assert record.root == version.record.contributions_root
    forms = {each.contribution_id: each.form for each in record.contributions}
    assert [forms[each] for each in garden.contributions[:3]] == [Form.MESSAGES, Form.COMPLETION, Form.TEXT]
    assert read_version(garden, "garden").version == 2


def test_a_datanet_is_read_with_every_submission_and_version(garden: Garden) -> None:
    datanet, waiting = read_submission(garden, "garden#4")
    assert (datanet.name, len(datanet.submissions), [each.note for each in datanet.versions]) == (
        "garden",
        4,
        ["first", "second"],
    )
    assert (waiting.reference, waiting.contribution_id) == ("garden#4", garden.contributions[3])
    assert [each.datanet.name for each in read_names(garden)[0]] == ["garden"]
    assert read_datanet(garden, "garden").counts.accepted == 3


def test_what_is_not_there_is_said_to_be_so(garden: Garden) -> None:
    with pytest.raises(Nothing, match=r"garden#9: garden has 4 submissions"):
        read_submission(garden, "garden#9")
    with pytest.raises(QueryFailed, match="there is no DataNet named 'gardn'"):
        read_version(garden, "gardn@1")
    with pytest.raises(QueryFailed, match="has no version 7"):
        read_version(garden, "garden@7")
    for mistake in ("garden@x", "garden@0", "@1"):
        with pytest.raises(UsageError, match="NAME@VERSION"):
            read_version(garden, mistake)


def test_contributions_that_do_not_give_the_versions_root_are_refused(garden: Garden) -> None:
    class Lies:
        def query(self, module: str, name: str, args: Any, **options: Any) -> Any:
            from dataclasses import replace

            from msgspec import structs

            answer = garden.query(module, name, args, **options)
            return replace(answer, value=structs.replace(answer.value, contributions=answer.value.contributions[1:]))

    with pytest.raises(NotVerified, match="do not hash to its root on the chain"):
        read_version(Lies(), "garden@2")


def test_rows_are_numbered_in_the_order_of_acceptance(garden: Garden) -> None:
    version = read_version(garden, "garden@2")
    found = [
        (row.number, row.submission.number, row.index, json.loads(row.data)) for row in rows(garden.store, version)
    ]
    flat = [row for batch in ROWS[:3] for row in batch]
    places = [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (3, 0), (3, 1)]
    assert found == [(at, *place, row) for at, (place, row) in enumerate(zip(places, flat, strict=True), 1)]
    assert [(each.number, index) for each, index in [find_place(version, at) for at in range(1, 8)]] == places
    for number in (0, 8):
        with pytest.raises(Nothing, match="has rows 1 to 7, no row"):
            find_place(version, number)


def test_a_loaded_version_gives_rows_and_a_dataset_and_is_remembered(garden: Garden) -> None:
    loaded = openledger.data.load("garden@1", client=garden, content=garden.store._root)
    assert (loaded.reference, len(loaded), list(loaded)) == ("garden@1", 5, [*ROWS[0], *ROWS[1]])
    dataset = loaded.to_dataset()
    assert dataset.column_names == ["messages", "prompt", "completion"]
    assert dataset[0] == {**ROWS[0][0], "prompt": None, "completion": None}
    assert dataset.cache_files == []
    openledger.data.load("garden@1", client=garden, content=garden.store._root)
    openledger.data.load("garden", client=garden, content=garden.store._root)
    assert [each.reference for each in openledger.data.loaded()] == ["garden@1", "garden@2"]


def test_erased_rows_keep_their_numbers_and_are_left_out_only_when_asked(garden: Garden) -> None:
    erase(garden, 2)
    version = read_version(garden, "garden@2")
    with pytest.raises(ContentErased, match="the rows of garden#2 were erased"):
        list(rows(garden.store, version))
    kept = rows(garden.store, version, without_erased=True)
    assert [row.number for row in kept] == [1, 2, 3, 6, 7]
    loaded = openledger.data.load("garden@2", client=garden, content=garden.store._root, without_erased=True)
    (left_out,) = loaded.erased()
    assert (left_out.submission.reference, left_out.first, left_out.last) == ("garden#2", 4, 5)
    assert list(loaded) == [*ROWS[0], *ROWS[2]]
    with pytest.raises(ContentErased):
        list(openledger.data.load("garden@2", client=garden, content=garden.store._root))


def test_what_was_revoked_since_is_said_when_it_is_loaded(garden: Garden) -> None:
    garden.ledger.accept(CARL, RevokeContribution(garden.contributions[1], Reason.LICENCE))
    with pytest.warns(UserWarning, match="garden@1 holds what was revoked since, not to be trained on: garden#2"):
        loaded = openledger.data.load("garden@1", client=garden, content=garden.store._root)
    assert [each.reference for each in loaded.revoked()] == ["garden#2"]
    assert len(list(loaded)) == 5
