"""`answers.json`: questions about one chain with provenance, each with its proof and what follows from it."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from abci_app.bech32 import encode_id
from abci_app.chain.names import Name, Named
from abci_app.modules.bank import AccountQuery
from abci_app.modules.models.impact import ImpactQuery
from abci_app.modules.models.lineage import CleanQuery, LineageQuery
from abci_app.modules.models.queries import VerdictQuery
from abci_app.state.store import Version
from abci_app.state.views import RecordingView
from abci_app.state.work import Work
from openledger.documents import to_document
from openledger.light.query import Denial, QueryQuestion, query_question
from tests.kit.modules import drafts
from tests.kit.modules.ledger import BOB
from tests.kit.openledger.story import Story

UNITS = 100_000
UNKNOWN = b"\xee" * 32


def _questions(story: Story) -> dict[str, QueryQuestion]:
    second, reference, exam = story.entries["second"], story.datanets["reference"], story.datanets["exam"]
    clash = drafts.entry("clash", data=[(story.datanets["questions"], 1), (exam, 1)], made_from=[second])
    entry_name, datanet_name = Name("olrun", "tutor"), Name("oldata", "exam")

    def lineage(entry: bytes, frontier: tuple[bytes, ...] = (), limit: int = 100, model: str = "") -> LineageQuery:
        return LineageQuery(entry, model, 0, frontier, limit, 10)

    questions_id, whole = story.datanets["questions"], lineage(second)
    after_first = (story.entries["first"], story.entries["base"])
    questions: dict[str, tuple[str, str, Any]] = {
        "the lineage of an entry": ("models", "lineage", lineage(second)),
        "the lineage of a model's latest version, by name": ("models", "lineage", lineage(b"", model="tutor")),
        "the first page of a lineage": ("models", "lineage", lineage(second, limit=1)),
        "the second page of a lineage": ("models", "lineage", lineage(b"", after_first)),
        "what was made from a version": ("models", "impact", ImpactQuery(reference, "", 1, 0, 0, (), 100)),
        "what was trained on it, directly": ("models", "impact", ImpactQuery(b"", "reference", 0, 1, 0, (), 9)),
        "what was made from any version": ("models", "impact", ImpactQuery(reference, "", 0, 0, 0, (), 100)),
        "the first page of an impact": ("models", "impact", ImpactQuery(questions_id, "", 1, 0, 0, (), 1)),
        "the second page of an impact": ("models", "impact", ImpactQuery(questions_id, "", 1, 0, 2, (2,), 1)),
        "one contribution of each version": ("models", "lineage", structs.replace(whole, contributions_each=1)),
        "no contributions": ("models", "lineage", structs.replace(whole, contributions_each=0)),
        "both an entry and a model": ("models", "lineage", structs.replace(whole, model_name="tutor")),
        "a frontier that no page gave": ("models", "impact", ImpactQuery(reference, "", 1, 0, 1, (2,), 9)),
        "a DataNet that is among the inputs": ("models", "clean", CleanQuery(second, "", 0, reference, "", 0)),
        "a DataNet that is not declared, unknown below": ("models", "clean", CleanQuery(second, "", 0, exam, "", 1)),
        "the same, entry and DataNet named": (
            "models",
            "clean",
            Named(CleanQuery(entry_name.stand_in(), "", 0, datanet_name.stand_in(), "", 1), (datanet_name, entry_name)),
        ),
        "terms that clash": ("models", "verdict", VerdictQuery(clash, 1_700_000_000)),
        "an account": ("bank", "account", AccountQuery(BOB.address)),
        "an account that was never used": ("bank", "account", AccountQuery(UNKNOWN)),
        "there is no such model": ("models", "lineage", lineage(b"", model="nobody")),
        "there is no such entry": ("models", "lineage", lineage(UNKNOWN)),
        "the DataNet has no such version": ("models", "clean", CleanQuery(second, "", 0, exam, "", 9)),
    }
    return {name: query_question(*asked) for name, asked in questions.items()}


def _answer(version: Version, question: QueryQuestion) -> dict[str, Any]:
    view = RecordingView(version, Work(UNITS))
    value, names = question.answer(view)
    denied = isinstance(value, Denial)
    return {
        "path": question.path,
        "data": question.data.hex(),
        "proof": version.prove(view.keys, view.ranges).hex(),
        "names": [{"kind": item.kind, "name": item.text, "id": encode_id(item.kind, item.id)} for item in names],
        "denial": {"code": value.code, "text": value.text} if denied else None,
        "result": None if denied else to_document(value),
    }


def make() -> dict[str, Any]:
    """The content of the file."""
    story = Story.tell()
    with story.ledger.chain.application.store.latest() as version:
        answers = [{"name": name, **_answer(version, question)} for name, question in _questions(story).items()]
        return {"height": version.height, "app_hash": version.app_hash.hex(), "answers": answers}
