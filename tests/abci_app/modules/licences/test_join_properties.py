"""The join of terms over random terms: a semilattice whose verdict only ever gets stricter, within its limits."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abci_app.modules.licences import terms_id_of
from abci_app.modules.licences.join import (
    NOTHING_JOINED,
    TooManySources,
    join,
    join_all,
    lift,
)
from abci_app.modules.licences.judgement import admitted_outbound, first_clash, judge
from abci_app.modules.licences.records import (
    MAX_BEHAVIOURAL_LISTS,
    MAX_CHOICES,
    MAX_JOINED_JURISDICTIONS,
    MAX_JOINED_LABELS,
    MAX_LABELS,
    MAX_SHARE_ALIKE,
    MAX_SOURCES,
    JoinedTerms,
    Outcome,
    Point,
    Profile,
    Stated,
    Terms,
)
from abci_app.modules.licences.table import ROWS
from abci_app.modules.licences.view import joined_id_of
from abci_app.state.codec import decode, encode
from abci_app.types import PPB
from openledger.licences import complete_terms
from tests.kit.modules.drafts import digest, terms

NOW = 1_700_000_000
TRI = st.sampled_from([Stated.UNKNOWN, Stated.NO, Stated.YES]).map(int)
# Mostly harmless, so that several joined ones are not always a conflict.
MOSTLY_NO = st.sampled_from([Stated.NO, Stated.NO, Stated.NO, Stated.NO, Stated.UNKNOWN, Stated.YES]).map(int)
MOSTLY_YES = st.sampled_from([Stated.YES, Stated.YES, Stated.YES, Stated.YES, Stated.UNKNOWN, Stated.NO]).map(int)
LABELS = st.lists(st.sampled_from(["arms", "health", "law", "news"]), max_size=3, unique=True).map(sorted).map(tuple)
OWN = st.builds(
    Terms,
    name=st.sampled_from(["one", "other"]),
    spdx=st.sampled_from(["LicenseRef-own", "LicenseRef-other-words"]),
    use_class=st.sampled_from([1, 1, 1, 0, 2, 3]),
    attribution=TRI,
    share_alike=st.sampled_from([1, 1, 2, 0]),
    no_derivatives=MOSTLY_NO,
    training=MOSTLY_YES,
    redistribution=TRI,
    approval_required=MOSTLY_NO,
    behavioural=MOSTLY_NO,
    private=TRI,
    opt_out_reserved=MOSTLY_NO,
    notice=TRI,
    outputs_restricted=TRI,
    irrevocable=TRI,
    fields_of_use=st.one_of(st.just(()), LABELS),
    excluded_domains=st.one_of(st.just(()), LABELS),
    text_digest=st.sampled_from([b"", digest("one text")]),
    behavioural_digest=st.sampled_from([b"", b"", digest("a list")]),
    revenue_share_ppb=st.sampled_from([0, 0, 1, PPB // 2, PPB // 2 + 1]),
    expiry_seconds=st.sampled_from([0, 0, 0, NOW - 1, NOW, NOW + 1]),
    jurisdiction=st.sampled_from(["", "DE", "US"]),
)
EXPRESSIONS = [
    "CC-BY-4.0", "CC-BY-NC-4.0", "CC-BY-NC-4.0 OR GPL-3.0-only", "GPL-2.0-only OR CC-BY-SA-4.0",
    "AGPL-3.0-only OR other", "mit or (gpl-2.0 and apache-2.0)",
    "CC-BY-NC-SA-4.0 OR CC-BY-SA-4.0", "llama2", "unknown", "bigcode-openrail-m",
    *[name for name, row in ROWS.items() if row[1][1] == "Y"],
]  # fmt: skip
KNOWN = st.sampled_from(EXPRESSIONS).map(lambda spdx: complete_terms(spdx=spdx))
TERMS = st.one_of(OWN, KNOWN)


def lifted(source: Terms) -> JoinedTerms:
    return lift(terms_id_of(source), source)


ITEMS = st.lists(TERMS.map(lifted), max_size=5)
JOINED = ITEMS.map(join_all)
PROFILES = st.sampled_from(list(Profile))
TIMES = st.integers(NOW - 2, NOW + 2)
many = settings(max_examples=150)


# --- Algebra


@many
@given(JOINED, JOINED)
def test_the_order_of_two_does_not_matter(left: JoinedTerms, right: JoinedTerms) -> None:
    assert join(left, right) == join(right, left)


@many
@given(JOINED, JOINED, JOINED)
def test_the_grouping_of_three_does_not_matter(first: JoinedTerms, second: JoinedTerms, third: JoinedTerms) -> None:
    assert join(join(first, second), third) == join(first, join(second, third))


@many
@given(JOINED, JOINED)
def test_joining_again_what_is_joined_already_changes_nothing(left: JoinedTerms, right: JoinedTerms) -> None:
    both = join(left, right)
    assert [join(both, both), join(both, left), join(right, both)] == [both, both, both]


@given(JOINED)
def test_nothing_is_the_neutral_element(joined: JoinedTerms) -> None:
    assert [join(NOTHING_JOINED, joined), join(joined, NOTHING_JOINED), join_all([])] == [
        joined,
        joined,
        NOTHING_JOINED,
    ]


@many
@given(st.data(), st.lists(TERMS.map(lifted), min_size=1, max_size=6), PROFILES, TIMES)
def test_no_order_grouping_or_repetition_of_sources_changes_the_id_or_the_verdict(
    data: st.DataObject, items: list[JoinedTerms], profile: Profile, now: int
) -> None:
    shuffled = data.draw(st.permutations(items + data.draw(st.lists(st.sampled_from(items), max_size=3))))
    cut = data.draw(st.integers(0, len(shuffled)))
    groups = [join_all(shuffled[:cut]), join_all(shuffled[cut:])]
    expected, found = join_all(items), join_all(groups)
    assert (joined_id_of(found), judge(found, profile, now)) == (joined_id_of(expected), judge(expected, profile, now))


@many
@given(ITEMS, TERMS.map(lifted), PROFILES, TIMES)
def test_a_further_source_never_loosens_anything(
    items: list[JoinedTerms], further: JoinedTerms, profile: Profile, now: int
) -> None:
    before = join_all(items)
    after = join(before, further)
    assert after.use_class >= before.use_class
    assert (after.demanded & before.demanded, after.unstated & before.unstated) == (before.demanded, before.unstated)
    assert after.limits_fields >= before.limits_fields
    if before.limits_fields:
        assert set(after.fields_of_use) <= set(before.fields_of_use)
    assert set(after.excluded_domains) >= set(before.excluded_domains)
    assert not before.expiry_seconds or 0 < after.expiry_seconds <= before.expiry_seconds
    assert judge(after, profile, now)[0] >= judge(before, profile, now)[0]
    if before.demanded & Point.SHARE_ALIKE:
        assert set(admitted_outbound(after)) <= set(admitted_outbound(before))


@many
@given(JOINED, TIMES)
def test_the_conservative_profile_and_a_later_time_are_never_milder(joined: JoinedTerms, now: int) -> None:
    conservative, permissive = [
        judge(joined, profile, now)[0] for profile in (Profile.CONSERVATIVE, Profile.PERMISSIVE)
    ]
    assert conservative >= permissive
    assert judge(joined, Profile.PERMISSIVE, now + 1)[0] >= permissive


@many
@given(ITEMS, PROFILES, TIMES)
def test_a_clash_is_named_exactly_when_there_is_a_conflict(
    items: list[JoinedTerms], profile: Profile, now: int
) -> None:
    clash = first_clash(items, profile, now)
    outcome, _ = judge(join_all(items), profile, now)
    assert (clash is not None) == (outcome == Outcome.CONFLICT)
    if clash is None:
        return
    first, second, reason = clash
    assert 0 <= first <= second < len(items)
    assert judge(join_all(items[:second]), profile, now)[0] != Outcome.CONFLICT
    pair = judge(join(items[first], items[second]), profile, now)
    # Revenue shares (and three disjoint choices) can clash by numbers only; then the reason is that of all together.
    assert pair == (Outcome.CONFLICT, reason) or judge(join_all(items[: second + 1]), profile, now)[1] == reason


@many
@given(JOINED)
def test_joined_terms_fit_their_own_record(joined: JoinedTerms) -> None:
    assert decode(JoinedTerms, encode(joined)) == joined


def test_the_largest_joined_terms_stay_below_twelve_kilobytes() -> None:
    """Every lineage answer carries them, and each entry can bring new ones into the state."""
    label = "{:032}"
    sources = [
        terms(
            name=str(number),
            fields_of_use=tuple([label.format(each) for each in range(MAX_LABELS)]),
            excluded_domains=(label.format(number % MAX_SHARE_ALIKE),),
            jurisdiction=label.format(number % MAX_JOINED_JURISDICTIONS),
            revenue_share_ppb=PPB,
            share_alike=Stated.YES,
            behavioural=Stated.YES,
            behavioural_digest=digest(f"list {number % MAX_BEHAVIOURAL_LISTS}"),
            spdx=f"LicenseRef-{number % MAX_SHARE_ALIKE:0117}",
            text_digest=digest("text"),
            expiry_seconds=2**63 - 1,
        )
        for number in range(MAX_SOURCES - MAX_CHOICES)
    ]
    spdx = "LicenseRef-{:047} AND LicenseRef-x OR LicenseRef-z AND MPL-2.0"
    sources += [complete_terms(spdx=spdx.format(number)) for number in range(MAX_CHOICES)]
    joined = join_all([lifted(source) for source in sources])
    found = [
        len(part) for part in (joined.sources, joined.excluded_domains, joined.jurisdictions, joined.fields_of_use)
    ]
    assert found == [MAX_SOURCES, MAX_SHARE_ALIKE, MAX_JOINED_JURISDICTIONS, MAX_LABELS]
    assert (len(joined.behavioural_digests), len(joined.choices)) == (MAX_BEHAVIOURAL_LISTS, MAX_CHOICES)
    assert len(encode(joined)) < 12 * 1024


@pytest.mark.parametrize(
    ("field", "limit", "text"),
    [
        ("name", MAX_SOURCES, "65 different terms records meet, at most 64 can be joined"),
        ("excluded_domains", MAX_JOINED_LABELS // 2, "65 different excluded domains meet, at most 64 can be joined"),
        ("jurisdiction", MAX_JOINED_JURISDICTIONS, "33 different jurisdictions meet, at most 32 can be joined"),
    ],
)
def test_one_more_than_a_limit_cannot_be_joined_in_any_order(field: str, limit: int, text: str) -> None:
    values = [f"label-{number:02}" for number in range(limit + 1)]
    items = [lifted(terms(**{field: value})) for value in values]
    if field == "excluded_domains":
        pairs = [(f"a-{value}", f"b-{value}") for value in values[:-1]]
        items = [lifted(terms(excluded_domains=labels)) for labels in (*pairs, ("one-more",))]
    join_all(items[:-1])
    for order in (items, items[::-1]):
        with pytest.raises(TooManySources) as error:
            join_all(order)
        assert str(error.value) == text
