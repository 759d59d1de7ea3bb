"""On questions drawn at random, the verifier comes to what the node comes to, from the node's own proof."""

from __future__ import annotations

import random
from typing import Any

from abci_app.errors import Code
from abci_app.modules.models.impact import ImpactQuery
from abci_app.modules.models.lineage import CleanQuery, LineageQuery
from abci_app.state.views import RecordingView
from abci_app.state.work import Work
from openledger.documents import to_document
from openledger.light.query import Denial, query_question
from tests.kit.openledger.story import Story
from tests.protocol.further import Further, show_result
from tests.protocol.test_verifier import plain_document

QUESTIONS = 300
UNITS = 100_000
ABSENT = b"\xee" * 32


def _draw(chance: random.Random, story: Story) -> tuple[str, Any]:
    """A question of which most parts exist."""
    entries, datanets = [*story.entries.values(), ABSENT], [*story.datanets.values(), ABSENT]
    entry_id = chance.choice([b"", *entries])
    model = chance.choice(["tutor", "base", "nobody"]) if not entry_id or chance.random() < 0.1 else ""
    model_version = chance.choice([0, 0, 1, 2, 3]) if model else 0
    datanet_id = chance.choice([b"", *datanets])
    datanet = chance.choice(["reference", "exam", "nobody"]) if not datanet_id or chance.random() < 0.1 else ""
    version, limit = chance.choice([0, 1, 1, 2]), chance.choice([1, 2, 3, 100])
    name = chance.choice(["lineage", "impact", "clean"])
    if name == "clean":
        return name, CleanQuery(entry_id, model, model_version, datanet_id, datanet, version)
    if name == "lineage":
        if chance.random() < 0.4:
            frontier = tuple(chance.sample(entries[:-1], chance.choice([1, 2, 3])))
            return name, LineageQuery(b"", "", 0, frontier, limit, chance.choice([0, 1, 2, 1000]))
        return name, LineageQuery(entry_id, model, model_version, (), limit, chance.choice([0, 1, 2, 1000]))
    after = chance.choice([0, 0, 1, 2, 3, 9])
    parents = tuple(sorted(chance.sample(range(1, 5), chance.choice([0, 0, 1, 2]))))
    return name, ImpactQuery(datanet_id, datanet, version, chance.choice([0, 0, 1]), after, parents, limit)


def test_it_agrees_on_questions_drawn_at_random() -> None:
    chance, story = random.Random(9), Story.tell()
    answered, denied = 0, 0
    with story.ledger.chain.application.store.latest() as version:
        for _ in range(QUESTIONS):
            name, args = _draw(chance, story)
            question = query_question("models", name, args)
            view = RecordingView(version, Work(UNITS))
            value, _ = question.answer(view)
            proof = version.prove(view.keys, view.ranges)
            found = Further(proof, version.height, version.app_hash).answer(question.path, question.data)
            if isinstance(value, Denial):
                denied += 1
                assert (found["result"], found["denied"]) == (None, value.code), args
                assert value.code in (Code.BAD_QUERY, Code.NOT_FOUND)
            else:
                answered += 1
                assert found["denied"] == 0, args
                assert show_result(question.path, found["result"]) == plain_document(to_document(value)), args
    assert answered > QUESTIONS // 4
    assert denied > QUESTIONS // 4
