"""members: roles, registrars and peers."""

from typing import Any

import pytest

from abci_app.accounts import show_address
from abci_app.errors import Code
from abci_app.modules.bank import Transfer
from abci_app.modules.members import (
    ALL_ROLES,
    MEMBERS,
    PEER_LIST,
    PEERS,
    Member,
    MemberQuery,
    MembersCode,
    MembersPage,
    MembersQuery,
    MemberView,
    Peer,
    PeerList,
    PeersQuery,
    Role,
    SetBoxKey,
    SetMember,
    SetPeer,
    peer_count_matches,
    peer_is_allowed,
)
from abci_app.modules.models.records import CreateModel
from abci_app.state.codec import encode
from abci_app.state.overlay import Overlay
from abci_app.state.table import hash_key_part
from tests.kit.modules.ledger import ALICE, BOB, CARL, DORA, EVERYBODY, Ledger
from tests.kit.signing import Signer

NODE, OTHER_NODE = "01" * 20, "ab" * 20
REGISTRARS = [{"address": ALICE.address.hex(), "roles": ["registrar"], "name": "Alice"}]


def start(**app_state: Any) -> Ledger:
    """Alice is the registrar."""
    return Ledger.start(members=REGISTRARS, **app_state)


@pytest.fixture
def ledger() -> Ledger:
    return start()


def test_a_registrar_makes_a_member_and_nothing_else_moves(ledger: Ledger) -> None:
    roles = Role.BUILDER | Role.REVIEWER
    assert ledger.effects(ALICE, SetMember(BOB.address, roles, "Bob", 0)) == {
        MEMBERS.key(BOB.address): encode(Member(BOB.address, roles, "Bob", 0, b""))
    }


def test_a_member_change_is_an_event(ledger: Ledger) -> None:
    assert ledger.accept(ALICE, SetMember(BOB.address, Role.BUILDER, "Bob", 0)) == [
        ("member_changed", {"member": BOB.address.hex(), "roles": "8"})
    ]


def test_roles_are_replaced_and_zero_ends_the_membership(ledger: Ledger) -> None:
    ledger.accept(ALICE, SetMember(BOB.address, Role.BUILDER, "Bob", 0))
    assert ledger.effects(ALICE, SetMember(BOB.address, Role.SERVER, "Robert", 0)) == {
        MEMBERS.key(BOB.address): encode(Member(BOB.address, Role.SERVER, "Robert", 0, b""))
    }
    assert ledger.effects(ALICE, SetMember(BOB.address, 0, "", 0)) == {MEMBERS.key(BOB.address): None}


def test_ending_a_membership_that_never_was_changes_nothing(ledger: Ledger) -> None:
    assert ledger.effects(ALICE, SetMember(BOB.address, 0, "", 0)) == {}


@pytest.mark.parametrize("roles", [Role.REGISTRAR, ALL_ROLES, Role.REGISTRAR | Role.BUILDER])
@pytest.mark.parametrize("member", [BOB, ALICE], ids=["of a stranger", "of itself"])
def test_no_registrar_makes_a_registrar(ledger: Ledger, roles: int, member: Signer) -> None:
    assert ledger.refuse(ALICE, SetMember(member.address, roles, "x", 0)) == (
        MembersCode.REGISTRAR_PROTECTED,
        "no registrar makes another: leave the role registrar out",
    )


@pytest.mark.parametrize("roles", [0, Role.AUDITOR, ALL_ROLES & ~Role.REGISTRAR])
@pytest.mark.parametrize("member", [ALICE, BOB], ids=["itself", "another"])
def test_no_registrar_changes_or_removes_one(roles: int, member: Signer) -> None:
    """Before, one stolen registrar's key removed all others and had the chain for itself."""
    both = [{"address": who.address.hex(), "roles": ["registrar", "builder"]} for who in (ALICE, BOB)]
    ledger = Ledger.start(members=both)
    assert ledger.refuse(ALICE, SetMember(member.address, roles, "x", 0)) == (
        MembersCode.REGISTRAR_PROTECTED,
        f"{show_address(member.address)} is a registrar: no registrar changes or removes one",
    )


@pytest.mark.parametrize(
    "message",
    [SetMember(BOB.address, Role.REGISTRAR, "Bob", 0), SetMember(ALICE.address, 0, "", 0), SetPeer(NODE, 1, "")],
)
def test_nobody_but_a_registrar_changes_members_or_peers(ledger: Ledger, message: SetMember | SetPeer) -> None:
    expected = (MembersCode.NOT_REGISTRAR, f"{show_address(BOB.address)} is not a registrar of this chain")
    assert ledger.refuse(BOB, message) == expected
    ledger.accept(ALICE, SetMember(BOB.address, ALL_ROLES & ~Role.REGISTRAR, "Bob", 0))
    assert ledger.refuse(BOB, message) == expected


def test_a_role_that_does_not_exist_is_refused(ledger: Ledger) -> None:
    assert ledger.refuse(ALICE, SetMember(BOB.address, 128, "Bob", 0)) == (
        MembersCode.UNKNOWN_ROLE,
        "roles 128 has unknown bits; all roles are 127",
    )


def test_a_registrar_says_to_which_organisation_a_member_belongs(ledger: Ledger) -> None:
    assert ledger.effects(ALICE, SetMember(BOB.address, Role.REVIEWER, "Bob", 7)) == {
        MEMBERS.key(BOB.address): encode(Member(BOB.address, Role.REVIEWER, "Bob", 7, b""))
    }
    house = [{"address": BOB.address.hex(), "roles": ["reviewer"], "organisation": 9}]
    assert MEMBERS.get(Ledger.start(members=house).store, BOB.address) == Member(BOB.address, Role.REVIEWER, "", 9, b"")


def test_a_member_sets_its_own_box_key_which_no_registrar_changes(ledger: Ledger) -> None:
    key = b"\x05" * 32
    assert ledger.refuse(BOB, SetBoxKey(key)) == (
        MembersCode.NOT_A_MEMBER,
        f"{show_address(BOB.address)} is not a member of this chain: ask a registrar",
    )
    ledger.accept(ALICE, SetMember(BOB.address, Role.REVIEWER, "Bob", 0))
    assert ledger.effects(BOB, SetBoxKey(key)) == {
        MEMBERS.key(BOB.address): encode(Member(BOB.address, Role.REVIEWER, "Bob", 0, key))
    }
    ledger.accept(ALICE, SetMember(BOB.address, Role.BUILDER, "Robert", 3))
    assert ledger.ask("members", "member", MemberQuery(BOB.address)) == MemberView(
        BOB.address, Role.BUILDER, "Robert", 3, key
    )
    assert ledger.refuse(BOB, SetBoxKey(key[:31])) == (
        MembersCode.INCOMPLETE_KEY,
        "box_key has 31 bytes: give 32, or none",
    )
    ledger.accept(BOB, SetBoxKey(b""))
    assert ledger.ask("members", "member", MemberQuery(BOB.address)).box_key == b""


def test_a_message_type_can_need_one_of_several_roles() -> None:
    ledger = start(parameters={"roles": {"models.create_model": ["builder", "server"]}})
    expected = (
        MembersCode.ROLE_NEEDED,
        f"{show_address(BOB.address)} needs the role builder or server for this message: ask a registrar",
    )
    assert ledger.refuse(BOB, CreateModel("m", "")) == expected
    ledger.accept(BOB, Transfer(CARL.address, 1))
    ledger.accept(ALICE, SetMember(BOB.address, Role.REVIEWER, "Bob", 0))
    assert ledger.refuse(BOB, CreateModel("m", "")) == expected
    ledger.accept(ALICE, SetMember(BOB.address, Role.REVIEWER | Role.SERVER, "Bob", 0))
    assert [name for name, _ in ledger.accept(BOB, CreateModel("m", ""))] == ["model_created"]


def test_a_role_given_earlier_in_the_same_block_counts() -> None:
    ledger = start(parameters={"roles": {"models.create_model": ["builder"]}})
    given = ALICE.transaction(SetMember(BOB.address, Role.BUILDER, "Bob", 0), sequence=ledger.next_sequence(ALICE))
    used = BOB.transaction(CreateModel("m", ""), sequence=ledger.next_sequence(BOB))
    assert ledger.chain.codes(given, used) == [0, 0]


def test_peers_are_listed_counted_and_removed(ledger: Ledger) -> None:
    assert ledger.effects(ALICE, SetPeer(NODE, 1, "validator-0")) == {
        PEERS.key(NODE): encode(Peer(NODE, "validator-0")),
        PEER_LIST.key(): encode(PeerList(1, 1)),
    }
    assert ledger.effects(ALICE, SetPeer(NODE, 1, "renamed")) == {PEERS.key(NODE): encode(Peer(NODE, "renamed"))}
    assert ledger.effects(ALICE, SetPeer(OTHER_NODE, 1, "")) == {
        PEERS.key(OTHER_NODE): encode(Peer(OTHER_NODE, "")),
        PEER_LIST.key(): encode(PeerList(2, 1)),
    }
    assert ledger.effects(ALICE, SetPeer(NODE, 0, "")) == {
        PEERS.key(NODE): None,
        PEER_LIST.key(): encode(PeerList(1, 1)),
    }
    assert ledger.violations() == []


def test_a_list_that_never_had_a_peer_admits_all_and_one_entry_closes_it_for_good(ledger: Ledger) -> None:
    """Before, removing the last peer opened the chain to everybody."""
    assert ledger.ask("members", "peers", PeersQuery()) == PeerList(0, 0)
    assert [peer_is_allowed(ledger.store, node) for node in (NODE, OTHER_NODE)] == [True, True]
    ledger.accept(ALICE, SetPeer(NODE, 1, ""))
    assert [peer_is_allowed(ledger.store, node) for node in (NODE, OTHER_NODE)] == [True, False]
    ledger.accept(ALICE, SetPeer(NODE, 0, ""))
    assert [peer_is_allowed(ledger.store, node) for node in (NODE, OTHER_NODE)] == [False, False]
    assert ledger.ask("members", "peers", PeersQuery()) == PeerList(0, 1)
    ledger.accept(ALICE, SetPeer(OTHER_NODE, 1, ""))
    assert [peer_is_allowed(ledger.store, node) for node in (NODE, OTHER_NODE)] == [False, True]
    assert ledger.violations() == []


def test_genesis_can_close_a_chain_without_listing_anybody() -> None:
    for app_state, admitted in (({}, True), ({"peers_closed": False}, True), ({"peers_closed": True}, False)):
        assert peer_is_allowed(start(**app_state).store, NODE) is admitted
    listed = start(peers=[{"node_id": NODE}], peers_closed=True)
    assert [peer_is_allowed(listed.store, node) for node in (NODE, OTHER_NODE)] == [True, False]


def test_peers_that_leave_and_come_in_one_block_do_not_open_the_chain(ledger: Ledger) -> None:
    ledger.accept(ALICE, SetPeer(NODE, 1, ""))
    ledger.accept(ALICE, SetPeer(NODE, 0, ""), SetPeer(NODE, 1, ""), SetPeer(NODE, 0, ""))
    assert not peer_is_allowed(ledger.store, OTHER_NODE)


def test_a_peer_that_is_not_listed_cannot_be_removed(ledger: Ledger) -> None:
    assert ledger.refuse(ALICE, SetPeer(NODE, 0, "")) == (
        MembersCode.UNKNOWN_PEER,
        f"node {NODE} is not on the list",
    )


@pytest.mark.parametrize("node_id", ["", "AB" * 20, "ab" * 19, "ab" * 20 + "\n", "zz" * 20])
def test_what_is_no_node_id_is_malformed(ledger: Ledger, node_id: str) -> None:
    code, log = ledger.refuse(ALICE, SetPeer(node_id, 1, ""))
    assert (code, log.startswith("transaction is malformed: ")) == (Code.MALFORMED, True)


def test_queries_give_one_member_a_stranger_and_all_in_pages(ledger: Ledger) -> None:
    for signer in (BOB, CARL, DORA):
        ledger.accept(ALICE, SetMember(signer.address, Role.BUILDER, "builder", 0))
    assert ledger.ask("members", "member", MemberQuery(BOB.address)) == MemberView(BOB.address, 8, "builder")
    stranger = EVERYBODY[-1].address
    assert ledger.ask("members", "member", MemberQuery(stranger)) == MemberView(stranger, 0, "")
    everybody = [
        Member(ALICE.address, 64, "Alice", 0, b""),
        *[Member(who.address, 8, "builder", 0, b"") for who in (BOB, CARL, DORA)],
    ]
    in_order = sorted(everybody, key=lambda member: hash_key_part(member.address))
    keys = [hash_key_part(member.address) for member in in_order]
    pages = [ledger.ask("members", "list", MembersQuery(after, 3)) for after in (b"", keys[2])]
    assert pages == [MembersPage(tuple(in_order[:3]), keys[2]), MembersPage(tuple(in_order[3:]), b"")]
    assert ledger.ask("members", "list", MembersQuery(b"", 4)) == MembersPage(tuple(in_order), b"")


def test_a_wrong_peer_count_breaks_the_invariant(ledger: Ledger) -> None:
    state = Overlay(ledger.store)
    PEER_LIST.set(state, PeerList(2, 1))
    assert peer_count_matches(state) == ["peer count is 2, 0 peers are listed"]
    PEERS.set(state, NODE, Peer(NODE, ""))
    PEER_LIST.set(state, PeerList(1, 0))
    assert peer_count_matches(state) == ["1 peers are listed and the list is open"]
