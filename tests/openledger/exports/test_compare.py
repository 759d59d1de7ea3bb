"""An export that was changed is told apart from one that says what its bundles prove."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from openledger.errors import NotVerified
from openledger.exports import MODEL_FORMS, Comparison, differences, facts_of, make_export, read_reference
from openledger.light.bundle import verify_bundle
from tests.kit.openledger.gallery import Gallery

SAME = Comparison(())
OWN_WORDS = ("words of somebody's own stand beside it",)
JSON_FORMS = [form for form in MODEL_FORMS if form not in ("model-card", "eu-summary")]


@pytest.mark.parametrize("form", MODEL_FORMS)
def test_an_export_says_what_is_proven(gallery: Gallery, form: str) -> None:
    facts = gallery.model("gardener")
    assert differences(form, make_export(form, facts), facts) == SAME


@pytest.mark.parametrize("form", JSON_FORMS)
def test_layout_does_not_matter_and_every_value_does(gallery: Gallery, form: str) -> None:
    facts = gallery.model("gardener")
    data = make_export(form, facts)
    document = json.loads(data)
    assert differences(form, json.dumps(document, sort_keys=True).encode(), facts) == SAME
    places = list(_leaves(document, ()))
    for place in places[:: max(1, len(places) // 40)]:
        changed = json.loads(data)
        _set(changed, place, "changed")
        found = differences(form, json.dumps(changed).encode(), facts)
        assert ["says 'changed', proven is" in each for each in found.differs] == [True], place


def _leaves(value: Any, place: tuple[Any, ...]) -> Any:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _leaves(item, (*place, name))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _leaves(item, (*place, number))
    else:
        yield place


def _set(document: Any, place: tuple[Any, ...], value: Any) -> None:
    for part in place[:-1]:
        document = document[part]
    document[place[-1]] = value


def test_values_that_are_added_left_out_or_doubled_are_told(gallery: Gallery) -> None:
    facts = gallery.model("gardener")
    document = json.loads(make_export("slsa", facts))
    document["predicate"]["extra"] = 1
    del document["subject"][0]["name"]
    found = differences("slsa", json.dumps(document).encode(), facts).differs
    assert found == ("subject[0].name is missing", "predicate.extra is not proven")
    doubled = make_export("slsa", facts).replace(b'"_type"', b'"_type": "x", "_type"', 1)
    assert "no JSON document that has one reading" in differences("slsa", doubled, facts).differs[0]
    assert "no JSON document" in differences("slsa", b"[" * 100_000, facts).differs[0]
    # True is not 1, whatever Python thinks.
    graph = make_export("prov", facts).replace(b'"ol:rows": 1,', b'"ol:rows": true,', 1)
    assert differences("prov", graph, facts).differs != ()


# Each item holds the one before ten times: a few lines that would be gigabytes written out.
BOMB = "[&a0 [x]," + ",".join([f"&a{n + 1} [{','.join([f'*a{n}'] * 10)}]" for n in range(12)]) + "]"
CARD_CHANGES: dict[str, tuple[Callable[[str], str], str]] = {
    "a licence": (lambda text: text.replace('license: "other"', "license: mit"), "metadata.license says 'mit'"),
    "a second licence": (lambda text: text.replace("\n---\n\n<!--", "\nlicense: mit\n---\n\n<!--"), "metadata.license"),
    "its last key hidden": (lambda text: text.replace("tags:", "tigs:", 1), "metadata.tags is missing"),
    "a count": (lambda text: text.replace("| 21 |", "| 2 |", 1), "part 1, line"),
    "a line left out": (lambda text: text.replace("- unknown: base@1", "- base@1", 1), "part 1, line"),
    "a mark": (lambda text: text.replace("<!-- /openledger:proven 1 -->", ""), "the last proven part does not end"),
    "marks twice": (
        lambda text: text + "\n<!-- openledger:proven 2 -->x<!-- /openledger:proven 2 -->",
        "2 proven parts",
    ),
    "marks in marks": (lambda text: text.replace("## Terms", "<!-- openledger:proven 2 -->"), "the marks around"),
    "a list in its place": (lambda text: text.replace('license: "other"', f"license: {BOMB}"), "have no one reading"),
    "aliases beside it": (
        lambda text: text.replace("\n---\n\n<!--", f"\nmore: {BOMB}\n---\n\n<!--"),
        "has no one reading",
    ),
    "a list in its stead": (lambda text: text.replace('license: "other"', "license: [mit]"), "license says a list"),
    "a date in its place": (lambda text: text.replace('license: "other"', "license: 2020-01-01"), "says '2020-01-01'"),
    "a line that continues the last value": (
        lambda text: text.replace("\n---\n\n<!--", "\n      verified: true\n---\n\n<!--"),
        "changes what was exported",
    ),
    "an item more": (lambda text: text.replace("\n---\n\n<!--", "\n- x\n---\n\n<!--"), "has no one reading"),
    "a second document": (lambda text: text.replace("\n---\n\n<!--", "\n...\na: 1\n---\n\n<!--"), "no one reading"),
    "no metadata": (lambda text: text[3:], "metadata"),
}


@pytest.mark.parametrize("change", CARD_CHANGES)
def test_a_changed_card_is_told(gallery: Gallery, change: str) -> None:
    facts = gallery.model("gardener")
    text = make_export("model-card", facts).decode()
    make, said = CARD_CHANGES[change]
    assert make(text) != text
    found = differences("model-card", make(text).encode(), facts)
    assert found.differs
    assert said in found.differs[0]


def test_own_words_around_the_proven_part_are_allowed_and_told(gallery: Gallery) -> None:
    facts = gallery.model("gardener")
    text = make_export("model-card", facts).decode()
    more = text.replace("\n---\n\n<!--", "\nlanguage: en\npipeline_tag: text-generation\n---\n\n<!--")
    assert differences("model-card", more.encode(), facts) == Comparison((), OWN_WORDS)
    assert differences("model-card", f"{text}\nFor my cat.".encode(), facts) == Comparison((), OWN_WORDS)
    assert differences("model-card", text.replace("\n", "\r\n").encode(), facts) == SAME
    assert differences("model-card", b"\xff", facts).differs == ("the file is no text in UTF-8",)


@pytest.mark.parametrize("page", [False, True])
def test_the_provider_fills_in_its_places_of_the_summary(gallery: Gallery, page: bool) -> None:
    facts = gallery.model("gardener")
    text = make_export("eu-summary", facts, page=page).decode()
    assert differences("eu-summary", text.encode(), facts) == SAME
    filled = text.replace("To be completed by the provider", "Ada Ltd., London")
    assert differences("eu-summary", filled.encode(), facts) == Comparison((), OWN_WORDS)
    lied = text.replace("REVOKED", "usable").replace("21", "22")
    assert differences("eu-summary", lied.encode(), facts).differs


def test_another_models_bundle_does_not_vouch_for_it(gallery: Gallery) -> None:
    for form in MODEL_FORMS:
        assert differences(form, make_export(form, gallery.model("gardener")), gallery.model("merged")).differs, form


def test_a_part_of_the_pages_is_no_ground_for_an_export(gallery: Gallery) -> None:
    files = gallery.bundles("tutor")
    verdict = verify_bundle(files[0], gallery.chain.genesis, gallery.chain.now_ns)
    with pytest.raises(NotVerified):
        facts_of(files * 2, [verdict] * 2, ["a", "b"])
    sheets = gallery.sheet_bundles("garden@1")
    verdict = verify_bundle(sheets[0], gallery.chain.genesis, gallery.chain.now_ns)
    with pytest.raises(NotVerified):
        facts_of(sheets * 2, [verdict] * 2, ["a", "b"])


@pytest.mark.parametrize(
    "line",
    [
        "openledger-proof:?form=slsa;bundle=../../etc/passwd",
        "openledger-proof:?form=slsa;bundle=%2Fetc%2Fpasswd",
        "openledger-proof:?form=slsa;bundle=..",
        "openledger-proof:?bundle=x",
        "openledger-proof:?form=slsa",
        "openledger-proof:?" + "a=b;" * 1_000,
    ],
)
def test_a_line_that_leads_out_of_the_folder_or_nowhere_is_none(line: str) -> None:
    assert read_reference(line.encode()) is None
