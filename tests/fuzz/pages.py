"""Sequences of pages: true answers of any questions, in any order. None may be called complete but the whole.

A damaged proof is another target's business (`bundle`, `proof`); here every page is true, and what is at stake is what
several of them are said to prove together.
"""

import random
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

from msgspec import structs

from abci_app.chain.registry import query_named
from abci_app.errors import InvariantBroken
from abci_app.modules.datanets.queries import VersionQuery
from abci_app.modules.models.impact import ImpactQuery
from abci_app.modules.models.lineage import LineagePage, LineageQuery
from abci_app.modules.models.records import BY_INPUT, BY_PARENT, ENTRIES, NUMBERS
from abci_app.state.codec import CodecError, decode, encode
from abci_app.state.store import StateView
from openledger.client.provenance import impact_pages, lineage_pages
from openledger.client.results import Answer
from openledger.light.bundle import BundleVerdict
from openledger.light.errors import LightError
from openledger.light.query import QueryQuestion
from openledger_cli.proofs.proven import Statement, statement
from tests.fuzz.corpus import Corpus
from tests.fuzz.mutation import damage_bytes, pack, unpack
from tests.fuzz.target import Target, Violation
from tests.kit.openledger.story import Story

# Module, query, encoded arguments, how many heights below the last one.
Ask = tuple[str, str, bytes, int]
MAX_PAGES = 24
LOWER = 2
IMPACTS = (("reference", 0, 0), ("reference", 1, 0), ("questions", 1, 0), ("exam", 1, 1))


def make_pages(rng: random.Random, corpus: Corpus) -> bytes:
    """The pages of one question, mostly with something left out, twice, elsewhere, changed or out of another answer."""
    sequences = _sequences(_Same(corpus.story))
    pages = list(rng.choice(sequences))
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        place = rng.randrange(len(pages)) if pages else 0
        kind = rng.randrange(7)
        if kind == 0 and pages:
            del pages[place]
        elif kind == 1 and pages:
            pages.insert(rng.randrange(len(pages) + 1), pages[place])
        elif kind == 2 and len(pages) > 1:
            other = rng.randrange(len(pages))
            pages[place], pages[other] = pages[other], pages[place]
        elif kind == 3:
            pages.insert(place, rng.choice(rng.choice(sequences)))
        elif kind == 4 and pages:
            other_pages = rng.choice(sequences)
            pages[place:] = other_pages[min(place, len(other_pages) - 1) :]
        elif kind == 5 and pages:
            pages[place] = _changed(rng, pages[place])
        elif pages:
            pages[place] = (*pages[place][:3], LOWER - pages[place][3])
    encoded = pack([list(page) for page in pages[:MAX_PAGES]])
    return damage_bytes(rng, encoded, []) if rng.random() < 0.05 else encoded


def _changed(rng: random.Random, page: Ask) -> Ask:
    """Change one argument of a query."""
    module, name, data, lower = page
    try:
        args = decode(query_named(module, name).args_type, data)
    except CodecError:
        return page
    field = rng.choice(args.__struct_fields__)
    value = getattr(args, field)
    changed: Any = value
    if isinstance(value, int):
        changed = rng.choice((0, 1, 2, 3, value + 1, max(0, value - 1)))
    elif isinstance(value, tuple):
        changed = value[1:] if rng.random() < 0.5 else (*value, *value[:1])
    elif isinstance(value, str):
        changed = rng.choice(("tutor", "base", "reference", "questions", ""))
    elif value:
        changed = b""
    return module, name, encode(structs.replace(args, **{field: changed})), lower


@cache
def _sequences(story: "_Same") -> tuple[tuple[Ask, ...], ...]:
    """List the pages that honest clients ask for, each sequence a whole."""
    asked: list[tuple[Ask, ...]] = []
    for lower in (0, LOWER):
        for limit in (1, 2, 50):
            asked += [
                _ask_all(story.story, lineage_pages(question, lower, every_contribution=True))
                for question in (
                    LineageQuery(b"", "tutor", 0, (), limit, 0),
                    LineageQuery(b"", "tutor", 0, (), limit, 1),
                    LineageQuery(b"", "tutor", 1, (), limit, 9),
                    LineageQuery(story.story.entries["draft"], "", 0, (), limit, 1),
                )
            ]
            asked += [
                _ask_all(story.story, impact_pages(ImpactQuery(b"", name, version, direct, 0, (), limit), lower))
                for name, version, direct in IMPACTS
            ]
    return tuple(asked)


class _Same:
    """A story as a cache's key."""

    def __init__(self, story: Story) -> None:
        self.story = story

    def __hash__(self) -> int:
        return id(self.story)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.story is self.story


def _ask_all(story: Story, steps: Any) -> tuple[Ask, ...]:
    """List the questions that a client asks until it has all pages."""
    asked: list[Ask] = []
    try:
        module, name, args, lower = next(steps)
        while True:
            page = (module, name, encode(args), lower)
            asked.append(page)
            module, name, args, _ = steps.send(Answer(_answer(_Same(story), page), lower, verified=True))
    except StopIteration:
        return tuple(asked)


@cache
def _view(story: _Same, lower: int) -> StateView:
    store = story.story.ledger.chain.application.store
    return store.version(store.height - lower)


@lru_cache(maxsize=2_048)
def _answer(story: _Same, page: Ask) -> Any:
    """Take the answer from the state: a result or a `Denial`."""
    module, name, data, lower = page
    return QueryQuestion(module, name, data).answer(_view(story, lower))[0]


def judge_pages(corpus: Corpus, data: bytes) -> str:
    """Judge that a sequence called complete holds every entry and every contribution, and nothing else."""
    story = _Same(corpus.story)
    try:
        pages = [(str(page[0]), str(page[1]), bytes(page[2]), int(page[3])) for page in unpack(data)]
        if not 0 < len(pages) <= MAX_PAGES or any(page[3] not in (0, LOWER) for page in pages):
            return "not a sequence"
        verdicts = [_verdict(corpus, story, page) for page in pages]
    except (ValueError, TypeError, LookupError, OverflowError, CodecError, LightError, InvariantBroken):
        return "not a sequence"
    said = statement(verdicts)
    if not said.sentence or "\n" in said.sentence:
        raise Violation(f"says {said.sentence[:200]!r}, which is not one line")
    view, args = _view(story, pages[0][3]), QueryQuestion(*pages[0][:3]).arguments()
    if said.lineage is not None:
        _judge_lineage(said, view)
    if not said.complete:
        return "no statement" if said.complete is None else "a part"
    if said.lineage is None:
        entries = [item.number for verdict in verdicts for item in verdict.value.entries]
        if entries != _below(view, verdicts[0].value.datanet_id, args):
            raise Violation(f"complete with the entries {entries}")
    return "complete, and is all"


def _verdict(corpus: Corpus, story: _Same, page: Ask) -> BundleVerdict:
    question = QueryQuestion(*page[:3])
    question.check()
    header = replace(corpus.bundle.chain.blocks[10].header, height=100 - page[3])
    return BundleVerdict(
        anchored=True, chain_id="story", height=99 - page[3], header=header, question=question,
        value=_answer(story, page), anchor="", path=(1,), age_seconds=0, attachments=(),
    )  # fmt: skip


def _judge_lineage(said: Statement, view: StateView) -> None:
    """A tree is drawn of a true part; what is complete has all ancestors, and all contributions of each version."""
    page = said.lineage
    assert page is not None
    entries = [item.entry_id for item in page.entries]
    closure = _above(view, page.entry_id)
    if len(set(entries)) != len(entries) or not set(entries) <= closure or entries[0] != page.entry_id:
        raise Violation("the tree shows entries that are not ancestors, or some twice")
    if said.complete and set(entries) != closure:
        raise Violation(f"complete with {len(entries)} of {len(closure)} entries")
    if said.complete:
        _judge_contributions(page, view)


def _judge_contributions(page: LineagePage, view: StateView) -> None:
    for datanet in page.datanets:
        question = VersionQuery(datanet.datanet_id, "", datanet.version, 0, 500)
        whole = query_named("datanets", "version").function(view, question)
        if datanet.contributions != whole.contributions or not whole.contributions:
            raise Violation(f"complete without {len(whole.contributions) - len(datanet.contributions)} contributions")
    used = {(item.datanet_id, item.version) for each in page.entries for item in each.stored.entry.inputs}
    if {(datanet.datanet_id, datanet.version) for datanet in page.datanets} != used:
        raise Violation("complete without a DataNet version")


def _above(view: StateView, entry_id: bytes) -> set[bytes]:
    """The entry and all its ancestors, found without pages."""
    found, waiting = set[bytes](), [entry_id]
    while waiting:
        one = waiting.pop()
        stored = ENTRIES.get(view, one)
        if one not in found and stored is not None:
            found.add(one)
            waiting += [parent.entry_id for parent in stored.entry.parents]
    return found


def _below(view: StateView, datanet_id: bytes, args: ImpactQuery) -> list[int]:
    """Numbers of all that was made from a DataNet, found without pages."""
    direct = {number for _, version, number in BY_INPUT.iterate(view, datanet_id) if args.version in (0, version)}
    found, waiting = set[int](), sorted(direct)
    while waiting:
        number = waiting.pop()
        if number in found or NUMBERS.get(view, number) is None:
            continue
        found.add(number)
        waiting += [] if args.direct_only else [child for _, child in BY_PARENT.iterate(view, number)]
    return sorted(found)


TARGETS = (Target("pages", 6, make_pages, judge_pages),)
