"""`openledger validator` as typed, against a real validator, with verified answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from abci_app.bech32 import encode_id
from abci_app.chain.genesis import GenesisState
from abci_app.modules.members import GenesisMember
from node.devnet import Devnet
from openledger.exit_codes import ExitCode
from openledger.keys.signer import Signer
from openledger.keys.wallet import Wallet
from openledger_cli.main import main
from tests.kit.integration.real_validators import FAST, PARAMETERS
from tests.kit.modules.consensus import FUNDS

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]
OLGA, BOB = [Signer.from_seed(bytes([number]) * 32) for number in (1, 2)]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Devnet]:
    """A validator whose operator is the key olga of its home; bob is a member."""
    addresses = [encode_id("open", one.address) for one in (OLGA, BOB)]
    state = GenesisState(
        balances=tuple([(each, FUNDS) for each in addresses]),
        members=(GenesisMember(addresses[1], ("validator",), "Bob Ltd"),),
        parameters=PARAMETERS,
    )
    with Devnet.create(tmp_path / "net", app_state=state, comet=FAST, operators=addresses[:1]) as net:
        (node,) = net.nodes
        wallet = Wallet.open(node.home.folder, "test", "dev-1")
        wallet.import_seed("olga", bytes([1]) * 32)
        wallet.import_seed("bob", bytes([2]) * 32)
        net.wait_for_height(3)
        yield net


@pytest.fixture
def run(net: Devnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command in the home of the validator."""
    (node,) = net.nodes
    settings = {
        "OPENLEDGER_HOME": node.home.folder, "OPENLEDGER_KEYS": "test", "OPENLEDGER_WITNESSES": "none",
        "OPENLEDGER_NODE": node.rpc_url, "OPENLEDGER_GENESIS": node.home.genesis_file,
        "XDG_CACHE_HOME": tmp_path / "cache",
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(name, str(value))

    def command(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["validator", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


def test_a_validators_life_by_commands(run: Run) -> None:
    code, out, error = run("show")
    assert (code, out.splitlines()[0]) == (0, "olga: active with power 10")
    assert "├── bond 1 OPEN" in out
    assert "0.1 OPEN (10%) and its place for ever, if its key signs two blocks of one height" in out
    assert "verified: state after block" in error

    code, out, error = run("bond", "0.5OPEN", "--from", "olga")
    assert (code, out.splitlines()) == (0, ["olga is active with power 10", "its bond is 1.5 OPEN"])

    code, out, error = run("apply", "--from", "bob", "--bond", "1OPEN")
    assert code == ExitCode.REFUSED
    assert "is or was another validator's, and no key is used twice: make a new one" in error

    code, out, error = run("peers", "ab" * 20, "--from", "olga")
    assert (code, out) == (0, f"nodes of olga that may connect while it has power: {'ab' * 20}\n")
    assert run("peers", "zz", "--from", "olga")[0] == ExitCode.USAGE
    assert run("worker", "--from", "olga")[0] == ExitCode.USAGE
    code, out, error = run("worker", "--key", "bob", "--box", "05" * 32, "--from", "olga")
    assert (code, out) == (0, "olga works for claims\n")

    code, out, error = run("list")
    assert (code, "olga" in out, "active" in out) == (0, True, True)
    assert "power is with 1 validator: with fewer than four there are no limits to what changes" in out
    document = json.loads(run("list", "--output", "json")[1])
    assert [row["status"] for row in document["validators"]] == ["active"]

    code, out, error = run("show", "bob")
    assert code == ExitCode.NOT_FOUND
    assert run("unjail", "--from", "olga")[2].count("is not jailed") == 1


def test_a_key_is_rotated_as_the_command_says(run: Run, net: Devnet) -> None:
    """The only validator's: the chain waits until its node has the new key."""
    code, out, error = run("rotate", "--from", "olga", "--output", "json")
    assert code == 0, error
    rotated = json.loads(out)
    key_file = Path(rotated["key_file"])
    assert (key_file.stat().st_mode & 0o777, rotated["signs_from"]) == (0o600, rotated["height"] + 2)
    public = json.loads(key_file.read_text())["pub_key"]["value"]
    assert rotated["validator"]["rotated_height"] == rotated["height"]
    (node,) = net.nodes
    height = node.height()
    node.stop()
    key_file.replace(node.home.validator_key_file)
    node.start()
    net.wait_for_height(height + 2)
    assert node.call("status")["validator_info"]["pub_key"]["value"] == public
