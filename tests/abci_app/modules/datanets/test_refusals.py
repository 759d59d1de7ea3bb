"""datanets: everything that is refused, with its code, its text, and nothing left behind."""

from collections.abc import Callable

import pytest
from msgspec import structs

from abci_app.bech32 import encode_id
from abci_app.chain.registry import SECTIONS
from abci_app.errors import Code, InvariantBroken, Rejected
from abci_app.module import Message
from abci_app.modules.bank import Transfer
from abci_app.modules.datanets import handlers
from abci_app.modules.datanets.records import (
    ACCEPTED,
    MAX_CONTRIBUTION_BYTES,
    MAX_REVIEWERS,
    Contribute,
    CreateDatanet,
    CreateVersion,
    DatanetsCode,
    Decision,
    ReviewContribution,
    RevokeContribution,
)
from abci_app.modules.licences import show_terms, terms_id_of
from abci_app.modules.licences.handlers import LicencesCode, RegisterTerms
from abci_app.modules.licences.records import MAX_SOURCES
from abci_app.state.overlay import Overlay
from abci_app.state.views import RecordingView
from abci_app.state.work import GET_UNITS, Work
from tests.kit.modules.drafts import FREE, contribute, contribution_id, digest, new_id, terms
from tests.kit.modules.ledger import ALICE, BOB, CARL, DORA, EVE, FUNDS, Ledger, execute
from tests.kit.signing import Signer

FREE_ID = terms_id_of(FREE)
UNKNOWN = digest("nothing has this id")
CREATE = CreateDatanet("support/tickets", "Answers", FREE_ID, (BOB.address,), 1)
TICKETS = new_id("datanet", ALICE.address, 0, 1)
BATCH = contribute(TICKETS, "first")
BATCH_ID = contribution_id(BATCH, DORA.address, FREE_ID)
ACCEPT, REJECT = ReviewContribution(BATCH_ID, Decision.ACCEPT, 0), ReviewContribution(BATCH_ID, Decision.REJECT, 1)
REVOKE = RevokeContribution(BATCH_ID, 1)
NEW_VERSION = CreateVersion(TICKETS, "")
NO_DATANET = (DatanetsCode.UNKNOWN_DATANET, f"there is no DataNet {encode_id('oldata', UNKNOWN)}")
NO_CONTRIBUTION = (
    DatanetsCode.UNKNOWN_CONTRIBUTION,
    f"there is no contribution {encode_id('olcontrib', UNKNOWN)}",
)
NO_TERMS = (
    DatanetsCode.UNKNOWN_TERMS,
    f"terms {show_terms(UNKNOWN)} are not registered: send licences.register_terms first",
)


@pytest.fixture
def ledger() -> Ledger:
    """Alice's DataNet in which one verdict of hers or Bob's decides."""
    ledger = Ledger.start()
    ledger.accept(ALICE, RegisterTerms(FREE), CREATE)
    return ledger


@pytest.mark.parametrize(
    ("message", "code", "log"),
    [
        (
            structs.replace(CREATE, reviewers=tuple(sorted([BOB.address, CARL.address], reverse=True))),
            DatanetsCode.BAD_REVIEWERS,
            "reviewers must be sorted and unique",
        ),
        (
            structs.replace(CREATE, reviewers=(BOB.address, BOB.address)),
            DatanetsCode.BAD_REVIEWERS,
            "reviewers must be sorted and unique",
        ),
        (
            structs.replace(CREATE, quorum=3),
            DatanetsCode.BAD_REVIEWERS,
            "quorum 3 cannot be reached by the owner and 1 reviewers",
        ),
        (
            structs.replace(BATCH, row_count=0),
            DatanetsCode.EMPTY_CONTRIBUTION,
            "a contribution of 0 rows and 300 bytes: give at least one non-empty row",
        ),
        (
            structs.replace(BATCH, byte_count=2),
            DatanetsCode.EMPTY_CONTRIBUTION,
            "a contribution of 3 rows and 2 bytes: give at least one non-empty row",
        ),
        (
            structs.replace(BATCH, byte_count=2**50 + 1),
            DatanetsCode.BAD_FIELD,
            "a contribution of 1125899906842625 bytes, at most 1125899906842624 are allowed: split it",
        ),
        (structs.replace(BATCH, terms_id=b"x"), DatanetsCode.BAD_FIELD, "terms_id must be empty or 32 bytes"),
        (structs.replace(BATCH, payee=bytes(31)), DatanetsCode.BAD_FIELD, "payee must be empty or 32 bytes"),
        (structs.replace(BATCH, sketch=bytes(255)), DatanetsCode.BAD_FIELD, "sketch must be empty or 256 bytes"),
        (structs.replace(REJECT, reason=0), DatanetsCode.BAD_FIELD, "a rejection needs a reason (1 to 7)"),
    ],
)
def test_what_is_wrong_by_itself(ledger: Ledger, message: Message, code: int, log: str) -> None:
    assert ledger.refuse(ALICE, message) == (code, log)


TOO_MANY = tuple(sorted([Signer.named(f"reviewer {number}").address for number in range(MAX_REVIEWERS + 1)]))


@pytest.mark.parametrize(
    "message",
    [
        structs.replace(CREATE, name=""),
        structs.replace(CREATE, name="Upper"),
        structs.replace(CREATE, name="x" * 65),
        structs.replace(CREATE, description="x" * 257),
        structs.replace(CREATE, reviewers=TOO_MANY),
        structs.replace(CREATE, quorum=0),
        structs.replace(CREATE, quorum=18),
        structs.replace(BATCH, rows_root=bytes(31)),
        structs.replace(BATCH, row_count=2**32),
        structs.replace(BATCH, byte_count=2**63),
        structs.replace(BATCH, sketch=bytes(257)),
        structs.replace(ACCEPT, decision=3),
        structs.replace(REJECT, reason=8),
        structs.replace(REVOKE, reason=0),
        CreateVersion(TICKETS, "tab\there"),
    ],
)
def test_what_exceeds_a_limit_is_malformed(ledger: Ledger, message: Message) -> None:
    code, log = ledger.refuse(ALICE, message)
    assert (code, log.startswith("transaction is malformed: ")) == (Code.MALFORMED, True)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (structs.replace(CREATE, default_terms_id=UNKNOWN, name="other"), NO_TERMS),
        (structs.replace(BATCH, terms_id=UNKNOWN), NO_TERMS),
        (structs.replace(BATCH, datanet_id=UNKNOWN), NO_DATANET),
        (CreateVersion(UNKNOWN, ""), NO_DATANET),
        (structs.replace(ACCEPT, contribution_id=UNKNOWN), NO_CONTRIBUTION),
        (RevokeContribution(UNKNOWN, 1), NO_CONTRIBUTION),
    ],
)
def test_what_refers_to_nothing(ledger: Ledger, message: Message, expected: tuple[int, str]) -> None:
    assert ledger.refuse(ALICE, message) == expected


def test_a_name_is_taken_once(ledger: Ledger) -> None:
    assert ledger.refuse(EVE, CREATE) == (
        DatanetsCode.NAME_TAKEN,
        "a DataNet named 'support/tickets' exists: choose another name",
    )


@pytest.mark.parametrize("signer", [CARL, DORA, EVE])
def test_only_the_owner_and_named_reviewers_review(ledger: Ledger, signer: Signer) -> None:
    ledger.accept(DORA, BATCH)
    assert ledger.refuse(signer, ACCEPT) == (
        DatanetsCode.NOT_REVIEWER,
        "only the owner and the named reviewers of 'support/tickets' review here",
    )


@pytest.mark.parametrize("role", ["contributor", "payee"])
def test_a_reviewer_cannot_review_what_is_its_own(ledger: Ledger, role: str) -> None:
    sender, message = (BOB, BATCH) if role == "contributor" else (DORA, structs.replace(BATCH, payee=BOB.address))
    ledger.accept(sender, message)
    verdict = structs.replace(ACCEPT, contribution_id=contribution_id(message, sender.address, FREE_ID))
    assert ledger.refuse(BOB, verdict) == (
        DatanetsCode.OWN_CONTRIBUTION,
        "a reviewer cannot review their own contribution",
    )
    ledger.accept(ALICE, verdict)


def test_the_owner_may_accept_what_is_its_own(ledger: Ledger) -> None:
    ledger.accept(ALICE, BATCH, structs.replace(ACCEPT, contribution_id=contribution_id(BATCH, ALICE.address, FREE_ID)))
    assert ledger.violations() == []


def test_nobody_votes_twice(ledger: Ledger) -> None:
    create = structs.replace(CREATE, name="slow", quorum=2)
    ledger.accept(EVE, create)
    batch = contribute(new_id("datanet", EVE.address, 0), "slow")
    ledger.accept(DORA, batch)
    verdict = structs.replace(ACCEPT, contribution_id=contribution_id(batch, DORA.address, FREE_ID))
    ledger.accept(BOB, verdict)
    expected = (DatanetsCode.ALREADY_REVIEWED, "you reviewed this contribution already")
    assert ledger.refuse(BOB, verdict) == expected
    assert ledger.refuse(BOB, structs.replace(verdict, decision=2, reason=1)) == expected


@pytest.mark.parametrize(("verdict", "word"), [(ACCEPT, "accepted"), (REJECT, "rejected"), (REVOKE, "revoked")])
def test_what_is_decided_is_not_reviewed_again(ledger: Ledger, verdict: Message, word: str) -> None:
    ledger.accept(DORA, BATCH)
    ledger.accept(ALICE, verdict)
    expected = (DatanetsCode.NOT_PENDING, f"this contribution is {word}: nothing to review")
    assert [ledger.refuse(BOB, again) for again in (ACCEPT, REJECT)] == [expected, expected]


@pytest.mark.parametrize("signer", [BOB, EVE])
def test_only_the_contributor_and_the_owner_revoke(ledger: Ledger, signer: Signer) -> None:
    ledger.accept(DORA, BATCH)
    expected = (DatanetsCode.NOT_PERMITTED, "only the contributor and the DataNet's owner can revoke")
    assert ledger.refuse(signer, REVOKE) == expected
    ledger.accept(BOB, ACCEPT)
    assert ledger.refuse(signer, REVOKE) == expected


@pytest.mark.parametrize(("before", "word"), [(REJECT, "rejected"), (REVOKE, "revoked")])
def test_what_is_gone_cannot_be_revoked(ledger: Ledger, before: Message, word: str) -> None:
    ledger.accept(DORA, BATCH)
    ledger.accept(ALICE, before)
    assert ledger.refuse(DORA, REVOKE) == (
        DatanetsCode.REVOKED,
        f"this contribution is {word}: nothing to revoke",
    )


@pytest.mark.parametrize("signer", [BOB, DORA, EVE])
def test_only_the_owner_makes_versions(ledger: Ledger, signer: Signer) -> None:
    ledger.accept(DORA, BATCH)
    ledger.accept(BOB, ACCEPT)
    assert ledger.refuse(signer, NEW_VERSION) == (
        DatanetsCode.NOT_OWNER,
        "only the owner of 'support/tickets' creates versions",
    )


def test_a_version_needs_something_new(ledger: Ledger) -> None:
    expected = (DatanetsCode.NOTHING_NEW, "DataNet 'support/tickets' has no contributions beyond its last version")
    assert ledger.refuse(ALICE, NEW_VERSION) == expected
    ledger.accept(DORA, BATCH)
    assert ledger.refuse(ALICE, NEW_VERSION) == expected
    ledger.accept(BOB, ACCEPT)
    ledger.accept(ALICE, NEW_VERSION)
    assert ledger.refuse(ALICE, NEW_VERSION) == expected
    ledger.accept(DORA, REVOKE)
    assert ledger.refuse(ALICE, NEW_VERSION) == expected


def test_what_came_and_went_between_versions_is_nothing_new(ledger: Ledger) -> None:
    ledger.accept(DORA, BATCH)
    ledger.accept(BOB, ACCEPT)
    ledger.accept(ALICE, NEW_VERSION)
    second = contribute(TICKETS, "second")
    second_id = contribution_id(second, DORA.address, FREE_ID)
    ledger.accept(DORA, second)
    ledger.accept(BOB, structs.replace(ACCEPT, contribution_id=second_id))
    ledger.accept(DORA, RevokeContribution(second_id, 1))
    code, _ = ledger.refuse(ALICE, NEW_VERSION)
    assert code == DatanetsCode.NOTHING_NEW


def test_a_block_makes_at_most_one_version_of_a_datanet(ledger: Ledger) -> None:
    second = contribute(TICKETS, "second")
    second_verdict = structs.replace(ACCEPT, contribution_id=contribution_id(second, DORA.address, FREE_ID))
    order: list[tuple[Signer, Message]] = [
        (DORA, BATCH),
        (BOB, ACCEPT),
        (ALICE, NEW_VERSION),
        (DORA, second),
        (BOB, second_verdict),
    ]
    assert ledger.send_together(*order, (ALICE, NEW_VERSION)) == [0, 0, 0, 0, 0, DatanetsCode.TOO_SOON]
    ledger.accept(ALICE, NEW_VERSION)
    code, log = ledger.refuse(ALICE, NEW_VERSION, NEW_VERSION)
    assert (code, log.startswith("message 0: ")) == (DatanetsCode.NOTHING_NEW, True)


def test_the_second_version_of_one_transaction_is_too_soon(ledger: Ledger) -> None:
    ledger.accept(DORA, BATCH)
    ledger.accept(BOB, ACCEPT)
    assert ledger.refuse(ALICE, NEW_VERSION, NEW_VERSION) == (
        DatanetsCode.TOO_SOON,
        "message 1: this DataNet has a new version in this block: try again in the next one",
    )


def test_a_version_that_is_undone_can_be_made_in_the_same_block(ledger: Ledger) -> None:
    """Making one costs no more than any message, so that nothing needs to remember who asked for it in vain."""
    ledger.accept(DORA, BATCH)
    ledger.accept(BOB, ACCEPT)
    sequence = ledger.next_sequence(ALICE)
    undone = ALICE.transaction(NEW_VERSION, Transfer(BOB.address, 2 * FUNDS), sequence=sequence)
    results = ledger.chain.block(undone, ALICE.transaction(NEW_VERSION, sequence=sequence + 1))
    assert [result.code for result in results] == [Code.INSUFFICIENT_FUNDS, Code.OK]


def contributions(ledger: Ledger, count: int, make: Callable[[int], Contribute]) -> list[bytes]:
    """Submit many, sixteen a transaction; their ids."""
    messages = [make(number) for number in range(count)]
    for start in range(0, count, 16):
        ledger.accept(DORA, *messages[start : start + 16])
    return [contribution_id(message, DORA.address, FREE_ID) for message in messages]


def test_a_datanet_ends_where_its_numbers_do(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "MAX_NUMBER", 2)
    ids = contributions(ledger, 3, lambda number: contribute(TICKETS, str(number)))
    verdicts = [structs.replace(ACCEPT, contribution_id=each) for each in ids]
    ledger.accept(BOB, *verdicts[:2])
    assert ledger.refuse(BOB, verdicts[2]) == (
        DatanetsCode.TOO_MANY_ACCEPTED,
        "a DataNet holds at most 2 accepted contributions: go on in another DataNet",
    )
    ledger.accept(BOB, structs.replace(verdicts[2], decision=Decision.REJECT, reason=1))
    assert ledger.violations() == []


def test_what_a_record_could_no_longer_count_is_not_accepted(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody may claim a petabyte: 8,192 claims would be more than a version's size can say."""
    monkeypatch.setattr(handlers, "MAX_INTEGER", 2 * MAX_CONTRIBUTION_BYTES)
    ids = contributions(ledger, 3, lambda number: contribute(TICKETS, str(number), byte_count=MAX_CONTRIBUTION_BYTES))
    verdicts = [structs.replace(ACCEPT, contribution_id=each) for each in ids]
    ledger.accept(BOB, *verdicts[:2])
    text = (
        f"with this the DataNet would hold 9 rows and {3 * 2**50} bytes, at most {2 * 2**50} can be counted: "
        "go on in another DataNet"
    )
    assert ledger.refuse(BOB, verdicts[2]) == (DatanetsCode.TOO_LARGE, text)
    ledger.accept(DORA, RevokeContribution(ids[0], 1))
    ledger.accept(BOB, verdicts[2])
    assert ledger.violations() == []


def test_what_comes_under_one_terms_record_too_many_is_not_accepted(ledger: Ledger) -> None:
    """Found when it is accepted: else no version could be made any more, and each try would read everything."""
    kinds = [terms(name=f"terms {number}") for number in range(MAX_SOURCES + 1)]
    for start in range(0, len(kinds), 16):
        ledger.accept(EVE, *[RegisterTerms(kind) for kind in kinds[start : start + 16]])
    ids = contributions(
        ledger, len(kinds), lambda number: contribute(TICKETS, str(number), terms_id=terms_id_of(kinds[number]))
    )
    verdicts = [structs.replace(ACCEPT, contribution_id=each) for each in ids]
    for start in range(0, MAX_SOURCES, 16):
        ledger.accept(BOB, *verdicts[start : start + 16])
    assert ledger.refuse(BOB, verdicts[-1]) == (
        LicencesCode.TOO_MANY_SOURCES,
        "65 different terms records meet, at most 64 can be joined: use sources that share their terms",
    )
    ledger.accept(ALICE, NEW_VERSION)
    ledger.accept(DORA, RevokeContribution(ids[0], 1))
    ledger.accept(BOB, verdicts[-1])
    assert ledger.violations() == []


@pytest.mark.parametrize("last", ["version", "accepted and revoked", "all revoked"])
def test_asking_for_a_version_in_vain_does_not_read_the_contributions(ledger: Ledger, last: str) -> None:
    """Each reading of a full DataNet takes some 30 ms of a block, and who is refused can ask again at once."""
    ids = contributions(ledger, 40, lambda number: contribute(TICKETS, str(number)))
    for start in range(0, 40, 16):
        ledger.accept(BOB, *[structs.replace(ACCEPT, contribution_id=each) for each in ids[start : start + 16]])
    if last != "all revoked":
        ledger.accept(ALICE, NEW_VERSION)
    if last == "accepted and revoked":
        ledger.accept(DORA, BATCH)
        ledger.accept(BOB, ACCEPT)
        ledger.accept(DORA, REVOKE)
    if last == "all revoked":
        for start in range(0, 40, 16):
            ledger.accept(DORA, *[RevokeContribution(each, 1) for each in ids[start : start + 16]])
    with pytest.raises(Rejected) as rejection:
        execute(
            Overlay(RecordingView(ledger.store, Work((3 + len(SECTIONS)) * GET_UNITS))),
            ALICE,
            NEW_VERSION,
            ledger.height + 1,
        )
    assert rejection.value.code == DatanetsCode.NOTHING_NEW


def test_a_missing_listing_stops_the_node_instead_of_being_guessed(ledger: Ledger) -> None:
    ledger.accept(DORA, BATCH)
    ledger.accept(BOB, ACCEPT)
    state = Overlay(ledger.store)
    ACCEPTED.delete(state, TICKETS, 1)
    with pytest.raises(InvariantBroken, match=r"accepted contribution 1 of [0-9a-f]{64} is not listed"):
        execute(state, DORA, REVOKE, ledger.height + 1)
