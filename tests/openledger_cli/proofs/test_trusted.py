"""`openledger trust`: a stranger's chain is verified once, noted, and asked from then on without any option."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from openledger.client import light_client as light_client_module
from openledger.exit_codes import ExitCode
from openledger_cli.main import main
from tests.kit.openledger.local_node import LocalNode
from tests.kit.simulated_chain import SimulatedChain

NODE = "http://stranger:26657"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def chain() -> SimulatedChain:
    made = SimulatedChain()
    made.make_blocks(12)
    return made


@pytest.fixture
def genesis(chain: SimulatedChain, tmp_path: Path) -> Path:
    path = tmp_path / "given" / "genesis.json"
    path.parent.mkdir()
    path.write_bytes(chain.genesis_bytes())
    return path


@pytest.fixture
def run(
    chain: SimulatedChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    monkeypatch.setattr(light_client_module, "RpcClient", lambda url: LocalNode(chain, url))
    monkeypatch.setattr("time.time_ns", lambda: chain.now_ns)

    def run(*words: str) -> tuple[int, str, str]:
        code = main([*words, "--home", str(tmp_path / "home")])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def _listed(run: Run) -> list[dict[str, object]]:
    code, out, _ = run("trust", "list", "--output", "json")
    assert code == 0
    found: list[dict[str, object]] = json.loads(out)
    return found


def test_a_strangers_chain_is_verified_and_noted_and_becomes_the_one_that_is_asked(
    run: Run, genesis: Path, chain: SimulatedChain, tmp_path: Path
) -> None:
    code, out, error = run("trust", "add", "--node", NODE, "--genesis", str(genesis), "--no-witness")
    assert (code, out) == (
        0,
        f"trusted: dev-simulated, verified up to height 12 from {chain.genesis}\n",
    )
    assert error == "next: openledger data list\n"
    genesis.unlink()
    kept = tmp_path / "home" / "trust" / "dev-simulated" / "genesis.json"
    assert _listed(run) == [
        {
            "chain_id": "dev-simulated",
            "node": NODE,
            "witnesses": "none",
            "genesis": str(kept),
            "height": 12,
            "anchor": str(chain.genesis),
        }
    ]
    from openledger.settings import load_settings

    settings = load_settings({"home": str(tmp_path / "home")}, {})
    assert (settings.node, settings.chain_id, settings.witnesses, settings.genesis) == (
        NODE,
        "dev-simulated",
        "none",
        str(kept),
    )


def test_what_is_missing_is_said_at_once(run: Run, genesis: Path) -> None:
    code, _, error = run("trust", "add", "--node", NODE)
    assert code == ExitCode.USAGE
    assert error.count("\n") == 1
    assert "--genesis FILE, the chain's genesis document" in error
    assert "--witness URL of a second node" in error
    code, _, error = run("trust", "add", "--node", NODE, "--genesis", str(genesis))
    assert (code, error) == (
        ExitCode.USAGE,
        "error: give --witness URL of a second node that would show a forged or an old answer (or --no-witness)\n",
    )


def test_nothing_is_noted_of_a_chain_that_does_not_verify(run: Run, genesis: Path, tmp_path: Path) -> None:
    document = json.loads(genesis.read_bytes())
    document["validators"] = document["validators"][:1]
    genesis.write_text(json.dumps(document))
    code, _, error = run("trust", "add", "--node", NODE, "--genesis", str(genesis), "--no-witness")
    assert code == ExitCode.NOT_VERIFIED
    assert error.startswith("error: ")
    assert _listed(run) == []
    assert not (tmp_path / "home" / "trust").exists()
    genesis.write_text("no document")
    code, _, error = run("trust", "add", "--node", NODE, "--genesis", str(genesis), "--no-witness")
    assert (code, "is no genesis document" in error) == (ExitCode.USAGE, True)


def test_another_genesis_document_under_one_name_is_refused_until_the_first_is_forgotten(
    run: Run, genesis: Path, tmp_path: Path
) -> None:
    words = ("trust", "add", "--node", NODE, "--genesis", str(genesis), "--no-witness")
    assert run(*words)[0] == 0
    assert run(*words)[0] == 0
    genesis.write_bytes(genesis.read_bytes() + b"\n")
    code, _, error = run(*words)
    assert (code, "`openledger trust remove dev-simulated` first" in error) == (ExitCode.USAGE, True)
    assert run("trust", "remove", "dev-simulated")[:2] == (0, "removed  dev-simulated\n")
    assert _listed(run) == []
    assert not (tmp_path / "home" / "client.yaml").exists()
    code, _, error = run("trust", "remove", "dev-simulated")
    assert (code, error) == (ExitCode.USAGE, "error: 'dev-simulated' is not trusted here; known: none\n")


def test_a_second_chain_is_asked_when_it_is_named(run: Run, genesis: Path, tmp_path: Path) -> None:
    config = tmp_path / "home" / "client.yaml"
    config.parent.mkdir()
    config.write_text("chain_id: mine\n")
    code, out, error = run("trust", "add", "--node", NODE, "--genesis", str(genesis), "--no-witness")
    assert (code, "add --chain-id dev-simulated" in out) == (0, True)
    assert error == "next: openledger data list --chain-id dev-simulated\n"
    assert config.read_text() == "chain_id: mine\n"
