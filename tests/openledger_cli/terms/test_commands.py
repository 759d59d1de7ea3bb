"""`openledger terms` on a chain of simulated validators, and without any."""

import json
from pathlib import Path
from typing import Any

import pytest

from abci_app.bech32 import encode_id
from abci_app.modules.licences import RegisterTerms, terms_id_of
from abci_app.modules.licences.facts import plain_terms
from abci_app.modules.licences.records import Stated, UseClass
from abci_app.types import PPB
from openledger.errors import UsageError
from openledger.exit_codes import ExitCode
from openledger_cli.terms.adding import terms_of_words
from tests.kit.openledger.local_node import Run
from tests.kit.openledger.story import CLASHING, FREE, SHARED


def test_the_list_has_what_is_registered_proven_and_the_licences_of_the_table(run: Run) -> None:
    code, out, error = run("terms", "list")
    assert (code, out.count("olterms1")) == (0, 3)
    assert "CC BY-NC-SA 4.0" in out
    assert "non-commercial, credit, share-alike" in out
    assert "Apache-2.0" in out
    assert "verified: state after block 4" in error
    document = json.loads(run("terms", "list", "--registered", "--output", "json")[1])
    assert [item["terms"]["name"] for item in document["registered"]] == [FREE.name, CLASHING.name, SHARED.name]
    assert (document["verified"], document["licences"]) == (True, [])


def test_a_licence_is_shown_in_words_with_whether_it_is_registered(run: Run) -> None:
    code, out, _ = run("terms", "show", "cc-by-nc-4.0")
    assert code == 0
    for said in ("for non-commercial use only", "its authors must be named", "models may be trained on it"):
        assert said in out
    assert "not registered yet" in out
    assert "registered; these are its own words" in run("terms", "show", encode_id("olterms", terms_id_of(FREE)))[1]


def test_what_the_table_says_needs_no_node(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLEDGER_NODE", "http://127.0.0.1:9")
    assert "what was granted cannot be taken back" in run("terms", "show", "CC-BY-4.0", "--table")[1]
    assert "CC-BY-4.0" in run("terms", "list", "--table")[1]
    code, out, _ = run("terms", "check", "mit", "CC0", "--offline")
    assert (code, out.splitlines()[0]) == (0, "Yes, these may be mixed (under the conservative policy)")


def test_a_clash_is_named_with_its_two_and_has_the_exit_code_of_a_clash(run: Run) -> None:
    code, out, _ = run("terms", "check", "CC-BY-SA-4.0", encode_id("olterms", terms_id_of(CLASHING)), "MIT")
    assert code == ExitCode.REFUSED
    assert out.splitlines()[:2] == [
        "No, these may not be mixed (under the conservative policy)",
        "├── CC-BY-SA-4.0 and CC BY-NC-SA 4.0: share-alike licences admit no common licence for the result",
    ]


def test_an_unknown_name_is_a_proven_no_with_what_to_do(run: Run) -> None:
    for words in (("show", "my terms"), ("check", "MIT", "my terms")):
        code, _, error = run("terms", *words)
        assert code == ExitCode.NOT_FOUND
        assert "error: terms 'my terms' are neither a licence that the table knows nor registered" in error
    assert run("terms", "check", "MIT", "my terms", "--offline")[0] == ExitCode.USAGE


# --- Own terms in words


def test_own_terms_begin_with_what_a_licence_says() -> None:
    words = {"like": "cc-by-4.0", "use": "non-commercial", "revenue": "5%", "until": "2030-01-01", "credit": "no",
             "revocable": "yes", "only_for": "Medicine, education"}  # fmt: skip
    terms = terms_of_words("clinic", words)
    assert (terms.name, terms.spdx, terms.use_class, terms.training) == ("clinic", "", UseClass.NON_COMMERCIAL, 2)
    assert (terms.attribution, terms.irrevocable) == (Stated.NO, Stated.NO)
    assert (terms.revenue_share_ppb, terms.expiry_seconds) == (PPB // 20, 1_893_542_399)
    assert terms.fields_of_use == ("education", "medicine")
    RegisterTerms(terms).validate()


def test_what_nobody_says_stays_open() -> None:
    terms = terms_of_words("bare", {"use": "any"})
    assert (terms.use_class, terms.training, terms.attribution) == (UseClass.ANY, Stated.UNKNOWN, Stated.UNKNOWN)


def test_share_alike_terms_of_ones_own_have_a_text(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="own terms that are share-alike need their text"):
        terms_of_words("ours", {"like": "CC-BY-SA-4.0"})
    (tmp_path / "text").write_text("share!")
    terms = terms_of_words("Our Terms", {"like": "CC-BY-SA-4.0", "text": str(tmp_path / "text")})
    assert (terms.spdx, len(terms.text_digest)) == ("LicenseRef-our-terms", 32)
    RegisterTerms(terms).validate()


MISTAKES: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("MIT", {"use": "any"}, "MIT says what it says: give your own terms another name"),
    ("ours", {}, "'ours' is no licence that the table knows: say what your own terms are"),
    ("ours", {"colour": "red"}, "no word 'colour' for terms; known: like, use"),
    ("ours", {"credit": "maybe"}, "credit 'maybe': write yes or no"),
    ("ours", {"use": "commercial"}, "use 'commercial': write one of any, non-commercial, research"),
    ("ours", {"until": "2030-02-31"}, "until '2030-02-31': write a day"),
    ("ours", {"like": "CC-BY-9.0"}, "--like: terms 'CC-BY-9.0' are neither a licence"),
    ("ours", {"text": "/nowhere"}, "/nowhere cannot be read"),
    ("ours", {"revenue": "150%"}, "more than 100%"),
)


@pytest.mark.parametrize(("name", "words", "said"), MISTAKES)
def test_mistakes_in_words_are_said_with_what_to_write(name: str, words: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as error:
        terms_of_words(name, words)
    assert said in str(error.value)


def test_a_document_holds_words_or_all_fields(run: Run, tmp_path: Path) -> None:
    (tmp_path / "words.yaml").write_text("like: CC-BY-4.0\nuse: research\nshare-alike: no\nonly-for: [medicine]\n")
    (tmp_path / "fields.json").write_text(json.dumps({"use_class": "any", "spdx": "mit"}))
    (tmp_path / "broken.yaml").write_text("a: [")
    for file, use in (("words.yaml", "research"), ("fields.json", "any")):
        words = ("terms", "add", "ours", "--document", str(tmp_path / file), "--dry-run", "--from", "olga")
        code, out, error = run(*words, "--output", "json")
        assert (code, error, json.loads(out)["terms"]["use_class"]) == (0, "", use)
    code, _, error = run("terms", "add", "ours", "--document", str(tmp_path / "broken.yaml"), "--from", "olga")
    assert (code, "is neither YAML nor JSON" in error) == (ExitCode.USAGE, True)


def test_a_licence_of_the_table_needs_no_words() -> None:
    assert terms_of_words("cc by 4.0", {}) == plain_terms("CC-BY-4.0")
