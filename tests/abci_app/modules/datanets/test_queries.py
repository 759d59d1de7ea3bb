"""Queries of the datanets module; `ledger.ask` proves every answer and runs it again on the proof."""

import pytest

from abci_app.bech32 import encode_id
from abci_app.errors import Code
from abci_app.modules.datanets import queries as datanets_queries
from abci_app.modules.datanets.queries import (
    ContributionQuery,
    ContributionsPage,
    ContributionsQuery,
    ContributionView,
    DatanetListQuery,
    DatanetPage,
    DatanetQuery,
    DatanetView,
    FullContribution,
    FullVersionView,
    NumberedContribution,
    VersionItem,
    VersionQuery,
    VersionsPage,
    VersionsQuery,
    VersionView,
)
from abci_app.modules.datanets.records import (
    ACCEPTED,
    CONTRIBUTIONS,
    VERSIONS,
    CreateDatanet,
    CreateVersion,
    Datanet,
    DatanetCounts,
    Decision,
    Review,
    ReviewContribution,
    RevokeContribution,
    StoredContribution,
)
from abci_app.modules.datanets.sheet import DatasheetView
from abci_app.modules.licences import JoinedTermsView, TermsView, terms_id_of
from abci_app.modules.licences.handlers import RegisterTerms
from abci_app.modules.licences.join import lift
from abci_app.modules.licences.view import joined_id_of
from abci_app.state.views import RecordingView
from tests.kit.modules.drafts import FREE, contribute, contribution_id, digest, new_id
from tests.kit.modules.ledger import ALICE, DORA, Ledger

FREE_ID = terms_id_of(FREE)
NAME = "support/tickets"
TICKETS = new_id("datanet", ALICE.address, 0, 1)
OTHER = new_id("datanet", ALICE.address, 0, 2)
UNKNOWN = digest("nothing has this id")
IDS = [contribution_id(contribute(TICKETS, name), DORA.address, FREE_ID) for name in "abcd"]
A, B, C, D = IDS


@pytest.fixture
def ledger() -> Ledger:
    """Version 1 has a, b, c; b was revoked; version 2 has a and c; d waits."""
    ledger = Ledger.start()
    ledger.accept(
        ALICE, RegisterTerms(FREE), CreateDatanet(NAME, "", FREE_ID, (), 1), CreateDatanet("other", "", FREE_ID, (), 1)
    )
    ledger.accept(DORA, *[contribute(TICKETS, name) for name in "abcd"])
    verdicts = [ReviewContribution(each, Decision.ACCEPT, 0) for each in (A, B, C)]
    ledger.accept(ALICE, *verdicts, CreateVersion(TICKETS, "first"))
    ledger.accept(DORA, RevokeContribution(B, 1))
    ledger.accept(ALICE, CreateVersion(TICKETS, "second"))
    return ledger


def in_short(ledger: Ledger, *numbers: int) -> tuple[NumberedContribution, ...]:
    listed = [(number, ACCEPTED.get(ledger.store, TICKETS, number)) for number in numbers]
    return tuple([NumberedContribution(number, accepted) for number, accepted in listed if accepted is not None])


def stored(ledger: Ledger, of: bytes) -> StoredContribution:
    found = CONTRIBUTIONS.get(ledger.store, of)
    assert found is not None
    return found


def full(ledger: Ledger, *ids: bytes) -> tuple[FullContribution, ...]:
    return tuple([FullContribution(each, stored(ledger, each)) for each in ids])


def records(ledger: Ledger) -> list[VersionItem]:
    return [VersionItem(version, record) for (_, version), record in VERSIONS.iterate(ledger.store, TICKETS)]


def test_a_datanet_is_found_by_id_and_by_name(ledger: Ledger) -> None:
    joined_id = joined_id_of(lift(FREE_ID, FREE))
    datanet = Datanet(NAME, ALICE.address, "", FREE_ID, (), 1, 1, ledger.chain.seconds(1))
    expected = DatanetView(TICKETS, datanet, DatanetCounts(4, 3, 1, 2, 2, 0, joined_id, 6, 600))
    assert ledger.ask("datanets", "datanet", DatanetQuery(TICKETS, "")) == expected
    assert ledger.ask("datanets", "datanet", DatanetQuery(b"", NAME)) == expected


def test_all_datanets_are_listed_in_pages(ledger: Ledger) -> None:
    views = [ledger.ask("datanets", "datanet", DatanetQuery(each, "")) for each in sorted([TICKETS, OTHER])]
    pages = [ledger.ask("datanets", "list", DatanetListQuery(after, 1)) for after in (b"", views[0].datanet_id)]
    assert pages == [DatanetPage((views[0],), views[0].datanet_id), DatanetPage((views[1],), b"")]
    assert ledger.ask("datanets", "list", DatanetListQuery(b"", 2)) == DatanetPage(tuple(views), b"")


def test_a_version_lists_what_it_held_also_what_was_revoked_since(ledger: Ledger) -> None:
    first, second = [item.record for item in records(ledger)]
    answers = [ledger.ask("datanets", "version", VersionQuery(b"", NAME, version, 0, 10)) for version in (1, 2, 0)]
    newest = VersionView(TICKETS, NAME, 2, second, 1, in_short(ledger, 1, 3), 0)
    assert answers == [VersionView(TICKETS, NAME, 1, first, 0, in_short(ledger, 1, 2, 3), 0), newest, newest]


def test_a_version_comes_in_pages_whose_union_is_complete(ledger: Ledger) -> None:
    first = records(ledger)[0].record
    pages = [ledger.ask("datanets", "version", VersionQuery(TICKETS, "", 1, after, 2)) for after in (0, 2, 3)]
    assert pages == [
        VersionView(TICKETS, NAME, 1, first, 0, in_short(ledger, 1, 2), 2),
        VersionView(TICKETS, NAME, 1, first, 0, in_short(ledger, 3), 0),
        VersionView(TICKETS, NAME, 1, first, 0, (), 0),
    ]


def test_a_version_does_not_read_what_was_accepted_after_it(ledger: Ledger) -> None:
    before = ledger.ask("datanets", "version", VersionQuery(TICKETS, "", 2, 0, 10))
    ledger.accept(ALICE, ReviewContribution(D, Decision.ACCEPT, 0))
    assert ledger.ask("datanets", "version", VersionQuery(TICKETS, "", 2, 0, 10)) == before


def test_a_version_is_read_exactly_as_far_as_it_reaches(ledger: Ledger) -> None:
    """Else its proof would grow with everything that came later."""
    query = VersionQuery(TICKETS, "", 2, 0, 10)
    recording = RecordingView(ledger.store)
    ledger.accept(ALICE, ReviewContribution(D, Decision.ACCEPT, 0))
    assert datanets_queries.query_version(recording, query).record.accepted_through == 3
    assert recording.ranges == [(ACCEPTED.range(TICKETS)[0], ACCEPTED.key(TICKETS, 3) + b"\x00")]


def test_a_page_of_a_version_looks_at_no_more_than_it_was_asked_for_however_much_was_revoked(ledger: Ledger) -> None:
    """Else a long stretch of revoked contributions is more than a query may read, and nothing behind it is found."""
    pages = [ledger.ask("datanets", "version", VersionQuery(TICKETS, "", 2, after, 1)) for after in (0, 1, 2)]
    found = [([item.number for item in page.contributions], page.next_number) for page in pages]
    assert found == [([1], 1), ([], 2), ([3], 0)]


def test_a_data_sheet_has_the_datanet_the_version_and_their_terms_at_one_height(ledger: Ledger) -> None:
    first, second = [item.record for item in records(ledger)]
    view = ledger.ask("datanets", "datanet", DatanetQuery(TICKETS, ""))
    joined = JoinedTermsView(second.joined_terms_id, lift(FREE_ID, FREE))
    for version, record, usable, ids in ((1, first, 0, (A, B, C)), (0, second, 1, (A, C))):
        assert ledger.ask("datanets", "datasheet", VersionQuery(b"", NAME, version, 0, 10)) == DatasheetView(
            datanet_id=TICKETS,
            datanet=view.datanet,
            counts=view.counts,
            version=version or 2,
            record=record,
            usable=usable,
            contributions=full(ledger, *ids),
            next_number=0,
            joined=joined,
            terms=(TermsView(FREE_ID, FREE),),
        )


def test_a_version_in_full_has_what_fetching_its_rows_needs(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    second = records(ledger)[1].record
    monkeypatch.setattr(datanets_queries, "MAX_FULL_PAGE", 1)
    pages = [
        ledger.ask("datanets", "version_contributions", VersionQuery(TICKETS, "", 2, after, 4_096))
        for after in (0, 1, 2)
    ]
    assert pages == [
        FullVersionView(TICKETS, NAME, 2, second, full(ledger, A), 1),
        FullVersionView(TICKETS, NAME, 2, second, (), 2),
        FullVersionView(TICKETS, NAME, 2, second, full(ledger, C), 0),
    ]


def test_versions_come_in_pages(ledger: Ledger) -> None:
    first, second = records(ledger)
    assert [ledger.ask("datanets", "versions", VersionsQuery(b"", NAME, after, 1)) for after in (0, 1)] == [
        VersionsPage(TICKETS, (first,), 1),
        VersionsPage(TICKETS, (second,), 0),
    ]
    assert ledger.ask("datanets", "versions", VersionsQuery(OTHER, "", 0, 9)) == VersionsPage(OTHER, (), 0)


def test_all_submissions_come_in_pages_whatever_became_of_them(ledger: Ledger) -> None:
    assert [ledger.ask("datanets", "contributions", ContributionsQuery(b"", NAME, after, 2)) for after in (0, 2)] == [
        ContributionsPage(TICKETS, full(ledger, A, B), 2),
        ContributionsPage(TICKETS, full(ledger, C, D), 0),
    ]
    assert ledger.ask("datanets", "contributions", ContributionsQuery(b"", NAME, 0, 4)) == ContributionsPage(
        TICKETS, full(ledger, A, B, C, D), 0
    )


def test_one_contribution_comes_with_its_verdicts(ledger: Ledger) -> None:
    assert ledger.ask("datanets", "contribution", ContributionQuery(A)) == ContributionView(
        A, stored(ledger, A), (Review(ALICE.address, Decision.ACCEPT, 0, 3),)
    )
    assert ledger.ask("datanets", "contribution", ContributionQuery(D)) == ContributionView(D, stored(ledger, D), ())


GIVE_ONE = "give the DataNet's id (32 bytes) or its name, and leave the other empty"


@pytest.mark.parametrize(
    ("name", "args", "code", "text"),
    [
        ("datanet", DatanetQuery(b"", ""), Code.BAD_QUERY, GIVE_ONE),
        ("datanet", DatanetQuery(TICKETS, NAME), Code.BAD_QUERY, GIVE_ONE),
        ("datanet", DatanetQuery(b"short", ""), Code.BAD_QUERY, GIVE_ONE),
        (
            "datanet",
            DatanetQuery(b"", "nobody's"),
            Code.NOT_FOUND,
            'there is no DataNet named "nobody\'s": see `openledger data list`',
        ),
        (
            "datanet",
            DatanetQuery(UNKNOWN, ""),
            Code.NOT_FOUND,
            f"there is no DataNet {encode_id('oldata', UNKNOWN)}",
        ),
        (
            "version",
            VersionQuery(b"", NAME, 3, 0, 1),
            Code.NOT_FOUND,
            f"DataNet {NAME!r} has no version 3; its latest is 2",
        ),
        (
            "version",
            VersionQuery(b"", "other", 0, 0, 1),
            Code.NOT_FOUND,
            "DataNet 'other' has no version yet; its latest is 0",
        ),
        (
            "version_contributions",
            VersionQuery(b"", "other", 1, 0, 1),
            Code.NOT_FOUND,
            "DataNet 'other' has no version 1; its latest is 0",
        ),
        (
            "datasheet",
            VersionQuery(b"", "other", 1, 0, 1),
            Code.NOT_FOUND,
            "DataNet 'other' has no version 1; its latest is 0",
        ),
        ("list", DatanetListQuery(b"short", 1), Code.BAD_QUERY, "after_datanet_id must be empty or 32 bytes"),
        (
            "contribution",
            ContributionQuery(UNKNOWN),
            Code.NOT_FOUND,
            f"there is no contribution {encode_id('olcontrib', UNKNOWN)}",
        ),
    ],
)
def test_what_cannot_be_answered_has_a_code_and_a_proof(
    ledger: Ledger, name: str, args: object, code: int, text: str
) -> None:
    assert ledger.ask("datanets", name, args) == (code, text)
