"""ABCI verbs: what a proposer leaves out, what the others refuse, what halts, and that nothing uncommitted remains."""

from collections.abc import Callable
from typing import Any

import pytest

from abci_app.accounts import ACCOUNTS, Account
from abci_app.chain import registry
from abci_app.chain.application import MAX_CANDIDATES, SOFTWARE_VERSION, Application
from abci_app.chain.block import TransactionFailure
from abci_app.chain.wire import repeated_bytes_size
from abci_app.errors import Code, GenesisError, InvariantBroken
from abci_app.module import FEES_ACCOUNT, TREASURY_ACCOUNT, Context, Handler
from abci_app.modules.bank import SUPPLY, Burn, Supply, Transfer
from abci_app.pb import abci_pb2 as pb
from abci_app.state.memory_store import MemoryStore
from abci_app.versions import NEWEST_APP_VERSION
from tests.kit.chain import GENESIS_SECONDS, Chain, accounts_with, changed, fee_of, replay, treasury_nopen
from tests.kit.signing import CHAIN_ID, Signer

FUNDS = 10**9
POISON_NOPEN = 666


@pytest.fixture
def alice() -> Signer:
    return Signer.named("alice")


@pytest.fixture
def bob() -> Signer:
    return Signer.named("bob")


@pytest.fixture
def chain(alice: Signer, bob: Signer) -> Chain:
    return Chain.start(accounts_with(FUNDS, [alice, bob]))


class Bug(Exception):
    """An exception of a handler that is no rejection."""


def handle_burn_with(monkeypatch: pytest.MonkeyPatch, handler: Handler) -> None:
    handlers: dict[Any, Any] = registry.HANDLERS
    monkeypatch.setitem(handlers, Burn, (handlers[Burn][0], handler))


@pytest.fixture
def poisoned_burns(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the handler of Burn raises for one amount, after it has written."""
    execute = registry.HANDLERS[Burn][1]

    def raise_for_one_amount(context: Context, message: Burn) -> None:
        execute(context, message)
        if message.amount_nopen == POISON_NOPEN:
            raise Bug("a bug in a handler")

    handle_burn_with(monkeypatch, raise_for_one_amount)


# --- Multi-message transactions


def test_messages_are_all_or_nothing(chain: Chain, alice: Signer, bob: Signer) -> None:
    raw = alice.transaction(Transfer(bob.address, 5), Burn(7), Transfer(bob.address, FUNDS))
    (result,) = chain.block(raw)
    assert (result.code, result.log.startswith("message 2: open1")) == (Code.INSUFFICIENT_FUNDS, True)
    assert chain.account(alice.address) == Account(1, FUNDS - fee_of(raw), alice.policy)
    assert (chain.balance(bob), SUPPLY.get(chain.application.store)) == (FUNDS, Supply(10**18, 0))


def test_later_messages_see_what_earlier_ones_did(alice: Signer, bob: Signer) -> None:
    chain = Chain.start({alice.address: FUNDS})
    raw = alice.transaction(Transfer(bob.address, 5), Burn(7), Transfer(bob.address, 6))
    (result,) = chain.block(raw)
    assert (result.code, result.data, result.gas_wanted, result.gas_used) == (0, b"", 0, 0)
    assert chain.account(alice.address) == Account(1, FUNDS - 18 - fee_of(raw), alice.policy)
    assert chain.account(FEES_ACCOUNT) == Account(0, fee_of(raw), b"")
    assert (chain.balance(bob), SUPPLY.get(chain.application.store)) == (11, Supply(10**18, 7))


def test_a_block_moves_only_the_accounts_that_it_names_and_keeps_the_supply(
    chain: Chain, alice: Signer, bob: Signer
) -> None:
    before = chain.state()
    raw = alice.transaction(Transfer(bob.address, 5))
    assert chain.codes(raw) == [0]
    assert set(changed(before, chain.state())) == {
        ACCOUNTS.key(address) for address in (alice.address, bob.address, FEES_ACCOUNT)
    }
    assert chain.violations() == []


def test_the_transactions_event_names_everybody_involved(chain: Chain, alice: Signer, bob: Signer) -> None:
    failing, working = alice.transaction(Transfer(bob.address, 2 * FUNDS)), alice.transaction(Transfer(bob.address, 1))
    events = [
        [(event.type, [(a.key, a.value, a.index) for a in event.attributes]) for event in result.events]
        for result in chain.block(failing, working)
    ]
    hers, his = alice.address.hex(), bob.address.hex()
    assert events == [
        [("tx", [("account", hers, True), ("sequence", f"{hers}/0", True)])],
        [("tx", [("account", hers, True), ("sequence", f"{hers}/1", True), ("account", his, True)])],
    ]


# --- Proposals


def test_a_proposer_leaves_out_what_will_not_pay(chain: Chain, alice: Signer, bob: Signer) -> None:
    good = alice.transaction(Transfer(bob.address, 5))
    failing_but_paying = alice.transaction(Transfer(bob.address, 2 * FUNDS))
    unpaid = [
        b"", b"garbage", alice.transaction(Burn(1), sequence=7), bob.transaction(Burn(1), chain_id="other"),
        Signer.named("stranger").transaction(Burn(1)), bob.transaction(Burn(1), sequence=0, fee_limit_nopen=1),
    ]  # fmt: skip
    assert chain.propose(unpaid[0], good, *unpaid[1:], failing_but_paying, good) == [good, failing_but_paying]
    assert chain.accepts(good, failing_but_paying)
    for raw in unpaid:
        assert not chain.accepts(good, raw)
    assert not chain.accepts(good, good)


def test_a_proposal_fits_into_the_bytes_that_cometbft_allows(chain: Chain, alice: Signer, bob: Signer) -> None:
    transactions = [alice.transaction(Transfer(bob.address, 5)) for _ in range(4)]
    room = sum([repeated_bytes_size(len(raw)) for raw in transactions[:2]])
    assert chain.propose(*transactions, max_tx_bytes=room) == transactions[:2]
    assert chain.propose(*transactions, max_tx_bytes=room - 1) == transactions[:1]
    message = pb.RequestPrepareProposal(txs=transactions[:2])
    assert message.ByteSize() == room


def test_what_one_node_proposes_every_other_node_accepts_and_executes_alike(
    alice: Signer, bob: Signer, poisoned_burns: None
) -> None:
    balances = accounts_with(FUNDS, [alice, bob])
    proposer, other, late = (Chain.start(balances) for _ in range(3))
    offered = [
        alice.transaction(Burn(1)), alice.transaction(Burn(POISON_NOPEN)), bob.transaction(Transfer(alice.address, 9)),
        alice.transaction(Burn(2), sequence=1), b"\x00", bob.transaction(Transfer(bob.address, 1)),
    ]  # fmt: skip
    chosen = proposer.propose(*offered)
    assert chosen == [offered[0], offered[2], offered[3], offered[5]]
    assert all(node.accepts(*chosen) for node in (proposer, other))
    responses = [node.finalize(*chosen) for node in (proposer, other, late)]
    assert responses[0] == responses[1] == responses[2]


def test_a_transaction_that_makes_a_handler_raise_is_left_out_refused_and_never_tried_again(
    chain: Chain, alice: Signer, bob: Signer, poisoned_burns: None
) -> None:
    poisoned, good = alice.transaction(Burn(1), Burn(POISON_NOPEN)), bob.transaction(Burn(1))
    assert chain.check(poisoned) == (0, "")
    assert chain.propose(poisoned, good) == [good]
    assert chain.application.mempool.is_excluded(poisoned)
    assert not chain.accepts(good, poisoned)
    assert chain.codes(good) == [0]
    assert chain.check(poisoned)[0] == Code.EXCLUDED
    assert chain.check(poisoned, recheck=True)[0] == Code.EXCLUDED
    assert chain.propose(poisoned) == []


def test_a_validator_that_sees_the_poison_first_in_a_proposal_excludes_it(
    chain: Chain, alice: Signer, poisoned_burns: None
) -> None:
    poisoned = alice.transaction(Burn(POISON_NOPEN))
    assert not chain.accepts(poisoned)
    assert chain.check(poisoned)[0] == Code.EXCLUDED


def test_nothing_of_a_raising_transaction_leaks_into_the_block(
    alice: Signer, bob: Signer, poisoned_burns: None
) -> None:
    with_poison, without = (Chain.start(accounts_with(FUNDS, [alice, bob])) for _ in range(2))
    poisoned = alice.transaction(Transfer(bob.address, 5), Burn(POISON_NOPEN))
    good = bob.transaction(Transfer(alice.address, 3))
    chosen = with_poison.propose(poisoned, good)
    assert chosen == [good]
    assert with_poison.block(*chosen) == without.block(good)
    assert (with_poison.state(), with_poison.hashes) == (without.state(), without.hashes)


def test_finalize_block_halts_on_an_unexpected_exception_and_names_the_place(
    chain: Chain, alice: Signer, bob: Signer, poisoned_burns: None
) -> None:
    good, poisoned = bob.transaction(Burn(1)), alice.transaction(Burn(POISON_NOPEN))
    before = chain.state()
    with pytest.raises(TransactionFailure, match="unexpected error in transaction 1 of height 1") as caught:
        chain.finalize(good, poisoned)
    failure = caught.value
    assert (failure.height, failure.position, failure.raw, type(failure.__cause__)) == (1, 1, poisoned, Bug)
    assert chain.state() == before
    with pytest.raises(InvariantBroken, match="no block was executed"):
        chain.application.commit(pb.RequestCommit())


@pytest.mark.parametrize("error", [MemoryError, OSError])
def test_errors_of_the_machine_halt_in_every_phase(
    chain: Chain, alice: Signer, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """They are no property of the transaction: leaving it out, or refusing the block, would be wrong."""

    def fail(context: Context, message: Burn) -> None:
        raise error("the machine")

    handle_burn_with(monkeypatch, fail)
    raw = alice.transaction(Burn(1))
    for phase in (chain.propose, chain.accepts, chain.finalize):
        with pytest.raises(error, match="the machine"):
            phase(raw)
    assert not chain.application.mempool.is_excluded(raw)


# --- Blocks


def test_the_same_block_is_executed_once_in_proposal_and_finalize(
    chain: Chain, alice: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    executed: list[int] = []
    execute = registry.HANDLERS[Burn][1]

    def count(context: Context, message: Burn) -> None:
        executed.append(message.amount_nopen)
        execute(context, message)

    handle_burn_with(monkeypatch, count)
    raw = alice.transaction(Burn(4))
    assert chain.propose(raw) == [raw]
    assert chain.accepts(raw)
    assert chain.codes(raw) == [0]
    assert executed == [4]


def test_a_result_is_reused_only_for_the_same_height_time_and_transactions(
    chain: Chain, alice: Signer, bob: Signer
) -> None:
    hers, his = alice.transaction(Burn(4)), bob.transaction(Burn(5))
    assert chain.accepts(hers)
    assert chain.accepts(hers, his)
    assert chain.accepts(his)
    assert chain.codes(his, hers) == [0, 0]
    fresh = Chain.start(accounts_with(FUNDS, [alice, bob]))
    assert fresh.codes(his, hers) == [0, 0]
    assert chain.hashes == fresh.hashes


def test_only_a_few_rounds_are_remembered(chain: Chain, alice: Signer) -> None:
    for amount in range(1, 9):
        assert chain.accepts(alice.transaction(Burn(amount), sequence=0))
    assert len(chain.application._candidates) == MAX_CANDIDATES


def test_a_block_of_another_height_is_refused(chain: Chain) -> None:
    with pytest.raises(InvariantBroken, match="asked to execute height 5, expected 1"):
        chain.application.finalize_block(pb.RequestFinalizeBlock(height=5))


def test_uncommitted_work_is_forgotten_when_cometbft_connects_anew(chain: Chain, alice: Signer, bob: Signer) -> None:
    raw = alice.transaction(Transfer(bob.address, 5))
    assert chain.check(raw) == (0, "")
    before, response = chain.state(), chain.finalize(raw)
    chain.application.discard_uncommitted()
    assert (chain.state(), len(chain.application.mempool)) == (before, 0)
    with pytest.raises(InvariantBroken, match="asked to commit although no block was executed"):
        chain.application.commit(pb.RequestCommit())
    assert chain.finalize(raw) == response
    chain.application.commit(pb.RequestCommit())
    assert chain.application.store.app_hash == response.app_hash


def test_info_reports_the_last_commit_and_nothing_executed(chain: Chain, alice: Signer) -> None:
    def info() -> pb.ResponseInfo:
        return chain.application.info(pb.RequestInfo())

    expected = pb.ResponseInfo(data="openledger", version=SOFTWARE_VERSION, app_version=NEWEST_APP_VERSION)
    assert info() == expected
    chain.finalize(alice.transaction(Burn(1), sequence=0))
    assert info() == expected
    chain.block(alice.transaction(Burn(1)))
    expected.last_block_height, expected.last_block_app_hash = 1, chain.hashes[-1][1]
    assert info() == expected


def test_an_empty_block_leaves_the_app_hash_as_it_is(chain: Chain) -> None:
    for _ in range(3):
        chain.block()
    assert len({app_hash for _, app_hash in chain.hashes}) == 1


def test_replay_from_genesis_gives_the_same_hashes(chain: Chain, alice: Signer, bob: Signer) -> None:
    for number in range(1, 6):
        chain.block(alice.transaction(Transfer(bob.address, number)), bob.transaction(Burn(number)), b"garbage")
    assert replay(chain) == chain.hashes
    assert len({app_hash for _, app_hash in chain.hashes}) == 5


def test_vote_extensions_are_empty_and_only_the_empty_one_is_honest(chain: Chain) -> None:
    application = chain.application
    assert application.extend_vote(pb.RequestExtendVote(height=1)) == pb.ResponseExtendVote()
    answers = [
        application.verify_vote_extension(pb.RequestVerifyVoteExtension(height=1, vote_extension=extension)).status
        for extension in (b"", b"x")
    ]
    assert answers == [pb.ResponseVerifyVoteExtension.ACCEPT, pb.ResponseVerifyVoteExtension.REJECT]


def test_snapshots_are_neither_offered_nor_taken(chain: Chain) -> None:
    application = chain.application
    assert application.list_snapshots(pb.RequestListSnapshots()) == pb.ResponseListSnapshots()
    assert application.offer_snapshot(pb.RequestOfferSnapshot()).result == pb.ResponseOfferSnapshot.ABORT
    assert application.load_snapshot_chunk(pb.RequestLoadSnapshotChunk()) == pb.ResponseLoadSnapshotChunk()
    chunk = application.apply_snapshot_chunk(pb.RequestApplySnapshotChunk())
    assert chunk.result == pb.ResponseApplySnapshotChunk.ABORT


# --- InitChain


def test_init_chain_writes_supply_treasury_and_balances(alice: Signer) -> None:
    chain = Chain.start({alice.address: 7})
    assert chain.account(alice.address) == Account(0, 7, b"")
    assert chain.account(TREASURY_ACCOUNT) == Account(0, treasury_nopen(7), b"")
    assert (chain.violations(), chain.height) == ([], 0)


def test_init_chain_can_be_repeated_with_the_same_document(chain: Chain, alice: Signer) -> None:
    answers = [chain.application.init_chain(chain.init) for _ in range(3)]
    fresh = Application(MemoryStore()).init_chain(chain.init)
    assert answers == [fresh] * 3
    assert chain.codes(alice.transaction(Burn(1))) == [0]


def test_init_chain_after_another_document_leaves_nothing_of_it(alice: Signer, bob: Signer) -> None:
    chain = Chain.start(
        {bob.address: 5},
        members=[{"address": bob.address.hex(), "roles": ["registrar"]}],
        peers=[{"node_id": "ab" * 20}],
        parameters={"fees": {"fee_per_byte_nopen": 77}},
    )
    assert chain.check(bob.transaction(Burn(1), sequence=0))[0] == Code.INSUFFICIENT_FUNDS
    fresh = Chain.start({alice.address: FUNDS})
    chain.application.init_chain(fresh.init)
    assert chain.state() == fresh.state()
    assert chain.check(alice.transaction(Burn(1), sequence=0)) == (0, "")
    assert (chain.codes(alice.transaction(Burn(1))), chain.state()) == (
        fresh.codes(alice.transaction(Burn(1), sequence=0)), fresh.state(),
    )  # fmt: skip


def test_a_failed_init_chain_leaves_no_chain_behind() -> None:
    application = Application(MemoryStore())
    request = pb.RequestInitChain(chain_id=CHAIN_ID, initial_height=1, app_state_bytes=b'{"balances": 5}')
    with pytest.raises(GenesisError, match="balances"):
        application.init_chain(request)
    assert application.check_tx(b"", False)[0] == Code.HEIGHT_UNAVAILABLE


def test_a_chain_can_start_at_a_later_height(alice: Signer) -> None:
    chain = Chain.start({alice.address: FUNDS}, initial_height=1_000)
    assert chain.check(alice.transaction(Burn(1), expiry_height=999, sequence=0))[0] == Code.EXPIRED
    assert chain.codes(alice.transaction(Burn(1), expiry_height=1_000)) == [0]
    assert chain.height == 1_000
    assert chain.codes(alice.transaction(Burn(1), expiry_height=1_001)) == [0]


@pytest.mark.parametrize("request_of", [lambda: b"", lambda: b"{}", lambda: b"  "], ids=["none", "empty", "blank"])
def test_an_empty_document_gives_the_defaults(request_of: Callable[[], bytes]) -> None:
    application = Application(MemoryStore())
    request = pb.RequestInitChain(chain_id=CHAIN_ID, initial_height=1, app_state_bytes=request_of())
    request.time.seconds = GENESIS_SECONDS
    explicit = Chain.start({}, parameters={})
    assert application.init_chain(request) == explicit.application.init_chain(explicit.init)
