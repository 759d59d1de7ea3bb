"""The rules of the join, one by one; its algebra: test_licence_join_properties.py."""

from collections.abc import Sequence
from typing import Any

import pytest

from abci_app.modules.licences import judgement, terms_id_of
from abci_app.modules.licences.join import join, join_all, lift, limits_of
from abci_app.modules.licences.judgement import common_outbound, first_clash, judge
from abci_app.modules.licences.records import (
    JoinedTerms,
    Outcome,
    Point,
    Profile,
    ShareAlike,
    Source,
    Stated,
    Terms,
    UseClass,
)
from abci_app.modules.licences.table import ROWS
from abci_app.modules.licences.view import joined_id_of
from abci_app.types import PPB
from abci_app.utc import utc_text
from tests.kit.modules.drafts import FREE, independent_hash, terms

NOW = 1_700_000_000


def lifted(source: Terms) -> JoinedTerms:
    return lift(terms_id_of(source), source)


NC = terms(name="CC BY-NC 4.0", spdx="CC-BY-NC-4.0", use_class=UseClass.NON_COMMERCIAL)
RESEARCH = terms(name="research only", use_class=UseClass.RESEARCH)


def share_alike(spdx: str, **changes: Any) -> Terms:
    return terms(name=spdx, spdx=spdx, share_alike=Stated.YES, **changes)


BY_SA = share_alike("CC-BY-SA-4.0")
NO_RESTRICTIONS = "a share-alike licence (CC-BY-SA-4.0) admits no further restrictions: use is non-commercial only"
NO_COMMON = "share-alike licences admit no common licence for the result"


@pytest.mark.parametrize(
    ("sources", "outcome", "reason"),
    [
        ([], Outcome.COMPATIBLE, ""),
        ([FREE], Outcome.COMPATIBLE, ""),
        ([FREE, NC, RESEARCH], Outcome.COMPATIBLE, ""),
        ([terms(no_derivatives=Stated.YES)], Outcome.CONFLICT, "derivatives are not allowed"),
        ([terms(training=Stated.NO)], Outcome.CONFLICT, "training is not allowed"),
        ([terms(expiry_seconds=NOW)], Outcome.COMPATIBLE, ""),
        ([terms(expiry_seconds=NOW - 1)], Outcome.CONFLICT, f"terms expired at {utc_text(NOW - 1)}"),
        ([terms(expiry_seconds=NOW + 9), terms(expiry_seconds=NOW - 9)], 3, f"terms expired at {utc_text(NOW - 9)}"),
        ([terms(fields_of_use=("a", "b")), terms(fields_of_use=("b", "c"))], Outcome.COMPATIBLE, ""),
        (
            [terms(fields_of_use=("a",)), FREE, terms(fields_of_use=("b",))],
            Outcome.CONFLICT,
            "the permitted fields of use have nothing in common",
        ),
        ([terms(revenue_share_ppb=PPB), FREE], Outcome.COMPATIBLE, ""),
        ([terms(revenue_share_ppb=PPB), terms(revenue_share_ppb=PPB)], Outcome.COMPATIBLE, ""),
        (
            [terms(revenue_share_ppb=PPB), terms(revenue_share_ppb=1)],
            Outcome.CONFLICT,
            f"revenue shares sum to {PPB + 1} of {PPB} parts",
        ),
        ([BY_SA, FREE], Outcome.COMPATIBLE, ""),
        ([BY_SA, share_alike("GPL-3.0-only")], Outcome.COMPATIBLE, ""),
        ([share_alike("CC-BY-SA-3.0"), share_alike("GPL-3.0-only")], Outcome.CONFLICT, NO_COMMON),
        ([BY_SA, share_alike("CC-BY-NC-SA-4.0", use_class=2)], Outcome.CONFLICT, NO_COMMON),
        ([share_alike("CC-BY-NC-SA-4.0", use_class=2), NC], Outcome.COMPATIBLE, ""),
        ([share_alike("LicenseRef-a"), share_alike("LicenseRef-b")], Outcome.CONFLICT, NO_COMMON),
        ([share_alike("LicenseRef-a"), share_alike("LicenseRef-a", jurisdiction="DE")], Outcome.COMPATIBLE, ""),
        ([share_alike("LicenseRef-a"), share_alike("LicenseRef-a", text_digest=bytes(32))], 3, NO_COMMON),
        ([BY_SA, NC], Outcome.CONFLICT, NO_RESTRICTIONS),
        (
            [BY_SA, terms(excluded_domains=("arms",))],
            Outcome.CONFLICT,
            "a share-alike licence (CC-BY-SA-4.0) admits no further restrictions: excluded domains",
        ),
        (
            [BY_SA, terms(behavioural=Stated.YES)],
            Outcome.CONFLICT,
            "a share-alike licence (CC-BY-SA-4.0) admits no further restrictions: a list of uses that must not happen",
        ),
        ([share_alike("LicenseRef-rail", behavioural=2), terms(behavioural=Stated.YES)], Outcome.COMPATIBLE, ""),
        ([terms(approval_required=Stated.YES)], Outcome.NEEDS_APPROVAL, "an owner's approval is required"),
        ([terms(training=0, opt_out_reserved=2)], Outcome.CONFLICT, "terms do not say whether training is allowed"),
        ([terms(opt_out_reserved=2)], Outcome.COMPATIBLE, ""),
        (
            [terms(approval_required=0)],
            Outcome.NEEDS_APPROVAL,
            "terms do not say whether an owner's approval is needed",
        ),
        ([terms(training=0)], Outcome.CONFLICT, "terms do not say whether training is allowed"),
        ([terms(no_derivatives=0)], Outcome.CONFLICT, "terms do not say whether derivatives are allowed"),
        (
            [terms(share_alike=0)],
            Outcome.CONFLICT,
            "terms do not say whether derivatives must carry the same licence",
        ),
        ([terms(use_class=0)], Outcome.CONFLICT, "terms do not say whether commercial use is allowed"),
    ],
)  # fmt: skip
def test_the_verdict_of_the_conservative_profile(sources: list[Terms], outcome: Outcome, reason: str) -> None:
    assert judge(join_all([lifted(source) for source in sources]), Profile.CONSERVATIVE, NOW) == (outcome, reason)


@pytest.mark.parametrize(
    ("source", "outcome", "reason"),
    [
        (terms(training=0, no_derivatives=0, share_alike=0, use_class=0, approval_required=0), 1, ""),
        (terms(training=0, opt_out_reserved=2), 2, "an owner reserved text and data mining"),
        (terms(training=Stated.NO), 3, "training is not allowed"),
        (terms(no_derivatives=Stated.YES), 3, "derivatives are not allowed"),
    ],
)
def test_the_permissive_profile_admits_what_is_not_stated(source: Terms, outcome: int, reason: str) -> None:
    assert judge(lifted(source), Profile.PERMISSIVE, NOW) == (outcome, reason)


def test_lifted_terms_say_in_bits_what_terms_say_in_words() -> None:
    source = terms(
        spdx="LicenseRef-a", use_class=UseClass.UNKNOWN, share_alike=2, training=1, redistribution=1, private=0,
        behavioural=2, opt_out_reserved=0, fields_of_use=("law",), excluded_domains=("arms",), revenue_share_ppb=7,
        expiry_seconds=NOW, jurisdiction="DE", behavioural_digest=b"b" * 32,
    )  # fmt: skip
    joined = lift(b"i" * 32, source)
    assert joined == JoinedTerms(
        sources=(Source(b"i" * 32, 7),),
        use_class=0,
        demanded=Point.ATTRIBUTION
        | Point.SHARE_ALIKE
        | Point.TRAINING_BANNED
        | Point.REDISTRIBUTION_BANNED
        | Point.BEHAVIOURAL
        | Point.NOTICE,
        unstated=Point.PRIVATE | Point.OPT_OUT_RESERVED | Point.USE_CLASS,
        limits_fields=1,
        fields_of_use=("law",),
        excluded_domains=("arms",),
        expiry_seconds=NOW,
        jurisdictions=("DE",),
        behavioural_digests=(b"b" * 32,),
        share_alike=(ShareAlike("LicenseRef-a", source.text_digest, 0, limits_of(joined, joined.demanded)),),
        choices=(),
    )


def test_a_licence_to_train_lifts_the_owners_own_reservation_but_nobody_elses() -> None:
    own, other = terms(training=2, opt_out_reserved=2), terms(training=0, opt_out_reserved=2)
    assert lifted(own).demanded & Point.OPT_OUT_RESERVED == 0
    assert join(lifted(own), lifted(other)).demanded & Point.OPT_OUT_RESERVED


@pytest.mark.parametrize(
    ("sources", "outbound"),
    [
        (["CC-BY-SA-3.0", "CC-BY-SA-4.0"], ["CC-BY-SA-4.0"]),
        (["CC-BY-SA-4.0", "GPL-3.0-only"], ["GPL-3.0-only"]),
        (["CC-BY-SA-4.0", "LAL-1.3"], ["CC-BY-SA-4.0", "LAL-1.3"]),
        (["GPL-2.0-or-later", "GPL-3.0-or-later"], ["AGPL-3.0-only", "GPL-3.0-only", "GPL-3.0-or-later"]),
        (["GPL-2.0-only", "GPL-3.0-only"], []),
        (["GPL-2.0-or-later", "AGPL-3.0-or-later"], ["AGPL-3.0-only"]),
        (["MPL-2.0", "EUPL-1.2", "GPL-2.0-only"], ["GPL-2.0-only"]),
        (["ODbL-1.0", "CDLA-Sharing-1.0"], []),
    ],
)
def test_what_the_one_way_table_leaves_as_the_licence_of_the_result(sources: list[str], outbound: list[str]) -> None:
    joined = join_all([lifted(share_alike(spdx)) for spdx in sources])
    assert [licence.spdx for licence in common_outbound(joined.share_alike)] == outbound


def test_the_share_alike_table_is_one_way_and_leads_to_known_licences() -> None:
    onward = {name: row[3] for name, row in ROWS.items() if row[3]}
    assert [name for name, others in onward.items() if name in others or list(others) != sorted(others)] == []
    assert [other for others in onward.values() for other in others if ROWS[other][1][1] != "Y"] == []
    both_ways = [(a, b) for a, others in onward.items() for b in others if a < b and a in onward.get(b, ())]
    assert [pair for pair in both_ways if not (pair[0].startswith("CC-BY") and pair[1].startswith("CC-BY"))] == [
        ("CC-BY-SA-4.0", "LAL-1.3")
    ]


@pytest.mark.parametrize(
    ("sources", "clash"),
    [
        (
            [FREE, BY_SA, FREE, NC],
            (1, 3, NO_RESTRICTIONS),
        ),
        ([FREE, terms(training=Stated.NO), NC], (1, 1, "training is not allowed")),
        ([NC, FREE], None),
        (
            [terms(name=name, revenue_share_ppb=PPB // 2) for name in "abc"],
            (1, 2, f"revenue shares sum to {3 * (PPB // 2)} of {PPB} parts"),
        ),
        (
            [terms(fields_of_use=fields) for fields in (("a", "b"), ("b", "c"), ("a", "c"))],
            (1, 2, "the permitted fields of use have nothing in common"),
        ),
    ],
)
def test_the_first_clash_is_named(sources: Sequence[Terms], clash: tuple[int, int, str] | None) -> None:
    assert first_clash([lifted(source) for source in sources], Profile.CONSERVATIVE, NOW) == clash


def test_naming_a_clash_takes_a_few_judgements_however_many_items_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each judgement may weigh sixteen combinations: 48 of them took three times what such a run weighs."""
    judged: list[JoinedTerms] = []

    def counted(joined: JoinedTerms, profile: int, time_seconds: int) -> tuple[Outcome, str]:
        judged.append(joined)
        return judge(joined, profile, time_seconds)

    monkeypatch.setattr(judgement, "judge", counted)
    mild = [lifted(terms(name=f"mild {number}")) for number in range(45)]
    one, other = [lifted(terms(name=name, fields_of_use=(name,))) for name in ("a", "b")]
    clash = first_clash([*mild[:20], one, *mild[20:], other], Profile.CONSERVATIVE, NOW)
    assert clash == (20, 46, "the permitted fields of use have nothing in common")
    assert len(judged) <= 16


def test_ids_follow_from_the_documented_bytes_and_never_change() -> None:
    free = [2, "CC BY 4.0", "CC-BY-4.0", 1, 2, 1, 1, 2, 2, 1, 1, 1, 1, 2, 1, 2, [], [], b"", b"", 0, 0, ""]
    free_id = "2273a56e9fa7a00df05699c895e606fc9d2ff10dec9a3ae93941ebe4dfe1525d"
    assert independent_hash("openledger/terms-id/v1", free) == free_id == terms_id_of(FREE).hex()
    joined = [
        2,
        [[bytes.fromhex(free_id), 0]],
        1,
        int(Point.ATTRIBUTION | Point.NOTICE),
        0,
        0,
        [],
        [],
        0,
        [],
        [],
        [],
        [],
    ]
    joined_id = "2fd84a778ca277d4d1c725bf4273b8b4199c9b684c2c6703bcebfbf344a9302c"
    assert independent_hash("openledger/joined-terms-id/v1", joined) == joined_id == joined_id_of(lifted(FREE)).hex()
