"""Clients against the real application: building, pipelining, waiting, and every error a user makes."""

import asyncio
import threading
from pathlib import Path

import pytest

from abci_app.errors import Code
from abci_app.hashing import sha256
from abci_app.mechanisms.beacon import BeaconCode, reveal_transaction
from abci_app.modules.accounts import SetPolicy
from abci_app.modules.bank import AccountQuery, AccountView, BankCode, Transfer
from abci_app.policy import address_of, encode_policy
from openledger.client import transactions
from openledger.client.client import Client
from openledger.client.flows import BatchFailed
from openledger.client.results import Sent, object_id
from openledger.errors import (
    NodeFailure,
    NodeUnreachable,
    QueryFailed,
    TimedOut,
    TransactionFailed,
    UsageError,
    WouldFail,
)
from openledger.keys.signer import Signer, shared_policy
from openledger.keys.turns import KeyTurns
from tests.kit.chain import Chain
from tests.kit.openledger.fake_node import FakeNode

ALICE = Signer.from_seed(b"\x01" * 32)
BOB = Signer.from_seed(b"\x02" * 32)
CAROL = Signer.from_seed(b"\x03" * 32)
OPEN = 10**9
FEE = 4_000  # more than any transfer of these tests costs


@pytest.fixture
def node() -> FakeNode:
    return FakeNode(Chain.start({ALICE.address: 100 * OPEN, BOB.address: OPEN}), make_blocks_after=3)


def test_a_transfer_is_sent_waited_for_and_found_again(node: FakeNode) -> None:
    with node.client() as client:
        pending = client.send(ALICE, Transfer(BOB.address, 5 * OPEN))
        committed = pending.wait()
        assert (committed.code, committed.sender, committed.sequence) == (0, ALICE.address, 0)
        assert (committed.messages, committed.hash) == (("bank.transfer",), pending.sent.hash)
        assert committed.events[0].get("sequence") == f"{ALICE.address.hex()}/0"
        assert client.transaction(pending.sent.hash) == committed
        assert client.account(BOB.address, prove=False).balance_nopen == 6 * OPEN
        spent = 100 * OPEN - client.account(ALICE.address, prove=False).balance_nopen - 5 * OPEN
        assert spent == pending.sent.fee_limit_nopen


def test_the_estimated_fee_is_exactly_what_is_charged_also_when_the_policy_is_stored(node: FakeNode) -> None:
    with node.client() as client:
        for sequence in range(3):
            before = client.account(ALICE.address, prove=False).balance_nopen
            pending = client.send(ALICE, Transfer(BOB.address, 1))
            pending.wait()
            after = client.account(ALICE.address, prove=False).balance_nopen
            assert (pending.sent.sequence, before - after - 1) == (sequence, pending.sent.fee_limit_nopen)


def test_hundreds_of_transactions_are_pending_at_once(node: FakeNode) -> None:
    node.make_blocks_after = 0
    with node.client() as client:
        sent = client.send_many(ALICE, [[Transfer(BOB.address, 1 + number)] for number in range(300)])
        assert [one.sequence for one in sent] == list(range(300))
        assert len(node.waiting) == 300
        node.make_blocks_after = 1
        committed = client.wait_all(sent)
        assert [one.sequence for one in committed] == list(range(300))
        assert {one.code for one in committed} == {0}


def test_more_than_the_account_may_have_pending_waits_for_blocks(node: FakeNode) -> None:
    node.make_blocks_after = 70
    with node.client() as client:
        sent = client.send_many(ALICE, [[Transfer(BOB.address, 1)] for _ in range(600)])
        assert [one.sequence for one in sent] == list(range(600))


def test_a_full_pool_waits_for_blocks(node: FakeNode) -> None:
    node.pool_size = 5
    with node.client() as client:
        sent = client.send_many(ALICE, [[Transfer(BOB.address, 1)] for _ in range(12)], timeout_seconds=20)
        assert [one.sequence for one in sent] == list(range(12))


def test_a_batch_names_the_transaction_that_was_refused(node: FakeNode) -> None:
    with node.client() as client:
        groups = [[Transfer(BOB.address, 1)], [Transfer(BOB.address, 10**6 * OPEN)], [Transfer(BOB.address, 1)]]
        with pytest.raises(BatchFailed, match=r"transaction 1: open1.* fund the account first") as caught:
            client.send_many(ALICE, groups)
        assert (caught.value.code, [one.sequence for one in caught.value.sent]) == (Code.INSUFFICIENT_FUNDS, [0])


def test_two_clients_of_one_account_do_not_get_stuck(node: FakeNode) -> None:
    with node.client() as first, node.client() as second:
        clients = (first, second, first, second, second, first)
        sequences = [client.send(ALICE, Transfer(BOB.address, 1)).sent.sequence for client in clients]
        assert sequences == [0, 1, 2, 3, 4, 5]


def test_a_shared_account_signs_with_two_of_three(node: FakeNode) -> None:
    policy = encode_policy(shared_policy(2, [key.public_key for key in (ALICE, BOB, CAROL)]))
    with node.client() as client:
        team = address_of(policy)
        client.send(ALICE, Transfer(team, OPEN)).wait()
        draft = client.prepare(_Team(team, policy), Transfer(CAROL.address, 7))
        with pytest.raises(UsageError, match="weigh 1 of 2; keys that have not signed"):
            draft.sign(BOB).envelope()
        combined = transactions.combine([draft.sign(BOB), draft.sign(CAROL), draft.sign(ALICE)])
        assert client.broadcast(combined.envelope()).wait().code == 0
        assert client.account(CAROL.address, prove=False).balance_nopen == 7


def test_a_rotated_key_keeps_the_address(node: FakeNode) -> None:
    with node.client() as client:
        client.send(ALICE, SetPolicy(CAROL.policy)).wait()
        committed = client.send(CAROL, Transfer(BOB.address, 3), account=ALICE).wait()
        assert (committed.code, committed.sender) == (0, ALICE.address)
        with pytest.raises(UsageError, match="is in no policy of this transaction"):
            client.send(ALICE, Transfer(BOB.address, 3))


def test_a_sponsor_pays_the_fee_and_sets_an_expiry(node: FakeNode) -> None:
    with node.client() as client:
        before = client.account(BOB.address, prove=False).balance_nopen
        pending = client.send([ALICE, BOB], Transfer(CAROL.address, OPEN), sponsor=BOB)
        assert pending.sent.expiry_height > node.chain.height
        assert pending.wait().code == 0
        assert before - client.account(BOB.address, prove=False).balance_nopen == pending.sent.fee_limit_nopen
        assert client.account(ALICE.address, prove=False).balance_nopen == 99 * OPEN


def test_simulation_tells_fee_and_effects_without_a_signature(node: FakeNode) -> None:
    with node.client() as client:
        simulation = client.simulate(ALICE, Transfer(BOB.address, 5))
        sent = client.send(ALICE, Transfer(BOB.address, 5)).sent
        assert (simulation.code, simulation.fee_nopen) == (0, sent.fee_limit_nopen)
        assert {effect.table for effect in simulation.effects} == {"account"}
        refused = client.simulate(ALICE, Transfer(ALICE.address, 5))
        assert (refused.code, refused.codespace) == (BankCode.SELF_TRANSFER, "bank")


def test_a_transaction_that_fails_in_its_block_raises_with_its_height(node: FakeNode) -> None:
    with node.client() as client:
        pending = client.send(ALICE, Transfer(ALICE.address, 5))
        with pytest.raises(TransactionFailed, match="sender and recipient are the same account") as caught:
            pending.wait()
        assert (caught.value.code, caught.value.codespace) == (BankCode.SELF_TRANSFER, "bank")
        assert caught.value.height == node.chain.height or caught.value.height > 2


# --- Waiting


def test_wait_finds_the_same_body_under_another_hash(node: FakeNode) -> None:
    policy = encode_policy(shared_policy(1, [ALICE.public_key, CAROL.public_key]))
    node.make_blocks_after = 0
    with node.client() as client:
        team = address_of(policy)
        client.send(BOB, Transfer(team, OPEN // 2))
        node.make_block()
        draft = client.prepare(_Team(team, policy), Transfer(BOB.address, 7))
        first, second = draft.sign(ALICE).envelope(), draft.sign(CAROL).envelope()
        client.broadcast(first)
        node.make_block()
        described = client.wait(_sent(second))
        assert (described.transaction_id, described.hash) == (_sent(second).transaction_id, _sent(first).hash)


def test_wait_tells_when_another_transaction_took_the_sequence(node: FakeNode) -> None:
    node.make_blocks_after = 0
    with node.client() as client:
        lost = client.prepare(ALICE, Transfer(BOB.address, 1), sequence=0).sign(ALICE).envelope()
        client.send(ALICE, Transfer(BOB.address, 2))
        node.make_block()
        with pytest.raises(TransactionFailed, match=r"another transaction of this account .* took sequence 0"):
            client.wait(_sent(lost))


def test_wait_tells_when_the_transaction_expired(node: FakeNode) -> None:
    node.make_blocks_after = 1
    with node.client() as client:
        raw = (
            client.prepare(ALICE, Transfer(BOB.address, 1), expiry_height=node.chain.height + 1).sign(ALICE).envelope()
        )
        with pytest.raises(TransactionFailed, match=r"expired at height \d+: build it again"):
            client.wait(_sent(raw))


def test_wait_gives_up_after_its_time(node: FakeNode) -> None:
    node.make_blocks_after = 0
    with node.client() as client:
        pending = client.send(ALICE, Transfer(BOB.address, 1))
        with pytest.raises(TimedOut, match="was not seen in a block within 0 s; it may still come"):
            pending.wait(0)


def test_a_node_without_an_index_says_so(node: FakeNode) -> None:
    node.index_enabled = False
    with node.client() as client, pytest.raises(NodeFailure, match="keeps no transaction index"):
        client.send(ALICE, Transfer(BOB.address, 1)).wait()


# --- Errors a user makes: one line each, with what to do


def test_wrong_chain_id(node: FakeNode) -> None:
    with node.client(chain_id="openledger-1") as client, pytest.raises(UsageError) as caught:
        client.send(ALICE, Transfer(BOB.address, 1))
    assert str(caught.value).endswith(
        "is on chain 'openledger-test', not 'openledger-1': pass --chain-id openledger-test, "
        "or name a node of 'openledger-1' with --node"
    )


def test_stale_sequence(node: FakeNode) -> None:
    with node.client() as client:
        client.send(ALICE, Transfer(BOB.address, 1)).wait()
        with pytest.raises(TransactionFailed) as caught:
            client.send(ALICE, Transfer(BOB.address, 1), sequence=0)
    assert caught.value.code == Code.WRONG_SEQUENCE
    assert str(caught.value) == (
        "sequence is 0, expected 1 (pending ones counted): use the expected one (openledger code 5); "
        "leave --sequence out to take the right one"
    )


def test_no_funds(node: FakeNode) -> None:
    with node.client() as client, pytest.raises(TransactionFailed, match=r"has 0 OPEN left .* fund the account first"):
        client.send(CAROL, Transfer(BOB.address, 1))


def test_fee_limit_too_low(node: FakeNode) -> None:
    with node.client() as client, pytest.raises(TransactionFailed, match="leave --fee-limit out to take the estimate"):
        client.send(ALICE, Transfer(BOB.address, 1), fee_limit_nopen=5)


def test_node_down(node: FakeNode) -> None:
    node.down = True
    with (
        node.client() as client,
        pytest.raises(NodeUnreachable, match=r"no node answers at .*: start it with `openledger node start`"),
    ):
        client.send(ALICE, Transfer(BOB.address, 1))


def test_unknown_transaction_and_page(node: FakeNode) -> None:
    with node.client() as client:
        with pytest.raises(QueryFailed, match="no committed transaction 00"):
            client.transaction("00" * 32)
        with pytest.raises(QueryFailed, match="there is no page 9"):
            client.history(ALICE.address, 9)


def test_a_beacon_reveal_is_named_and_has_no_sender(node: FakeNode) -> None:
    raw = reveal_transaction(bytes(32))
    (result,) = node.chain.block(raw)
    name = sha256(raw).hex().upper()
    node.index[name] = (node.chain.height, 0, raw, result)
    with node.client() as client:
        found = client.transaction(name)
    assert (found.messages, found.sender, found.transaction_id, found.code) == (
        ("beacon reveal",), b"", "", BeaconCode.NO_ONION,
    )  # fmt: skip


def test_a_query_without_light_client_does_not_pretend(node: FakeNode) -> None:
    with node.client() as client:
        with pytest.raises(UsageError, match="no light client to verify the answer"):
            client.query("bank", "account", AccountQuery(ALICE.address))
        answer = client.query("bank", "account", AccountQuery(ALICE.address), prove=False)
        assert (answer.verified, answer.note) == (False, "the node's word, not verified")
        assert answer.value == AccountView(ALICE.address, 1, 0, 100 * OPEN, b"")


# --- History, async, ids


def test_history_is_newest_first_and_paged(node: FakeNode) -> None:
    with node.client() as client:
        sent = client.send_many(ALICE, [[Transfer(BOB.address, 1)] for _ in range(5)])
        client.wait_all(sent)
        first, last = client.history(BOB.address, 1, 2), client.history(BOB.address, 3, 2)
        assert [one.sequence for one in first.transactions] == [4, 3]
        assert ([one.sequence for one in last.transactions], last.pages, last.total) == ([0], 3, 5)


def test_the_async_client_does_the_same(node: FakeNode) -> None:
    async def story() -> list[int]:
        async with node.async_client() as client:
            sent = await asyncio.gather(*[client.send(ALICE, Transfer(BOB.address, 1)) for _ in range(20)])
            committed = await client.wait_all(sent)
            simulation = await client.simulate(ALICE, Transfer(BOB.address, 1))
            assert simulation.code == 0
            assert (await client.wait(sent[3])).sequence == sent[3].sequence
            assert (await client.account(BOB.address, prove=False)).balance_nopen == OPEN + 20
            return [one.sequence for one in committed]

    assert sorted(asyncio.run(story())) == list(range(20))


def test_ids_of_created_objects_are_known_before_the_block() -> None:
    sent = Sent("", "", ALICE.address, 4, "openledger-test", 0, 0, b"")
    assert sent.object_id("datanet", 1) == object_id("datanet", "openledger-test", ALICE.address, 4, 1)


class _Team:
    def __init__(self, address: bytes, policy: bytes) -> None:
        self.address = address
        self.policy = policy


def _sent(raw: bytes) -> Sent:
    from openledger.client.flows import describe_sent

    return describe_sent(raw)


# --- Tried out first, and in turns


def test_what_is_bound_to_fail_is_not_sent_and_costs_nothing(node: FakeNode) -> None:
    with node.client() as client:
        client.try_first = True
        before = client.account(ALICE.address, prove=False)
        with pytest.raises(WouldFail) as caught:
            client.send(ALICE, Transfer(ALICE.address, 1))
        assert (caught.value.code, caught.value.exit_code) == (BankCode.SELF_TRANSFER, 4)
        assert "tried out and not sent, so no fee is lost" in str(caught.value)
        with pytest.raises(WouldFail):
            client.send_many(ALICE, [[Transfer(ALICE.address, 1)], [Transfer(BOB.address, 1)]])
        after = client.account(ALICE.address, prove=False)
        assert (after.balance_nopen, after.sequence) == (before.balance_nopen, before.sequence)
        client.try_first = False
        assert client.send(ALICE, Transfer(ALICE.address, 1)).wait(check=False).code == BankCode.SELF_TRANSFER
        assert client.account(ALICE.address, prove=False).balance_nopen < before.balance_nopen


def test_what_builds_on_a_transaction_that_waits_for_its_block_is_tried_after_it(node: FakeNode) -> None:
    """Carol has nothing until Alice's transfer is in a block; her own transfer is then tried again."""
    with node.client() as client:
        client.try_first = True
        client.send(ALICE, Transfer(CAROL.address, OPEN)).wait()
        client.send(CAROL, Transfer(BOB.address, OPEN // 2))
        # The first half is still on its way: that the second one does not fit is told after its block.
        with pytest.raises(WouldFail, match="fund the account first"):
            client.send(CAROL, Transfer(BOB.address, OPEN))
        client.send(CAROL, Transfer(BOB.address, OPEN // 4)).wait()


def test_programs_of_one_key_take_turns_and_use_every_sequence_once(node: FakeNode, tmp_path: Path) -> None:
    clients = [node.client() for _ in range(4)]
    sent: list[int] = []

    def work(client: Client) -> None:
        client.turns = KeyTurns(tmp_path)
        client.try_first = True
        sent.extend([client.send(ALICE, Transfer(BOB.address, 1)).sent.sequence for _ in range(5)])

    threads = [threading.Thread(target=work, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(sent) == list(range(20))


def test_asyncio_takes_turns_with_other_programs_and_tries_out_first(node: FakeNode, tmp_path: Path) -> None:
    async def story() -> list[int]:
        async with node.async_client() as client:
            client.turns = KeyTurns(tmp_path)
            client.try_first = True
            with pytest.raises(WouldFail):
                await client.send(ALICE, Transfer(ALICE.address, 1))
            with pytest.raises(WouldFail):
                await client.send_many(ALICE, [[Transfer(ALICE.address, 1)]])
            with node.client() as other:
                other.turns = KeyTurns(tmp_path)
                first = (await client.send(ALICE, Transfer(BOB.address, 1))).sequence
                second = other.send(ALICE, Transfer(BOB.address, 1)).sent.sequence
                many = await client.send_many(ALICE, [[Transfer(BOB.address, 1)]] * 2)
                return [first, second, *[one.sequence for one in many]]

    assert asyncio.run(story()) == [0, 1, 2, 3]
