"""datanets: contributing, reviewing, versions and revocation, each with all that it changes."""

import pytest
from msgspec import structs

from abci_app.bech32 import encode_id
from abci_app.hashing import list_root, merkle_root
from abci_app.module import Message
from abci_app.modules import datanets
from abci_app.modules.datanets.records import (
    ACCEPTED,
    CONTENT,
    CONTRIBUTIONS,
    COUNTS,
    DATANETS,
    NAMES,
    NODES,
    REVIEWS,
    ROWS,
    SUBMITTED,
    TERMS_COUNTS,
    VERSIONS,
    Accepted,
    Contribute,
    CreateDatanet,
    CreateVersion,
    Datanet,
    DatanetCounts,
    DatanetsCode,
    DatanetVersion,
    Decision,
    Form,
    Reason,
    Review,
    ReviewContribution,
    RevokeContribution,
    Status,
    StoredContribution,
    Submitted,
    TermsCount,
    TreeNode,
)
from abci_app.modules.licences import show_terms, terms_id_of
from abci_app.modules.licences.handlers import RegisterTerms
from abci_app.modules.licences.join import join, lift
from abci_app.modules.licences.records import JOINED, Stated
from abci_app.modules.licences.view import joined_id_of
from abci_app.names import NameOwner
from abci_app.state.codec import CodecError, decode, encode
from tests.kit.modules.drafts import FREE, contribute, contribution_id, contribution_of, digest, new_id, terms
from tests.kit.modules.ledger import ALICE, BOB, CARL, DORA, EVE, Changes, Ledger

FREE_ID = terms_id_of(FREE)
BY_SA = terms(name="CC BY-SA 4.0", spdx="CC-BY-SA-4.0", share_alike=Stated.YES)
FREE_JOINED_ID = joined_id_of(lift(FREE_ID, FREE))
UNKNOWN = digest("nothing has this id")
REVIEWERS = tuple(sorted([BOB.address, CARL.address]))
CREATE = CreateDatanet("support/tickets", "Answers", FREE_ID, REVIEWERS, 2)
# Alice's second transaction: the first registers the terms.
TICKETS = new_id("datanet", ALICE.address, 1)
BATCH = contribute(TICKETS, "first")
BATCH_ID = contribution_id(BATCH, DORA.address, FREE_ID)
SHOWN = encode_id("oldata", UNKNOWN)


def accept(of: bytes = BATCH_ID) -> ReviewContribution:
    return ReviewContribution(of, Decision.ACCEPT, Reason.NONE)


def reject(of: bytes = BATCH_ID, reason: Reason = Reason.SPAM) -> ReviewContribution:
    return ReviewContribution(of, Decision.REJECT, reason)


def revoke(of: bytes = BATCH_ID) -> RevokeContribution:
    return RevokeContribution(of, Reason.LICENCE)


NEW_VERSION = CreateVersion(TICKETS, "note")


@pytest.fixture
def ledger() -> Ledger:
    """Alice's DataNet; Bob and Carl review, two equal verdicts decide."""
    ledger = Ledger.start()
    ledger.accept(ALICE, RegisterTerms(FREE))
    ledger.accept(ALICE, CREATE)
    return ledger


def submitted(ledger: Ledger) -> Ledger:
    """Dora's first batch waits."""
    ledger.accept(DORA, BATCH)
    return ledger


def accepted(ledger: Ledger, *names: str) -> list[bytes]:
    """Batches of Dora that both reviewers accepted; their ids."""
    messages = [contribute(TICKETS, name) for name in names]
    ledger.accept(DORA, *messages)
    ids = [contribution_id(message, DORA.address, FREE_ID) for message in messages]
    for reviewer in (BOB, CARL):
        ledger.accept(reviewer, *[accept(each) for each in ids])
    return ids


# --- Creating


def test_a_datanet_is_a_record_its_counts_and_its_name() -> None:
    ledger = Ledger.start()
    ledger.accept(ALICE, RegisterTerms(FREE))
    assert ledger.effects(ALICE, CREATE) == {
        DATANETS.key(TICKETS): encode(
            Datanet("support/tickets", ALICE.address, "Answers", FREE_ID, REVIEWERS, 2, 2, ledger.seconds)
        ),
        COUNTS.key(TICKETS): encode(DatanetCounts(0, 0, 0, 0, 1, 0, b"", 0, 0)),
        NAMES.key("support/tickets"): encode(NameOwner(TICKETS)),
    }
    assert ledger.violations() == []


def test_creating_is_an_event_and_each_message_makes_its_own_id(ledger: Ledger) -> None:
    ids = [new_id("datanet", EVE.address, 0, index) for index in (0, 1)]
    messages = [structs.replace(CREATE, name=name) for name in ("one", "two")]
    assert ledger.accept(EVE, *messages) == [
        ("datanet_created", {"datanet_id": datanet_id.hex(), "name": name})
        for datanet_id, name in zip(ids, ("one", "two"), strict=True)
    ]


# --- Contributing


def pending(ledger: Ledger, **changes: int) -> StoredContribution:
    """Dora's first batch as it is stored."""
    contribution = contribution_of(BATCH, DORA.address, FREE_ID)
    stored = StoredContribution(contribution, Status.PENDING, 1, 0, 0, 0, 0, 3, ledger.chain.seconds(3), 0)
    return structs.replace(stored, **changes)


def test_a_contribution_is_registered_under_its_number_rows_and_file(ledger: Ledger) -> None:
    assert ledger.effects(DORA, BATCH) == {
        CONTRIBUTIONS.key(BATCH_ID): encode(pending(ledger)),
        SUBMITTED.key(TICKETS, 1): encode(Submitted(BATCH_ID)),
        ROWS.key(TICKETS, BATCH.rows_root): encode(Submitted(BATCH_ID)),
        CONTENT.key(TICKETS, BATCH.content_digest): encode(Submitted(BATCH_ID)),
        COUNTS.key(TICKETS): encode(DatanetCounts(1, 0, 0, 0, 1, 0, b"", 0, 0)),
    }
    assert ledger.violations() == []


@pytest.mark.parametrize("form", Form)
def test_a_contribution_records_the_form_of_its_rows(ledger: Ledger, form: Form) -> None:
    message = contribute(TICKETS, "of a form", form=form)
    ledger.accept(DORA, message)
    stored = CONTRIBUTIONS.get(ledger.store, contribution_id(message, DORA.address, FREE_ID))
    assert stored is not None
    assert stored.contribution == contribution_of(message, DORA.address, FREE_ID)
    assert stored.contribution.form == form


def test_a_form_that_nobody_knows_cannot_be_decoded() -> None:
    message = contribute(TICKETS, "of no form", form=max(Form) + 1)
    with pytest.raises(CodecError, match="<= 5"):
        decode(Contribute, encode(message))


def test_contributing_is_an_event_that_also_its_payee_finds(ledger: Ledger) -> None:
    assert ledger.accept(DORA, BATCH) == [
        ("contribution_registered", {"contribution_id": BATCH_ID.hex(), "datanet_id": TICKETS.hex()})
    ]
    for_carl = contribute(TICKETS, "second", payee=CARL.address)
    assert ledger.involved(DORA, for_carl) == [DORA.address, CARL.address]


def test_terms_payee_and_sketch_of_its_own_are_part_of_the_record(ledger: Ledger) -> None:
    ledger.accept(EVE, RegisterTerms(BY_SA))
    message = contribute(TICKETS, "own", terms_id=terms_id_of(BY_SA), payee=EVE.address, sketch=bytes(256))
    ledger.accept(DORA, message)
    stored = CONTRIBUTIONS.get(ledger.store, contribution_id(message, DORA.address, FREE_ID))
    assert stored is not None
    assert stored.contribution == contribution_of(message, DORA.address, FREE_ID)
    assert (stored.contribution.terms_id, stored.contribution.payee) == (terms_id_of(BY_SA), EVE.address)


@pytest.mark.parametrize(
    "copy",
    [
        BATCH,
        contribute(TICKETS, "copied rows", rows_root=BATCH.rows_root),
        contribute(TICKETS, "copied file", content_digest=BATCH.content_digest),
    ],
)
def test_the_earliest_registrant_wins(ledger: Ledger, copy: Message) -> None:
    submitted(ledger)
    expected = (
        DatanetsCode.DUPLICATE,
        f"these rows are in DataNet 'support/tickets' already: {encode_id('olcontrib', BATCH_ID)}",
    )
    assert [ledger.refuse(signer, copy) for signer in (EVE, DORA)] == [expected, expected]
    assert ledger.send_together((EVE, copy), (EVE, contribute(TICKETS, "new"))) == [DatanetsCode.DUPLICATE, 0]


def test_the_same_rows_may_enter_another_datanet(ledger: Ledger) -> None:
    submitted(ledger)
    ledger.accept(EVE, structs.replace(CREATE, name="other"))
    ledger.accept(DORA, structs.replace(BATCH, datanet_id=new_id("datanet", EVE.address, 0)))
    assert ledger.violations() == []


# --- Reviewing


def test_a_verdict_below_the_quorum_is_counted_and_decides_nothing(ledger: Ledger) -> None:
    submitted(ledger)
    assert ledger.effects(BOB, accept()) == {
        REVIEWS.key(BATCH_ID, BOB.address): encode(Review(BOB.address, Decision.ACCEPT, 0, 4)),
        CONTRIBUTIONS.key(BATCH_ID): encode(pending(ledger, accept_votes=1)),
    }


def test_the_verdict_that_reaches_the_quorum_accepts_for_the_next_version(ledger: Ledger) -> None:
    submitted(ledger).accept(BOB, accept())
    decided = pending(ledger, accept_votes=2, status=Status.ACCEPTED, accepted_number=1, decided_height=5)
    assert ledger.effects(CARL, accept()) == {
        REVIEWS.key(BATCH_ID, CARL.address): encode(Review(CARL.address, Decision.ACCEPT, 0, 5)),
        CONTRIBUTIONS.key(BATCH_ID): encode(decided),
        ACCEPTED.key(TICKETS, 1): encode(Accepted(BATCH_ID, DORA.address, FREE_ID, 3, 300, 1, 0)),
        COUNTS.key(TICKETS): encode(DatanetCounts(1, 1, 0, 0, 1, 1, FREE_JOINED_ID, 3, 300)),
        JOINED.key(FREE_JOINED_ID): encode(lift(FREE_ID, FREE)),
        TERMS_COUNTS.key(TICKETS, FREE_ID): encode(TermsCount(1)),
    }
    assert ledger.violations() == []


def test_a_rejection_frees_rows_and_file_for_their_author(ledger: Ledger) -> None:
    submitted(ledger).accept(BOB, reject(reason=Reason.SPAM))
    decided = pending(ledger, reject_votes=2, status=Status.REJECTED, reason=Reason.PLAGIARISM, decided_height=5)
    assert ledger.effects(CARL, reject(reason=Reason.PLAGIARISM)) == {
        REVIEWS.key(BATCH_ID, CARL.address): encode(Review(CARL.address, Decision.REJECT, Reason.PLAGIARISM, 5)),
        CONTRIBUTIONS.key(BATCH_ID): encode(decided),
        ROWS.key(TICKETS, BATCH.rows_root): None,
        CONTENT.key(TICKETS, BATCH.content_digest): None,
    }
    ledger.accept(EVE, BATCH)
    assert ledger.violations() == []


def test_the_same_contributor_cannot_submit_a_rejected_batch_again_unchanged(ledger: Ledger) -> None:
    submitted(ledger)
    assert ledger.send_together((BOB, reject()), (CARL, reject()), (DORA, BATCH)) == [0, 0, DatanetsCode.DUPLICATE]
    ledger.accept(DORA, structs.replace(BATCH, payee=EVE.address))
    assert ledger.violations() == []


def test_verdicts_that_differ_leave_it_pending_until_the_owner_decides(ledger: Ledger) -> None:
    submitted(ledger)
    assert ledger.send_together((BOB, accept()), (CARL, reject()), (ALICE, accept())) == [0, 0, 0]
    stored = CONTRIBUTIONS.get(ledger.store, BATCH_ID)
    assert stored == pending(
        ledger, accept_votes=2, reject_votes=1, status=Status.ACCEPTED, accepted_number=1, decided_height=4
    )


def test_a_verdict_is_an_event_with_the_status_after_it_that_the_contributor_finds(ledger: Ledger) -> None:
    submitted(ledger)
    both = {"contribution_id": BATCH_ID.hex(), "datanet_id": TICKETS.hex()}
    assert ledger.accept(BOB, accept()) == [("contribution_reviewed", {**both, "status": "1"})]
    assert ledger.accept(CARL, accept()) == [("contribution_reviewed", {**both, "status": "2"})]
    second = contribute(TICKETS, "second")
    ledger.accept(DORA, second)
    verdict = accept(contribution_id(second, DORA.address, FREE_ID))
    assert ledger.involved(BOB, verdict) == [BOB.address, DORA.address]


# --- Versions


def test_a_version_is_one_record_with_the_joined_terms_of_its_contributions(ledger: Ledger) -> None:
    ledger.accept(EVE, RegisterTerms(BY_SA))
    ids = accepted(ledger, "a", "b")
    own_terms = contribute(TICKETS, "c", terms_id=terms_id_of(BY_SA), row_count=7, byte_count=70)
    ledger.accept(DORA, own_terms)
    ids.append(contribution_id(own_terms, DORA.address, FREE_ID))
    assert ledger.send_together((BOB, accept(ids[2])), (CARL, accept(ids[2]))) == [0, 0]
    joined = join(lift(FREE_ID, FREE), lift(terms_id_of(BY_SA), BY_SA))
    root = list_root("contributions", ids)
    effects = ledger.effects(ALICE, NEW_VERSION)
    record = DatanetVersion(root, 3, 13, 670, 3, joined_id_of(joined), ledger.height, ledger.seconds, "note")
    assert effects == {
        VERSIONS.key(TICKETS, 1): encode(record),
        COUNTS.key(TICKETS): encode(DatanetCounts(3, 3, 0, 1, 1, 0, joined_id_of(joined), 13, 670)),
    }
    assert JOINED.get(ledger.store, joined_id_of(joined)) == joined
    assert ledger.violations() == []


def test_making_a_version_is_an_event(ledger: Ledger) -> None:
    accepted(ledger, "a")
    assert ledger.accept(ALICE, NEW_VERSION) == [("version_created", {"datanet_id": TICKETS.hex(), "version": "1"})]


def test_what_is_accepted_later_belongs_to_the_next_version_even_in_the_same_block(ledger: Ledger) -> None:
    first = accepted(ledger, "a")
    later = contribute(TICKETS, "b")
    later_id = contribution_id(later, DORA.address, FREE_ID)
    order = [(DORA, later), (BOB, accept(later_id)), (ALICE, NEW_VERSION), (CARL, accept(later_id))]
    assert ledger.send_together(*order) == [0, 0, 0, 0]
    ledger.accept(ALICE, NEW_VERSION)
    roots = [record.contributions_root for _, record in VERSIONS.iterate(ledger.store, TICKETS)]
    assert roots == [list_root("contributions", held) for held in (first, [*first, later_id])]
    assert ledger.violations() == []


# --- Revoking


def test_revoking_an_accepted_contribution_marks_it_and_bans_the_versions_so_far(ledger: Ledger) -> None:
    ids = accepted(ledger, "a", "b")
    ledger.accept(ALICE, NEW_VERSION)
    stored = CONTRIBUTIONS.get(ledger.store, ids[0])
    assert stored is not None
    effects = ledger.effects(DORA, revoke(ids[0]))
    marked = structs.replace(stored, status=Status.REVOKED, reason=Reason.LICENCE, decided_height=ledger.height)
    assert effects == {
        CONTRIBUTIONS.key(ids[0]): encode(marked),
        ACCEPTED.key(TICKETS, 1): encode(Accepted(ids[0], DORA.address, FREE_ID, 3, 300, 1, 2)),
        COUNTS.key(TICKETS): encode(DatanetCounts(2, 2, 1, 1, 2, 1, FREE_JOINED_ID, 3, 300)),
        TERMS_COUNTS.key(TICKETS, FREE_ID): encode(TermsCount(1)),
        NODES.key(TICKETS, 1, 0): encode(TreeNode(merkle_root([b"", ids[1]]))),
    }
    assert [datanets.is_usable(ledger.store, TICKETS, version) for version in (1, 2)] == [False, True]
    ledger.accept(ALICE, NEW_VERSION)
    record = datanets.find_version(ledger.store, TICKETS, 2)
    assert record is not None
    assert record.contributions_root == list_root("contributions", [b"", ids[1]])
    assert ledger.violations() == []


def test_a_version_without_what_was_revoked_no_longer_demands_its_terms(ledger: Ledger) -> None:
    ledger.accept(EVE, RegisterTerms(BY_SA))
    accepted(ledger, "a")
    own_terms = contribute(TICKETS, "c", terms_id=terms_id_of(BY_SA))
    ledger.accept(DORA, own_terms)
    own_id = contribution_id(own_terms, DORA.address, FREE_ID)
    assert ledger.send_together((BOB, accept(own_id)), (CARL, accept(own_id))) == [0, 0]
    ledger.accept(ALICE, NEW_VERSION)
    ledger.accept(DORA, revoke(own_id))
    ledger.accept(ALICE, NEW_VERSION)
    joined = [record.joined_terms_id for _, record in VERSIONS.iterate(ledger.store, TICKETS)]
    assert joined == [joined_id_of(join(lift(FREE_ID, FREE), lift(terms_id_of(BY_SA), BY_SA))), FREE_JOINED_ID]
    assert ledger.violations() == []


def test_revoking_what_no_version_holds_yet_bans_nothing(ledger: Ledger) -> None:
    ids = accepted(ledger, "a")
    ledger.accept(ALICE, NEW_VERSION)
    ids += accepted(ledger, "b")
    ledger.accept(DORA, revoke(ids[1]))
    assert COUNTS.get(ledger.store, TICKETS) == DatanetCounts(2, 2, 1, 1, 1, 0, FREE_JOINED_ID, 3, 300)
    assert ACCEPTED.get(ledger.store, TICKETS, 2) == Accepted(ids[1], DORA.address, FREE_ID, 3, 300, 2, 2)
    assert ledger.violations() == []


def test_revoking_a_pending_contribution_frees_its_rows(ledger: Ledger) -> None:
    submitted(ledger)
    changes: Changes = {
        CONTRIBUTIONS.key(BATCH_ID): encode(
            pending(ledger, status=Status.REVOKED, reason=Reason.LICENCE, decided_height=4)
        ),
        ROWS.key(TICKETS, BATCH.rows_root): None,
        CONTENT.key(TICKETS, BATCH.content_digest): None,
    }
    assert ledger.effects(ALICE, revoke()) == changes
    ledger.accept(EVE, BATCH)
    assert ledger.violations() == []


def test_the_rows_of_a_revoked_contribution_cannot_come_back(ledger: Ledger) -> None:
    ids = accepted(ledger, "first")
    assert ids == [BATCH_ID]
    ledger.accept(DORA, revoke())
    code, _ = ledger.refuse(EVE, BATCH)
    assert code == DatanetsCode.DUPLICATE


def test_revoking_is_an_event_that_the_contributor_finds(ledger: Ledger) -> None:
    ids = accepted(ledger, "a", "b")
    assert ledger.accept(DORA, revoke(ids[0])) == [
        ("contribution_revoked", {"contribution_id": ids[0].hex(), "datanet_id": TICKETS.hex()})
    ]
    assert ledger.involved(ALICE, revoke(ids[1])) == [ALICE.address, DORA.address]


# --- Names


def test_names_and_ids_are_shown_as_people_know_them(ledger: Ledger) -> None:
    assert [datanets.name_of(ledger.store, each) for each in (TICKETS, UNKNOWN)] == ["support/tickets", SHOWN]
    assert show_terms(UNKNOWN).startswith("olterms1")
