"""Genesis documents: made by one party, filled by several, and checked field by field."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import nacl.signing
import pytest

from abci_app.chain.application import Application
from abci_app.pb import abci_pb2 as pb
from abci_app.state.memory_store import MemoryStore
from node import cometbft, genesis
from node.declarations import Declaration, read_declaration, write_declaration
from node.errors import NodeError
from node.genesis import Document
from node.home import Home
from openledger.light.anchors import parse_genesis
from openledger.light.verifier import TrustRules

ADDRESS = "11" * 32
OTHER = "22" * 32


def _home(folder: Path, seed: int, chain_id: str = "dev-1") -> Home:
    """A home with keys and files as `cometbft init` makes them, without needing its binary."""
    home = Home(folder)
    home.config_folder.mkdir(parents=True)
    for path, offset in ((home.validator_key_file, 0), (home.node_key_file, 100)):
        key = nacl.signing.SigningKey(bytes([seed + offset]) * 32)
        public, private = bytes(key.verify_key), bytes(key) + bytes(key.verify_key)
        path.write_text(
            json.dumps(
                {
                    "pub_key": {"type": "tendermint/PubKeyEd25519", "value": base64.b64encode(public).decode()},
                    "priv_key": {"type": "tendermint/PrivKeyEd25519", "value": base64.b64encode(private).decode()},
                }
            )
        )
    home.comet_config_file.write_text(
        '[rpc]\nladdr = "tcp://127.0.0.1:26657"\n[p2p]\nladdr = "tcp://127.0.0.1:26656"\npersistent_peers = ""\n'
    )
    genesis.write(home.genesis_file, genesis.skeleton(chain_id))
    return home


@pytest.fixture
def homes(tmp_path: Path) -> list[Home]:
    return [_home(tmp_path / f"home{number}", number) for number in range(1, 4)]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return _home(tmp_path / "home", 1)


def _valid(home: Home) -> Document:
    return genesis.collect(home, [genesis.declare_validator(home, "alice", 10)])


def test_a_document_with_a_validator_and_accounts_is_summed_up(home: Home) -> None:
    genesis.add_account(home.genesis_file, ADDRESS, 5)
    genesis.add_account(home.genesis_file, OTHER, 7)
    genesis.add_member(home.genesis_file, ADDRESS, ["registrar"], "Alice")
    document = _valid(home)
    summary = genesis.validate(document)
    assert summary == genesis.Summary(
        chain_id="dev-1", genesis_time=document["genesis_time"], validators=1, total_power=10, accounts=2, members=1,
        sha256=summary.sha256,
    )  # fmt: skip
    assert len(summary.sha256) == 64


def test_the_skeleton_is_what_cometbft_reads() -> None:
    document = genesis.skeleton("dev-1", time=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    del document["app_state"]
    assert document == {
        "genesis_time": "2026-01-02T03:04:05Z",
        "chain_id": "dev-1",
        "initial_height": "1",
        "consensus_params": {
            "block": {"max_bytes": "4194304", "max_gas": "-1"},
            "evidence": {
                "max_age_num_blocks": "100000", "max_age_duration": "172800000000000", "max_bytes": "1048576",
            },
            "validator": {"pub_key_types": ["ed25519"]},
            "version": {"app": "2"},
            "abci": {"vote_extensions_enable_height": "0"},
        },
        "validators": [],
        "app_hash": "",
    }  # fmt: skip


def test_the_skeletons_version_is_the_applications() -> None:
    version = genesis.skeleton("dev-1")["consensus_params"]["version"]["app"]
    assert version == str(Application(MemoryStore()).info(pb.RequestInfo()).app_version)


def test_several_parties_declare_and_the_coordinator_collects(tmp_path: Path) -> None:
    homes = [_home(tmp_path / name, seed) for seed, name in enumerate(("a", "b", "c"), 1)]
    files = []
    for index, home in enumerate(homes):
        path = tmp_path / f"{index}.json"
        write_declaration(path, genesis.declare_validator(home, f"v{index}", 10 + index, f"10.0.0.{index}:26656"))
        files.append(path)
    declarations = [read_declaration(path) for path in files]
    document = genesis.collect(homes[0], declarations)
    assert sorted(validator["power"] for validator in document["validators"]) == ["10", "11", "12"]
    addresses = [validator["address"] for validator in document["validators"]]
    assert addresses == sorted(addresses)
    listed = str(cometbft.read_config(homes[0])["p2p"]["persistent_peers"])
    expected = {f"{cometbft.node_id(home)}@10.0.0.{index}:26656" for index, home in enumerate(homes) if index}
    assert set(listed.split(",")) == expected


def test_the_order_of_declarations_does_not_matter(tmp_path: Path) -> None:
    homes = [_home(tmp_path / name, seed) for seed, name in enumerate(("a", "b"), 1)]
    declarations = [genesis.declare_validator(home, "v", 10) for home in homes]
    one = genesis.collect(homes[0], declarations)["validators"]
    assert genesis.collect(homes[0], declarations[::-1])["validators"] == one


@pytest.mark.parametrize(
    "change",
    [
        {"power": 11},
        {"name": "mallory"},
        {"node_id": "0" * 40},
        {"chain_id": "x"},
        {"peer_address": "h:1"},
        {"signature": "!"},
    ],
)
def test_a_declaration_that_was_changed_is_refused(home: Home, tmp_path: Path, change: dict[str, str]) -> None:
    declaration = dataclasses.replace(genesis.declare_validator(home, "alice", 10), **change)  # type: ignore[arg-type]
    path = tmp_path / "declaration.json"
    write_declaration(path, declaration)
    with pytest.raises(NodeError) as refusal:
        read_declaration(path)
    assert str(refusal.value) == (
        f"{path}: the signature is not the validator key's; have its operator declare it again"
    )


def test_a_declaration_for_another_chain_is_refused(home: Home, tmp_path: Path) -> None:
    other = genesis.declare_validator(_home(tmp_path / "other", 2, "dev-2"), "bob", 10)
    with pytest.raises(NodeError) as refusal:
        genesis.collect(home, [other])
    assert str(refusal.value) == ("validator 'bob' was declared for chain 'dev-2', this document is for 'dev-1'")


@pytest.mark.parametrize(("name", "power"), [("", 1), ("a\nb", 1), ("ok", 0), ("ok", 10**12 + 1)])
def test_a_declaration_outside_the_limits_is_refused(home: Home, name: str, power: int) -> None:
    with pytest.raises(NodeError, match="give 1 to"):
        genesis.declare_validator(home, name, power)


def test_a_file_that_is_no_declaration_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"name": 3}')
    with pytest.raises(NodeError, match=r"x\.json is not a validator declaration"):
        read_declaration(path)


@pytest.mark.parametrize("chain_id", ["", "Upper", "with space", "-dash", "x" * 51])
def test_a_chain_id_that_cometbft_would_not_take_is_refused(chain_id: str) -> None:
    with pytest.raises(NodeError, match="give 1 to 50 characters"):
        genesis.skeleton(chain_id)


@pytest.mark.parametrize(
    ("address", "amount", "message"),
    [
        ("open1nonsense", 5, "balances"),
        (ADDRESS, 0, "balance of"),
        (ADDRESS, -1, "Expected `int` >= 0"),
        (ADDRESS, 2**63, "app_state"),
    ],
)
def test_a_bad_account_is_refused_and_the_document_stays(home: Home, address: str, amount: int, message: str) -> None:
    before = home.genesis_file.read_bytes()
    with pytest.raises(NodeError) as refusal:
        genesis.add_account(home.genesis_file, address, amount)
    assert message in str(refusal.value)
    assert home.genesis_file.read_bytes() == before


def test_an_account_cannot_be_added_twice(home: Home) -> None:
    genesis.add_account(home.genesis_file, ADDRESS, 5)
    with pytest.raises(NodeError, match="is listed twice"):
        genesis.add_account(home.genesis_file, ADDRESS, 5)


def test_a_member_with_an_unknown_role_is_refused(home: Home) -> None:
    with pytest.raises(NodeError, match="no role 'king'"):
        genesis.add_member(home.genesis_file, ADDRESS, ["king"])


def _set(*path: str | int) -> Callable[[Document, object], None]:
    def change(document: Document, value: object) -> None:
        target = document
        for step in path[:-1]:
            target = target[step]  # type: ignore[index]
        target[path[-1]] = value  # type: ignore[index]

    return change


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("chain_id",), 3, "chain_id is 3; give a text"),
        (("genesis_time",), "yesterday", "genesis_time is 'yesterday'; give a time such as"),
        (("genesis_time",), "2026-01-01T00:00:00", "give a time zone"),
        (("initial_height",), "7", "initial_height is '7'; this application starts at 1"),
        (("app_hash",), "AB", "app_hash must be empty"),
        (("consensus_params",), None, "consensus_params is None; give an object"),
        (("consensus_params", "version"), {"app": "3"}, "consensus_params.version.app is '3'; this"),
        (("consensus_params", "version"), {"app": "1"}, "app is '1': the chain is of version 1, which was never"),
        (("consensus_params", "version"), {}, "consensus_params.version.app is None; this"),
        (("consensus_params", "validator", "pub_key_types"), [], "consensus_params.validator.pub_key_types is []"),
        (("consensus_params", "block", "max_bytes"), "-1", "consensus_params.block.max_bytes is '-1'"),
        (("validators",), [], "validators is empty"),
        (("validators", 0, "power"), "0", "validators[0].power is 0; give 1 to 1000000000000"),
        (("validators", 0, "power"), "many", "validators[0]: ValueError"),
        (("validators", 0, "address"), "AB", "validators[0].address is 'AB'; its key has"),
        (("validators", 0, "pub_key"), {"type": "x", "value": "AA=="}, "validators[0].pub_key: type 'x' with 1 bytes"),
        (("app_state", "version"), 1, "app_state.version is 1"),
        (("app_state", "balances"), [[ADDRESS, 10**18], [OTHER, 1]], "balances sum to 1000000000000000001 nopen"),
        (("app_state", "balances"), [[ADDRESS, "1"]], "$.balances[0][1]"),
        (("app_state", "surprise"), 1, "surprise"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named(home: Home, path: tuple[str | int, ...], value: object, message: str) -> None:
    document = _valid(home)
    _set(*path)(document, value)
    with pytest.raises(NodeError) as refusal:
        genesis.validate(document)
    assert message in str(refusal.value)


def test_the_same_key_twice_is_refused(home: Home) -> None:
    declaration = genesis.declare_validator(home, "alice", 10)
    with pytest.raises(NodeError, match=r"validators\[1\].pub_key: the key is listed twice"):
        genesis.collect(home, [declaration, declaration])


def test_a_missing_document_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="run `openledger node init` first"):
        genesis.read(tmp_path / "genesis.json")


def test_a_declaration_signs_every_field(home: Home) -> None:
    declaration = genesis.declare_validator(home, "alice", 10)
    signed = json.loads(declaration.signed_bytes().split(b"\n", 1)[1])
    assert {*signed, "signature"} == {field.name for field in dataclasses.fields(Declaration)}


@pytest.mark.parametrize(
    "text", [None, '{"chain_id": "dev-1"}', '{"app_state": {"chain_id": "x"}, "chain_id": "dev-1"}']
)
def test_the_chain_id_is_read_from_the_beginning_or_else_from_the_whole_document(
    tmp_path: Path, text: str | None
) -> None:
    path = tmp_path / "genesis.json"
    if text is None:
        genesis.write(path, genesis.skeleton("dev-1"))
        path.write_bytes(path.read_bytes()[:400])  # what follows is not even read
    else:
        path.write_text(text)
    assert genesis.chain_id(path) == "dev-1"


def test_light_clients_trust_for_three_quarters_of_the_time_in_which_misbehaviour_can_be_proven() -> None:
    evidence = genesis.skeleton("dev-1")["consensus_params"]["evidence"]
    assert TrustRules().trusting_period_seconds * 10**9 * 4 == int(evidence["max_age_duration"]) * 3


def test_the_digest_is_that_of_the_files_bytes(homes: list[Home]) -> None:
    declarations = [genesis.declare_validator(home, f"v{i}", 10) for i, home in enumerate(homes)]
    genesis.collect(homes[0], declarations)
    path = homes[0].genesis_file
    assert genesis.validate_file(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert genesis.validate(genesis.read(path)).sha256 == genesis.validate_file(path).sha256
    assert parse_genesis(path.read_bytes()).digest.hex() == genesis.validate_file(path).sha256


def test_collect_drops_no_validator_of_the_document(homes: list[Home]) -> None:
    declarations = [genesis.declare_validator(home, f"v{i}", 10) for i, home in enumerate(homes)]
    genesis.collect(homes[0], declarations)
    before = homes[0].genesis_file.read_bytes()
    with pytest.raises(NodeError, match="the document has validator 'v2', whose declaration is not among these"):
        genesis.collect(homes[0], declarations[:2])
    assert homes[0].genesis_file.read_bytes() == before


def test_the_document_of_a_started_chain_stays_as_it_is(homes: list[Home]) -> None:
    declarations = [genesis.declare_validator(home, f"v{i}", 10) for i, home in enumerate(homes)]
    genesis.collect(homes[0], declarations[:2])
    before = homes[0].genesis_file.read_bytes()
    (homes[0].data_folder / "blockstore.db").mkdir(parents=True)
    with pytest.raises(NodeError, match="has started its chain, so its genesis document stays as it is"):
        genesis.collect(homes[0], declarations)
    with pytest.raises(NodeError, match="has started its chain"):
        genesis.require_not_started(homes[0])
    genesis.collect(homes[0], declarations[:2])  # the same again: only the peers are written
    assert homes[0].genesis_file.read_bytes() == before
