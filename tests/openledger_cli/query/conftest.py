"""The commands on a chain of simulated validators: a story of models, a local node, a content store."""

from pathlib import Path

import httpx
import pytest

from openledger.client import client as client_module
from openledger.client import light_client as light_client_module
from openledger.client.rpc import RpcClient
from openledger.content.store import ContentStore
from openledger.data.manifest import put_manifest
from openledger_cli.main import main
from tests.kit.openledger.fake_node import FakeNode
from tests.kit.openledger.local_node import LocalNode, Run
from tests.kit.openledger.story import Story
from tests.kit.simulated_chain import SimulatedChain


@pytest.fixture(scope="module")
def story() -> Story:
    return Story.tell()


@pytest.fixture(scope="module")
def signed(story: Story) -> SimulatedChain:
    """The story's state under signed headers."""
    return SimulatedChain.holding(story.ledger.chain.state())


@pytest.fixture
def primary(signed: SimulatedChain) -> LocalNode:
    return LocalNode(signed, "primary")


@pytest.fixture
def node(story: Story) -> FakeNode:
    """The node that the command asks without proof."""
    return FakeNode(story.ledger.chain)


@pytest.fixture
def run(
    story: Story,
    node: FakeNode,
    signed: SimulatedChain,
    primary: LocalNode,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    store = ContentStore.open(tmp_path / "content")
    for manifest in story.manifests.values():
        put_manifest(store, manifest)
    transport = httpx.MockTransport(node.answer)
    monkeypatch.setattr(client_module, "_rpc", lambda url: RpcClient(url, transport=transport))
    monkeypatch.setattr(light_client_module, "RpcClient", lambda _url: primary)
    monkeypatch.setattr("time.time_ns", lambda: signed.now_ns)
    genesis = tmp_path / "genesis.json"
    genesis.write_bytes(signed.genesis_bytes())
    for name, value in (("HOME", tmp_path / "home"), ("GENESIS", genesis), ("CONTENT", tmp_path / "content")):
        monkeypatch.setenv(f"OPENLEDGER_{name}", str(value))
    monkeypatch.setenv("OPENLEDGER_WITNESSES", "none")

    def run(*words: str) -> tuple[int, str, str]:
        code = main(list(words))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run
