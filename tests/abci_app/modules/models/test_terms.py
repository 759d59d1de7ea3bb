"""The licence check of an entry: what clashes is named as people know it, by consensus and by the dry run alike."""

from typing import Any

import pytest
from msgspec import structs

from abci_app.modules import licences
from abci_app.modules.datanets.records import CreateDatanet, CreateVersion, Decision, ReviewContribution
from abci_app.modules.licences import TermsView, terms_id_of
from abci_app.modules.licences.handlers import RegisterTerms
from abci_app.modules.licences.join import join_all, lift
from abci_app.modules.licences.records import Outcome, Point, Profile, Stated, Terms, UseClass
from abci_app.modules.models.codes import ModelsCode
from abci_app.modules.models.kinds import EntryKind, Undeclared
from abci_app.modules.models.queries import VerdictQuery, VerdictView
from abci_app.modules.models.records import Entry, RecordRuns, entry_id_of
from abci_app.modules.models.terms import MAX_NAMES_SHOWN, show_entry
from abci_app.types import PPB
from abci_app.utc import utc_text
from openledger.licences import complete_terms
from tests.kit.modules.drafts import FREE, contribute, contribution_id, digest, entry, new_id, run_of, terms
from tests.kit.modules.ledger import BOB, DORA, EVE, Ledger
from tests.kit.modules.provenance import FREE_ID, TICKETS, record, start_with_data, stored_entry

NC = terms(name="CC BY-NC 4.0", spdx="CC-BY-NC-4.0", use_class=UseClass.NON_COMMERCIAL)
BY_SA = terms(name="CC BY-SA 4.0", spdx="CC-BY-SA-4.0", share_alike=Stated.YES)
NO_TRAINING = terms(name="eyes only", training=Stated.NO)
UNSTATED = terms(name="scraped", training=Stated.UNKNOWN)
ASKING = terms(name="ask first", approval_required=Stated.YES)
EXPIRING = terms(name="this year", expiry_seconds=1_700_000_060)
ALL = (NC, BY_SA, NO_TRAINING, UNSTATED, ASKING, EXPIRING)
# Eve's DataNets, one for each.
DATANETS = {each.name: new_id("datanet", EVE.address, 2, index) for index, each in enumerate((FREE, *ALL))}
SA_RESTRICTS = "a share-alike licence (CC-BY-SA-4.0) admits no further restrictions: use is non-commercial only"


def with_licences(**app_state: str) -> Ledger:
    """Every one of the terms has a DataNet of its name with one version under it."""
    ledger = start_with_data(**app_state)
    ledger.accept(EVE, *[RegisterTerms(each) for each in ALL])
    ledger.accept(EVE, RegisterTerms(FREE))
    slugs = {name: f"net/{name.lower().replace(' ', '-')}" for name in DATANETS}
    ledger.accept(EVE, *[CreateDatanet(slugs[each.name], "", terms_id_of(each), (), 1) for each in (FREE, *ALL)])
    for each in (FREE, *ALL):
        batch = contribute(DATANETS[each.name], each.name)
        ledger.accept(DORA, batch)
        accepted = ReviewContribution(contribution_id(batch, DORA.address, terms_id_of(each)), Decision.ACCEPT, 0)
        ledger.accept(EVE, accepted, CreateVersion(DATANETS[each.name], ""))
    return ledger


@pytest.fixture
def ledger() -> Ledger:
    return with_licences()


def uses(*names: str) -> list[tuple[bytes, int]]:
    return [(DATANETS[name], 1) for name in names]


def verdict(ledger: Ledger, drafted: Entry, at_seconds: int = 0) -> VerdictView:
    view = ledger.ask("models", "verdict", VerdictQuery(drafted, at_seconds or ledger.seconds + 1))
    assert isinstance(view, VerdictView)
    return view


def refused(ledger: Ledger, drafted: Entry) -> str:
    """The text with which consensus refuses; the dry run must have said the same."""
    said = verdict(ledger, drafted)
    code, log = ledger.refuse(BOB, RecordRuns((run_of(drafted),)))
    assert (code, said.outcome, said.text) == (ModelsCode.TERMS_CLASH, Outcome.CONFLICT, log)
    return log


def test_two_inputs_that_clash_are_named_with_their_terms(ledger: Ledger) -> None:
    drafted = entry("mix", data=uses("CC BY 4.0", "CC BY-SA 4.0", "CC BY-NC 4.0"))
    first = "DataNet 'net/cc-by-sa-4.0' version 1 (CC BY-SA 4.0)"
    second = "DataNet 'net/cc-by-nc-4.0' version 1 (CC BY-NC 4.0)"
    assert refused(ledger, drafted) == f"terms clash between {first} and {second}: {SA_RESTRICTS}"
    said = verdict(ledger, drafted)
    assert (said.first, said.second) == (first, second)


def test_one_input_alone_can_be_the_reason(ledger: Ledger) -> None:
    log = refused(ledger, entry("mix", data=uses("CC BY 4.0", "eyes only")))
    assert log == "DataNet 'net/eyes-only' version 1 (eyes only): training is not allowed"


def test_a_parent_and_an_input_can_clash(ledger: Ledger) -> None:
    (parent,) = record(ledger, entry("parent", kind=EntryKind.PRETRAIN, data=uses("CC BY-SA 4.0")))
    log = refused(ledger, entry("child", data=uses("CC BY-NC 4.0"), made_from=[parent]))
    assert log == (
        "terms clash between DataNet 'net/cc-by-nc-4.0' version 1 (CC BY-NC 4.0) and "
        f"parent base {show_entry(parent)} (CC BY-SA 4.0): {SA_RESTRICTS}"
    )


def test_the_entrys_own_terms_can_clash(ledger: Ledger) -> None:
    log = refused(ledger, entry("mix", data=uses("CC BY-SA 4.0"), terms_id=terms_id_of(NC)))
    assert log == (
        "terms clash between DataNet 'net/cc-by-sa-4.0' version 1 (CC BY-SA 4.0) and "
        f"the entry's own terms (CC BY-NC 4.0): {SA_RESTRICTS}"
    )


def test_a_clash_inside_one_datanet_version_names_both_of_its_terms(ledger: Ledger) -> None:
    mixed = new_id("datanet", EVE.address, ledger.next_sequence(EVE))
    ledger.accept(EVE, CreateDatanet("mixed", "", FREE_ID, (), 1))
    batches = [contribute(mixed, each.name, terms_id=terms_id_of(each)) for each in (BY_SA, NC)]
    ledger.accept(DORA, *batches)
    ids = [contribution_id(batch, DORA.address, FREE_ID) for batch in batches]
    ledger.accept(EVE, *[ReviewContribution(each, Decision.ACCEPT, 0) for each in ids], CreateVersion(mixed, ""))
    by_id = [name for _, name in sorted([(terms_id_of(BY_SA), BY_SA.name), (terms_id_of(NC), NC.name)])]
    log = refused(ledger, entry("mix", data=[(mixed, 1)]))
    assert log == (
        f"terms clash between DataNet 'mixed' version 1 ({' + '.join(by_id)}), terms {by_id[0]} and "
        f"terms {by_id[1]} in the same: {SA_RESTRICTS}"
    )


def test_what_is_built_on_an_import_under_forbidding_terms_is_refused(ledger: Ledger) -> None:
    (imported,) = record(ledger, entry("base", kind=EntryKind.IMPORT, terms_id=terms_id_of(NO_TRAINING)))
    log = refused(ledger, entry("child", data=[(TICKETS, 1)], made_from=[imported]))
    assert log == f"parent base {show_entry(imported)} (eyes only): training is not allowed"


def test_many_terms_are_named_by_the_first_few_and_counted(ledger: Ledger) -> None:
    shares = [terms(name=f"share {number}", revenue_share_ppb=PPB // 5) for number in range(6)]
    ledger.accept(EVE, *[RegisterTerms(each) for each in shares])
    imports = [entry(each.name, kind=EntryKind.IMPORT, terms_id=terms_id_of(each)) for each in shares]
    ids = record(ledger, *imports)
    (merged,) = record(ledger, entry("merged", kind=EntryKind.MERGE, made_from=ids[:5]))
    log = refused(ledger, entry("child", kind=EntryKind.QUANTISE, made_from=[merged, ids[5]]))
    in_order = [each.name for each in sorted(shares[:5], key=terms_id_of)]
    names = " + ".join([*in_order[:MAX_NAMES_SHOWN], "2 more"])
    assert log == (
        f"terms clash between parent base {show_entry(merged)} ({names}) and "
        f"parent adapter {show_entry(ids[5])} (share 5): revenue shares sum to {6 * (PPB // 5)} of {PPB} parts"
    )


def test_terms_that_expire_bind_from_their_second_on(ledger: Ledger) -> None:
    drafted = entry("in time", data=uses("this year"))
    while ledger.seconds < EXPIRING.expiry_seconds - 1:
        ledger.chain.block()
    (kept,) = record(ledger, drafted)
    assert stored_entry(ledger, kept).admission.time_seconds == EXPIRING.expiry_seconds
    log = refused(ledger, entry("late", data=uses("this year")))
    assert log == f"DataNet 'net/this-year' version 1 (this year): terms expired at {utc_text(EXPIRING.expiry_seconds)}"
    # A further run of what was recorded in time makes nothing new.
    record(ledger, drafted)


def test_the_chains_profile_decides_about_what_terms_leave_open() -> None:
    drafted = entry("scraping", data=uses("scraped"))
    conservative, permissive = with_licences(), with_licences(licence_policy="permissive")
    log = refused(conservative, drafted)
    assert log == "DataNet 'net/scraped' version 1 (scraped): terms do not say whether training is allowed"
    (kept,) = record(permissive, drafted)
    admission = stored_entry(permissive, kept).admission
    assert (admission.profile, admission.outcome) == (Profile.PERMISSIVE, Outcome.COMPATIBLE)


# --- The dry run


@pytest.mark.parametrize(
    ("names", "outcome", "text"),
    [
        ((), Outcome.COMPATIBLE, ""),
        (("CC BY 4.0", "CC BY-NC 4.0"), Outcome.COMPATIBLE, ""),
        (("ask first",), Outcome.NEEDS_APPROVAL, "an owner's approval is required"),
    ],
)
def test_the_dry_run_says_what_consensus_then_writes(
    ledger: Ledger, names: tuple[str, ...], outcome: Outcome, text: str
) -> None:
    drafted = entry("draft", data=uses(*names), made_from=record(ledger, entry("parent", data=[(TICKETS, 1)])))
    sources = {terms_id_of(each): each for each in (FREE, *ALL) if each.name in ("CC BY 4.0", *names)}
    joined = join_all([lift(terms_id, each) for terms_id, each in sources.items()])
    said = verdict(ledger, drafted)
    views = tuple([TermsView(terms_id, sources[terms_id]) for terms_id in sorted(sources)])
    assert said == VerdictView(
        profile=Profile.CONSERVATIVE,
        outcome=outcome,
        text=text,
        first="",
        second="",
        unknown_below=1,
        joined=joined,
        terms=views,
    )
    (kept,) = record(ledger, drafted)
    admission = stored_entry(ledger, kept).admission
    assert (admission.outcome, admission.profile, admission.unknown_below) == (said.outcome, said.profile, 1)


def test_the_dry_run_of_what_declares_everything_says_that_nothing_is_unknown(ledger: Ledger) -> None:
    (parent,) = record(ledger, entry("parent", kind=EntryKind.PRETRAIN, data=[(TICKETS, 1)]))
    said = [verdict(ledger, entry("draft", data=data, made_from=[parent])) for data in ([(TICKETS, 1)], [])]
    assert [each.unknown_below for each in said] == [0, 1]


def test_the_dry_run_looks_at_any_moment(ledger: Ledger) -> None:
    drafted = entry("draft", data=uses("this year"))
    expiry_seconds = EXPIRING.expiry_seconds
    outcomes = [verdict(ledger, drafted, at).outcome for at in (expiry_seconds, expiry_seconds + 1)]
    assert outcomes == [Outcome.COMPATIBLE, Outcome.CONFLICT]


@pytest.mark.parametrize(
    ("drafted", "code"),
    [
        (entry("draft", data=[(TICKETS, 1)], made_from=[digest("nobody's")]), ModelsCode.UNKNOWN_PARENT),
        (entry("draft", data=[(TICKETS, 9)]), ModelsCode.UNKNOWN_INPUT),
        (entry("draft", terms_id=digest("nobody's")), ModelsCode.UNKNOWN_TERMS),
        (entry("draft", terms_id=b"short"), ModelsCode.BAD_ENTRY),
        (structs.replace(entry("draft"), undeclared=Undeclared.NOTHING), ModelsCode.BAD_ENTRY),
    ],
)
def test_the_dry_run_refuses_what_refers_to_nothing_and_proves_the_absence(
    ledger: Ledger, drafted: Entry, code: ModelsCode
) -> None:
    said, _ = ledger.ask("models", "verdict", VerdictQuery(drafted, 1))
    assert said == code


# --- Order of sources


def test_no_order_of_inputs_and_parents_changes_the_outcome_or_the_joined_terms(ledger: Ledger) -> None:
    """The id of an entry does depend on its order; what consensus says about it does not."""
    first, second = record(ledger, entry("p", data=uses("CC BY-NC 4.0")), entry("q", data=uses("ask first")))
    base = entry("mix", data=uses("CC BY 4.0", "CC BY-NC 4.0", "this year"), made_from=[first, second])
    orders: list[dict[str, Any]] = [
        {},
        {"inputs": base.inputs[::-1]},
        {"parents": base.parents[::-1]},
        {"inputs": (*base.inputs[1:], base.inputs[0]), "parents": base.parents[::-1]},
    ]
    drafts = [structs.replace(base, **order) for order in orders]
    assert len({entry_id_of(each) for each in drafts}) == len(drafts)
    admissions = [stored_entry(ledger, kept).admission for kept in record(ledger, *drafts)]
    assert len({(each.outcome, each.joined_terms_id) for each in admissions}) == 1


def test_terms_are_inherited_from_grandparents(ledger: Ledger) -> None:
    ids = record(ledger, entry("one", data=uses("CC BY-SA 4.0")))
    for number in range(3):
        ids += record(ledger, entry(f"step {number}", made_from=ids[-1:]))
    log = refused(ledger, entry("late", data=uses("CC BY-NC 4.0"), made_from=ids[-1:]))
    assert show_entry(ids[-1]) in log
    assert log.endswith(SA_RESTRICTS)


def test_terms_of_one_name_are_still_told_apart() -> None:
    same_name: list[Terms] = [NC, structs.replace(NC, jurisdiction="DE")]
    assert len({terms_id_of(each) for each in same_name}) == 2


@pytest.mark.parametrize(
    ("spdx", "kind", "why"),
    [
        ("llama2", EntryKind.DISTIL, "outputs of the model may not train other models"),
        ("llama2", EntryKind.LORA, ""),
        ("llama3.1", EntryKind.DISTIL, ""),
    ],
)
def test_a_distilled_model_needs_leave_to_learn_from_its_teachers_outputs(
    ledger: Ledger, spdx: str, kind: EntryKind, why: str
) -> None:
    teacher = complete_terms(name=f"{spdx} for all", spdx=spdx, approval_required=1)
    ledger.accept(EVE, RegisterTerms(teacher))
    base = entry("teacher", kind=EntryKind.IMPORT, terms_id=terms_id_of(teacher))
    child = entry("child", kind=kind, data=uses("CC BY 4.0"), made_from=record(ledger, base))
    if why:
        assert refused(ledger, child).endswith(f"({spdx} for all): {why}")
    else:
        [child_id] = record(ledger, child)
        joined = licences.joined_terms(ledger.store, stored_entry(ledger, child_id).admission.joined_terms_id)
        # The list of uses that must not happen reaches everything that is made of the teacher.
        assert joined.demanded & Point.BEHAVIOURAL


def test_data_under_terms_that_ban_training_on_outputs_trains_nothing_but_may_be_searched(ledger: Ledger) -> None:
    terms_of_data = complete_terms(name="Answers of Llama 2", spdx="llama2", approval_required=1)
    datanet_id = new_id("datanet", EVE.address, ledger.next_sequence(EVE), 1)
    ledger.accept(EVE, RegisterTerms(terms_of_data), CreateDatanet("answers", "", terms_id_of(terms_of_data), (), 1))
    batch = contribute(datanet_id, "answers")
    ledger.accept(DORA, batch)
    accepted = ReviewContribution(contribution_id(batch, DORA.address, terms_id_of(terms_of_data)), Decision.ACCEPT, 0)
    ledger.accept(EVE, accepted, CreateVersion(datanet_id, ""))
    said = refused(ledger, entry("trained", kind=EntryKind.PRETRAIN, data=[(datanet_id, 1)]))
    assert said.endswith("(Answers of Llama 2): outputs of the model may not train other models")
    assert verdict(ledger, entry("index", kind=EntryKind.RETRIEVAL, data=[(datanet_id, 1)])).outcome == 1
