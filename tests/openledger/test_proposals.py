"""Proposals as documents: each action in words, and every mistake named with its place."""

from typing import Any

import pytest

from abci_app.bech32 import encode_id
from abci_app.mechanisms.freezes import FOREVER, Freezable
from abci_app.modules.governance import (
    AppointMember,
    CancelUpgrade,
    FreezeObject,
    NoteDown,
    ParameterChange,
    RetryStuck,
    Scope,
    SetParameters,
    SetValidator,
    Spend,
    Upgrade,
)
from abci_app.modules.members import Role
from openledger.errors import UsageError
from openledger.proposals import ProposalDraft, read_proposal

ALICE, GARDEN = b"a" * 32, b"g" * 32
NAMES = {("open", "alice"): ALICE, ("oldata", "garden"): GARDEN, ("olmodel", "poet"): GARDEN}


def resolve(prefix: str, text: str) -> bytes | None:
    return NAMES.get((prefix, text))


def read(document: Any) -> ProposalDraft:
    return read_proposal(document, resolve)


def actions(*written: Any) -> tuple[Any, ...]:
    return read({"title": "t", "actions": list(written)}).actions


def test_a_whole_document() -> None:
    document = {"scope": "committee", "title": "Stop it", "text": "why.md", "actions": ["cancel-upgrade"]}
    assert read(document) == ProposalDraft(Scope.COMMITTEE, "Stop it", "why.md", (CancelUpgrade(),))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            {"set-parameters": {"fees.fee_per_byte_nopen": "0.0000005OPEN", "fees.fee_per_weight_nopen": 7}},
            SetParameters("fees", (ParameterChange(0, 500), ParameterChange(1, 7))),
        ),
        (
            {"set-parameters": {"governance.quorum_ppb": "40%"}},
            SetParameters("governance", (ParameterChange(3, 400_000_000),)),
        ),
        (
            {"set-parameters": {"roles.models.create_model": ["builder", "server"]}},
            SetParameters("roles", (ParameterChange(0x0601, Role.BUILDER | Role.SERVER),)),
        ),
        (
            {"appoint-member": {"member": "alice", "roles": "builder, reviewer", "name": "Alice", "organisation": 4}},
            AppointMember(member=ALICE, roles=Role.BUILDER | Role.REVIEWER, name="Alice", organisation=4),
        ),
        ({"remove-member": "alice"}, AppointMember(member=ALICE, roles=0, name="", organisation=0)),
        ({"set-validator": {"validator": encode_id("open", ALICE), "power": 10}}, SetValidator(ALICE, 10)),
        ({"remove-validator": "alice"}, SetValidator(ALICE, 0)),
        (
            {"freeze": {"datanet": "garden", "until": "for good"}},
            FreezeObject(object_kind=Freezable.DATANET, object_id=GARDEN, until_height=FOREVER),
        ),
        (
            {"freeze": {"model": "poet", "until": 900}},
            FreezeObject(object_kind=Freezable.MODEL, object_id=GARDEN, until_height=900),
        ),
        (
            {"lift-freeze": {"datanet": "garden"}},
            FreezeObject(object_kind=Freezable.DATANET, object_id=GARDEN, until_height=0),
        ),
        ({"spend": {"to": "alice", "amount": "12.5OPEN"}}, Spend(ALICE, 12_500_000_000)),
        (
            {"upgrade": {"release": "two", "rules": 3, "height": 500, "lock-digest": "ab" * 32}},
            Upgrade(height=500, name="two", app_version=3, lock_digest=b"\xab" * 32),
        ),
        ({"retry-stuck": 3}, RetryStuck(3)),
        ({"note": "so be it"}, NoteDown("so be it", b"")),
    ],
)
def test_an_action_in_words(written: Any, expected: Any) -> None:
    assert actions(written) == (expected,)


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ([], "proposal: write names and values: scope, title, text, actions"),
        ({"title": "t"}, "proposal: 'actions' is missing"),
        ({"title": "t", "actions": [], "why": 1}, "proposal: no 'why'; known: scope, title, text, actions"),
        ({"title": "t", "actions": []}, "actions: write a list of one to eight, such as `- note: Let it be known`"),
        ({"title": 3, "actions": ["cancel-upgrade"]}, "title: 3 is no text"),
        ({"scope": "all", "title": "t", "actions": ["cancel-upgrade"]}, "scope 'all': write chain or committee"),
    ],
)
def test_a_document_of_another_form_is_refused(document: Any, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(document)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ({"burn": 1}, "action 1: no action 'burn'; known: set-parameters, appoint-member, "),
        ({"note": "a", "spend": 1}, "action 1: write one word and what belongs to it; known: "),
        ({"set-parameters": {"fee.x": 1}}, "action 1, set-parameters: no parameters of 'fee'; known: fees, "),
        ({"set-parameters": {"fees.x": 1}}, "action 1, set-parameters: fees has no 'x'; known: fee_per_byte_nopen, "),
        (
            {"set-parameters": {"fees.fee_per_byte_nopen": "much"}},
            "action 1, set-parameters: fees.fee_per_byte_nopen: amount 'much': write 1.5OPEN",
        ),
        (
            {"set-parameters": {"governance.voting_blocks": "many"}},
            "action 1, set-parameters: governance.voting_blocks is 'many', must be an integer (blocks)",
        ),
        (
            {"set-parameters": {"fees.fee_per_byte_nopen": 1, "governance.voting_blocks": 20}},
            "action 1, set-parameters: fees and governance are two sections: write an action for each",
        ),
        (
            {"spend": {"to": "zoe", "amount": "1OPEN"}},
            "action 1, spend: to: 'zoe' is neither an id (open1...) nor a name that is known",
        ),
        ({"spend": {"to": "alice"}}, "action 1, spend: 'amount' is missing"),
        (
            {"appoint-member": {"member": "alice", "roles": ["king"]}},
            "action 1, appoint-member: no role 'king'; known: validator, contributor, ",
        ),
        ({"freeze": {"until": 3}}, "action 1, freeze: name one of datanet, model, entry"),
        (
            {"freeze": {"datanet": "garden", "until": "soon"}},
            "action 1, freeze: until, a height or `for good`: 'soon' ",
        ),
        ({"set-validator": {"validator": "alice", "power": 0}}, "action 1, set-validator: power is 0: write remove-"),
        (
            {"upgrade": {"release": "two", "rules": 3, "height": 5, "lock-digest": "ab"}},
            "action 1, upgrade: lock-digest must be 64 hex digits",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(written: Any, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        actions(written)
    assert str(caught.value).startswith(text)


def test_what_no_chain_would_take_is_refused_before_it_is_sent() -> None:
    draft = read({"scope": "committee", "title": "t", "actions": [{"spend": {"to": "alice", "amount": "1OPEN"}}]})
    with pytest.raises(
        UsageError, match="proposal: action 1, Spend, is for a proposal of scope chain, not of committee"
    ):
        draft.message(b"", 0)
