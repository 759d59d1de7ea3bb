"""Answers of a full fine-tune, a whole model without an adapter, are explained by spans of its training text."""

from pathlib import Path

import pytest

from attribution.explanation.document import Explanation, GradientPart, SpanPart
from attribution.explanation.explainer import Explainer
from attribution.explanation.explanation import verify_integers
from attribution.explanation.facts import read_facts
from openledger.errors import UsageError
from tests.kit.trainer.explained import Records, prose
from tests.kit.trainer.tiny import RECIPE, tiny_chain
from trainer.ancestry import KnownEntry
from trainer.recipe import parse_recipe
from trainer.workflow import train_recipe

pytestmark = pytest.mark.ml
LORA = "{rank: 2, alpha: 4, dropout: 0.1, target_modules: [q_proj, v_proj]}"
WHOLE = (
    RECIPE.replace(LORA, "{kind: full}")
    .replace("held_out_ppb: 200000000", "held_out_ppb: 0")
    .replace("steps: 6", "steps: 20")
)


@pytest.fixture(scope="module")
def explainers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Explainer]:
    """One of a full fine-tune, and one of an adapter on top of it."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        chain = tiny_chain(folder)
        chain.add_version("facts", [[{"text": prose(20 * batch + row)} for row in range(20)] for batch in (0, 1)])
        records = Records()
        base_id = records.add("base", chain.entries["base"].record)
        chain.entries["base"] = chain.entries[base_id.hex()] = KnownEntry(base_id, chain.entries["base"].record)
        on_top = RECIPE.replace("{base: base}", "{base: whole}") + "attribution: {codes: 32}\n"
        for name, text in (("whole", WHOLE + "attribution: {methods: [tsa-1]}\n"), ("top", on_top)):
            _, record = train_recipe(parse_recipe(text), chain, chain.store, folder / name)
            entry_id = records.add(name, record.entry)
            chain.entries[name] = chain.entries[entry_id.hex()] = KnownEntry(entry_id, record.entry)
        for version in chain.versions.values():
            records.contributions |= {record.contribution_id: record for record in version.contributions}
        return {name: Explainer(read_facts(records, name), chain.store) for name in ("whole", "top")}


def test_a_training_row_given_as_output_of_a_whole_model_has_its_span(
    explainers: dict[str, Explainer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    explainer = explainers["whole"]
    document: Explanation = explainer.explain(explainer.exchange("chain block ", prose(3)))
    assert verify_integers(document, explainer.entries.facts) is None
    assert [isinstance(layer.gradients, GradientPart) for layer in document.layers] == [False, False]
    assert [isinstance(layer.spans, SpanPart) for layer in document.layers] == [True, False]  # the base is unknown
    assert explainer.reexecute(document) == []


def test_a_whole_model_answers_by_itself_or_says_that_it_ends(
    explainers: dict[str, Explainer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    said = []
    for number in range(12):
        try:
            said.append(explainers["whole"].exchange(prose(number), None, max_tokens=3).output)
        except UsageError as error:
            said.append(str(error).partition(":")[0])
    assert len(said) == 12
    assert any(text != "there is no output to explain" for text in said)


def test_an_adapter_on_a_whole_model_is_explained_over_both(
    explainers: dict[str, Explainer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    explainer = explainers["top"]
    document = explainer.explain(explainer.exchange("chain block ", prose(3)))
    assert verify_integers(document, explainer.entries.facts) is None
    assert [isinstance(layer.gradients, GradientPart) for layer in document.layers] == [True, False, False]
    assert [isinstance(layer.spans, SpanPart) for layer in document.layers] == [True, True, False]
