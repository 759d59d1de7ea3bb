"""Conditions that every committed state must fulfil before any module speaks about the state."""

import pytest

from abci_app.accounts import ACCOUNTS, Account
from abci_app.chain.invariants import unreadable_records, violations
from abci_app.chain.registry import TABLES
from abci_app.modules.bank import SUPPLY, Supply
from abci_app.modules.models.records import BY_PARENT
from abci_app.state.codec import encode
from abci_app.state.overlay import Overlay
from abci_app.types import SUPPLY_NOPEN
from tests.kit.chain import Chain, accounts_with
from tests.kit.signing import Signer

ALICE = Signer.named("alice")


@pytest.fixture
def state() -> Overlay:
    chain = Chain.start(accounts_with(10**9, [ALICE]))
    chain.block()
    return Overlay(chain.application.store)


def test_a_new_chain_holds_everything(state: Overlay) -> None:
    assert violations(state) == []


def test_a_violation_names_its_module(state: Overlay) -> None:
    SUPPLY.set(state, Supply(SUPPLY_NOPEN, 1))
    assert violations(state) == [f"bank: balances sum to {SUPPLY_NOPEN} nopen, supply is {SUPPLY_NOPEN - 1}"]


ALICE_KEY = ACCOUNTS.key(ALICE.address)
INDEX_KEY = BY_PARENT.key(1, 2)


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        (b"strange/key", b"\x01", "key 737472616e67652f6b6579 belongs to no table"),
        (ALICE_KEY + b"\x00", encode(Account(0, 0, b"")), f"key {ALICE_KEY.hex()}00 belongs to no table"),
        (b"account/short", encode(Account(0, 0, b"")), f"key {b'account/short'.hex()} belongs to no table"),
        (b"bank/supply/other", b"\x01", f"key {b'bank/supply/other'.hex()} belongs to no table"),
        (INDEX_KEY, b"\x02", f"models/by-parent: index entry {INDEX_KEY.hex()} has a value"),
        (ALICE_KEY, encode(Account(0, 0, b"")) + b"\x00", f"account: record {ALICE_KEY.hex()} is malformed: "),
        (
            SUPPLY.key(),
            b"\x93\x01\xcd\x00\x01\x00",
            f"bank/supply: record {SUPPLY.key().hex()} is malformed: encoding is",
        ),
    ],
)
def test_what_cannot_be_read_is_named_alone(state: Overlay, key: bytes, value: bytes, fault: str) -> None:
    state.set(key, value)
    ACCOUNTS.set(state, b"nobody", Account(0, 1, b""))
    (found,) = violations(state)
    assert (found.startswith(fault), unreadable_records(state)) == (True, [found])


def test_every_table_tells_the_length_of_its_keys_apart_from_those_of_others(state: Overlay) -> None:
    prefixes = [table.prefix for table in TABLES]
    assert [(a, b) for a in prefixes for b in prefixes if a != b and a.startswith(b)] == []
