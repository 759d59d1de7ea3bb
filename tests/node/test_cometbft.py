"""CometBFT's files and binary."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from node import cometbft
from node.errors import NodeError
from node.home import Home

TEXT = """# top comment
moniker = "a"

[rpc]
# a comment stays
laddr = "tcp://127.0.0.1:1"
max_body_bytes = 1

[p2p]
laddr = "tcp://0.0.0.0:2"
pex = true
"""


def test_editing_changes_values_in_their_section_and_nothing_else() -> None:
    edited = cometbft.edit(TEXT, {("p2p", "laddr"): "tcp://127.0.0.1:9", ("", "moniker"): 'b"c', ("p2p", "pex"): False})
    expected = TEXT.replace("tcp://0.0.0.0:2", "tcp://127.0.0.1:9").replace('"a"', '"b\\"c"')
    assert edited == expected.replace("pex = true", "pex = false")
    assert tomllib.loads(edited)["moniker"] == 'b"c'


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(NodeError, match=r"config.toml has no \[rpc\] colour"):
        cometbft.edit(TEXT, {("rpc", "colour"): "red"})


def test_a_missing_binary_is_named(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match=r"no CometBFT binary at .*missing; run scripts/build-cometbft"):
        cometbft.binary_path(str(tmp_path / "missing"))


def test_a_binary_of_another_version_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "cometbft"
    other.write_text("#!/bin/sh\necho 1.0.1\n")
    other.chmod(0o700)
    with pytest.raises(NodeError, match=r"is CometBFT 1.0.1; this node needs 0.38.25: run scripts/build-cometbft"):
        cometbft.binary_path(str(other))


def test_variables_that_would_override_the_configuration_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMTHOME", "/elsewhere")
    monkeypatch.setenv("CMT_MONIKER", "x")
    monkeypatch.setenv("TMHOME", "/elsewhere")
    assert not {"CMTHOME", "CMT_MONIKER", "TMHOME"} & set(cometbft.environment())


def test_go_gets_enough_processors_for_the_abci_client_unless_the_operator_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("GOMAXPROCS", raising=False)
    given = []
    for cores in (1, 2, 16):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        given.append(cometbft.environment()["GOMAXPROCS"])
    monkeypatch.setenv("GOMAXPROCS", "3")
    assert [*given, cometbft.environment()["GOMAXPROCS"]] == ["4", "4", "16", "3"]


@pytest.mark.parametrize("address", ["", "127.0.0.1", "tcp://127.0.0.1", "unix:///x"])
def test_a_listen_address_that_is_none_is_named(tmp_path: Path, address: str) -> None:
    home = Home(tmp_path)
    home.config_folder.mkdir()
    home.comet_config_file.write_text(f'[rpc]\nladdr = "{address}"\n[p2p]\nladdr = "tcp://127.0.0.1:1"\n')
    with pytest.raises(NodeError, match=r"\[rpc\] laddr is .*; give tcp://HOST:PORT"):
        cometbft.listen_addresses(home)


@pytest.mark.parametrize(
    ("laddr", "url"),
    [
        ("tcp://0.0.0.0:7", "http://127.0.0.1:7"),
        ("tcp://10.1.2.3:7", "http://10.1.2.3:7"),
        (":7", "http://127.0.0.1:7"),
    ],
)
def test_the_rpc_is_reached_on_this_machine(tmp_path: Path, laddr: str, url: str) -> None:
    home = Home(tmp_path)
    home.config_folder.mkdir()
    home.comet_config_file.write_text(f'[rpc]\nladdr = "{laddr}"\n[p2p]\nladdr = "tcp://127.0.0.1:1"\n')
    assert cometbft.rpc_url(home) == url


@pytest.mark.integration
def test_the_real_binary_makes_files_with_our_settings(tmp_path: Path) -> None:
    home, binary = Home(tmp_path), cometbft.binary_path()
    cometbft.make_files(binary, home, {("rpc", "laddr"): "tcp://127.0.0.1:7"})
    config = cometbft.read_config(home)
    expected = {**cometbft.SETTINGS, ("rpc", "laddr"): "tcp://127.0.0.1:7"}
    assert {key: config[key[0]][key[1]] for key in expected} == expected
    assert cometbft.node_id(home) == cometbft.command(binary, home, "show-node-id").strip()
