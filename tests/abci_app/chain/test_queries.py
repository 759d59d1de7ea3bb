"""Queries: committed state only, proofs that verify, a code for everything that cannot be answered."""

from typing import Any

import msgspec
import pytest

from abci_app.accounts import ACCOUNTS, Account, Delegation, policy_id_of
from abci_app.chain import queries, registry
from abci_app.chain.application import Application
from abci_app.chain.queries import LocalNode
from abci_app.chain.registry import all_queries
from abci_app.errors import Code
from abci_app.modules.accounts import DelegationsQuery, DelegationsView, DelegationView, SetDelegation
from abci_app.modules.bank import SUPPLY, AccountQuery, AccountView, Burn, Supply, SupplyQuery, Transfer
from abci_app.modules.members import Member, MemberQuery, MembersPage, MembersQuery, MemberView
from abci_app.modules.models.codes import ModelsCode
from abci_app.modules.models.queries import VerdictQuery
from abci_app.pb import abci_pb2 as pb
from abci_app.pb import crypto_pb2
from abci_app.state import proof
from abci_app.state.codec import encode
from abci_app.state.memory_store import MemoryStore
from abci_app.state.views import EmptyView
from tests.kit.chain import Chain, accounts_with
from tests.kit.modules.drafts import entry
from tests.kit.signing import Key, Signer

FUNDS = 10**9
ALICE, BOB, STRANGER = (Signer.named(name).address for name in ("alice", "bob", "stranger"))
NODE = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def chain() -> Chain:
    """Three blocks; in the third Alice has 5 nopen less than in the second."""
    alice, bob = Signer.named("alice"), Signer.named("bob")
    members = [{"address": bob.address.hex(), "roles": ["registrar"], "name": "Bob"}]
    chain = Chain.start(accounts_with(FUNDS, [alice, bob]), members=members)
    assert chain.codes() + chain.codes(
        alice.transaction(SetDelegation(Key.named("agent").public, (0x0101,), 9, 9))
    ) == [0]
    assert chain.codes(alice.transaction(Burn(5))) == [0]
    return chain


def app_hash(chain: Chain, height: int) -> bytes:
    return dict(chain.hashes)[height]


# --- Raw keys


def test_a_raw_key_is_answered_from_the_last_commit(chain: Chain) -> None:
    assert chain.query("/store/openledger/key", SUPPLY.key()) == pb.ResponseQuery(
        key=SUPPLY.key(), value=encode(Supply(10**18, 5)), height=3
    )


def test_with_a_proof_the_answer_is_for_the_last_height_whose_hash_stands_in_a_header(chain: Chain) -> None:
    answer = chain.query("/store/openledger/key", SUPPLY.key(), prove=True)
    assert (answer.key, answer.value, answer.height) == (SUPPLY.key(), encode(Supply(10**18, 0)), 2)
    inner, upper = answer.proof_ops.ops
    assert [(op.type, op.key) for op in (inner, upper)] == [("simple:v", SUPPLY.key()), ("simple:v", b"openledger")]
    path = crypto_pb2.ValueOp.FromString(inner.data).proof
    proof.verify_simple(
        proof.SimpleProof(path.total, path.index, path.leaf_hash, tuple(path.aunts)),
        SUPPLY.key(),
        answer.value,
        app_hash(chain, 2),
    )
    assert crypto_pb2.ValueOp.FromString(upper.data).proof == crypto_pb2.Proof(
        total=1, index=0, leaf_hash=app_hash(chain, 2)
    )


def test_older_heights_are_answered_as_they_were(chain: Chain) -> None:
    burned = [chain.query("/store/openledger/key", SUPPLY.key(), height=height).value for height in (1, 2, 3)]
    assert burned == [encode(Supply(10**18, amount)) for amount in (0, 0, 5)]


@pytest.mark.parametrize("height", [4, 10**6, 2**63 - 1])
def test_a_height_that_is_not_kept_has_a_code(chain: Chain, height: int) -> None:
    for path in ("/store/openledger/key", "/store/openledger/multi", "/query/bank/supply", "/simulate"):
        assert chain.query(path, b"x", height=height).code == Code.HEIGHT_UNAVAILABLE


def test_before_the_first_block_nothing_can_be_asked_and_after_it_nothing_proven() -> None:
    chain = Chain.start({})
    unavailable = (Code.HEIGHT_UNAVAILABLE, "no block is committed yet: ask again after the first block")
    for prove in (False, True):
        answer = chain.query("/store/openledger/key", SUPPLY.key(), prove=prove)
        assert (answer.code, answer.log) == unavailable
    chain.block()
    assert chain.query("/store/openledger/key", SUPPLY.key()).code == 0
    assert chain.query("/store/openledger/key", SUPPLY.key(), prove=True).code == Code.NOT_YET_PROVABLE
    chain.block()
    assert chain.query("/store/openledger/key", SUPPLY.key(), prove=True).height == 1


@pytest.mark.parametrize("key", [b"", b"bank/supply/valu", b"\xff" * 100_000, ACCOUNTS.key(STRANGER)])
def test_an_absent_key_is_not_found(chain: Chain, key: bytes) -> None:
    for prove in (False, True):
        answer = chain.query("/store/openledger/key", key, prove=prove)
        assert (answer.code, answer.value, answer.codespace) == (Code.NOT_FOUND, b"", "openledger")


# --- Several keys and ranges


def test_many_keys_and_ranges_are_proven_at_once_absence_included(chain: Chain) -> None:
    start, end = ACCOUNTS.range()
    request = encode([[SUPPLY.key(), b"absent"], [[start, end]]])
    answer = chain.query("/store/openledger/multi", request, height=2)
    state = proof.verify(answer.value, app_hash(chain, 2))
    assert (answer.height, state.height) == (2, 2)
    assert (state.get(SUPPLY.key()), state.get(b"absent")) == (encode(Supply(10**18, 0)), None)
    with chain.application.store.version(2) as version:
        assert list(state.iterate(start, end)) == list(version.iterate(start, end))
    with pytest.raises(proof.UnprovenRead):
        state.get(b"parameters/value")


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xc0", encode([[], []]) + b"\x00", encode([[b""], []]), encode([[b"x" * 129], []]),
        encode([[], [[b"a"]]]), encode([[], [[b"b", b"a"]]]), encode([[], [[b"a", b"a"]]]),
        encode([[b"a"] * 4_097, []]), encode([[], [[b"a", b"b"]] * 65]), encode(["a", []]),
    ],
    ids=range(11),
)  # fmt: skip
def test_a_malformed_request_for_many_keys_has_a_code(chain: Chain, data: bytes) -> None:
    assert chain.query("/store/openledger/multi", data).code == Code.BAD_QUERY


# --- Module queries

AGENTS = Delegation(
    public_key=Key.named("agent").public,
    message_types=(0x0101,),
    spend_limit_nopen=9,
    spent_nopen=0,
    expiry_height=9,
    policy_id=policy_id_of(EmptyView(), ALICE, Signer.named("alice").policy),
)
ARGUMENTS = [
    ("bank/account", AccountQuery(ALICE), AccountView, None),
    ("bank/account", AccountQuery(STRANGER), AccountView, AccountView(STRANGER, 0, 0, 0, b"")),
    ("bank/supply", SupplyQuery(), Supply, Supply(10**18, 5)),
    (
        "accounts/delegations", DelegationsQuery(ALICE), DelegationsView,
        DelegationsView((DelegationView(AGENTS, ended=0),)),
    ),
    ("accounts/delegations", DelegationsQuery(BOB), DelegationsView, DelegationsView(())),
    ("members/member", MemberQuery(BOB), MemberView, MemberView(BOB, 64, "Bob")),
    ("members/list", MembersQuery(b"", 5), MembersPage, MembersPage((Member(BOB, 64, "Bob", 0, b""),), b"")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "result_type", "expected"), ARGUMENTS, ids=range(len(ARGUMENTS)))
def test_a_module_query_answers_and_its_proof_gives_the_same_answer_again(
    chain: Chain, name: str, arguments: object, result_type: type[object], expected: object
) -> None:
    answer = chain.query(f"/query/{name}", encode(arguments))
    result = msgspec.msgpack.decode(answer.value, type=result_type)
    assert (answer.height, expected in (None, result)) == (3, True), result
    proven = chain.query(f"/query/{name}", encode(arguments), height=3, prove=True)
    module, query_name = name.split("/")
    query = all_queries()[module, query_name]
    assert query.function(proof.verify(proven.value, app_hash(chain, 3)), arguments) == result


def test_an_account_is_answered_as_it_stands(chain: Chain) -> None:
    account = chain.account(ALICE)
    answer = chain.query("/query/bank/account", encode(AccountQuery(ALICE)))
    view = msgspec.msgpack.decode(answer.value, type=AccountView)
    assert view == AccountView(ALICE, 1, account.sequence, account.balance_nopen, account.policy)
    assert account == Account(2, account.balance_nopen, Signer.named("alice").policy)


@pytest.mark.parametrize(
    "path",
    ["", "/", "/query", "/query/bank", "/query/bank/", "/query/bank/account/x", "/query/x/y", "/store", "x" * 100_000,
     "/store/openledger", "/store/other/key", "/query/bank/é", "/query/bank/" + "x" * 100_000, "/query/bank/account\n"],
)  # fmt: skip
def test_an_unknown_path_has_a_code_and_a_short_answer(chain: Chain, path: str) -> None:
    answer = chain.query(path, b"x")
    assert (answer.code, answer.value, len(answer.log) < 200) == (Code.UNKNOWN_QUERY, b"", True)
    assert answer.log.isprintable()


@pytest.mark.parametrize("data", [b"", b"\x91\x01", b"\xc1", encode(AccountQuery(ALICE)) + b"\x00", b"\x91" * 100_000])
def test_malformed_arguments_have_a_code(chain: Chain, data: bytes) -> None:
    answer = chain.query("/query/bank/account", data)
    assert (answer.code, answer.log.startswith("arguments of bank/account are malformed: ")) == (Code.BAD_QUERY, True)


def test_a_refusal_by_a_modules_rule_names_the_module(chain: Chain) -> None:
    drafted = entry("made of something unknown", made_from=[bytes(32)])
    answer = chain.query("/query/models/verdict", encode(VerdictQuery(drafted, 0)))
    assert (answer.code, answer.codespace, answer.log.startswith("parent ")) == (
        ModelsCode.UNKNOWN_PARENT, "models", True,
    )  # fmt: skip


def test_more_data_than_any_query_needs_is_refused_unread(chain: Chain) -> None:
    for path in ("/query/bank/account", "/simulate", "/store/openledger/key", "/p2p/filter/id/x"):
        answer = chain.query(path, bytes(queries.MAX_QUERY_BYTES + 1))
        assert (answer.code, answer.log) == (Code.BAD_QUERY, "query data has 131073 bytes, at most 131072")


def test_a_negative_height_is_refused(chain: Chain) -> None:
    assert chain.query("/query/bank/supply", encode(SupplyQuery()), height=-1).code == Code.BAD_QUERY


def test_a_query_that_reads_too_much_is_stopped(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "QUERY_BUDGET_UNITS", 10)
    everything = ("/store/openledger/multi", encode([[], [list(ACCOUNTS.range())]]))
    members = ("/query/members/list", encode(MembersQuery(b"", 5)))
    simulated = ("/simulate", Signer.named("bob").transaction(Burn(1)))
    for path, data in (everything, members, simulated):
        for prove in (False, True):
            answer = chain.query(path, data, prove=prove, height=3)
            assert (answer.code, answer.log, answer.value) == (
                Code.QUERY_TOO_LARGE, "the query costs more than 10 units of work: ask for less", b"",
            )  # fmt: skip


def test_a_proof_that_costs_too_much_is_not_made(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "PROOF_BUDGET_UNITS", -queries.QUERY_BUDGET_UNITS + 35)
    everything = encode([[], [list(ACCOUNTS.range())]])
    answer = chain.query("/store/openledger/multi", everything, height=3)
    assert (answer.code, answer.log) == (
        Code.QUERY_TOO_LARGE, "the query costs more than 35 units of work: ask for less",
    )  # fmt: skip


@pytest.mark.parametrize(
    "ranges",
    [[[b"a", b"c"], [b"b", b"d"]], [[b"a", b"b"]] * 2, [[b"c", b"d"], [b"a", b"z"]], [[b"a", b"a\x00\x00"]] * 64],
    ids=["overlapping", "the same twice", "one inside another", "64 times the same"],
)
def test_ranges_that_overlap_are_refused(chain: Chain, ranges: list[list[bytes]]) -> None:
    answer = chain.query("/store/openledger/multi", encode([[], ranges]), height=3)
    assert (answer.code, answer.log) == (Code.BAD_QUERY, "two ranges overlap: ask for each key once")


def test_ranges_that_touch_are_answered(chain: Chain) -> None:
    start, end = ACCOUNTS.range()
    middle = start + b"\x80"
    answer = chain.query("/store/openledger/multi", encode([[], [[middle, end], [start, middle]]]), height=2)
    state = proof.verify(answer.value, app_hash(chain, 2))
    with chain.application.store.version(2) as version:
        assert list(state.iterate(start, end)) == list(version.iterate(start, end))


def test_a_hurried_question_is_answered_when_it_is_small_and_told_to_come_again_otherwise(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "HURRIED_BUDGET_UNITS", 60)
    small = pb.RequestQuery(path="/query/bank/account", data=encode(AccountQuery(ALICE)))
    large = pb.RequestQuery(
        path="/store/openledger/multi", data=encode([[SUPPLY.key()] * 20, [list(ACCOUNTS.range())]]), height=2
    )
    query = chain.application.query
    assert query(small, hurried=True) == query(small)
    assert query(large).code == 0
    refusal = query(large, hurried=True)
    assert (refusal.code, refusal.log, refusal.codespace) == (
        Code.BUSY, "the node has many questions to answer: ask this one again in a moment", "openledger",
    )  # fmt: skip


def test_an_answer_that_is_too_large_is_not_sent(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "MAX_ANSWER_BYTES", 10)
    answer = chain.query("/query/bank/account", encode(AccountQuery(ALICE)))
    assert (answer.code, answer.value) == (Code.QUERY_TOO_LARGE, b"")


def test_uncommitted_blocks_are_never_seen(chain: Chain) -> None:
    before = chain.query("/query/bank/supply", encode(SupplyQuery()))
    bob = Signer.named("bob")
    chain.finalize(bob.transaction(Burn(1)))
    assert chain.query("/query/bank/supply", encode(SupplyQuery())) == before


# --- The node's own answers


def test_the_next_sequence_counts_pending_transactions(chain: Chain) -> None:
    alice = Signer.named("alice")
    assert chain.query("/local/next-sequence", ALICE).value == (2).to_bytes(8, "big")
    assert chain.check(alice.transaction(Transfer(BOB, 1), sequence=2)) == (0, "")
    assert chain.query("/local/next-sequence", ALICE).value == (3).to_bytes(8, "big")
    assert chain.query("/local/next-sequence", STRANGER).value == bytes(8)
    assert chain.query("/local/next-sequence", b"short").code == Code.BAD_QUERY


def peer_code(chain: Chain, path: str) -> int:
    return chain.query(f"/p2p/filter/{path}").code


def chain_with_peers(local: LocalNode) -> Chain:
    chain = Chain.start({}, peers=[{"node_id": NODE}])
    chain.application = Application(MemoryStore(), local)
    chain.application.init_chain(chain.init)
    chain.block()
    return chain


def test_an_empty_peer_list_admits_everybody(chain: Chain) -> None:
    assert [peer_code(chain, f"id/{'ff' * 20}"), peer_code(chain, "addr/1.2.3.4:5")] == [0, 0]


def test_a_peer_list_admits_who_is_on_it_and_any_address() -> None:
    chain = chain_with_peers(LocalNode())
    assert [peer_code(chain, path) for path in (f"id/{NODE}", f"id/{NODE.upper()}", "addr/1.2.3.4:5")] == [0, 0, 0]
    answer = chain.query(f"/p2p/filter/id/{'ff' * 20}")
    assert (answer.code, answer.log) == (Code.NOT_PERMITTED, f"node {'ff' * 20} is not among this chain's peers")


@pytest.mark.parametrize("node_id", ["", "é" * 40, "x" * 40, NODE + "00", NODE[:-1], "\x00" * 40, "a" * 100_000])
def test_what_is_no_node_id_is_refused_as_any_stranger(node_id: str) -> None:
    assert peer_code(chain_with_peers(LocalNode()), f"id/{node_id}") == Code.NOT_PERMITTED


@pytest.mark.parametrize(
    ("local", "code"),
    [
        (LocalNode(frozenset({"ff" * 20})), 0),
        (LocalNode(seconds_behind=lambda: 61), 0),
        (LocalNode(seconds_behind=lambda: 60), Code.NOT_PERMITTED),
    ],
    ids=["persistent peer", "syncing", "in step"],
)
def test_persistent_peers_and_everybody_during_a_sync_are_admitted(local: LocalNode, code: int) -> None:
    assert peer_code(chain_with_peers(local), f"id/{'ff' * 20}") == code


# --- Bugs


def test_a_simulation_of_a_transaction_that_raises_is_a_coded_answer(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(context: object, message: object) -> None:
        raise ValueError("a bug in a handler")

    handlers: dict[Any, Any] = registry.HANDLERS
    monkeypatch.setitem(handlers, Burn, (handlers[Burn][0], fail))
    answer = chain.query("/simulate", Signer.named("bob").transaction(Burn(1)))
    assert (answer.code, answer.log) == (
        Code.EXCLUDED,
        "this transaction makes a rule of the node fail: ValueError; report it to the developers",
    )


def test_every_query_of_every_module_has_a_line_of_help() -> None:
    assert [name for name, query in all_queries().items() if not query.help] == []
