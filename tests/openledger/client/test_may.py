"""May it be sold, shared, built on? On lineages of many kinds, recorded by the chain's own rules."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec import structs

from abci_app.modules.datanets.records import (
    CreateDatanet,
    CreateVersion,
    Decision,
    ReviewContribution,
    RevokeContribution,
)
from abci_app.modules.licences import Terms, terms_id_of
from abci_app.modules.licences.facts import plain_terms
from abci_app.modules.licences.handlers import RegisterTerms
from abci_app.modules.licences.records import Profile, Stated, UseClass
from abci_app.modules.models.kinds import EntryKind, Undeclared
from abci_app.modules.models.lineage import LineagePage, LineageQuery
from abci_app.modules.models.records import CreateModel, RecordRuns, SupersedeEntry, entry_id_of
from abci_app.types import PPB
from openledger.client.may import May, MayAnswer, ModelUse, SourceCredit, may_of
from openledger.exit_codes import ExitCode
from tests.kit.modules import drafts
from tests.kit.modules.ledger import ALICE, BOB, CARL, Ledger
from tests.kit.signing import Signer

NAMES = {ALICE.address: "alice", BOB.address: "bob", CARL.address: "carl"}
BY, BY_SA, BY_NC, APACHE, MIT = [
    plain_terms(name) for name in ("CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "Apache-2.0", "MIT")
]
OWN = structs.replace(drafts.terms(), name="garden terms", spdx="", attribution=Stated.NO, notice=Stated.NO)
YES, ASK, NO = MayAnswer.YES, MayAnswer.ASK, MayAnswer.NO
LATER = 1_900_000_000


def own(**changes: Any) -> Terms:
    """Somebody's own terms that allow everything, with these changes."""
    return structs.replace(OWN, **changes)


@dataclass
class Garden:
    """A ledger with DataNets and models, made in one line each."""

    ledger: Ledger
    contributions: list[bytes] = field(default_factory=list)

    @classmethod
    def start(cls, policy: Profile = Profile.CONSERVATIVE) -> "Garden":
        return cls(Ledger.start(licence_policy=policy.name.lower()))

    def data(self, name: str, *given: tuple[Signer, Terms]) -> bytes:
        """A DataNet whose version 1 has one contribution of each."""
        ledger = self.ledger
        ledger.accept(ALICE, *[RegisterTerms(terms) for terms in (BY, *[terms for _, terms in given])])
        datanet_id = drafts.new_id("datanet", ALICE.address, ledger.next_sequence(ALICE))
        ledger.accept(ALICE, CreateDatanet(name, "", terms_id_of(BY), (), 1))
        for number, (person, terms) in enumerate(given):
            message = drafts.contribute(datanet_id, f"{name} {number}", terms_id=terms_id_of(terms))
            ledger.accept(person, message)
            self.contributions.append(drafts.contribution_id(message, person.address, b""))
            ledger.accept(ALICE, ReviewContribution(self.contributions[-1], Decision.ACCEPT, 0))
        ledger.accept(ALICE, CreateVersion(datanet_id, "first"))
        return datanet_id

    def model(self, name: str, terms: Terms | None = None, **options: Any) -> bytes:
        """A model and its first version: an import under terms, or what is made from `data` and `made_from`."""
        ledger = self.ledger
        if terms is not None:
            ledger.accept(ALICE, RegisterTerms(terms))
            options["terms_id"] = terms_id_of(terms)
        model_id = drafts.new_id("model", ALICE.address, ledger.next_sequence(ALICE))
        ledger.accept(ALICE, CreateModel(name, ""))
        options.setdefault("kind", EntryKind.IMPORT if terms is not None else EntryKind.LORA)
        options["data"] = [(each, 1) for each in options.get("data", ())]
        entry = drafts.entry(name, **options)
        ledger.accept(ALICE, RecordRuns((drafts.run_of(entry, model_id=model_id),)))
        return entry_id_of(entry)

    def page(self, name: str) -> LineagePage:
        found = self.ledger.ask("models", "lineage", LineageQuery(b"", name, 0, (), 100, 100))
        assert isinstance(found, LineagePage), found
        return found

    def may(self, name: str, use: ModelUse = ModelUse.SELL, **options: Any) -> May:
        options.setdefault("at_seconds", LATER)
        return may_of(self.page(name), use, **options)

    def said(self, name: str, use: ModelUse = ModelUse.SELL, **options: Any) -> str:
        return self.may(name, use, **options).in_words(NAMES.__getitem__)


@pytest.fixture
def garden() -> Garden:
    return Garden.start()


def tuned(garden: Garden, *given: tuple[Signer, Terms], base: Terms = APACHE) -> Garden:
    """`gardener`, a LoRA of an imported `tiny` on the DataNet `rows`."""
    base_id = garden.model("tiny", base)
    garden.model("gardener", data=[garden.data("rows", *given)], made_from=[base_id])
    return garden


# --- Yes


def test_open_data_on_an_open_base_may_be_sold_with_credit_and_never_without_what_is_unknown(garden: Garden) -> None:
    may = tuned(garden, (BOB, BY), (CARL, MIT)).may("gardener")
    assert (may.answer, may.exit_code, may.because, may.is_whole) == (YES, ExitCode.OK, (), False)
    assert set(may.credits) == {
        SourceCredit(BOB.address, "", "CC-BY-4.0"),
        SourceCredit(CARL.address, "", "MIT"),
        SourceCredit(b"", "tiny@1", "Apache-2.0"),
    }
    words = may.in_words(NAMES.__getitem__)
    assert words.startswith("Yes, as far as it is declared. Credit: ")
    assert "bob (CC-BY-4.0)" in words
    assert words.endswith("Unknown: below the imported base tiny@1.")
    assert [line for line in may.conditions if line.startswith("keep the licence texts")] != []


def test_a_model_whose_whole_making_is_known_gets_a_bare_yes(garden: Garden) -> None:
    garden.model("scratch", kind=EntryKind.PRETRAIN, data=[garden.data("rows", (BOB, BY))])
    assert garden.said("scratch") == "Yes. Credit: bob (CC-BY-4.0)."
    assert garden.may("scratch").is_whole


def test_an_imported_model_itself_may_be_sold_under_its_licence_and_what_it_was_made_from_stays_unknown(
    garden: Garden,
) -> None:
    garden.model("tiny", APACHE)
    assert garden.said("tiny") == (
        "Yes, as far as it is declared. Credit: tiny@1 (Apache-2.0). Unknown: below the imported model tiny@1."
    )


def test_share_alike_says_under_which_licence_it_is_passed_on(garden: Garden) -> None:
    tuned(garden, (BOB, BY_SA), (CARL, BY))
    may = garden.may("gardener")
    assert (may.answer, "pass it on under CC-BY-SA-4.0" in " / ".join(may.conditions)) == (YES, True)
    assert "pass it on" not in " / ".join(garden.may("gardener", ModelUse.SERVE).conditions)


def test_lists_of_uses_are_passed_on_by_their_digest(garden: Garden) -> None:
    digest = bytes(range(32))
    tuned(garden, (BOB, own(behavioural=Stated.YES, behavioural_digest=digest)))
    may = garden.may("gardener")
    file = f"the file with SHA-256 {digest.hex()}"
    (line,) = [each for each in may.conditions if file in each]
    assert may.answer == YES
    assert line.endswith("and pass it on: garden terms (own terms)")


def test_who_is_owed_a_share_of_revenue_is_said_where_money_is_made(garden: Garden) -> None:
    tuned(garden, (BOB, own(revenue_share_ppb=PPB // 20)), (CARL, own(revenue_share_ppb=PPB // 20)), (CARL, BY))
    assert "Owed: 5% to bob and carl (garden terms (own terms))." in garden.said("gardener")
    assert garden.may("gardener", ModelUse.SHARE).owed == ()


def test_of_a_choice_of_licences_the_mildest_is_taken_and_named(garden: Garden) -> None:
    tuned(garden, (BOB, plain_terms("CC-BY-NC-4.0 OR MIT")))
    may = garden.may("gardener")
    assert (may.answer, "of CC-BY-NC-4.0 OR MIT take MIT" in may.conditions) == (YES, True)


# --- No


def test_non_commercial_data_anywhere_below_forbid_selling_and_name_who_gave_them(garden: Garden) -> None:
    base_id = garden.model("tiny", APACHE)
    first = garden.model("first", data=[garden.data("rows", (BOB, BY_NC))], made_from=[base_id])
    garden.model("second", data=[garden.data("more", (CARL, BY))], made_from=[base_id, first])
    may = garden.may("second")
    assert (may.answer, may.exit_code) == (NO, ExitCode.MAY_NOT)
    assert may.in_words(NAMES.__getitem__) == (
        "No: rows@1 from bob (CC-BY-NC-4.0): for non-commercial use only. Unknown: below the imported base tiny@1."
    )
    assert garden.may("second", ModelUse.SERVE).answer == NO
    shared = garden.may("second", ModelUse.SHARE)
    assert (shared.answer, "for non-commercial use only: CC-BY-NC-4.0" in shared.conditions) == (YES, True)
    assert garden.may("second", ModelUse.RESEARCH).answer == YES


def test_a_base_for_research_forbids_selling_what_was_made_from_it(garden: Garden) -> None:
    tuned(garden, (BOB, BY), base=own(use_class=UseClass.RESEARCH))
    assert garden.said("gardener").startswith("No: tiny@1 (garden terms (own terms)): for research only.")


FORBIDDING: tuple[tuple[dict[str, Any], ModelUse, str], ...] = (
    ({"redistribution": Stated.NO}, ModelUse.SELL, "it may not be passed on"),
    ({"redistribution": Stated.NO}, ModelUse.SHARE, "it may not be passed on"),
    ({"private": Stated.YES}, ModelUse.SELL, "it is private"),
    ({"private": Stated.YES}, ModelUse.SHARE, "it is private"),
    ({"outputs_restricted": Stated.YES}, ModelUse.DISTIL, "its outputs may not train models"),
    ({"use_class": UseClass.NON_COMMERCIAL}, ModelUse.SERVE, "for non-commercial use only"),
)


@pytest.mark.parametrize(("changes", "use", "reason"), FORBIDDING)
def test_what_own_terms_forbid_is_a_no_with_its_source(
    garden: Garden, changes: dict[str, Any], use: ModelUse, reason: str
) -> None:
    # Data that ban outputs cannot be learned from at all; the base's licence can.
    of_base = "outputs_restricted" in changes
    tuned(garden, (BOB, BY if of_base else own(**changes)), base=own(**changes) if of_base else APACHE)
    may = garden.may("gardener", use)
    assert (may.answer, [each.text for each in may.because]) == (NO, [reason])
    assert [origin.name for origin in may.because[0].sources[0].origins] == ["tiny@1" if of_base else "rows@1"]


def test_fields_of_use_are_kept_to(garden: Garden) -> None:
    tuned(garden, (BOB, own(fields_of_use=("education", "research"), excluded_domains=("arms",))))
    assert garden.may("gardener", field="education").answer == YES
    assert garden.said("gardener", field="medicine").startswith(
        "No: rows@1 from bob (garden terms (own terms)): only for education, research, not for medicine."
    )
    assert garden.may("gardener", field="arms").answer == NO
    assert "it is only for education, research: name your field of use" in garden.said("gardener")
    assert garden.may("gardener").answer == ASK


def test_two_sources_that_admit_no_common_licence_are_named_both() -> None:
    """An import is recorded in spite of its terms; what a later table no longer lets meet is a clash of two."""
    garden = tuned(Garden.start(), (BOB, BY_SA))
    page = garden.page("gardener")
    clashing = plain_terms("CC-BY-NC-SA-4.0")
    base = next(item for item in page.terms if item.terms == APACHE)
    changed = [structs.replace(item, terms=clashing) if item == base else item for item in page.terms]
    may = may_of(structs.replace(page, terms=tuple(changed)), ModelUse.RESEARCH, at_seconds=LATER)
    assert may.answer == NO
    assert may.because[-1].text == "share-alike licences admit no common licence for the result"
    assert {source.terms.spdx for source in may.because[-1].sources} == {"CC-BY-SA-4.0", "CC-BY-NC-SA-4.0"}


# --- Ask


ASKED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"approval_required": Stated.YES}, "each use needs its owner's approval"),
    ({"approval_required": Stated.UNKNOWN}, "its terms do not say whether a use needs approval"),
)


@pytest.mark.parametrize(("changes", "reason"), ASKED)
@pytest.mark.parametrize("use", list(ModelUse))
def test_approval_that_is_needed_or_may_be_is_asked_for(
    garden: Garden, changes: dict[str, Any], reason: str, use: ModelUse
) -> None:
    tuned(garden, (BOB, own(**changes)))
    may = garden.may("gardener", use)
    assert (may.answer, may.exit_code) == (ASK, ExitCode.ASK_FIRST)
    assert [(each.text, each.people) for each in may.because] == [(reason, (BOB.address,))]


@pytest.mark.parametrize("point", ["redistribution", "private", "behavioural", "use_class", "share_alike", "training"])
def test_silence_is_never_a_yes_even_where_the_chain_lets_it_pass(point: str) -> None:
    garden = tuned(Garden.start(Profile.PERMISSIVE), (BOB, own(**{point: Stated.UNKNOWN})))
    assert garden.may("gardener").answer == ASK
    assert "its terms do not say" in garden.said("gardener")


def test_terms_that_nobody_knows_are_asked_about_whatever_the_use_is() -> None:
    garden = tuned(Garden.start(Profile.PERMISSIVE), (BOB, BY), base=plain_terms("LicenseRef-unknown"))
    assert {garden.may("gardener", use).answer for use in ModelUse} == {ASK}
    assert "and 6 further points" in garden.said("gardener")


def test_what_learned_from_a_models_outputs_needs_leave_for_that_from_all_below_the_model() -> None:
    garden = Garden.start(Profile.PERMISSIVE)
    rows, more = garden.data("rows", (BOB, BY)), garden.data("more", (CARL, BY))
    for name, stated in (("open", Stated.NO), ("silent", Stated.UNKNOWN)):
        base_id = garden.model(f"{name}-base", own(outputs_restricted=stated))
        teacher = garden.model(f"{name}-teacher", data=[rows], made_from=[base_id])
        garden.model(f"{name}-student", kind=EntryKind.DISTIL, data=[more], made_from=[teacher])
    assert (garden.may("open-student").answer, garden.may("silent-teacher").answer) == (YES, YES)
    may = garden.may("silent-student")
    assert (may.answer, [each.text for each in may.because]) == (
        ASK,
        ["its terms do not say whether its outputs may train models"],
    )
    assert may.because[0].sources[0].origins[0].name == "silent-base@1"


def test_data_that_were_revoked_since_are_asked_about_with_who_gave_them(garden: Garden) -> None:
    tuned(garden, (BOB, BY), (CARL, BY))
    garden.ledger.accept(CARL, RevokeContribution(garden.contributions[1], 6))
    may = garden.may("gardener")
    assert (may.answer, [(each.text, each.people) for each in may.because]) == (
        ASK,
        [("a contribution to rows@1 was revoked since", (CARL.address,))],
    )
    assert garden.said("gardener").startswith("Ask: a contribution to rows@1 was revoked since (from carl).")


def test_terms_that_have_ended_are_asked_about_and_forbid_anything_new(garden: Garden) -> None:
    end = 1_850_000_000
    tuned(garden, (BOB, own(expiry_seconds=end)))
    assert garden.may("gardener", at_seconds=end).answer == YES
    assert garden.said("gardener", at_seconds=end + 1).startswith(
        "Ask: rows@1 from bob (garden terms (own terms)): its terms ended at 2028-08-16"
    )
    assert garden.may("gardener", ModelUse.BUILD, at_seconds=end + 1).answer == NO


def test_a_record_that_was_declared_wrong_is_asked_about(garden: Garden) -> None:
    wrong, right = garden.model("tiny", APACHE), garden.model("tiny-again", MIT)
    garden.ledger.accept(ALICE, SupersedeEntry(wrong, right, "another licence"))
    assert garden.said("tiny").startswith("Ask: the record of tiny@1 was superseded: ask about the one that took")


def test_undeclared_parents_and_inputs_are_never_passed_over(garden: Garden) -> None:
    half_of_all = tuple(
        [structs.replace(each, weight_ppb=PPB // 2) for each in drafts.inputs((garden.data("rows", (BOB, BY)), 1))]
    )
    for name, kind, parts in (
        ("half", EntryKind.PRETRAIN, Undeclared.INPUTS),
        ("less", EntryKind.LORA, Undeclared.PARENTS_AND_INPUTS),
    ):
        garden.model(name, BY, kind=kind, inputs=half_of_all, undeclared=parts)
    may = garden.may("half")
    assert (may.answer, may.is_whole) == (YES, False)
    assert garden.said("half").endswith("Unknown: inputs of half@1 that it does not declare.")
    assert "Unknown: parents and inputs of less@1 that it does not declare." in garden.said("less")
    assert "undeclared inputs of half@1 (CC-BY-4.0)" in garden.said("half")


def test_a_part_of_a_lineage_is_no_ground_for_a_yes(garden: Garden) -> None:
    page = tuned(garden, (BOB, BY), (CARL, MIT)).page("gardener")
    assert may_of(page, ModelUse.SELL, at_seconds=LATER, complete=False).answer == ASK
    for part in (
        structs.replace(page, terms=page.terms[1:]),
        structs.replace(page, joined=()),
        structs.replace(page, datanets=(structs.replace(page.datanets[0], contributions=()),)),
        structs.replace(page, terms=()),
    ):
        assert may_of(part, ModelUse.SELL, at_seconds=LATER).answer == ASK


def test_what_may_not_be_built_on_may_still_be_passed_on_as_it_is(garden: Garden) -> None:
    garden.model("sealed", plain_terms("CC-BY-ND-4.0"))
    assert [garden.may("sealed", use).answer for use in (ModelUse.SELL, ModelUse.BUILD)] == [YES, NO]
