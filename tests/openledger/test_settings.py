"""Settings: which source counts, what naming a chain brings, and what a first question says that cannot be verified."""

from pathlib import Path

import pytest

from abci_app.modules.bank import AccountQuery
from openledger.connection import connect, open_signer
from openledger.errors import KeyFailure, UsageError
from openledger.light.errors import NotTrustedYet
from openledger.settings import ClientSettings, load_settings, trust_folder


def _written(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_each_setting_comes_from_the_nearest_source(tmp_path: Path) -> None:
    _written(tmp_path / "client.yaml", "node: http://file:1\nkey: olga\ncontent: /rows\nwitnesses: none\n")
    environment = {"OPENLEDGER_HOME": str(tmp_path), "OPENLEDGER_NODE": "http://variable:1", "OPENLEDGER_KEY": ""}
    expected = ClientSettings(
        home=str(tmp_path),
        node="http://line:1",
        chain_id="",
        output="table",
        keys="test",
        key="olga",
        witnesses="none",
        genesis="",
        content="/rows",
    )
    assert load_settings({"node": "http://line:1", "keys": "test", "home": None}, environment) == expected


def test_naming_a_chain_brings_what_was_noted_of_it_and_what_is_named_beside_it_counts_more(tmp_path: Path) -> None:
    noted = "chain_id: town\nnode: http://town:1\ngenesis: /town/genesis.json\nwitnesses: none\n"
    _written(trust_folder(tmp_path, "town") / "client.yaml", noted)
    _written(tmp_path / "client.yaml", "chain_id: home\nnode: http://home:1\ngenesis: /genesis.json\n")
    home = {"OPENLEDGER_HOME": str(tmp_path)}
    assert load_settings({}, home).node == "http://home:1"
    town = load_settings({"chain_id": "town"}, home)
    assert (town.node, town.genesis, town.witnesses) == ("http://town:1", "/town/genesis.json", "none")
    elsewhere = load_settings({"chain_id": "town", "node": "http://elsewhere:1"}, home)
    assert (elsewhere.node, elsewhere.genesis) == ("http://elsewhere:1", "/town/genesis.json")
    sourced = {**home, "OPENLEDGER_CHAIN_ID": "dev-1", "OPENLEDGER_NODE": "http://dev:1"}
    assert load_settings({"chain_id": "town"}, sourced).node == "http://town:1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colour: red\n", "unknown setting 'colour'; known: node, chain_id"),
        ("home: /elsewhere\n", "unknown setting 'home'"),
        ("witnesses: [http://a, http://b]\n", "witnesses must be one text"),
        ("- node\n", "must hold lines such as"),
        ("output: xml\n", "use table or json"),
        ("keys: paper\n", "use file or test"),
    ],
)
def test_a_settings_file_that_says_nonsense_is_named(tmp_path: Path, text: str, said: str) -> None:
    _written(tmp_path / "client.yaml", text)
    with pytest.raises(UsageError, match=said.replace("[", r"\[")):
        load_settings({"home": str(tmp_path)}, {})


def test_a_first_question_that_cannot_be_verified_names_the_one_command(tmp_path: Path) -> None:
    settings = ClientSettings(home=str(tmp_path), node="http://127.0.0.1:1")
    with pytest.raises(NotTrustedYet, match=r"`openledger trust add --node http://127\.0\.0\.1:1 --genesis FILE`"):
        connect(settings)
    with connect(settings, verified=False) as client, pytest.raises(UsageError, match="no light client to verify"):
        client.query("bank", "account", AccountQuery(bytes(32)))


def test_a_program_signs_with_the_only_key_or_with_the_one_that_is_named(tmp_path: Path) -> None:
    settings = ClientSettings(home=str(tmp_path), keys="test", chain_id="dev-1")
    with pytest.raises(KeyFailure, match="openledger keys add NAME"):
        open_signer(settings=settings)
    wallet = settings.wallet()
    olga, _ = wallet.create("olga")
    assert open_signer(settings=settings).address == olga.address_bytes
    wallet.create("remy")
    with pytest.raises(KeyFailure, match="there are olga, remy"):
        open_signer(settings=settings)
    assert open_signer("olga", settings).address == olga.address_bytes
