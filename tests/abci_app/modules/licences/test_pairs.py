"""Pairs of licences, each with what comes out and why. Advisory: what the texts say, not what a court would."""

from typing import Any

import pytest

from abci_app.modules.licences import terms_id_of
from abci_app.modules.licences.facts import contradiction_in
from abci_app.modules.licences.join import join_all, learned_from, lift
from abci_app.modules.licences.judgement import admitted_outbound, combinations_of, judge
from abci_app.modules.licences.records import JoinedTerms, Outcome, Point, Profile
from openledger.licences import complete_terms
from tests.kit.modules.drafts import digest

NOW = 1_700_000_000
FINE, ASK, CLASH = Outcome.COMPATIBLE, Outcome.NEEDS_APPROVAL, Outcome.CONFLICT
# Own words, complete and mild, but for one demand.
MILD: dict[str, Any] = {
    "use_class": 1, "attribution": 1, "share_alike": 1, "no_derivatives": 1, "training": 2, "redistribution": 2,
    "approval_required": 1, "behavioural": 1, "private": 1, "opt_out_reserved": 1, "notice": 1, "outputs_restricted": 1,
    "irrevocable": 2,
}  # fmt: skip
OWN: dict[str, dict[str, Any]] = {
    "mild": {},
    "share": {"revenue_share_ppb": 20_000_000},
    "expiry": {"expiry_seconds": NOW + 10**7},
    "fields": {"fields_of_use": ("medicine",)},
    "domains": {"excluded_domains": ("arms",)},
    "private": {"private": 2},
    "kept": {"redistribution": 1},
    "list": {"behavioural": 2, "behavioural_digest": digest("list")},
    "asks": {"approval_required": 2},
    "outputs": {"outputs_restricted": 2},
    "revocable": {"irrevocable": 1},
    "silent-on-passing-on": {"redistribution": 0},
    "sa-one": {"share_alike": 2, "text_digest": digest("one"), "spdx": "LicenseRef-share"},
    "sa-two": {"share_alike": 2, "text_digest": digest("two"), "spdx": "LicenseRef-share"},
    "sa-list": {"share_alike": 2, "text_digest": digest("three"), "behavioural": 2, "spdx": "LicenseRef-rail"},
}


def lifted(name: str) -> JoinedTerms:
    own: dict[str, Any] = {"spdx": f"LicenseRef-own-{name}", **MILD, **OWN[name]} if name in OWN else {"spdx": name}
    # Points that the licences leave open are settled here: a pair is about the two, not about silence.
    if name not in OWN and name != "unknown":
        known = complete_terms(spdx=name)
        own |= {point: MILD[point] for point in MILD if getattr(known, point) == 0}
    terms = complete_terms(**own)
    assert contradiction_in(terms) == ""
    return lift(terms_id_of(terms), terms)


PAIRS = [
    ("cc0-1.0", "cc-by-sa-4.0", FINE, "a waiver adds nothing to share-alike"),
    ("cc-by-4.0", "cc-by-nc-4.0", FINE, "the adapted work may be non-commercial"),
    ("cc-by-4.0", "cc-by-sa-4.0", FINE, "attribution fits under share-alike"),
    ("cc-by-4.0", "gpl-3.0", FINE, "attribution is no further restriction under the GPL"),
    ("cc-by-4.0", "share", FINE, "plain attribution lets the result carry other terms"),
    ("cc-by-sa-3.0", "cc-by-sa-4.0", FINE, "3.0 admits its later version: the result is 4.0"),
    ("cc-by-sa-3.0-de", "cc-by-sa-4.0", FINE, "a port admits the later version"),
    ("cc-by-sa-3.0-de", "cc-by-sa-3.0-at", FINE, "3.0 admits licences of other jurisdictions"),
    ("cc-by-sa-2.0", "cc-by-sa-4.0", FINE, "2.0 admits later versions"),
    ("cc-by-sa-2.0", "cc-by-sa-3.0", FINE, "2.0 admits later versions"),
    ("cc-by-sa-1.0", "cc-by-sa-4.0", CLASH, "1.0 has no clause on later versions"),
    ("cc-by-sa-3.0", "gpl-3.0", CLASH, "only 4.0 is compatible with GPLv3"),
    ("cc-by-sa-4.0", "gpl-3.0", FINE, "one way from BY-SA 4.0 to GPLv3"),
    ("cc-by-sa-4.0", "gpl-3.0+", FINE, "the result is under GPLv3 only"),
    ("cc-by-sa-4.0", "gpl-2.0", CLASH, "BY-SA 4.0 names version 3 only"),
    ("cc-by-sa-4.0", "gpl-2.0+", FINE, "or later leads to version 3"),
    ("cc-by-sa-4.0", "agpl-3.0", CLASH, "the agreement is with the GPL, not the AGPL"),
    ("cc-by-sa-4.0", "LAL-1.3", FINE, "both ways by the list of Creative Commons"),
    ("cc-by-sa-4.0", "LAL-1.2", CLASH, "1.2 is not on that list"),
    ("cc-by-sa-4.0", "cc-by-nc-4.0", CLASH, "non-commercial is a further restriction"),
    ("cc-by-sa-4.0", "cc-by-nc-sa-4.0", CLASH, "two share-alike licences with other elements"),
    ("cc-by-nc-sa-4.0", "cc-by-nc-4.0", FINE, "both non-commercial"),
    ("cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", FINE, "later version with the same elements"),
    ("cc-by-nc-sa-4.0", "LicenseRef-mistral-research", CLASH, "research only is stricter than non-commercial"),
    ("cc-by-nc-4.0", "LicenseRef-mistral-research", FINE, "no share-alike: the stricter use class holds"),
    ("cc-by-nd-4.0", "mit", CLASH, "no derivatives"),
    ("cc-by-nc-nd-4.0", "cc-by-nc-4.0", CLASH, "NC-ND is not NC"),
    ("cc-by-nc-nd-3.0-igo", "cc0-1.0", CLASH, "no derivatives, in a port as well"),
    ("odbl", "cc-by-sa-4.0", CLASH, "share-alike of data and of works admit no common licence"),
    ("odbl", "odc-by", FINE, "attribution fits under share-alike"),
    ("odbl", "pddl", FINE, "a dedication adds nothing"),
    ("cdla-sharing-1.0", "odbl", CLASH, "two share-alike licences of data"),
    ("cdla-permissive-2.0", "gpl-3.0", FINE, "a permissive licence of data"),
    ("c-uda", "o-uda", FINE, "agreements on the use of data"),
    ("ogl-uk-3.0", "cc-by-4.0", FINE, "both attribution"),
    ("etalab-2.0", "cc-by-sa-4.0", FINE, "attribution fits under share-alike"),
    ("apache-2.0", "gpl-3.0", FINE, "version 3 admits conditions on patents"),
    ("apache-2.0", "gpl-2.0", CLASH, "version 2 admits no conditions on patents"),
    ("apache-2.0", "gpl-2.0+", FINE, "or later leads to version 3"),
    ("apache-2.0", "mit", FINE, "both permissive"),
    ("bsd-4-clause", "gpl-3.0", CLASH, "the advertising clause is a further restriction"),
    ("bsd-3-clause", "gpl-2.0", FINE, "the GPL takes in permissive licences"),
    ("isc", "agpl-3.0", FINE, "the AGPL takes in permissive licences"),
    ("gpl-2.0", "gpl-3.0", CLASH, "version 2 only and version 3 only"),
    ("gpl-2.0+", "gpl-3.0", FINE, "or later includes version 3"),
    ("gpl-3.0", "agpl-3.0", FINE, "section 13 of both"),
    ("gpl-2.0", "agpl-3.0", CLASH, "section 13 is of version 3"),
    ("lgpl-2.1", "gpl-2.0", FINE, "section 3 of the LGPL 2.1"),
    ("lgpl-3.0", "gpl-3.0", FINE, "section 2b of the LGPL 3"),
    ("lgpl-3.0", "gpl-2.0", CLASH, "the LGPL 3 leads to version 3"),
    ("mpl-2.0", "gpl-2.0+", FINE, "section 1.12 of the MPL"),
    ("mpl-2.0", "cc-by-sa-4.0", FINE, "both lead to GPLv3"),
    ("eupl-1.2", "gpl-3.0", FINE, "its appendix"),
    ("eupl-1.1", "agpl-3.0", CLASH, "its appendix names other licences"),
    ("gfdl-1.3-or-later", "cc-by-sa-4.0", CLASH, "the time for relicensing wikis is over"),
    ("gpl-2.0 with classpath-exception-2.0", "gpl-2.0", FINE, "an exception may be dropped"),
    ("gpl-2.0 with classpath-exception-2.0", "cc-by-sa-4.0", CLASH, "an exception does not lift the licence"),
    ("bigscience-openrail-m", "apache-2.0", FINE, "the list of uses goes with the result"),
    ("bigscience-openrail-m", "gpl-3.0", CLASH, "a list of uses is a further restriction"),
    ("creativeml-openrail-m", "cc-by-sa-4.0", CLASH, "a list of uses is a further restriction"),
    ("gemma", "cc-by-4.0", FINE, "the list of uses goes with the result"),
    ("llama2", "cc-by-nc-4.0", FINE, "a fine-tune of Llama 2 on attributed data"),
    ("llama3.1", "cc-by-sa-4.0", CLASH, "a list of uses is a further restriction"),
    ("mit or gpl-3.0", "cc-by-sa-3.0", FINE, "a user who may choose takes MIT"),
    ("gpl-2.0 or cc-by-sa-4.0", "gpl-3.0", FINE, "the alternative BY-SA 4.0 leads to GPLv3"),
    ("gpl-2.0 and cc-by-sa-4.0", "mit", CLASH, "both hold, and they have no licence in common"),
    ("cc-by-nc-4.0 or gpl-3.0", "cc-by-4.0", FINE, "either will do"),
    ("cc-by-nc-4.0 or gpl-3.0", "cc-by-sa-4.0", FINE, "only the alternative GPL fits"),
    ("cc-by-nc-4.0 or gpl-3.0", "gpl-2.0", CLASH, "neither alternative fits"),
    ("cc-by-nc-4.0 or gpl-2.0", "cc-by-nc-4.0 or gpl-3.0", FINE, "the choices agree on non-commercial"),
    ("cc-by-sa-4.0", "mild", FINE, "nothing is added"),
    ("cc-by-sa-4.0", "share", CLASH, "a share of revenue is a further restriction"),
    ("cc-by-sa-4.0", "expiry", CLASH, "the licence is for the whole term of protection"),
    ("cc-by-sa-4.0", "fields", CLASH, "fields of use are a further restriction"),
    ("cc-by-sa-4.0", "domains", CLASH, "excluded domains are a further restriction"),
    ("cc-by-sa-4.0", "revocable", CLASH, "the result could not be granted for good"),
    ("gpl-3.0", "private", CLASH, "who receives it may pass it on"),
    ("gpl-3.0", "kept", CLASH, "who receives it may pass it on"),
    ("gpl-3.0", "list", CLASH, "section 7: further restrictions"),
    ("gpl-3.0", "asks", CLASH, "nobody needs to be asked under the GPL"),
    ("gpl-3.0", "outputs", CLASH, "outputs are free under the GPL"),
    ("gpl-3.0", "share", CLASH, "section 10: no royalty"),
    ("mit", "share", FINE, "permissive licences let others claim a share"),
    ("mit", "asks", ASK, "the owner of the other source wants to be asked"),
    ("mit", "silent-on-passing-on", CLASH, "what is not stated blocks under the conservative policy"),
    ("sa-one", "sa-two", CLASH, "one name, two texts: two licences"),
    ("sa-one", "sa-one", FINE, "one text"),
    ("sa-one", "share", CLASH, "own share-alike words admit what they say themselves"),
    ("sa-list", "mild", FINE, "its own list is no further restriction"),
    ("sa-list", "domains", CLASH, "its own list says nothing of these domains"),
    ("unknown", "mit", CLASH, "unknown blocks"),
    ("none", "cc0-1.0", CLASH, "no licence: nothing is granted"),
]  # fmt: skip


@pytest.mark.parametrize(("first", "second", "outcome", "reason"), PAIRS)
def test_what_comes_out_of_a_pair(first: str, second: str, outcome: Outcome, reason: str) -> None:
    for order in ((first, second), (second, first)):
        found = judge(join_all([lifted(name) for name in order]), Profile.CONSERVATIVE, NOW)
        assert (found[0], reason) == (outcome, reason), found[1]


def test_there_are_at_least_sixty_pairs_and_each_has_its_reason() -> None:
    assert len({frozenset(pair[:2]) for pair in PAIRS}) == len(PAIRS) >= 60
    assert all(reason for *_, reason in PAIRS)


@pytest.mark.parametrize(
    ("spdx", "outcome"),
    [("llama2", CLASH), ("llama3", CLASH), ("llama3.1", FINE), ("qwen", CLASH), ("apache-2.0", FINE), ("other", CLASH)],
)
def test_who_learns_from_the_outputs_of_a_model_needs_its_leave(spdx: str, outcome: Outcome) -> None:
    terms = complete_terms(**{**MILD, "spdx": spdx, "outputs_restricted": 0} if spdx == "other" else {"spdx": spdx})
    settled = lift(terms_id_of(terms), terms) if spdx == "other" else lifted(spdx)
    assert judge(learned_from(settled, is_model=True), Profile.CONSERVATIVE, NOW)[0] == outcome
    assert judge(settled, Profile.CONSERVATIVE, NOW)[0] == FINE


def test_the_licence_of_the_result_follows_the_choice() -> None:
    joined = join_all([lifted("cc-by-nc-4.0 or gpl-3.0"), lifted("cc-by-sa-4.0")])
    named = {
        chosen[0].spdx: [each.spdx for each in admitted_outbound(whole)] for chosen, whole in combinations_of(joined)
    }
    assert named == {"CC-BY-NC-4.0": [], "GPL-3.0-only": ["GPL-3.0-only"]}


@pytest.mark.parametrize("known", ["agpl-3.0", "gpl-3.0", "cc-by-nc-4.0", "cc-by-sa-4.0"])
def test_what_a_known_licence_does_not_ask_for_is_no_word_about_the_own_words_beside_it(known: str) -> None:
    """Sold beside a copyleft licence: what the seller asks for stands nowhere, so nothing is compatible with that."""
    terms = complete_terms(spdx=f"{known} or LicenseRef-sold", use_class=1, share_alike=1, opt_out_reserved=1)
    assert contradiction_in(terms) == ""
    ((choice, sold),) = [
        each for each in combinations_of(lift(terms_id_of(terms), terms)) if each[0][0].spdx == "LicenseRef-sold"
    ]
    silent = Point.APPROVAL_REQUIRED | Point.PRIVATE
    assert choice[0].unstated & silent == silent
    assert judge(sold, Profile.CONSERVATIVE, NOW)[0] == CLASH
    # Material that forbids what copyleft asks for finds no way round through the unread words.
    if known != "cc-by-nc-4.0":
        joined = join_all([lift(terms_id_of(terms), terms), lifted("kept")])
        assert judge(joined, Profile.CONSERVATIVE, NOW)[0] == CLASH


def test_own_words_alone_speak_for_themselves_in_every_field() -> None:
    terms = complete_terms(**{**MILD, "spdx": "LicenseRef-a OR LicenseRef-b", "approval_required": 2})
    assert judge(lift(terms_id_of(terms), terms), Profile.CONSERVATIVE, NOW)[0] == ASK


def test_a_refusal_names_a_licence_that_was_given() -> None:
    """The result of GPL-3.0-only may carry AGPL-3.0-only, too, and this is the first of the two by name."""
    joined = join_all([lifted("gpl-3.0"), lifted("kept")])
    assert judge(joined, Profile.PERMISSIVE, NOW) == (
        CLASH,
        "a share-alike licence (GPL-3.0-only) admits no further restrictions: it may not be passed on",
    )
