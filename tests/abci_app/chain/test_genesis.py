"""The genesis document starts a chain, or one line names the field that cannot."""

import json
from typing import Any

import pytest

from abci_app.accounts import ACCOUNTS, Account, show_address
from abci_app.chain.application import Application
from abci_app.chain.genesis import GenesisState, decode_genesis, encode_genesis
from abci_app.chain.registry import SECTIONS, parameters_of
from abci_app.chain.validator_set import VALIDATORS, ValidatorPowers
from abci_app.errors import GenesisError
from abci_app.mechanisms.deadlines import COUNTS, ENTRIES, Count, Deadline
from abci_app.mechanisms.epochs import EPOCH, TICK_KIND, Epoch
from abci_app.module import TREASURY_ACCOUNT
from abci_app.modules.bank import SUPPLY, Supply
from abci_app.modules.members import MEMBERS, PEER_LIST, PEERS, Member, Peer, PeerList
from abci_app.parameters import CHAIN, ChainInfo, Parameters, write_parameters
from abci_app.pb import abci_pb2 as pb
from abci_app.state.codec import encode
from abci_app.state.memory_store import MemoryStore
from abci_app.state.overlay import Overlay
from abci_app.state.views import EmptyView
from abci_app.types import SUPPLY_NOPEN
from abci_app.versions import APP_VERSION, NEWEST_APP_VERSION, AppVersion
from tests.kit.chain import GENESIS_SECONDS, Chain
from tests.kit.signing import CHAIN_ID, Signer

ALICE, BOB = Signer.named("alice"), Signer.named("bob")
NODE = "0123456789abcdef0123456789abcdef01234567"


def test_the_whole_state_that_a_document_writes() -> None:
    chain = Chain.start(
        {ALICE.address: 7},
        parameters={
            "fees": {"fee_per_byte_nopen": 1, "fee_per_weight_nopen": 2},
            "surcharges": {"members.set_peer": 9, "bank.transfer": 3},
            "roles": {"models.create_model": ["auditor", "builder"]},
            "licences": {"licence_policy": "permissive"},
        },
        members=[{"address": show_address(BOB.address), "roles": ["registrar", "validator"], "name": "Bob"}],
        peers=[{"node_id": NODE, "name": "node 0"}],
    )
    given = {
        ("fees", 0): 1,
        ("fees", 1): 2,
        ("surcharges", 0x0101): 3,
        ("surcharges", 0x0202): 9,
        ("roles", 0x0601): 32 | 8,
        ("licences", 0): 2,
    }
    parameters = Overlay(EmptyView())
    write_parameters(parameters, SECTIONS, Parameters(given))
    assert chain.state() == {
        **{key: value for key, value in parameters.writes.items() if value is not None},
        ACCOUNTS.key(ALICE.address): encode(Account(0, 7, b"")),
        ACCOUNTS.key(TREASURY_ACCOUNT): encode(Account(0, SUPPLY_NOPEN - 7, b"")),
        EPOCH.key(): encode(
            Epoch(number=0, start_height=1, end_height=50_001, treasury_start_nopen=SUPPLY_NOPEN - 7, spent_nopen=0)
        ),
        ENTRIES.key(0, 50_001, 0): encode(Deadline(TICK_KIND, bytes(32), 0)),
        COUNTS.key(0, 50_001): encode(Count(1)),
        CHAIN.key(): encode(ChainInfo(CHAIN_ID, 1, GENESIS_SECONDS)),
        APP_VERSION.key(): encode(AppVersion(NEWEST_APP_VERSION, 0, 0)),
        VALIDATORS.key(): encode(ValidatorPowers(())),
        SUPPLY.key(): encode(Supply(SUPPLY_NOPEN, 0)),
        MEMBERS.key(BOB.address): encode(Member(BOB.address, 65, "Bob", 0, b"")),
        PEERS.key(NODE): encode(Peer(NODE, "node 0")),
        PEER_LIST.key(): encode(PeerList(1, 1)),
    }
    assert chain.violations() == []


def test_the_defaults() -> None:
    parameters = parameters_of(Chain.start({}, parameters={}).application.store)
    assert parameters is not None
    assert [parameters[each] for section in SECTIONS for each in section.parameters] == [
        each.default for section in SECTIONS for each in section.parameters
    ]
    assert decode_genesis(encode_genesis(GenesisState())) == GenesisState() == decode_genesis(b"")


def test_all_of_the_supply_can_be_given_away_and_then_there_is_no_treasury() -> None:
    chain = Chain.start({ALICE.address: SUPPLY_NOPEN})
    assert (ACCOUNTS.get(chain.application.store, TREASURY_ACCOUNT), chain.violations()) == (None, [])


HEX = ALICE.address.hex()


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"balances": [[HEX, -1]]}, "app_state: Expected `int` >= 0 - at `$.balances[0][1]`"),
        ({"balances": [[HEX, 1.5]]}, "app_state: Expected `int`, got `float` - at `$.balances[0][1]`"),
        ({"balances": [[HEX, 2**63]]}, "app_state: Expected `int` <= 9223372036854775807 - at `$.balances[0][1]`"),
        ({"balances": [[HEX]]}, "app_state: Expected `array` of length 2 - at `$.balances[0]`"),
        ({"balances": [[HEX, 0]]}, f"app_state.balances[0]: balance of {HEX} is 0, leave the account out"),
        ({"balances": [[HEX, 1], [HEX, 2]]}, f"app_state.balances[1]: {HEX} is listed twice"),
        (
            {"balances": [[HEX, 1], [show_address(ALICE.address), 2]]},
            f"app_state.balances[1]: {show_address(ALICE.address)} is listed twice",
        ),
        ({"balances": [["xyz", 1]]}, "app_state.balances[0]: 'xyz' is not an address: "),
        ({"balances": [["g" * 64, 1]]}, f"app_state.balances[0]: '{'g' * 64}' is not an address: "),
        ({"balances": [[" " * 32 + "0" * 32, 1]]}, "app_state.balances[0]: "),
        ({"balances": [["ab" * 21 + "  " * 11, 1]]}, "app_state.balances[0]: "),
        ({"balances": [[TREASURY_ACCOUNT.hex(), 1]]}, "app_state.balances[0]: "),
        (
            {"balances": [[HEX, SUPPLY_NOPEN], [BOB.address.hex(), 1]]},
            f"app_state.balances sum to {SUPPLY_NOPEN + 1} nopen, the supply is {SUPPLY_NOPEN}",
        ),
        ({"members": [{"address": "x", "roles": []}]}, "app_state.members[0].address: 'x' is not an address: "),
        ({"members": [{"address": HEX, "roles": ["king"]}]}, "app_state.members[0].roles: no role 'king'; known: "),
        ({"members": [{"address": HEX, "roles": []}]}, "app_state.members[0].roles is empty: "),
        ({"members": [{"address": HEX, "roles": ["auditor"]}] * 2}, "app_state.members: an address is listed twice"),
        (
            {"members": [{"address": HEX, "roles": ["auditor"], "name": "Zoë"}]},
            "app_state.members[0].name must be at most 256 printable ASCII characters",
        ),
        (
            {"members": [{"address": HEX, "roles": ["auditor"], "name": "x" * 257}]},
            "app_state.members[0].name must be at most 256 printable ASCII characters",
        ),
        ({"members": [{"roles": []}]}, "app_state: Object missing required field `address` - at `$.members[0]`"),
        ({"peers": [{"node_id": "AB" * 20}]}, "app_state: Expected `str` matching regex "),
        ({"peers": [{"node_id": NODE}] * 2}, f"app_state.peers[1]: {NODE} is listed twice"),
        ({"peers": [{"node_id": NODE, "name": "Zoë"}]}, "app_state.peers[0].name must be at most 256 printable ASCII"),
        ({"peers": [{"node_id": NODE, "name": "x" * 257}]}, "app_state.peers[0].name must be at most 256 printable"),
        ({"version": 1}, "app_state.version is 1, this program reads 2: make the document anew"),
        ({"balance": []}, "app_state: Object contains unknown field `balance`"),
        ({"parameters": {"fee": 1}}, "app_state: Expected `object`, got `int` - at `$.parameters[...]`"),
        (
            {"parameters": {"fee": {}}},
            "app_state.parameters: no section 'fee'; known: fees, surcharges, roles, ",
        ),
        ({"parameters": {"fees": {"a": 1}}}, "app_state.parameters: fees: no parameter 'a'; known: fee_per_byte_nopen"),
        (
            {"parameters": {"fees": {"fee_per_byte_nopen": 10**6 + 1}}},
            "app_state.parameters: fees.fee_per_byte_nopen is 1000001, must be 0 to 1,000,000 nopen (0.001 OPEN)",
        ),
        (
            {"parameters": {"fees": {"fee_per_byte_nopen": True}}},
            "app_state.parameters: fees.fee_per_byte_nopen is True, must be an integer (nopen)",
        ),
        (
            {"parameters": {"fees": {"fee_per_byte_nopen": 1.0}}},
            "app_state.parameters: fees.fee_per_byte_nopen is 1.0, must be an integer (nopen)",
        ),
        (
            {"parameters": {"licences": {"licence_policy": "none"}}},
            "app_state.parameters: licences.licence_policy is 'none', must be one of ('conservative', 'permissive')",
        ),
        (
            {"parameters": {"surcharges": {"bank.mint": 1}}},
            "app_state.parameters: surcharges: no parameter 'bank.mint'; known: ",
        ),
        (
            {"parameters": {"roles": {"models.create_model": []}}},
            "app_state.parameters: roles.models.create_model is empty: name at least one of validator, ",
        ),
        (
            {"parameters": {"roles": {"models.create_model": ["king"]}}},
            "app_state.parameters: roles.models.create_model has no 'king'; known: ",
        ),
        (
            {"parameters": {"roles": {"bank.transfer": ["builder"]}}},
            "app_state.parameters: roles.bank.transfer is 8, must be always everybody",
        ),
        ([], "app_state: Expected `object`, got `array`"),
        (None, "app_state: Expected `object`, got `null`"),
    ],
)
def test_a_wrong_document_is_refused_with_its_field_named(document: Any, expected: str) -> None:
    request = pb.RequestInitChain(chain_id=CHAIN_ID, initial_height=1, app_state_bytes=json.dumps(document).encode())
    application = Application(MemoryStore())
    with pytest.raises(GenesisError) as caught:
        application.init_chain(request)
    assert str(caught.value).startswith(expected), str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"{", b"\xff\xfe", b"[" * 100_000, b'{"balances": [["\xff", 1]]}'])
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(GenesisError, match=r"^app_state: "):
        decode_genesis(data)


@pytest.mark.parametrize(
    ("chain_id", "named"), [("", "chain_id"), ("x" * 51, "chain_id"), ("Zürich", "chain_id"), ("a\nb", "chain_id")]
)
def test_a_chain_id_that_no_transaction_could_carry_is_refused(chain_id: str, named: str) -> None:
    with pytest.raises(GenesisError, match=named):
        Application(MemoryStore()).init_chain(pb.RequestInitChain(chain_id=chain_id, initial_height=1))


def test_the_longest_chain_id_is_accepted() -> None:
    chain = Chain.start({ALICE.address: 10**9}, chain_id="x" * 50)
    assert CHAIN.get(chain.application.store) == ChainInfo("x" * 50, 1, GENESIS_SECONDS)
