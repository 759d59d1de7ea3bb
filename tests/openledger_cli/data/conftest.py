"""The commands on a chain of simulated validators that has the DataNet `garden`, a local node, and its rows."""

from pathlib import Path

import httpx
import pytest

from openledger.client import client as client_module
from openledger.client import light_client as light_client_module
from openledger.client.rpc import RpcClient
from openledger.content.store import ContentStore
from openledger_cli.main import main
from tests.kit.openledger.fake_node import FakeNode
from tests.kit.openledger.garden import Garden
from tests.kit.openledger.local_node import LocalNode, Run
from tests.kit.simulated_chain import SimulatedChain


@pytest.fixture
def garden(tmp_path: Path) -> Garden:
    return Garden.grow(ContentStore.open(tmp_path / "content"))


@pytest.fixture
def signed(garden: Garden) -> SimulatedChain:
    """The garden's state under signed headers."""
    return SimulatedChain.holding(garden.ledger.chain.state())


@pytest.fixture
def run(
    garden: Garden,
    signed: SimulatedChain,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    primary, transport = LocalNode(signed, "primary"), httpx.MockTransport(FakeNode(garden.ledger.chain).answer)
    monkeypatch.setattr(client_module, "_rpc", lambda url: RpcClient(url, transport=transport))
    monkeypatch.setattr(light_client_module, "RpcClient", lambda _url: primary)
    monkeypatch.setattr("time.time_ns", lambda: signed.now_ns)
    genesis = tmp_path / "genesis.json"
    genesis.write_bytes(signed.genesis_bytes())
    for name, value in (("HOME", tmp_path / "home"), ("GENESIS", genesis), ("CONTENT", tmp_path / "content")):
        monkeypatch.setenv(f"OPENLEDGER_{name}", str(value))
    monkeypatch.setenv("OPENLEDGER_WITNESSES", "none")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "desk").mkdir()
    monkeypatch.chdir(tmp_path / "desk")

    def run(*words: str) -> tuple[int, str, str]:
        code = main(list(words))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run
