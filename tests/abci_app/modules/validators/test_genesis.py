"""Genesis gives CometBFT's first validators their operators and bonds, or says which field cannot."""

import json
from typing import Any

import pytest

from abci_app.accounts import ACCOUNTS
from abci_app.chain.genesis import decode_genesis
from abci_app.errors import GenesisError
from abci_app.mechanisms import beacon, locks
from abci_app.module import TREASURY_ACCOUNT, is_module_account
from abci_app.modules.validators import GenesisValidator, ValidatorStatus, bond_key, check_bonds, consensus_address
from abci_app.modules.validators.genesis import nobodys_operator
from abci_app.modules.validators.handlers import new_validator
from abci_app.modules.validators.records import BY_KEY, LIST, VALIDATORS, KeyOwner, ValidatorList
from abci_app.parameters import Parameters
from abci_app.types import SUPPLY_NOPEN
from tests.kit.chain import Chain
from tests.kit.modules.consensus import BOND, QUICK, consensus_key
from tests.kit.signing import Signer

ALICE, BOB = Signer.named("alice"), Signer.named("bob")
KEYS = sorted([consensus_key(0), consensus_key(1)])
SIGNERS = dict(zip(KEYS, (10, 20), strict=True))


def entry(number: int, **more: Any) -> dict[str, Any]:
    return {"public_key": KEYS[number].hex(), "power": SIGNERS[KEYS[number]], **more}


def start(*section: dict[str, Any], **more: Any) -> Chain:
    balances = {ALICE.address: 2 * BOND, BOB.address: BOND}
    return Chain.start(balances, signers=SIGNERS, parameters=QUICK, validators=list(section), **more)


def test_operators_and_bonds_are_joined_with_what_initchain_names() -> None:
    chain = start(
        entry(1, operator=BOB.address.hex(), bond_nopen=BOND, onion="07" * 32),
        entry(0, operator=ALICE.address.hex(), bond_nopen=BOND),
    )
    store = chain.application.store
    active = {"status": int(ValidatorStatus.ACTIVE)}
    for who, key, power in zip((ALICE, BOB), KEYS, (10, 20), strict=True):
        found = VALIDATORS.get(store, who.address)
        expected = new_validator(who.address, key)
        assert found is not None
        assert {name: getattr(found, name) for name in found.__struct_fields__} == {
            **{name: getattr(expected, name) for name in found.__struct_fields__},
            **active,
            "admitted": power,
            "live": power,
        }
        assert BY_KEY.get(store, consensus_address(key)) == KeyOwner(who.address)
        assert locks.find(store, bond_key(who.address)) == locks.Lock(who.address, BOND, ())
    assert LIST.get(store) == ValidatorList((ALICE.address, BOB.address))
    assert [beacon.onion_in_force(store, who.address, 1) for who in (ALICE, BOB)] == [None, (b"\x07" * 32, 0)]
    assert [chain.account(who.address).balance_nopen for who in (ALICE, BOB)] == [BOND, 0]
    assert ACCOUNTS.get(store, TREASURY_ACCOUNT).balance_nopen == SUPPLY_NOPEN - 3 * BOND  # type: ignore[union-attr]
    assert chain.violations() == []


@pytest.mark.parametrize("section", [[], [entry(0), entry(1)]], ids=["left out", "without operators"])
def test_validators_of_nobody_belong_to_an_account_that_nobody_can_sign_for(section: list[dict[str, Any]]) -> None:
    chain = start(*section)
    store = chain.application.store
    assert LIST.get(store) == ValidatorList(tuple([nobodys_operator(key) for key in KEYS]))
    for key in KEYS:
        found = VALIDATORS.get(store, nobodys_operator(key))
        assert found is not None
        assert (found.consensus_key, found.live, is_module_account(found.operator)) == (key, SIGNERS[key], True)
    assert locks.find(store, bond_key(ALICE.address)) is None
    chain.block()
    assert chain.violations() == []


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ([entry(0)], "app_state.validators are not the validators of the genesis document"),
        ([entry(0), {**entry(1), "power": 11}], "app_state.validators are not the validators of the genesis document"),
        ([entry(0), entry(0)], f"app_state.validators[1]: key {KEYS[0].hex()} is listed twice"),
        (
            [entry(0, operator=ALICE.address.hex(), bond_nopen=BOND), entry(1, operator=ALICE.address.hex())],
            f"app_state.validators[1]: operator {ALICE.address.hex()} is listed twice",
        ),
        ([entry(0, operator="x"), entry(1)], "app_state.validators[0].operator: 'x' is not an address: "),
        (
            [entry(0, operator=TREASURY_ACCOUNT.hex()), entry(1)],
            f"app_state.validators[0]: operator {TREASURY_ACCOUNT.hex()} belongs to a module: name an account",
        ),
        ([entry(0, bond_nopen=1), entry(1)], "app_state.validators[0]: a bond and an onion belong to an operator: "),
        ([entry(0, onion="00" * 32), entry(1)], "app_state.validators[0]: a bond and an onion belong to an operator: "),
        (
            [entry(0, operator=ALICE.address.hex(), bond_nopen=BOND - 1), entry(1)],
            f"app_state.validators[0].bond_nopen is {BOND - 1}, must be at least {BOND}",
        ),
        (
            [entry(0, operator=ALICE.address.hex(), bond_nopen=3 * BOND), entry(1)],
            "app_state.validators[0].bond_nopen: ",
        ),
        ([{**entry(0), "public_key": "ab"}, entry(1)], "app_state: Expected `str` matching regex"),
        ([{**entry(0), "power": 0}, entry(1)], "app_state: Expected `int` >= 1"),
        ([entry(0, onion="xy"), entry(1)], "app_state: Expected `str` matching regex"),
        ([{**entry(0), "name": "a"}], "app_state: Object contains unknown field `name`"),
    ],
)
def test_a_section_that_cannot_be_is_named(section: list[dict[str, Any]], text: str) -> None:
    with pytest.raises(GenesisError) as refused:
        start(*section)
    assert str(refused.value).startswith(text)


def test_more_than_the_list_holds_are_refused() -> None:
    many = {bytes([number]) * 32: 1 for number in range(65)}
    with pytest.raises(GenesisError, match="validators: InitChain names 65, at most 64 can be"):
        Chain.start({}, signers=many)
    entries = [{"public_key": key.hex(), "power": 1} for key in many]
    with pytest.raises(GenesisError, match=r"app_state\.validators: 65 validators, at most 64 can be"):
        decode_genesis(json.dumps({"validators": entries}).encode())


def test_bonds_can_be_checked_before_a_chain_starts() -> None:
    validator = GenesisValidator(public_key=KEYS[0].hex(), power=1, operator=ALICE.address.hex(), bond_nopen=10**14)
    check_bonds((validator,), [(ALICE.address, 10**14), (BOB.address, 1)], Parameters())
    for balances, text in (
        ([(ALICE.address, 10**14 - 1)], f"starts with {10**14 - 1} nopen, its bond is {10**14}: give it that and more"),
        ([], f"starts with 0 nopen, its bond is {10**14}: give it that and more with `openledger genesis add-account`"),
    ):
        with pytest.raises(GenesisError, match=text):
            check_bonds((validator,), balances, Parameters())
    poor = GenesisValidator(public_key=KEYS[0].hex(), power=1, operator=ALICE.address.hex(), bond_nopen=1)
    with pytest.raises(GenesisError, match=r"validators\[0\]\.bond_nopen is 1, must be at least 100000000000000"):
        check_bonds((poor,), [(ALICE.address, 10**14)], Parameters())
