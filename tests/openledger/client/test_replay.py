"""Pages handed over: only the exact pages of one question, in order, are its whole."""

from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from openledger.client.client import Client
from openledger.client.provenance import impact, impact_question, lineage, lineage_question
from openledger.client.replay import DoNotFollow, Page, replay
from openledger.client.results import Answer
from tests.kit.openledger.fake_node import FakeNode
from tests.kit.openledger.story import Story


class Noting:
    """Asks and keeps each answer as a page."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.pages: list[Page] = []

    def query(self, module: str, name: str, args: Any, *, height: int = 0, prove: bool = True) -> Answer[Any]:
        answer = self.client.query(module, name, args, height=height, prove=False)
        self.pages.append(Page((module, name), args, answer.height, answer.value))
        return answer


@pytest.fixture
def asks(story: Story) -> Noting:
    return Noting(FakeNode(story.ledger.chain).client())


@pytest.fixture
def pages(asks: Noting) -> list[Page]:
    """Three pages of a lineage, and one for each of its two DataNet versions."""
    question = structs.replace(lineage_question("tutor"), limit=1, contributions_each=1)
    lineage(asks, question)
    assert len(asks.pages) == 5
    return asks.pages


def test_all_pages_are_the_whole_that_the_client_got(asks: Noting, pages: list[Page]) -> None:
    whole = replay(pages)
    assert whole.complete
    assert whole.value == lineage(asks, structs.replace(lineage_question("tutor"), limit=1, contributions_each=1)).value


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_the_first_pages_are_a_part(pages: list[Page], count: int) -> None:
    whole = replay(pages[:count])
    assert not whole.complete
    assert len(whole.value.entries) == min(count, 3)


@pytest.mark.parametrize(
    "order", [(1, 2), (0, 2), (0, 2, 1), (0, 1, 1), (0, 1, 2, 4), (0, 1, 2, 4, 3), (0, 1, 2, 3, 4, 4)]
)
def test_pages_left_out_twice_or_in_another_order_do_not_follow(pages: list[Page], order: tuple[int, ...]) -> None:
    with pytest.raises(DoNotFollow):
        replay([pages[number] for number in order])


@pytest.mark.parametrize(
    "changes", [{"contributions_each": 0}, {"contributions_each": 2}, {"limit": 2}, {"model_version": 1}]
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_page_asked_for_with_other_arguments_does_not_follow(
    pages: list[Page], changes: dict[str, int], place: int
) -> None:
    """Each page may be a true answer: `contributions_each` 0 made its contributors vanish from the whole."""
    changed = list(pages)
    changed[place] = replace(pages[place], args=structs.replace(pages[place].args, **changes))
    if place == 0 and "model_version" in changes:
        return
    with pytest.raises(DoNotFollow):
        replay(changed)


def test_a_page_of_another_height_does_not_follow(pages: list[Page]) -> None:
    for place in range(1, 5):
        changed = list(pages)
        changed[place] = replace(pages[place], height=pages[place].height - 1)
        with pytest.raises(DoNotFollow):
            replay(changed)


def test_without_contributions_a_lineage_is_never_complete(asks: Noting) -> None:
    whole = lineage(asks, structs.replace(lineage_question("tutor"), contributions_each=0))
    assert not whole.complete
    assert not replay(asks.pages).complete


def test_what_starts_from_a_frontier_is_never_complete(asks: Noting, pages: list[Page]) -> None:
    later = structs.replace(pages[1].args, limit=100, contributions_each=100)
    assert not lineage(asks, later).complete


def test_pages_of_an_impact(asks: Noting) -> None:
    question = structs.replace(impact_question("reference"), limit=1)
    whole = impact(asks, question)
    assert replay(asks.pages).value == whole.value
    assert replay(asks.pages).complete
    assert not replay(asks.pages[:-1]).complete
    for changes in ({"direct_only": 1}, {"version": 1}, {"limit": 2}):
        changed = [asks.pages[0], replace(asks.pages[1], args=structs.replace(asks.pages[1].args, **changes))]
        with pytest.raises(DoNotFollow):
            replay(changed)
    with pytest.raises(DoNotFollow):
        replay(asks.pages[1:])
