"""What bundles prove, in one sentence: the whole of a lineage or impact only when every page of it is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import structs

from abci_app.bech32 import encode_id
from openledger.light.query import Denial
from openledger_cli.lines import count

if TYPE_CHECKING:
    from abci_app.modules.datanets.queries import VersionView
    from abci_app.modules.models.lineage import LineageDatanet, LineagePage
    from openledger.light.bundle import Verdict
    from openledger.light.query import Question

Pages = Sequence[tuple[str, Any, Any]]


def proven(verdicts: Sequence[Verdict]) -> str:
    """One sentence about all of them together; without an anchor nothing is proven, however consistent it is."""
    sentence = _claimed(verdicts)
    if all(verdict.anchored for verdict in verdicts):
        return sentence
    return f"nothing, since nothing that you trust vouches for it; with an anchor it would be: {sentence}"


def _claimed(verdicts: Sequence[Verdict]) -> str:
    if len({(verdict.chain_id, verdict.height) for verdict in verdicts}) > 1:
        return f"{len(verdicts)} answers of different heights or chains, which do not make a whole"
    return proven_pages([(_name(each.question), _arguments(each.question), each.value) for each in verdicts])


def proven_pages(pages: Pages) -> str:
    """The same from (`module/query`, arguments, result) of each page."""
    name, _, value = pages[0]
    if isinstance(value, Denial) and len(pages) == 1:
        return f"the answer to {name} is no: {value.text}"
    if name == "models/lineage":
        return _lineage(pages)
    if name == "models/impact":
        return _impact(pages)
    if len(pages) > 1:
        return f"{len(pages)} answers, each for itself"
    if name:
        return f"the answer to {name}: run again on proven state"
    keys, ranges = count(len(value.values), "key"), count(len(value.rows), "range")
    return f"{keys} of raw state, present or absent, and {ranges}, each complete"


def lineage_of(verdicts: Sequence[Verdict]) -> LineagePage | None:
    """The lineage that these bundles carry, pages joined; None when they carry something else or do not fit."""
    from openledger.client.provenance import join_lineage
    from openledger.errors import NodeFailure

    if len({(verdict.chain_id, verdict.height) for verdict in verdicts}) > 1:
        return None
    pages = [verdict.value for verdict in verdicts if _name(verdict.question) == "models/lineage"]
    try:
        page = join_lineage(pages) if pages else None
    except NodeFailure:
        return None
    further = [verdict.value for verdict in verdicts if _name(verdict.question) == "datanets/version"]
    return page if page is None else structs.replace(page, datanets=tuple(map(_with(further), page.datanets)))


def _with(further: Sequence[VersionView]) -> Callable[[LineageDatanet], LineageDatanet]:
    """Adds contributions from further pages to a DataNet version, as far as they follow on it."""

    def add(datanet: LineageDatanet) -> LineageDatanet:
        for view in further:
            follows = bool(view.contributions) and view.contributions[0].number > datanet.next_number > 0
            if follows and (view.datanet_id, view.version) == (datanet.datanet_id, datanet.version):
                contributions = (*datanet.contributions, *view.contributions)
                datanet = structs.replace(datanet, contributions=contributions, next_number=view.next_number)
        return datanet

    return add


def _lineage(pages: Pages) -> str:
    first = pages[0][2]
    whose = encode_id("olrun", first.entry_id) if first.entry_id else "an entry named on an earlier page"
    part = f"a part of the lineage of {whose}"
    frontier: tuple[bytes, ...] | None = None
    unlisted: dict[tuple[bytes, int], int] = {}
    entries = 0
    for name, arguments, value in pages:
        if name == "models/lineage":
            if frontier is not None and arguments.frontier != frontier:
                return f"{part}: the pages do not follow on each other"
            frontier = value.frontier
            entries += len(value.entries)
            unlisted.update({(item.datanet_id, item.version): item.next_number for item in value.datanets})
        elif name == "datanets/version":
            key = (arguments.datanet_id, arguments.version)
            if unlisted.get(key) != arguments.after_number:
                return f"{part}: the pages do not follow on each other"
            unlisted[key] = value.next_number
        else:
            return f"{part}, and an answer to {name}"
    if not first.entry_id:
        return f"{part}: {count(entries, 'entry', 'entries')}; verify it together with the first page"
    if frontier:
        return f"{part}: {count(entries, 'entry', 'entries')}; {len(frontier)} more wait on further pages"
    whole = f"the complete lineage of {whose}: {count(entries, 'entry', 'entries')}"
    cut = sum([1 for number in unlisted.values() if number])
    return f"{whole}; contributions of {count(cut, 'DataNet version')} are on further pages" if cut else whole


def _impact(pages: Pages) -> str:
    first_arguments, first = pages[0][1], pages[0][2]
    version = f"version {first.version}" if first.version else "any version"
    what = f"what was {'trained on' if first_arguments.direct_only else 'made from'} DataNet {first.name}, {version}"
    entries, place = 0, (0, ())
    for name, arguments, value in pages:
        if name != "models/impact" or (arguments.after_number, arguments.frontier) != place:
            return f"a part of {what}: the pages do not follow on each other, or the first one is missing"
        if (value.datanet_id, value.version) != (first.datanet_id, first.version):
            return f"a part of {what}: another page is about another DataNet"
        place = (value.after_number, value.frontier)
        entries += len(value.entries)
    found = count(entries, "entry", "entries")
    if pages[-1][2].more:
        return f"a part of {what}: {found}; more wait on further pages"
    return f"all of {what}: {found}"


def _name(question: Question) -> str:
    from openledger.light.query import QueryQuestion

    return f"{question.module}/{question.name}" if isinstance(question, QueryQuestion) else ""


def _arguments(question: Question) -> Any:
    from openledger.light.query import QueryQuestion

    return question.arguments() if isinstance(question, QueryQuestion) else None
