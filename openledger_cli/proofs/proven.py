"""The statement that bundles prove: all of a lineage or impact only when every page of it is there, in order."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from abci_app.bech32 import encode_id
from openledger.client.provenance import Whole, unlisted
from openledger.client.replay import IMPACT, LINEAGE, DoNotFollow, Page, is_first, replay
from openledger.errors import NodeFailure
from openledger.light.query import Denial, QueryQuestion
from openledger_cli.lines import count

if TYPE_CHECKING:
    from abci_app.modules.datanets.records import StoredContribution
    from abci_app.modules.models.impact import ImpactPage, ImpactQuery
    from abci_app.modules.models.lineage import LineagePage
    from openledger.light.bundle import BundleVerdict
    from openledger.light.query import Question


@dataclass(frozen=True, slots=True)
class Statement:
    """The common statement of all bundles. `complete`: whether they are the whole, None where nothing has pages.

    `lineage` is what the pages put together, to be drawn; None where they make no one statement.
    """

    sentence: str
    complete: bool | None = None
    lineage: LineagePage | None = None


def statement(verdicts: Sequence[BundleVerdict], people: Mapping[bytes, str] | None = None) -> Statement:
    """Make the statement of all bundles together; without an anchor even consistent bundles prove nothing.

    `people` are names of keys here by address: a reader's own knowledge, which goes beside the address.
    """
    claimed = _claimed(verdicts, people or {})
    if all(verdict.anchored for verdict in verdicts):
        return claimed
    sentence = f"nothing, since nothing that you trust vouches for it; with an anchor it would be: {claimed.sentence}"
    return Statement(sentence, None if claimed.complete is None else False, claimed.lineage)


def _claimed(verdicts: Sequence[BundleVerdict], people: Mapping[bytes, str]) -> Statement:
    if len({(verdict.chain_id, verdict.height, verdict.header.hash) for verdict in verdicts}) > 1:
        return Statement(f"{len(verdicts)} answers of different heights or chains, which do not make a whole")
    first = verdicts[0]
    if len(verdicts) == 1 and isinstance(first.value, Denial):
        return Statement(f"the answer to {_name(first.question)} is no: {first.value.text}")
    pages = [_page(verdict) for verdict in verdicts]
    if pages[0] is not None and pages[0].query in (LINEAGE, IMPACT):
        return _of_pages(pages)
    if len(verdicts) > 1:
        return Statement(f"{len(verdicts)} answers, each for itself")
    shown = proven_rows(first, people)
    if shown:
        return Statement("; ".join([each.sentence for each in shown]))
    if isinstance(first.question, QueryQuestion):
        return Statement(f"the answer to {_name(first.question)}: run again on proven state")
    keys, ranges = count(len(first.value.values), "key"), count(len(first.value.rows), "range")
    return Statement(f"{keys} of raw state, present or absent, and {ranges}, each complete")


# Kinds of names -> the command that shows what the chain says of it now.
_SHOWN_BY = {
    "oldata": "openledger data show",
    "olmodel": "openledger query lineage",
    "olrun": "openledger query lineage",
    "olterms": "openledger terms show",
}
# Queries about one version of a DataNet: proofs of rows, data sheets.
_OF_VERSIONS = (("datanets", "datasheet"), ("datanets", "version_contributions"), ("datanets", "version"))


def next_step(verdicts: Sequence[BundleVerdict], said: Statement, files: Sequence[str]) -> str:
    """The next step after a check of these files: an anchor, the other pages, or what the chain says now."""
    if not all(verdict.anchored for verdict in verdicts):
        return f"openledger verify {shlex.join(files)} --genesis GENESIS    the chain's, from somebody whom you trust"
    if said.complete is False:
        return f"openledger verify {shlex.join(files)} ...    with the other pages of the answer, in order"
    asked = [f"{_SHOWN_BY[name.kind]} {shlex.quote(name.text)}" for name in verdicts[0].names if name.kind in _SHOWN_BY]
    found = [f"openledger query lineage {_root_name(said.lineage)}"] if said.lineage is not None else []
    page = _page(verdicts[0])
    if page is not None and page.query == IMPACT:
        version = f"@{page.value.version}" if page.value.version else ""
        found.append(f"openledger query impact {page.value.name}{version}")
    if page is not None and page.query in _OF_VERSIONS:
        name = page.value.datanet.name if page.query == _OF_VERSIONS[0] else page.value.name
        found.append(f"openledger data show {shlex.quote(f'{name}@{page.value.version}')}")
    command = next(iter([*asked, *found]), "openledger status")
    return f"{command}    what the chain says now"


def _root_name(page: LineagePage) -> str:
    """`tutor@2`, or the id of an entry that belongs to no model."""
    stored = next((item.stored for item in page.entries if item.entry_id == page.entry_id), None)
    model_id = stored.model_id if stored is not None else b""
    name = next((item.name for item in page.models if model_id and item.model_id == model_id), "")
    return f"{name}@{stored.model_version}" if stored is not None and name else encode_id("olrun", page.entry_id)


@dataclass(frozen=True, slots=True)
class RowStatement:
    """A row that a bundle proves to be in a version: the sentence, and the row as it was contributed."""

    sentence: str
    row: bytes


def proven_rows(verdict: BundleVerdict, people: Mapping[bytes, str] | None = None) -> tuple[RowStatement, ...]:
    """Rows that the bundle carries, of contributions that its answer lists as those of a version."""
    from abci_app.modules.datanets.queries import FullVersionView

    view = verdict.value
    if not isinstance(view, FullVersionView):
        return ()
    held = {each.stored.contribution.rows_root: each.stored for each in view.contributions}
    found = []
    for attachment in verdict.attachments:
        stored = held.get(attachment.digest)
        if attachment.row is not None and stored is not None:
            address = encode_id("open", stored.contribution.contributor)
            name = (people or {}).get(stored.contribution.contributor, "")
            who = f"{name} ({address})" if name else address
            place = f"row {attachment.row.index + 1} of the {attachment.row.count}"
            sentence = (
                f"{place} in {view.name}#{stored.submitted_number}, "
                f"contributed by {who}, is in version {view.version} of {view.name}{revoked_words(stored)}"
            )
            found.append(RowStatement(sentence, attachment.row.row))
    return tuple(found)


def revoked_words(stored: StoredContribution) -> str:
    """Say that a contribution was revoked, and why; nothing where it was not."""
    from abci_app.modules.datanets.records import Reason, Status
    from openledger.words import word_of_number

    if stored.status != Status.REVOKED:
        return ""
    reason = word_of_number(Reason, stored.reason).replace("-", " ")
    return f", and was REVOKED since ({reason}): no new training with it"


def _page(verdict: BundleVerdict) -> Page | None:
    """A verdict as a page; None where it cannot be one: raw state, a no."""
    question = verdict.question
    if not isinstance(question, QueryQuestion) or isinstance(verdict.value, Denial):
        return None
    return Page(
        query=(question.module, question.name), args=question.arguments(), height=verdict.height, value=verdict.value
    )


def _of_pages(pages: Sequence[Page | None]) -> Statement:
    first = pages[0]
    assert first is not None
    what = _lineage_of(first) if first.query == LINEAGE else _impact_of(first)
    if not is_first(first):
        return Statement(
            f"a part of {what}: the first page is missing; verify it together with that, in order", complete=False
        )
    try:
        if None in pages:
            raise DoNotFollow("an answer is no page")
        whole = replay([page for page in pages if page is not None])
    except (DoNotFollow, NodeFailure):
        return Statement(f"a part of {what}: the pages do not follow on each other", complete=False)
    return _lineage(what, whole) if first.query == LINEAGE else _impact(what, whole)


def _lineage_of(first: Page) -> str:
    entry_id = first.value.entry_id
    return f"the lineage of {encode_id('olrun', entry_id) if entry_id else 'an entry named on an earlier page'}"


def _impact_of(first: Page) -> str:
    args: ImpactQuery = first.args
    version = f"version {first.value.version}" if first.value.version else "any version"
    return f"what was {'trained on' if args.direct_only else 'made from'} DataNet {first.value.name}, {version}"


def _lineage(what: str, whole: Whole[LineagePage]) -> Statement:
    page = whole.value
    entries = count(len(page.entries), "entry", "entries")
    if page.frontier:
        waiting = f"a part of {what}: {entries}; {len(page.frontier)} more wait on further pages"
        return Statement(waiting, complete=False, lineage=page)
    cut = unlisted(page)
    if cut:
        missing = sum([item.record.contribution_count - len(item.contributions) for item in cut])
        of = count(len(cut), "DataNet version")
        sentence = f"a part of {what}: all {entries}; {count(missing, 'contribution')} to {of} are not listed here"
        return Statement(sentence, complete=False, lineage=page)
    return Statement(f"the complete {what.removeprefix('the ')}: {entries}", complete=True, lineage=page)


def _impact(what: str, whole: Whole[ImpactPage]) -> Statement:
    found = count(len(whole.value.entries), "entry", "entries")
    if not whole.complete:
        return Statement(f"a part of {what}: {found}; more wait on further pages", complete=False)
    return Statement(f"all of {what}: {found}", complete=True)


def _name(question: Question) -> str:
    return f"{question.module}/{question.name}" if isinstance(question, QueryQuestion) else "a read of raw state"
