"""licences: registering terms, content addresses, queries, invariants."""

import re
from typing import Any

import pytest
from msgspec import structs

from abci_app.bech32 import encode_id
from abci_app.errors import Code, InvariantBroken, Rejected
from abci_app.modules import licences
from abci_app.modules.licences import JoinedTermsView, TermsView, terms_id_of, terms_of_name
from abci_app.modules.licences import join as licence_join
from abci_app.modules.licences.facts import is_own, licence_called, plain_terms
from abci_app.modules.licences.handlers import LicencesCode, RegisterTerms
from abci_app.modules.licences.invariants import (
    joined_terms_recompute,
    terms_are_found_by_their_names,
    terms_hash_to_their_keys,
)
from abci_app.modules.licences.queries import JoinedTermsQuery, TermsListQuery, TermsPage, TermsQuery, query_joined
from abci_app.modules.licences.records import (
    JOINED,
    MAX_LABELS,
    MAX_SOURCES,
    NAMES,
    TERMS,
    JoinedTerms,
    Profile,
    Stated,
    Terms,
)
from abci_app.modules.licences.table import ROWS
from abci_app.modules.licences.view import LICENCE_POLICY, joined_id_of
from abci_app.names import NameOwner
from abci_app.parameters import Parameters
from abci_app.state.codec import encode
from abci_app.state.overlay import Overlay
from tests.kit.modules.drafts import FREE, digest, terms
from tests.kit.modules.ledger import ALICE, BOB, Ledger

BY_SA = terms(name="CC BY-SA 4.0", spdx="CC-BY-SA-4.0", share_alike=Stated.YES)
UNKNOWN = digest("terms that nobody registered")


@pytest.fixture
def ledger() -> Ledger:
    return Ledger.start()


def test_registered_terms_stand_under_the_hash_of_their_record(ledger: Ledger) -> None:
    terms_id = terms_id_of(FREE)
    assert ledger.effects(ALICE, RegisterTerms(FREE)) == {
        TERMS.key(terms_id): encode(FREE),
        NAMES.key(FREE.name): encode(NameOwner(terms_id)),
        NAMES.key(FREE.spdx): encode(NameOwner(terms_id)),
    }


def test_terms_are_found_by_name_or_spdx_name_and_later_ones_of_that_name_change_nothing(ledger: Ledger) -> None:
    ledger.accept(ALICE, RegisterTerms(FREE))
    ledger.accept(ALICE, RegisterTerms(BY_SA))
    for name, wanted in ((FREE.name, FREE), (FREE.spdx, FREE), (BY_SA.spdx, BY_SA)):
        assert terms_of_name(ledger.store, name) == terms_id_of(wanted)
    for name, said in (
        ("CC BY 3.0", "CC-BY-3.0 is not registered yet: `openledger terms add CC-BY-3.0`"),
        ("garden", "there are no terms named 'garden': see `openledger terms list`"),
    ):
        with pytest.raises(Rejected, match=re.escape(said)):
            terms_of_name(ledger.store, name)
    for later in (
        terms(jurisdiction="DE"),
        terms(name="mine", jurisdiction="DE"),
        terms(name="mine", training=1, spdx=""),
    ):
        ledger.accept(BOB, RegisterTerms(later))
    assert terms_of_name(ledger.store, FREE.name) == terms_of_name(ledger.store, FREE.spdx) == terms_id_of(FREE)
    assert terms_of_name(ledger.store, "mine") == terms_id_of(terms(name="mine", jurisdiction="DE"))
    assert ledger.violations() == []


def test_the_name_of_a_licence_stands_for_what_the_table_says_once_that_is_registered(ledger: Ledger) -> None:
    plain = plain_terms("CC-BY-4.0")
    for each in (FREE, terms(name="another", jurisdiction="DE"), plain):
        ledger.accept(ALICE, RegisterTerms(each))
    for name in ("CC-BY-4.0", "cc-by-4.0", "CC BY 4.0"):
        assert terms_of_name(ledger.store, name) == terms_id_of(plain)
    assert plain == structs.replace(FREE, name="CC-BY-4.0")
    assert ledger.violations() == []


def test_terms_that_are_not_under_a_licence_cannot_carry_its_name(ledger: Ledger) -> None:
    log = "{!r} is the name of {}: terms that are not under it have another"
    for name, licence in (("CC-BY-4.0", "CC-BY-4.0"), ("cc by 4.0", "CC-BY-4.0"), ("ISC OR MIT", "ISC OR MIT")):
        for spdx in ("", "LicenseRef-mine"):
            bad = terms(name=name, spdx=spdx, approval_required=Stated.YES)
            assert ledger.refuse(ALICE, RegisterTerms(bad)) == (LicencesCode.BAD_TERMS, log.format(name, licence))
    assert ledger.accept(ALICE, RegisterTerms(terms(name="Apache License 2.0", spdx="")))


@pytest.mark.parametrize("licence", sorted(ROWS))
def test_what_the_table_says_of_a_licence_can_be_registered_as_it_stands(licence: str) -> None:
    RegisterTerms(plain_terms(licence)).validate()
    assert licence_called(licence.lower()) == ("" if is_own(licence) else licence)


def test_a_name_that_leads_to_no_record_breaks_an_invariant(ledger: Ledger) -> None:
    ledger.accept(ALICE, RegisterTerms(FREE))
    state = Overlay(ledger.store)
    NAMES.set(state, "another name", NameOwner(terms_id_of(FREE)))
    NAMES.set(state, FREE.name, NameOwner(UNKNOWN))
    strange, misled = (NAMES.key(name).hex() for name in ("another name", FREE.name))
    assert terms_are_found_by_their_names(state) == [
        f"the name under {strange} leads to no terms that have it",
        f"the name under {misled}, of terms {terms_id_of(FREE).hex()}, leads to none that have it",
    ]


def test_registering_is_an_event_once_and_the_second_time_changes_nothing(ledger: Ledger) -> None:
    event = ("terms_registered", {"terms_id": terms_id_of(FREE).hex(), "name": "CC BY 4.0"})
    assert ledger.accept(ALICE, RegisterTerms(FREE)) == [event]
    assert ledger.accept(BOB, RegisterTerms(FREE)) == []
    assert ledger.effects(ALICE, RegisterTerms(FREE)) == {}


def test_terms_that_differ_in_one_point_have_another_id() -> None:
    changes: list[dict[str, Any]] = [
        {"name": "Another"}, {"spdx": "MIT"}, {"use_class": 2}, {"attribution": 1}, {"share_alike": 0},
        {"no_derivatives": 0}, {"training": 0}, {"redistribution": 0}, {"approval_required": 0}, {"behavioural": 0},
        {"private": 0}, {"opt_out_reserved": 0}, {"notice": 0},
        {"outputs_restricted": 0}, {"irrevocable": 0}, {"fields_of_use": ("research",)},
        {"excluded_domains": ("arms",)},
        {"text_digest": digest("text")}, {"behavioural_digest": digest("list")}, {"revenue_share_ppb": 1},
        {"expiry_seconds": 1}, {"jurisdiction": "DE"},
    ]  # fmt: skip
    assert len(changes) == len(Terms.__struct_fields__)
    ids = [terms_id_of(FREE), *[terms_id_of(structs.replace(FREE, **change)) for change in changes]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("bad", "log"),
    [
        (terms(name=""), "terms need a name that people know them by"),
        (terms(fields_of_use=("b", "a")), "fields_of_use must be sorted and unique"),
        (terms(fields_of_use=("a", "a")), "fields_of_use must be sorted and unique"),
        (terms(excluded_domains=("b", "a")), "excluded_domains must be sorted and unique"),
        (terms(text_digest=b"short"), "text_digest must be empty or 32 bytes"),
        (terms(behavioural_digest=bytes(31)), "behavioural_digest must be empty or 32 bytes"),
        (terms(behavioural_digest=bytes(32)), "a behavioural list is given, but behavioural is not 2 (yes)"),
        (
            structs.replace(FREE, share_alike=Stated.YES, spdx=""),
            "share-alike terms need an SPDX name: write LicenseRef-... for your own",
        ),
    ],
)
def test_bad_terms_are_refused(ledger: Ledger, bad: Terms, log: str) -> None:
    assert ledger.refuse(ALICE, RegisterTerms(bad)) == (LicencesCode.BAD_TERMS, log)


@pytest.mark.parametrize(
    "bad",
    [
        terms(use_class=4),
        terms(training=3),
        terms(revenue_share_ppb=10**9 + 1),
        terms(expiry_seconds=-1),
        terms(fields_of_use=tuple([f"field-{number:02}" for number in range(MAX_LABELS + 1)])),
        terms(fields_of_use=("Upper",)),
        terms(name="x" * 257),
        terms(name="line\nbreak"),
        terms(spdx="x" * 129),
        terms(text_digest=bytes(33)),
    ],
)
def test_what_exceeds_a_limit_is_malformed(ledger: Ledger, bad: Terms) -> None:
    code, log = ledger.refuse(ALICE, RegisterTerms(bad))
    assert (code, log.startswith("transaction is malformed: ")) == (Code.MALFORMED, True)


def test_terms_at_every_limit_are_accepted(ledger: Ledger) -> None:
    labels = tuple([f"label-{number:026}" for number in range(MAX_LABELS)])
    full = terms(
        name="x" * 256, spdx="LicenseRef-" + "y" * 117, fields_of_use=labels, excluded_domains=labels,
        behavioural=Stated.YES,
        text_digest=bytes(32), behavioural_digest=bytes(32), revenue_share_ppb=10**9, expiry_seconds=2**63 - 1,
        jurisdiction="z" * 32,
    )  # fmt: skip
    ledger.accept(ALICE, RegisterTerms(full))
    assert TERMS.get(ledger.store, terms_id_of(full)) == full
    assert ledger.violations() == []


# --- For other modules


def test_unknown_terms_cannot_be_lifted(ledger: Ledger) -> None:
    with pytest.raises(Rejected) as rejection:
        licences.lifted_terms(ledger.store, UNKNOWN)
    assert (rejection.value.code, rejection.value.text) == (
        LicencesCode.UNKNOWN_TERMS,
        f"terms {encode_id('olterms', UNKNOWN)} are not registered: register them first",
    )


def test_joined_terms_that_are_referred_to_but_missing_stop_the_node(ledger: Ledger) -> None:
    with pytest.raises(InvariantBroken, match="are referred to but not stored"):
        licences.joined_terms(ledger.store, UNKNOWN)


def test_as_many_sources_as_the_limit_can_be_joined_and_one_more_cannot() -> None:
    lifted = [
        licence_join.lift(terms_id_of(each), each) for each in [terms(name=str(n)) for n in range(MAX_SOURCES + 1)]
    ]
    assert len(licences.join_terms(lifted[:-1]).sources) == MAX_SOURCES
    with pytest.raises(Rejected) as rejection:
        licences.join_terms(lifted)
    assert (rejection.value.code, rejection.value.text) == (
        LicencesCode.TOO_MANY_SOURCES,
        "65 different terms records meet, at most 64 can be joined: use sources that share their terms",
    )


def test_the_policy_profile_is_the_chain_parameter() -> None:
    permissive = Parameters({(LICENCE_POLICY.section, LICENCE_POLICY.index): Profile.PERMISSIVE})
    profiles = (licences.profile_of(Parameters()), licences.profile_of(permissive))
    assert profiles == (Profile.CONSERVATIVE, Profile.PERMISSIVE)


# --- Queries


def test_queries_find_terms_by_id_and_list_them_in_pages(ledger: Ledger) -> None:
    ids = {terms_id_of(each): each for each in (FREE, BY_SA, terms(name="Third"))}
    for each in ids.values():
        ledger.accept(ALICE, RegisterTerms(each))
    assert ledger.ask("licences", "terms", TermsQuery(terms_id_of(BY_SA))) == TermsView(terms_id_of(BY_SA), BY_SA)
    views = [TermsView(terms_id, ids[terms_id]) for terms_id in sorted(ids)]
    pages = [ledger.ask("licences", "list", TermsListQuery(after, 2)) for after in (b"", views[1].terms_id)]
    assert pages == [TermsPage(tuple(views[:2]), views[1].terms_id), TermsPage(tuple(views[2:]), b"")]
    assert ledger.ask("licences", "list", TermsListQuery(b"", 3)) == TermsPage(tuple(views), b"")


def test_queries_say_what_is_not_there(ledger: Ledger) -> None:
    ledger.chain.block()
    answers = [
        ledger.ask("licences", "terms", TermsQuery(UNKNOWN)),
        ledger.ask("licences", "joined", JoinedTermsQuery(UNKNOWN)),
        ledger.ask("licences", "list", TermsListQuery(b"short", 2)),
        ledger.ask("licences", "list", TermsListQuery(b"", 2)),
    ]
    assert answers == [
        (Code.NOT_FOUND, f"terms {encode_id('olterms', UNKNOWN)} are not registered"),
        (Code.NOT_FOUND, f"there are no joined terms {UNKNOWN.hex()}"),
        (Code.BAD_QUERY, "after_terms_id must be empty or 32 bytes"),
        TermsPage((), b""),
    ]


# --- Invariants


def joined_of(*sources: Terms) -> JoinedTerms:
    return licence_join.join_all([licence_join.lift(terms_id_of(each), each) for each in sources])


def with_terms(ledger: Ledger, *sources: Terms) -> Overlay:
    for each in sources:
        ledger.accept(ALICE, RegisterTerms(each))
    return Overlay(ledger.store)


def test_stored_joined_terms_are_found_under_their_id_and_hold_the_invariants(ledger: Ledger) -> None:
    state, joined = with_terms(ledger, FREE, BY_SA), joined_of(FREE, BY_SA)
    joined_id = licences.store_joined_terms(state, joined)
    assert (joined_id, JOINED.get(state, joined_id)) == (joined_id_of(joined), joined)
    assert query_joined(state, JoinedTermsQuery(joined_id)) == JoinedTermsView(joined_id, joined)
    assert [fault for check in licences.MODULE.invariants for fault in check(state)] == []


def test_records_under_a_wrong_key_break_an_invariant(ledger: Ledger) -> None:
    state = with_terms(ledger, FREE, BY_SA)
    TERMS.set(state, UNKNOWN, FREE)
    JOINED.set(state, UNKNOWN, joined_of(FREE))
    assert terms_hash_to_their_keys(state) == [
        f"terms {UNKNOWN.hex()} hash otherwise",
        f"joined terms {UNKNOWN.hex()} hash otherwise",
    ]


def test_joined_terms_that_do_not_follow_from_their_sources_break_an_invariant(ledger: Ledger) -> None:
    state = with_terms(ledger, FREE, BY_SA)
    loosened = structs.replace(joined_of(FREE, BY_SA), demanded=0)
    strange = joined_of(terms(name="never registered"))
    ids = [licences.store_joined_terms(state, joined) for joined in (loosened, strange)]
    assert sorted(joined_terms_recompute(state)) == sorted(
        [
            f"joined terms {ids[0].hex()} do not follow from their sources",
            f"joined terms {ids[1].hex()} name terms that are not registered",
        ]
    )
