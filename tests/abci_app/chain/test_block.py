"""One block: results in order, fees at its end, a trace of nothing that did not pay."""

import pytest

from abci_app.accounts import ACCOUNTS, Account
from abci_app.chain.block import (
    BlockExecution,
    TransactionFailure,
    TransactionResult,
    UnpaidTransaction,
    codespace_of,
    encode_event,
    execute_block,
)
from abci_app.chain.registry import MODULES
from abci_app.chain.transaction import Transaction, decode_transaction
from abci_app.errors import Code
from abci_app.hashing import sha256
from abci_app.module import FEES_ACCOUNT, BlockContext, Module
from abci_app.modules.bank import SUPPLY, Burn, Supply, Transfer
from abci_app.modules.members import MemberChanged
from abci_app.parameters import Parameters
from abci_app.state.codec import decode
from tests.kit.chain import GENESIS_SECONDS, SMALL_FEES, Chain, accounts_with, fee_of
from tests.kit.signing import CHAIN_ID, Signer

FUNDS = 10**9
FEES = {("fees", index): value for index, value in enumerate(SMALL_FEES.values())}
BLOCK = BlockContext(CHAIN_ID, 2, GENESIS_SECONDS + 2, Parameters(FEES))


@pytest.fixture
def alice() -> Signer:
    return Signer.named("alice")


@pytest.fixture
def bob() -> Signer:
    return Signer.named("bob")


@pytest.fixture
def chain(alice: Signer, bob: Signer) -> Chain:
    chain = Chain.start(accounts_with(FUNDS, [alice, bob]))
    chain.block()
    return chain


def execution(chain: Chain) -> BlockExecution:
    return BlockExecution(chain.application.store, BLOCK, decode_transaction)


def written(changes: list[tuple[bytes, bytes | None]]) -> dict[bytes, Account]:
    """The accounts among the changes."""
    return {key: decode(Account, value) for key, value in changes if value and key.startswith(ACCOUNTS.prefix)}


def test_a_block_without_transactions_changes_nothing(chain: Chain) -> None:
    result = execute_block(chain.application.store, BLOCK, [], decode_transaction)
    assert (result.context, result.results, result.changes) == (BLOCK, [], [])


def test_fees_are_credited_once_at_the_end_of_the_block(chain: Chain, alice: Signer, bob: Signer) -> None:
    block = execution(chain)
    first, second = alice.transaction(Burn(1)), bob.transaction(Burn(2))
    fees = fee_of(first) + fee_of(second)
    assert [block.execute(raw).fee_nopen for raw in (first, second)] == [fee_of(first), fee_of(second)]
    assert ACCOUNTS.key(FEES_ACCOUNT) not in dict(block.state.changes())
    changes = block.finish().changes
    assert written(changes) == {
        ACCOUNTS.key(FEES_ACCOUNT): Account(0, fees, b""),
        ACCOUNTS.key(alice.address): Account(1, FUNDS - 1 - fee_of(first), alice.policy),
        ACCOUNTS.key(bob.address): Account(1, FUNDS - 2 - fee_of(second), bob.policy),
    }
    assert decode(Supply, dict(changes)[SUPPLY.key()] or b"") == Supply(10**18, 3)
    assert [key for key, _ in changes] == sorted(dict(changes))


def test_what_does_not_pay_keeps_its_place_among_the_results_and_leaves_nothing(
    chain: Chain, alice: Signer, bob: Signer
) -> None:
    late = bob.transaction(Burn(2), sequence=5)
    block = execute_block(
        chain.application.store, BLOCK, [b"", late, alice.transaction(Burn(1)), late], decode_transaction
    )
    assert [(int(result.code), result.codespace, result.paid) for result in block.results] == [
        (Code.MALFORMED, "openledger", False),
        (Code.WRONG_SEQUENCE, "openledger", False),
        (0, "", True),
        (Code.WRONG_SEQUENCE, "openledger", False),
    ]
    assert ACCOUNTS.key(bob.address) not in dict(block.changes)


def test_where_all_must_pay_nothing_behind_the_first_that_does_not_is_looked_at(
    chain: Chain, alice: Signer, bob: Signer
) -> None:
    decoded: list[bytes] = []

    def counting(raw: bytes) -> Transaction:
        decoded.append(raw)
        return decode_transaction(raw)

    transactions = [alice.transaction(Burn(1)), bob.transaction(Burn(1), sequence=1), bob.transaction(Burn(2))]
    with pytest.raises(UnpaidTransaction):
        execute_block(chain.application.store, BLOCK, transactions, counting, all_pay=True)
    assert decoded == transactions[:2]


def test_a_proposers_candidate_that_does_not_pay_has_no_result(chain: Chain, alice: Signer) -> None:
    block = execution(chain)
    refused = block.execute(alice.transaction(Burn(1), sequence=1), only_if_paid=True)
    assert (refused.code, refused.paid) == (Code.WRONG_SEQUENCE, False)
    result = block.finish()
    assert (result.results, result.changes) == ([], [])


def test_the_message_that_failed_is_named_by_its_place_where_there_are_several(
    chain: Chain, alice: Signer, bob: Signer
) -> None:
    alone = alice.transaction(Transfer(bob.address, 2 * FUNDS))
    second = alice.transaction(Burn(1), Transfer(bob.address, 2 * FUNDS))
    block = execution(chain)
    lone_log, second_log = block.execute(alone).log, block.execute(second).log
    assert second_log.startswith("message 1: ")
    assert (lone_log.startswith("message"), " nopen, needs 2000000000 nopen: " in lone_log) == (False, True)


def test_a_failure_names_height_place_and_the_hash_that_cometbft_shows(
    chain: Chain, alice: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> TransactionResult:
        raise KeyError("a bug")

    block = execution(chain)
    block.execute(b"")
    raw = alice.transaction(Burn(1))
    monkeypatch.setattr("abci_app.chain.block.execute_messages", broken)
    with pytest.raises(TransactionFailure) as caught:
        block.execute_or_fail(raw)
    digest = sha256(raw).hex().upper()
    assert str(caught.value) == f"unexpected error in transaction 1 of height 2, hash {digest}"
    assert (caught.value.height, caught.value.position, caught.value.raw) == (2, 1, raw)
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_a_code_belongs_to_its_module(module: Module) -> None:
    assert {codespace_of(code) for code in module.errors} <= {module.name}


def test_codes_of_no_module_belong_to_the_transaction_layer() -> None:
    assert {codespace_of(code) for code in Code} == {"openledger"}


def test_bytes_of_an_event_are_indexed_hex_and_all_else_is_plain_text() -> None:
    event = MemberChanged(b"\xab" * 32, 8)
    assert encode_event(event) == ("member_changed", [("member", "ab" * 32, True), ("roles", "8", False)])
