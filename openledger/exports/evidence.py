"""Facts out of proof bundles: the one way in which an export is written, and in which it is written again to compare.

An export is a function of its bundles and their names alone. So everybody who has both can tell whether the
export says what the bundles prove.
"""

from collections.abc import Sequence
from dataclasses import replace

from abci_app.modules.datanets.queries import MAX_FULL_PAGE, VersionQuery
from abci_app.modules.datanets.records import StoredContribution
from abci_app.modules.datanets.sheet import DatasheetView
from abci_app.modules.licences.records import Point, Terms
from openledger.client.provenance import Whole
from openledger.client.replay import LINEAGE, DoNotFollow, Page, replay
from openledger.client.results import Answer
from openledger.client.typed.make import make_lineage
from openledger.data.manifest import Manifest
from openledger.errors import NodeFailure, NotVerified
from openledger.exports.facts import DatanetFacts, Facts, ModelFacts, ProvenAt, make_model_facts
from openledger.light.bundle import BundleVerdict, parse_bundle
from openledger.light.query import Denial, QueryQuestion
from openledger.light.wire import NANOSECONDS_PER_SECOND
from openledger.words import word_of

SHEET = ("datanets", "datasheet")


def facts_of(files: Sequence[bytes], verdicts: Sequence[BundleVerdict], names: Sequence[str]) -> Facts:
    """Facts of bundles that were checked, in the order of their pages; raises `NotVerified` unless they are a whole."""
    first = verdicts[0]
    if len({(each.chain_id, each.height, each.header.hash) for each in verdicts}) > 1:
        raise NotVerified("the bundles are of different heights or chains: take those that were written together")
    at = ProvenAt(
        chain_id=first.chain_id,
        height=first.height,
        header_height=first.header.height,
        header_hash=first.header.hash.hex().upper(),
        header_seconds=first.header.time_ns // NANOSECONDS_PER_SECOND,
        bundles=tuple(names),
    )
    pages = [_page(verdict) for verdict in verdicts]
    if pages[0].query == LINEAGE:
        return _model(at, pages, files)
    if pages[0].query == SHEET:
        return _datanet(at, pages)
    raise NotVerified("the bundle answers another question than an export is written from")


def _page(verdict: BundleVerdict) -> Page:
    question = verdict.question
    if not isinstance(question, QueryQuestion) or isinstance(verdict.value, Denial):
        raise NotVerified("the bundle holds no answer that an export is written from")
    return Page(
        query=(question.module, question.name), args=question.arguments(), height=verdict.height, value=verdict.value
    )


def _model(at: ProvenAt, pages: Sequence[Page], files: Sequence[bytes]) -> ModelFacts:
    try:
        whole = replay(pages)
    except (DoNotFollow, NodeFailure) as error:
        raise NotVerified(f"the bundles are not the pages of one lineage in order: {error}") from None
    if not whole.complete:
        raise NotVerified("the bundles are a part of the lineage: an export needs all of its pages, in order")
    answers = tuple([Answer(each.value, each.height, verified=True) for each in whole.answers])
    attached = [each.data for data in files for each in parse_bundle(data).attachments if each.kind == "manifest"]
    manifests = {manifest.root: manifest for manifest in map(Manifest.decode, attached)}
    named = {item.stored.entry.manifest_root for item in whole.value.entries}
    return make_model_facts(
        at,
        make_lineage(Whole(whole.value, answers, complete=True), {}),
        whole.value,
        {root: manifest for root, manifest in manifests.items() if root in named},
    )


def _datanet(at: ProvenAt, pages: Sequence[Page]) -> DatanetFacts:
    """All pages of one version, each the very one that follows; raises `NotVerified`."""
    first: DatasheetView = pages[0].value
    expected: VersionQuery | None = sheet_question(first.datanet_id, "", first.version)
    asked: VersionQuery = pages[0].args
    if asked.after_number or asked.limit != MAX_FULL_PAGE:
        raise NotVerified("the first page of the version is missing")
    contributions: list[tuple[bytes, StoredContribution]] = []
    terms: dict[bytes, Terms] = {}
    for number, page in enumerate(pages):
        if number and (expected is None or page.args != expected):
            raise NotVerified("the bundles are not the pages of one version in order")
        view: DatasheetView = page.value
        contributions += [(each.contribution_id, each.stored) for each in view.contributions]
        terms |= {each.terms_id: each.terms for each in view.terms}
        expected = next_sheet_question(view)
    if expected is not None or len(contributions) != first.record.contribution_count:
        raise NotVerified("the bundles are a part of the version: an export needs all of its pages")
    joined = first.joined.joined
    return DatanetFacts(
        at=at,
        datanet_id=first.datanet_id,
        datanet=first.datanet,
        version=first.version,
        record=first.record,
        usable=bool(first.usable),
        contributions=tuple(contributions),
        terms=terms,
        duties=tuple([point.name.lower().replace("_", " ") for point in Point if joined.demanded & point]),
        use=word_of("use_class", joined.use_class).replace("-", " "),
    )


def sheet_question(datanet_id: bytes, name: str, version: int) -> VersionQuery:
    """The question for the first page of a version."""
    return VersionQuery(datanet_id=datanet_id, name=name, version=version, after_number=0, limit=MAX_FULL_PAGE)


def next_sheet_question(view: DatasheetView) -> VersionQuery | None:
    """The question for the page after this one; None after the last."""
    if not view.next_number:
        return None
    return VersionQuery(
        datanet_id=view.datanet_id,
        name="",
        version=view.version,
        after_number=view.next_number,
        limit=MAX_FULL_PAGE,
    )


def named_anew(facts: Facts, names: Sequence[str]) -> Facts:
    """Give the same facts with their bundles under other names."""
    return replace(facts, at=replace(facts.at, bundles=tuple(names)))
