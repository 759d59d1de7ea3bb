"""The questions about provenance with all their pages: what was this made from, and what was made from that?

    found = lineage(client, lineage_question("my-model"))
    found.complete, found.value.entries, found.value.datanets, found.height

A page never tells the whole. These functions follow the pages at the height of the first one and put them together;
`complete` is true only for the whole. Each page keeps its answer with its evidence, so each can become a bundle.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Generic, Protocol, TypeVar

from msgspec import structs

from abci_app.bech32 import decode_id
from abci_app.errors import Code
from abci_app.modules.datanets.queries import MAX_VERSION_PAGE, VersionQuery
from abci_app.modules.models import impact as models_impact
from abci_app.modules.models import lineage as models_lineage
from abci_app.modules.models.impact import ImpactPage, ImpactQuery
from abci_app.modules.models.lineage import LineageDatanet, LineagePage, LineageQuery
from openledger.client.results import Answer
from openledger.client.steps import drive, drive_async
from openledger.errors import NodeFailure, QueryFailed, UsageError
from openledger.references import split_version

T = TypeVar("T")
# Module, query, arguments, height.
_Ask = tuple[str, str, Any, int]
# Yields what to ask, receives the answer. A refusal is thrown in at the yield.
Pages = Generator[_Ask, Answer[Any], T]
# A lineage that is too large for one answer is asked for in smaller pages.
_SMALLER = 4
_SMALLEST_PAGE = 16
# 4,096 entries a page: far beyond any chain of today, and an end to what a lying node can make us ask.
MAX_PAGES = 4_096
_ID_BYTES = 32


class OutOfPages(Exception):
    """Thrown into a generator of pages: there is no further page to be had."""


class Asks(Protocol):
    """The one method of a client that is needed here."""

    def query(self, module: str, name: str, args: Any, *, height: int = 0, prove: bool = True) -> Answer[Any]:
        """A module's query."""


class AsksAsync(Protocol):
    """The one method of an asyncio client that is needed here."""

    async def query(self, module: str, name: str, args: Any, *, height: int = 0, prove: bool = True) -> Answer[Any]:
        """A module's query."""


@dataclass(frozen=True, slots=True)
class Whole(Generic[T]):
    """All pages of one question, put together; `answers` are the pages as they were answered, all of one height."""

    value: T
    answers: tuple[Answer[Any], ...]
    complete: bool

    @property
    def height(self) -> int:
        """Height whose state all pages speak of."""
        return self.answers[0].height


def lineage_question(reference: str, version: int = 0, contributions_each: int = -1) -> LineageQuery:
    """Make the question for an entry (`olrun1...` or 64 hex digits) or a model (`name` or `name@version`).

    Version 0 is the latest. Raises `UsageError`.
    """
    name, version = split_version(reference, version)
    entry_id = entry_id_of_text(name)
    if entry_id and version:
        raise UsageError(f"{reference!r} is an entry, so it needs no version: leave it out")
    each = models_lineage.MAX_CONTRIBUTIONS_EACH if contributions_each < 0 else contributions_each
    return LineageQuery(
        entry_id=entry_id,
        model_name="" if entry_id else name,
        model_version=version,
        frontier=(),
        limit=models_lineage.MAX_PAGE,
        contributions_each=each,
    )


def impact_question(reference: str, version: int = 0, *, direct_only: bool = False) -> ImpactQuery:
    """Make the question for a DataNet: id, `name`, or `name@version`; version 0 is any. Raises `UsageError`."""
    name, version = split_version(reference, version)
    datanet_id = id_of_text("oldata", name)
    return ImpactQuery(
        datanet_id=datanet_id,
        name="" if datanet_id else name,
        version=version,
        direct_only=int(direct_only),
        after_number=0,
        frontier=(),
        limit=models_impact.MAX_PAGE,
    )


def entry_id_of_text(text: str) -> bytes:
    """Entry id in a text, or empty when it is a name."""
    return id_of_text("olrun", text)


def id_of_text(prefix: str, text: str) -> bytes:
    """32 bytes from `<prefix>1...` or 64 hex digits; empty when the text is a name. Raises `IdError`."""
    if text.lower().startswith(f"{prefix}1"):
        return decode_id(text, prefix)[1]
    if len(text) == 2 * _ID_BYTES and set(text.lower()) <= set("0123456789abcdef"):
        return bytes.fromhex(text)
    return b""


# --- Lineage


def lineage(
    client: Asks, question: LineageQuery, *, height: int = 0, prove: bool = True, every_contribution: bool = True
) -> Whole[LineagePage]:
    """Everything that an entry was made from: all its ancestors, their DataNet versions and those's contributions.

    Without `every_contribution`, those beyond `question.contributions_each` of a version are left out; the DataNet's
    `next_number` says so, and the answer is not complete.
    """
    return drive_pages(client, lineage_pages(question, height, every_contribution), prove)


async def lineage_async(
    client: AsksAsync, question: LineageQuery, *, height: int = 0, prove: bool = True, every_contribution: bool = True
) -> Whole[LineagePage]:
    """Do the work of `lineage` for asyncio."""
    return await drive_pages_async(client, lineage_pages(question, height, every_contribution), prove)


def lineage_pages(question: LineageQuery, height: int, every_contribution: bool) -> Pages[Whole[LineagePage]]:
    """Ask for a lineage page by page: every page with the same arguments but for its cursor.

    Where a page does not fit into an answer, all are asked for again in smaller ones. `OutOfPages`, thrown in where the
    next page should come, ends it with what is there.
    """
    while True:
        answers: list[Answer[Any]] = []
        try:
            return (yield from _lineage_of_one_size(question, height, every_contribution, answers))
        except QueryFailed as failure:
            if failure.code != Code.QUERY_TOO_LARGE or question.limit <= _SMALLEST_PAGE:
                raise
        height = answers[0].height if answers else height
        limit = question.limit // _SMALLER
        question = structs.replace(question, limit=limit, contributions_each=min(question.contributions_each, limit))


def _lineage_of_one_size(
    question: LineageQuery, height: int, every_contribution: bool, answers: list[Answer[Any]]
) -> Pages[Whole[LineagePage]]:
    next_question: LineageQuery | None = question
    while next_question is not None:
        _check_page_count(answers)
        try:
            found = yield "models", "lineage", next_question, height
        except OutOfPages:
            break
        answers.append(found)
        height, next_question = found.height, _next_lineage_question(question, found.value)
    value = join_lineage([answer.value for answer in answers])
    if every_contribution and question.contributions_each and next_question is None:
        whole_datanets: dict[tuple[bytes, int], LineageDatanet] = {}
        for item in value.datanets:
            whole_datanets[item.datanet_id, item.version] = yield from _all_contributions(item, height, answers)
        value = structs.replace(value, datanets=tuple(whole_datanets.values()))
    whole = next_question is None and not question.frontier and not unlisted(value)
    return Whole(value, tuple(answers), whole)


def _next_lineage_question(question: LineageQuery, page: LineagePage) -> LineageQuery | None:
    """The exact question for the page after this one; None after the last."""
    if not page.frontier:
        return None
    return structs.replace(question, entry_id=b"", model_name="", model_version=0, frontier=page.frontier)


def unlisted(page: LineagePage) -> tuple[LineageDatanet, ...]:
    """DataNet versions of which not every contribution is listed, by the count in their own record."""
    return tuple([item for item in page.datanets if len(item.contributions) != item.record.contribution_count])


def join_lineage(pages: Sequence[LineagePage]) -> LineagePage:
    """Pages as one; raises `NodeFailure` when an entry comes twice or out of order (a page is not the next one)."""
    first = pages[0]
    entries = tuple([item for page in pages for item in page.entries])
    numbers = [item.stored.admission.number for item in entries]
    if any(later >= earlier for earlier, later in pairwise(numbers)):
        raise NodeFailure("the pages of this lineage do not follow on each other: ask again")
    return LineagePage(
        entry_id=first.entry_id,
        entries=entries,
        datanets=_each_once(pages, lambda page: page.datanets, lambda item: (item.datanet_id, item.version)),
        models=_each_once(pages, lambda page: page.models, lambda item: item.model_id),
        joined=_each_once(pages, lambda page: page.joined, lambda item: item.joined_terms_id),
        terms=_each_once(pages, lambda page: page.terms, lambda item: item.terms_id),
        evaluations=first.evaluations,
        reproductions=first.reproductions,
        frontier=pages[-1].frontier,
    )


def _each_once(pages: Sequence[LineagePage], items: Callable[[Any], Any], key: Callable[[Any], Any]) -> Any:
    """List the items that pages refer to, each item once, in key order."""
    found = {key(item): item for page in pages for item in items(page)}
    return tuple([found[name] for name in sorted(found)])


def _all_contributions(datanet: LineageDatanet, height: int, answers: list[Answer[Any]]) -> Pages[LineageDatanet]:
    """The DataNet version with the contributions that did not fit; the answers that they came in are appended."""
    contributions, after_number = list(datanet.contributions), datanet.next_number
    while after_number:
        _check_page_count(answers)
        question = VersionQuery(
            datanet_id=datanet.datanet_id,
            name="",
            version=datanet.version,
            after_number=after_number,
            limit=MAX_VERSION_PAGE,
        )
        try:
            found = yield "datanets", "version", question, height
        except OutOfPages:
            break
        answers.append(found)
        contributions += found.value.contributions
        after_number = found.value.next_number
    return structs.replace(datanet, contributions=tuple(contributions), next_number=after_number)


# --- Impact


def impact(client: Asks, question: ImpactQuery, *, height: int = 0, prove: bool = True) -> Whole[ImpactPage]:
    """Everything that was made from a DataNet version."""
    return drive_pages(client, impact_pages(question, height), prove)


async def impact_async(
    client: AsksAsync, question: ImpactQuery, *, height: int = 0, prove: bool = True
) -> Whole[ImpactPage]:
    """Do the work of `impact` for asyncio."""
    return await drive_pages_async(client, impact_pages(question, height), prove)


def impact_pages(question: ImpactQuery, height: int) -> Pages[Whole[ImpactPage]]:
    """Ask for an impact page by page, as `lineage_pages` does for a lineage."""
    answers: list[Answer[Any]] = []
    next_question: ImpactQuery | None = question
    while next_question is not None:
        _check_page_count(answers)
        try:
            found = yield "models", "impact", next_question, height
        except OutOfPages:
            break
        answers.append(found)
        height, next_question = found.height, _next_impact_question(question, found.value)
    entries = tuple([item for answer in answers for item in answer.value.entries])
    if any(later <= earlier for earlier, later in pairwise([item.number for item in entries])):
        raise NodeFailure("the pages of this answer do not follow on each other: ask again")
    whole = next_question is None and not question.frontier and not question.after_number
    return Whole(structs.replace(answers[-1].value, entries=entries), tuple(answers), whole)


def _next_impact_question(question: ImpactQuery, page: ImpactPage) -> ImpactQuery | None:
    """The exact question for the page after this one; None after the last."""
    if not page.more:
        return None
    return structs.replace(
        question, datanet_id=page.datanet_id, name="", after_number=page.after_number, frontier=page.frontier
    )


# --- Asking


def drive_pages(client: Asks, pages: Pages[T], prove: bool) -> T:
    """Ask what a generator wants to know until it returns; a refusal is thrown into it."""

    def perform(ask: _Ask) -> Answer[Any]:
        module, name, args, height = ask
        return client.query(module, name, args, height=height, prove=prove)

    return drive(pages, perform, QueryFailed)


async def drive_pages_async(client: AsksAsync, pages: Pages[T], prove: bool) -> T:
    """Ask an async client for the pages, as `drive_pages` asks a plain one."""

    async def perform(ask: _Ask) -> Answer[Any]:
        module, name, args, height = ask
        return await client.query(module, name, args, height=height, prove=prove)

    return await drive_async(pages, perform, QueryFailed)


def _check_page_count(answers: Sequence[object]) -> None:
    if len(answers) >= MAX_PAGES:
        raise NodeFailure(f"the answer has more than {MAX_PAGES} pages: ask for less at a time")
