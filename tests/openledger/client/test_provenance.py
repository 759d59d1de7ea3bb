"""Lineage and impact over all their pages: the whole is the same however it is cut, and only the whole is complete."""

import asyncio
from typing import Any

import pytest
from msgspec import structs

from abci_app.errors import Code
from abci_app.modules.models.impact import ImpactQuery
from abci_app.modules.models.lineage import LineageQuery
from openledger.client.client import Client
from openledger.client.provenance import (
    id_of_text,
    impact,
    impact_async,
    impact_question,
    join_lineage,
    lineage,
    lineage_async,
    lineage_question,
)
from openledger.client.results import Answer
from openledger.errors import NodeFailure, QueryFailed, UsageError
from tests.kit.openledger.fake_node import FakeNode
from tests.kit.openledger.story import Story


@pytest.fixture
def client(story: Story) -> Client:
    return FakeNode(story.ledger.chain).client()


class Counting:
    """Passes queries on and remembers them; refuses what is `too_large`."""

    def __init__(self, client: Client, most: int = 10**6) -> None:
        self.client = client
        self.most = most
        self.asked: list[tuple[str, Any, int]] = []

    def query(self, module: str, name: str, args: Any, *, height: int = 0, prove: bool = True) -> Answer[Any]:
        self.asked.append((f"{module}/{name}", args, height))
        if getattr(args, "limit", 0) > self.most:
            raise QueryFailed(Code.QUERY_TOO_LARGE, "openledger", "too large")
        return self.client.query(module, name, args, height=height, prove=prove)


def test_a_lineage_in_one_page(client: Client, story: Story) -> None:
    whole = lineage(client, lineage_question("tutor"), prove=False)
    assert whole.complete
    assert [item.entry_id for item in whole.value.entries] == [story.entries[n] for n in ("second", "first", "base")]
    assert len(whole.answers) == 1


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_of_any_size_give_the_same_whole_at_one_height(client: Client, limit: int) -> None:
    question = lineage_question("tutor")
    expected = lineage(client, question, prove=False)
    asks = Counting(client)
    found = lineage(asks, structs.replace(question, limit=limit), prove=False)
    assert found.value == expected.value
    assert len(found.answers) == -(-3 // limit)
    assert {height for _, _, height in asks.asked[1:]} <= {expected.height}


def test_an_answer_that_is_too_large_is_asked_for_in_smaller_pages(client: Client) -> None:
    expected = lineage(client, lineage_question("tutor"), prove=False)
    asks = Counting(client, most=300)
    assert lineage(asks, lineage_question("tutor"), prove=False).value == expected.value
    assert [args.limit for _, args, _ in asks.asked] == [4096, 1024, 256]
    with pytest.raises(QueryFailed, match="too large"):
        lineage(Counting(client, most=1), lineage_question("tutor"), prove=False)


def test_contributions_that_did_not_fit_are_fetched(client: Client) -> None:
    expected = lineage(client, lineage_question("tutor"), prove=False)
    asks = Counting(client)
    found = lineage(asks, lineage_question("tutor", contributions_each=1), prove=False)
    assert found.value == expected.value
    assert [name for name, _, _ in asks.asked] == ["models/lineage", "datanets/version", "datanets/version"]
    cut = lineage(client, lineage_question("tutor", contributions_each=1), prove=False, every_contribution=False)
    assert [len(item.contributions) for item in cut.value.datanets] == [1, 1]
    assert all(item.next_number for item in cut.value.datanets)
    assert (found.complete, cut.complete) == (True, False)
    none = lineage(client, lineage_question("tutor", contributions_each=0), prove=False)
    assert ([item.contributions for item in none.value.datanets], none.complete) == ([(), ()], False)


def test_an_impact_in_pages_is_the_same_whole(client: Client, story: Story) -> None:
    question = impact_question("reference@1")
    whole = impact(client, question, prove=False)
    names = ("first", "second", "draft")
    assert [item.entry_id for item in whole.value.entries] == [story.entries[name] for name in names]
    paged = impact(client, structs.replace(question, limit=1), prove=False)
    assert (paged.value.entries, paged.complete, len(paged.answers)) == (whole.value.entries, True, 3)
    below = impact(client, impact_question("questions@1"), prove=False)
    assert [(item.entry_id, item.direct) for item in below.value.entries] == [
        (story.entries["first"], 1),
        (story.entries["second"], 0),
    ]


def test_asyncio_gives_the_same_whole(story: Story) -> None:
    async def ask() -> tuple[Any, Any]:
        async with FakeNode(story.ledger.chain).async_client() as client:
            asked = structs.replace(lineage_question("tutor", contributions_each=1), limit=1)
            above = await lineage_async(client, asked, prove=False)
            below = await impact_async(client, structs.replace(impact_question("reference"), limit=1), prove=False)
            return above.value, below.value

    client = FakeNode(story.ledger.chain).client()
    expected = lineage(client, lineage_question("tutor"), prove=False).value
    below = impact(client, impact_question("reference"), prove=False).value
    found = asyncio.run(ask())
    assert (found[0], found[1].entries) == (expected, below.entries)


def test_pages_that_do_not_follow_on_each_other_are_refused(client: Client) -> None:
    page = lineage(client, lineage_question("tutor"), prove=False).value
    with pytest.raises(NodeFailure, match="do not follow on each other"):
        join_lineage([page, page])


def test_what_people_write_becomes_a_question(story: Story) -> None:
    assert lineage_question("tutor@2") == lineage_question("tutor", 2) == LineageQuery(b"", "tutor", 2, (), 4096, 1000)
    entry_id = story.entries["first"]
    assert lineage_question(entry_id.hex()).entry_id == entry_id
    assert impact_question("x", direct_only=True) == ImpactQuery(b"", "x", 0, 1, 0, (), 4096)
    assert id_of_text("oldata", "reference") == b""


def test_an_entry_has_no_version(story: Story) -> None:
    with pytest.raises(UsageError, match="needs no version"):
        lineage_question(story.entries["first"].hex(), 2)
