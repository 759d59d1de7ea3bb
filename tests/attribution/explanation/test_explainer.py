"""A run that committed to attribution is explained, and the explanation is checked, by integers and by repetition."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from abci_app.types import PPB
from attribution.explanation.document import GradientPart, SpanPart, decode, from_base64, to_base64
from attribution.explanation.explainer import Explainer, row_text
from attribution.explanation.explanation import unchecked, verify_integers
from attribution.explanation.facts import read_facts
from attribution.lga import codes as code_form
from attribution.lga.codes import Codes
from attribution.lga.index.reader import GradientIndex
from attribution.lga.query import MAX_CODE_DIFFERENCE
from openledger.content.store import ContentStore
from openledger.data.manifest import to_json
from openledger.errors import NotVerified, UsageError
from tests.kit.trainer.explained import LONG, PROMPT, World, explained_world, prose
from tests.kit.trainer.tiny import RECIPE, sentence, tiny_chain
from trainer.recipe import parse_recipe
from trainer.workflow import discard_checkpoint, train_recipe

pytestmark = pytest.mark.ml


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with explained_world(tmp_path_factory.mktemp("explain")) as made:
        yield made


def test_an_answer_is_explained_over_all_layers_and_every_integer_holds(world: World) -> None:
    exchange = world.explainer.exchange(world.answered_prompt(), None, max_tokens=6)
    document = world.explainer.explain(exchange, rows=3)
    assert document.model == "tiny"
    assert [layer.method for layer in document.layers] == [3, 3, 0]
    owners = sum(line.share_ppb for line in document.by_owner)
    assert (owners + document.unexplained_ppb, owners > 0) == (PPB, True)
    gradients = document.layers[0].gradients
    assert isinstance(gradients, GradientPart)
    assert len(gradients.owners) == 2
    assert 0 < len(gradients.rows) <= 3
    assert 0 < len(gradients.contributions) <= 3
    read = decode(document.encode())
    assert verify_integers(read, world.explainer.entries.facts) is None
    assert verify_integers(read, world.explainer.entries.facts, world.explainer.evidence()) is None
    assert unchecked(read, world.explainer.evidence()) == ()
    assert len(world.explainer.reexecute(read)) == 2


def test_a_training_row_given_as_output_has_its_contributor_and_its_span(world: World) -> None:
    document = world.explainer.explain(world.explainer.exchange("", prose(7)), rows=2)
    spans = document.layers[0].spans
    assert isinstance(spans, SpanPart)
    assert (spans.output_tokens, len(spans.spans), spans.covered_tokens) == (LONG, 1, LONG)
    assert verify_integers(document, world.explainer.entries.facts) is None


def test_an_index_is_read_and_checked_once_for_all_explanations(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[GradientIndex] = []
    verify = GradientIndex.verify

    def counted(index: GradientIndex, **options: Any) -> None:
        checked.append(index)
        verify(index, **options)

    monkeypatch.setattr(GradientIndex, "verify", counted)
    explainer = Explainer(read_facts(world.records, "second"), world.store)
    for number in (2, 7):
        explainer.explain(explainer.exchange(PROMPT, prose(number)))
    first, again = explainer.evidence(), explainer.evidence()
    layers = [world.records.names["second"], world.records.names["first"]]
    assert [index.root for index in checked] == [first[entry_id].commitment.root for entry_id in layers]
    assert [again[entry_id] is first[entry_id] for entry_id in layers] == [True, True]


def test_copies_are_looked_for_whenever_an_explanation_is_verified_with_its_index(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    monkeypatch.setattr(
        "attribution.explanation.explainer.check_copies", lambda codes, copies: looked.append(len(copies.order))
    )
    evidence = world.explainer.evidence()
    assert looked == [len(each.keys) for each in evidence.values()]
    world.explainer.evidence(search_copies=False)
    assert len(looked) == 2


def test_codes_of_another_output_fail_the_repetition(world: World) -> None:
    document = world.explainer.explain(world.explainer.exchange(PROMPT, sentence(9)))
    honest = world.explainer.explain(world.explainer.exchange(PROMPT, sentence(2)))
    forged = msgspec.structs.replace(document, output=honest.output)
    with pytest.raises(NotVerified, match=r"query_codes: the recorded model gives other codes"):
        world.explainer.reexecute(forged)


def test_no_single_code_may_be_far_off_however_small_the_distance(world: World) -> None:
    document = world.explainer.explain(world.explainer.exchange(PROMPT, sentence(2)))
    for off, fits in ((MAX_CODE_DIFFERENCE, True), (MAX_CODE_DIFFERENCE + 2, False)):
        tree = json.loads(document.encode())
        part = tree["layers"][0]["gradients"]
        honest = code_form.decode(from_base64(part["query_codes"], ""))
        values = honest.values.copy()
        at = int(np.argmin(np.abs(values)))
        values[at] += off
        part["query_codes"] = to_base64(Codes(values, honest.exponent).encode())
        forged = decode(to_json(tree))
        if fits:
            assert len(world.explainer.reexecute(forged, band=1.0)) == 2
        else:
            with pytest.raises(NotVerified, match=rf"largest difference {off} \(allowed {MAX_CODE_DIFFERENCE}\)"):
                world.explainer.reexecute(forged, band=1.0)


def test_a_text_that_is_not_its_tokens_is_refused(world: World) -> None:
    document = world.explainer.explain(world.explainer.exchange(PROMPT, sentence(2)))
    forged = decode(document.encode().replace(sentence(2).encode(), sentence(4).encode()))
    with pytest.raises(NotVerified, match=r"output.token_ids are not the tokens of output.text"):
        world.explainer.reexecute(forged)


def test_more_tokens_than_the_model_reads_are_refused_before_any_work(world: World) -> None:
    window = world.explainer._final_model().model.config.max_position_embeddings
    long = " ".join([prose(7)] * window)
    for prompt, output in ((long, None), ("", long)):
        with pytest.raises(UsageError, match=rf"have \d+ tokens, the model reads {window} at most: shorten them"):
            world.explainer.explain(world.explainer.exchange(prompt, output))


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            "need more memory than there is: shorten",
        ),
        (MemoryError(), "need more memory than there is: shorten"),
        (RuntimeError("something else"), "something else"),
    ],
)
def test_memory_that_does_not_suffice_is_said_with_a_remedy(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception, text: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("attribution.explanation.explainer.query_codes", fail)
    with pytest.raises(RuntimeError if text == str(error) else UsageError, match=text):
        world.explainer.explain(world.explainer.exchange("", prose(7)))


@pytest.mark.parametrize("field", ["prompt", "output"])
def test_a_token_that_is_not_seen_in_the_text_is_refused(world: World, field: str) -> None:
    """A model has more embeddings than its tokenizer has words; those beyond decode to nothing."""
    document = world.explainer.explain(world.explainer.exchange(PROMPT, sentence(2)))
    tree = json.loads(document.encode())
    ids, unseen = tree[field]["token_ids"], len(world.explainer.tokenizer)
    assert world.explainer.tokenizer.decode([*ids, unseen]) == world.explainer.tokenizer.decode(ids)
    ids.append(unseen)
    with pytest.raises(NotVerified, match=f"{field}.token_ids are not the tokens of {field}.text"):
        world.explainer.reexecute(decode(to_json(tree)))


def test_an_entry_without_attribution_says_what_to_do(world: World) -> None:
    with pytest.raises(UsageError, match="committed to no attribution: only a run whose recipe has"):
        Explainer(read_facts(world.records, "base"), world.chain.store)


def test_an_explanation_does_not_hold_for_another_entry(world: World) -> None:
    document = world.explainer.explain(world.explainer.exchange(PROMPT, sentence(2)))
    difference = verify_integers(document, read_facts(world.records, "first").facts)
    assert difference is not None
    assert difference.field == "entry_id"


def test_the_text_of_a_supporting_row_comes_from_the_store_checked_against_the_chain(world: World) -> None:
    document = world.explainer.explain(world.explainer.exchange("", prose(7)), rows=1)
    gradients = document.layers[0].gradients
    assert isinstance(gradients, GradientPart)
    contribution_id, leaf = (
        bytes.fromhex(text) for text in (gradients.rows[0].contribution_id, gradients.rows[0].row_leaf)
    )
    text = row_text(world.records, world.store, contribution_id, leaf)
    assert text == json.dumps({"text": prose(7)}, separators=(",", ":"))
    with pytest.raises(NotVerified, match="is not in contribution"):
        row_text(world.records, world.store, contribution_id, bytes(32))
    assert row_text(world.records, ContentStore.open(world.folder / "empty"), contribution_id, leaf) is None


def test_the_same_recipe_on_the_rows_of_another_chain_gets_indexes_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    recipe = parse_recipe(RECIPE + "attribution: {codes: 32}\n")
    made = []
    for chain_number in (1, 2, 1):
        chain = tiny_chain(tmp_path / str(chain_number))
        if chain_number == 2:
            chain.add_version("facts", [[{"text": prose(row)} for row in range(20)]])
        made.append(train_recipe(recipe, chain, chain.store, tmp_path / "out", keep_checkpoint=True))
    roots = [record.entry.attribution_root for _, record in made]
    assert roots[0] == roots[2] != roots[1]
    run = made[-1][0]
    assert run.checkpoint is not None
    work = run.checkpoint.parent
    assert len(list(work.glob("indexes-*"))) == 2
    discard_checkpoint(run)
    assert [path.name for path in work.iterdir()] == ["adapter-after-3"]
