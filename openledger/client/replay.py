"""Pages that somebody hands over: are they exactly those that one question gives, in order?

The generator that asks for pages (`openledger.client.provenance`) is run again and fed with the pages at hand. Each
must be the very question that it asks next: same arguments but for the cursor, same height. So nothing is said to be
complete by another rule than the one by which a client asks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import structs

from abci_app.modules.datanets.queries import VersionQuery
from openledger.client.provenance import OutOfPages, Whole, impact_pages, lineage_pages
from openledger.client.results import Answer
from openledger.client.steps import drive
from openledger.errors import OpenLedgerError

LINEAGE, IMPACT, VERSION = ("models", "lineage"), ("models", "impact"), ("datanets", "version")


@dataclass(frozen=True, slots=True)
class Page:
    """One proven answer: which query, its arguments, the height, the result."""

    query: tuple[str, str]
    args: Any
    height: int
    value: Any


class DoNotFollow(OpenLedgerError):
    """The pages are not those of one question in order."""


def is_first(page: Page) -> bool:
    """Whether a lineage or an impact starts with this page."""
    if page.query == LINEAGE:
        return not page.args.frontier
    return page.query == IMPACT and not page.args.after_number and not page.args.frontier


def replay(pages: Sequence[Page]) -> Whole[Any]:
    """Put pages together, the first one being the first of a lineage or impact; `complete` is true for all of them.

    Raises `DoNotFollow` for a page too many, one left out in the middle, twice, in another order, of another height or
    with other arguments.
    """
    first = pages[0]
    if not is_first(first):
        raise DoNotFollow("the first page is missing")
    steps: Any = (
        lineage_pages(first.args, first.height, every_contribution=True)
        if first.query == LINEAGE
        else impact_pages(first.args, first.height)
    )
    waiting = list(pages)
    limit = next((page.args.limit for page in pages if page.query == VERSION), 0)

    def hand_over(asked: tuple[str, str, Any, int]) -> Answer[Any]:
        if not waiting:
            raise OutOfPages
        page = waiting.pop(0)
        if (*page.query, page.args, page.height) != _with_limit(asked, limit):
            raise DoNotFollow("a page is not the exact next one")
        return Answer(page.value, page.height, verified=True)

    whole: Whole[Any] = drive(steps, hand_over, OutOfPages)
    if waiting:
        raise DoNotFollow("there are more pages than the question has")
    return whole


def _with_limit(asked: tuple[str, str, Any, int], limit: int) -> tuple[str, str, Any, int]:
    """Listings of contributions may have been asked for in pages of another size, one size for all."""
    module, name, args, height = asked
    if isinstance(args, VersionQuery):
        args = structs.replace(args, limit=limit)
    return module, name, args, height
