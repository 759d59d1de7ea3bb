"""Licence expressions in normal form, and terms that contradict what their identifier says."""

from typing import Any

import pytest

from abci_app.errors import Rejected
from abci_app.modules.licences.expression import ExpressionError, parse
from abci_app.modules.licences.handlers import LicencesCode, RegisterTerms
from abci_app.modules.licences.records import POINTS
from abci_app.modules.licences.table import ROWS
from openledger.licences import complete_terms
from openledger.licences_table import read_source, table
from tests.abci_app.modules.licences.test_pairs import MILD
from tests.kit.modules.drafts import digest
from tests.kit.repository import ROOT


@pytest.mark.parametrize(
    ("text", "alternatives"),
    [
        ("MIT", (("MIT",),)),
        (
            "Apache-2.0 AND MIT OR GPL-2.0-only WITH GCC-exception-2.0 AND MIT",
            (("Apache-2.0", "MIT"), ("GPL-2.0-only WITH GCC-exception-2.0", "MIT")),
        ),
        ("LicenseRef-my.own-2", (("LicenseRef-my.own-2",),)),
        ("MPL-2.0+", (("MPL-2.0+",),)),
    ],
)  # fmt: skip
def test_normal_forms_are_read(text: str, alternatives: tuple[tuple[str, ...], ...]) -> None:
    assert parse(text) == alternatives


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mit", "'mit': write MIT"),
        ("GPL-3.0", "'GPL-3.0' is not a licence that this chain knows by name"),
        ("CC BY 4.0", "is not a licence that this chain knows by name"),
        ("CC-BY-NC-4.1", "is not a licence that this chain knows by name"),
        ("licenseref-own", "is not a licence that this chain knows by name"),
        ("LicenseRef-Own", "after LicenseRef- come small letters"),
        ("LicenseRef-", "after LicenseRef- come small letters"),
        ("LicenseRef-mit", "is the name of a known licence"),
        ("LicenseRef-cc-by-nc-4.0", "is the name of a known licence"),
        ("LicenseRef-gpl-3.0", "is the name of a known licence"),
        ("LicenseRef-llama2", "is the name of a known licence"),
        ("LICENSEREF-LLAMA-2", "write LicenseRef-llama-2"),
        ("MIT OR Apache-2.0", "stand in order"),
        ("MIT AND Apache-2.0", "stand in order"),
        ("MIT AND MIT", "stand in order and once"),
        ("MIT OR MIT", "stand in order and once"),
        ("ISC AND MIT OR MIT", "adds nothing to MIT"),
        ("(MIT)", "is not a licence"),
        ("MIT  OR ISC", "is not a licence"),
        ("MIT or ISC", "is not a licence"),
        (" MIT", "is not a licence"),
        ("MIT OR ", "is not a licence"),
        ("GPL-2.0-only+", "write GNU licences as -or-later"),
        ("LicenseRef-own+", "has no later versions"),
        ("MPL-2.0++", "is not a licence"),
        ("MIT WITH Classpath-exception-2.0", "does not go with MIT"),
        ("GPL-2.0-only WITH Own-exception", "is not known to this chain"),
        ("GPL-2.0-only WITH AdditionRef-own", "is not known to this chain"),
        ("0BSD OR CC0-1.0 OR ISC OR MIT OR Zlib", "5 alternatives, at most 4"),
        ("0BSD AND CC0-1.0 AND ISC AND MIT AND MIT-0 AND X11 AND Zlib", "7 licences joined by AND, at most 6"),
    ],
)
def test_another_form_is_refused_with_what_to_write(text: str, said: str) -> None:
    with pytest.raises(ExpressionError) as error:
        parse(text)
    assert said in str(error.value)


def refusal(**stated: Any) -> str:
    with pytest.raises(Rejected) as rejection:
        RegisterTerms(complete_terms(**stated)).validate()
    assert rejection.value.code == LicencesCode.BAD_TERMS
    return rejection.value.text


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"spdx": "CC-BY-NC-4.0", "use_class": 1}, "CC-BY-NC-4.0 is non-commercial: use_class cannot be 'any'"),
        ({"spdx": "CC-BY-NC-4.0", "use_class": 0}, "CC-BY-NC-4.0 is non-commercial: use_class cannot be 'unknown'"),
        ({"spdx": "CC-BY-4.0", "use_class": 2}, "CC-BY-4.0 is for any use: use_class cannot be 'non-commercial'"),
        ({"spdx": "CC-BY-NC-ND-4.0", "no_derivatives": 1}, "says yes to no_derivatives: it cannot be 'no'"),
        ({"spdx": "CC-BY-SA-4.0", "share_alike": 1}, "says yes to share_alike: it cannot be 'no'"),
        ({"spdx": "GPL-2.0-only", "share_alike": 0}, "says yes to share_alike: it cannot be 'unknown'"),
        ({"spdx": "CC-BY-4.0", "irrevocable": 1}, "says yes to irrevocable: it cannot be 'no'"),
        ({"spdx": "MIT", "private": 2}, "MIT says no to private: it cannot be 'yes'"),
        ({"spdx": "MIT", "approval_required": 2}, "MIT says no to approval_required"),
        ({"spdx": "gemma", "behavioural": 1}, "says yes to behavioural: it cannot be 'no'"),
        ({"spdx": "llama2", "outputs_restricted": 1}, "says yes to outputs_restricted: it cannot be 'no'"),
        ({"spdx": "mit or gpl-3.0", "share_alike": 2}, "says no to share_alike: it cannot be 'yes'"),
        ({"spdx": "mit and gpl-3.0", "share_alike": 1}, "says yes to share_alike: it cannot be 'no'"),
        ({"spdx": "cc-by-nc-4.0 and LicenseRef-x", **MILD}, "is non-commercial: use_class cannot be 'any'"),
        ({"spdx": "cc-by-nc-4.0 or gpl-3.0", "use_class": 2}, "is for any use: use_class cannot be 'non-commercial'"),
        ({"spdx": "unknown", "training": 2}, "LicenseRef-unknown says that nobody knows the terms: training"),
        ({"spdx": "none", "training": 2}, "LicenseRef-unlicensed says no to training: it cannot be 'yes'"),
        ({"spdx": "CC-BY-4.0", "revenue_share_ppb": 1}, "CC-BY-4.0 leaves no room for revenue_share_ppb"),
        ({"spdx": "MIT", "expiry_seconds": 1}, "MIT leaves no room for expiry_seconds"),
        ({"spdx": "CC0-1.0", "fields_of_use": ("law",)}, "CC0-1.0 leaves no room for fields_of_use"),
        ({"spdx": "GPL-3.0-only", "excluded_domains": ("arms",)}, "leaves no room for excluded_domains"),
        ({"spdx": "mit or LicenseRef-x", "expiry_seconds": 1}, "leaves no room for expiry_seconds"),
        ({"spdx": "CC-BY-SA-4.0", "text_digest": digest("other")}, "is a text that everybody has: leave text_digest"),
        ({"spdx": "LicenseRef-x", **MILD, "share_alike": 2}, "share-alike terms of your own need text_digest"),
    ],
)
def test_terms_that_contradict_their_licence_are_refused_by_field(stated: dict[str, Any], said: str) -> None:
    assert said in refusal(**stated)


@pytest.mark.parametrize("licence", ROWS)
def test_what_a_licence_says_is_accepted_as_it_says_it(licence: str) -> None:
    RegisterTerms(complete_terms(spdx=licence)).validate()


def test_a_licence_beside_own_words_leaves_room_for_what_these_demand() -> None:
    own = {**MILD, "revenue_share_ppb": 5, "expiry_seconds": 7, "text_digest": digest("own")}
    RegisterTerms(complete_terms(spdx="MIT AND LicenseRef-own", **{**own, "attribution": 2, "notice": 2})).validate()


def test_the_table_is_written_from_its_source_and_knows_more_than_sixty_licences() -> None:
    assert table() == (ROOT / "abci_app/modules/licences/table.py").read_text()
    assert read_source()["points"] == list(POINTS)
    assert len(ROWS) > 150
