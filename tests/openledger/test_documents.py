"""Messages as JSON documents: what goes out comes back, and each mistake names its field."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect

from abci_app.bech32 import encode_id
from abci_app.chain.registry import MESSAGE_NAMES, MESSAGES_BY_TAG, TABLES
from abci_app.modules.accounts import SetDelegation
from abci_app.modules.bank import Transfer
from abci_app.modules.datanets.records import Decision, Reason, ReviewContribution
from abci_app.modules.licences.handlers import RegisterTerms
from abci_app.modules.members import Role, SetMember
from abci_app.state.table import Item, Map
from openledger.documents import (
    describe_type,
    from_document,
    id_prefix,
    message_from_document,
    read_value,
    to_document,
    type_info,
)
from openledger.documents.versioned import with_versions
from openledger.errors import KeyFailure, UsageError
from openledger.keys.signer import Signer
from openledger.words import fields_below
from tests.protocol.verifier import TYPES

BOB = b"\x0b" * 32
BOB_TEXT = encode_id("open", BOB)


@given(st.binary(min_size=32, max_size=32).filter(lambda address: any(address[:12])), st.integers(1, 2**63 - 1))
def test_a_message_comes_back_from_its_document(recipient: bytes, amount_nopen: int) -> None:
    message = Transfer(recipient, amount_nopen)
    document = to_document(message)
    assert document == {
        "type": "bank.transfer",
        "recipient": encode_id("open", recipient),
        "amount_nopen": amount_nopen,
    }
    assert message_from_document(document) == message


def test_people_may_write_names_hex_amounts_roles_and_message_names() -> None:
    def resolve(prefix: str, text: str) -> bytes | None:
        return BOB if (prefix, text) == ("open", "bob") else None

    for recipient in ("bob", BOB_TEXT, BOB_TEXT.upper(), BOB.hex()):
        document = {"type": "bank.transfer", "recipient": recipient, "amount_nopen": "1.5OPEN"}
        assert message_from_document(document, resolve) == Transfer(BOB, 1_500_000_000)
    member = {
        "type": "members.set_member",
        "member": BOB_TEXT,
        "roles": "builder, reviewer",
        "name": "Bob",
        "organisation": 0,
    }
    assert message_from_document(member) == SetMember(BOB, Role.BUILDER | Role.REVIEWER, "Bob", 0)
    key = Signer.from_seed(b"\x01" * 32).public_key
    delegation = {
        "type": "accounts.set_delegation",
        "public_key": key.hex(),
        "message_types": "bank.transfer,258",
        "spend_limit_nopen": 5,
        "expiry_height": "1_000",
    }
    assert message_from_document(delegation) == SetDelegation(key, (0x0101, 0x0102), 5, 1000)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (3, 'a message is an object with a "type"'),
        ({"type": "bank.mint"}, "no message 'bank.mint'; known: accounts.revoke_delegation"),
        ({"type": "bank.burn"}, r"bank\.burn: field 'amount_nopen' is missing \(amount such as 1\.5OPEN or nopen\)"),
        ({"type": "bank.burn", "amount_nopen": 1, "x": 2}, r"bank\.burn: no field 'x'; fields: amount_nopen"),
        ({"type": "bank.burn", "amount_nopen": "much"}, r"bank\.burn\.amount_nopen: amount 'much': write 1\.5OPEN"),
        ({"type": "bank.burn", "amount_nopen": -1}, r"bank\.burn: Expected `int` >= 0 - at `amount_nopen`"),
        (
            {"type": "bank.transfer", "recipient": encode_id("olmodel", BOB), "amount_nopen": 1},
            r"bank\.transfer\.recipient: .* is an id of kind model, here one of kind address is needed",
        ),
        (
            {"type": "bank.transfer", "recipient": "nobody", "amount_nopen": 1},
            r"bank\.transfer\.recipient: 'nobody' is neither an id \(open1\.\.\.\), nor 64 hex digits, nor a name",
        ),
        (
            {"type": "members.set_member", "member": BOB_TEXT, "roles": "king", "name": "", "organisation": 0},
            r"members\.set_member\.roles: no role 'king'; known: validator",
        ),
        (
            {"type": "members.set_member", "member": BOB_TEXT, "roles": 1, "name": "é", "organisation": 0},
            r"members\.set_member: Expected `str` matching .* at `name`",
        ),
    ],
)
def test_a_mistake_names_its_field(document: Any, message: str) -> None:
    with pytest.raises((UsageError, KeyFailure), match=message):
        message_from_document(document)


def test_fields_tell_which_kind_of_id_they_hold() -> None:
    fields = (
        "recipient",
        "benchmark_datanet_id",
        "parents",
        "entry",
        "model",
        "terms_id",
        "public_key",
        "manifest_root",
    )
    assert [id_prefix(field) for field in fields] == ["open", "oldata", "olrun", "olrun", "olmodel", "olterms", "", ""]
    assert id_prefix("id", "DatanetView") == "oldata"


def test_every_field_of_every_message_is_described_and_readable() -> None:
    for tag in MESSAGE_NAMES.values():
        for field in type_info(MESSAGES_BY_TAG[tag]).fields:
            text = describe_type(field.type, field.name)
            assert text
            assert "Type" not in text, f"{MESSAGES_BY_TAG[tag].__name__}.{field.name} has no words: {text}"


@given(st.text(max_size=80))
def test_no_text_makes_reading_fail_in_another_way(text: str) -> None:
    if text.strip().startswith("@"):
        return
    for field in type_info(SetDelegation).fields + type_info(Transfer).fields:
        try:
            read_value(field.type, text, None, field.name, field.name)
        except (UsageError, KeyFailure):
            continue


def test_structs_outside_the_registry_can_be_read_too() -> None:
    with pytest.raises(UsageError, match="Transfer: field 'amount_nopen' is missing"):
        from_document(Transfer, {"recipient": BOB_TEXT})


def test_words_go_in_and_out_where_numbers_stand_for_them() -> None:
    review = {
        "type": "datanets.review_contribution",
        "contribution_id": "0c" * 32,
        "decision": "reject",
        "reason": "spam",
    }
    message = message_from_document(review)
    assert message == ReviewContribution(b"\x0c" * 32, Decision.REJECT, Reason.SPAM)
    assert to_document(message) == {**review, "contribution_id": encode_id("olcontrib", b"\x0c" * 32)}
    peer = {"type": "members.set_peer", "node_id": "ab" * 20, "allowed": True, "name": "first"}
    assert to_document(message_from_document(peer)) == peer
    roles = ["reviewer", "builder"]
    member = {"type": "members.set_member", "member": BOB_TEXT, "roles": roles, "name": "", "organisation": 7}
    assert to_document(message_from_document(member)) == {**member, "roles": ["reviewer", "builder"]}


@pytest.mark.parametrize("given", [True, False])
def test_a_boolean_is_refused_where_a_word_is_wanted(given: bool) -> None:
    """`"attribution": true` was once stored as the number 1, which says no."""
    field = type_info(RegisterTerms).fields[0].type.fields
    attribution = next(item.type for item in field if item.name == "attribution")
    with pytest.raises(UsageError, match=f"terms.attribution: {given} says nothing here: use one of unknown, no, yes"):
        read_value(attribution, given, None, "attribution", "terms.attribution")
    with pytest.raises(UsageError, match=f"{given} is no number"):
        read_value(type_info(Transfer).fields[1].type, given, None, "amount_nopen", "amount")


def test_every_small_number_is_a_word_a_flag_or_known_to_be_a_number() -> None:
    """An enumerated field without its words would show people numbers, and take them."""
    plain = {
        "accept_votes", "contributions_each", "lane", "limit", "message_type", "method", "quorum", "reject_votes",
        "kind",  # of a deadline: each module numbers its own
    }  # fmt: skip
    roots = [*MESSAGES_BY_TAG.values(), *[table.value_type for table in TABLES if isinstance(table, Map | Item)]]
    unmarked = {
        name
        for name, info in fields_below(roots)
        if isinstance(info, inspect.IntType) and info.le is not None and info.le < 2**16
    }
    assert unmarked - plain == set()


def test_every_account_and_entry_is_shown_as_a_typed_id_in_whatever_it_stands() -> None:
    # Hashes of records, of a tree and of onions; the object of a name or of a lock has no kind of its own.
    other = {"policy_id", "joined_terms_id", "object_id", "after_object_id", "sibling", "consensus_address"}
    other |= {"onion", "next_onion", "shown", "shown_by", "value"}
    found = {
        field
        for name, fields in TYPES.fields.items()
        for field, kind in fields
        if kind.startswith(("bin of 32", "bin of at most 32", "list")) and re.search(r"\bbin\b", kind)
        if not id_prefix(field, name.strip("[]")) and not re.search("digest|root|hash|key$", field)
    }
    # The object of a deadline is what its kind says; a frontier goes from page to page word by word.
    assert found - other == {"object", "frontier"}


# --- NAME@VERSION


@pytest.mark.parametrize(
    ("document", "fields", "read"),
    [
        ({"datanet_id": "garden@2"}, ("datanet_id", "version"), {"datanet_id": "garden", "version": 2}),
        ({"name": "garden@2", "version": "0"}, ("datanet_id", "name", "version"), {"name": "garden", "version": 2}),
        (
            {"model_name": "a@3", "datanet_name": "b@4"},
            ("entry_id", "model_name", "model_version", "datanet_id", "datanet_name", "datanet_version"),
            {"model_name": "a", "model_version": 3, "datanet_name": "b", "datanet_version": 4},
        ),
        (
            {"benchmark_datanet_id": "exam@1"},
            ("entry_id", "benchmark_datanet_id", "benchmark_version"),
            {"benchmark_datanet_id": "exam", "benchmark_version": 1},
        ),
        ({"entry_id": "tutor@2"}, ("entry_id", "version"), {"entry_id": "tutor@2"}),
        ({"name": "odd@2"}, ("name", "description"), {"name": "odd@2"}),
    ],
)
def test_a_version_behind_a_name_goes_to_its_own_field(
    document: dict[str, Any], fields: tuple[str, ...], read: dict[str, Any]
) -> None:
    assert with_versions(document, fields) == read


def test_a_version_that_is_given_twice_must_not_contradict() -> None:
    with pytest.raises(UsageError, match="contradict each other"):
        with_versions({"datanet_id": "garden@2", "version": "3"}, ("datanet_id", "version"))
