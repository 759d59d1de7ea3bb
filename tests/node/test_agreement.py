"""A home whose state is of rules that this program does not know is refused by name, before anything starts."""

import re
from pathlib import Path

import msgspec
import pytest

from abci_app.chain.application import Application
from abci_app.pb import abci_pb2 as pb
from abci_app.state.memory_store import MemoryStore
from abci_app.state.overlay import Overlay
from abci_app.state.views import EmptyView
from abci_app.versions import APP_VERSION, AppVersion
from node import genesis
from node.agreement import require_agreement
from node.errors import NodeError
from node.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "config").mkdir()
    genesis.write(tmp_path / "config" / "genesis.json", genesis.skeleton("dev-1"))
    return Home(tmp_path)


def started() -> Overlay:
    application = Application(MemoryStore())
    document = genesis.skeleton("dev-1")
    app_state = msgspec.json.encode(document["app_state"])
    application.init_chain(pb.RequestInitChain(chain_id="dev-1", initial_height=1, app_state_bytes=app_state))
    return Overlay(application.store)


def test_a_home_of_version_1_is_refused_by_name(home: Home) -> None:
    state = Overlay(EmptyView())
    state.set(b"chain/value", b"\x93\x01\x02\x03")  # how version 1 wrote its first record
    expected = "holds a state of version 1 of the rules, which was never released and is not read any more: start a new"
    with pytest.raises(NodeError, match=re.escape(expected)) as refused:
        require_agreement(home, state, 7)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("record", [AppVersion(3, 0, 0), AppVersion(2, 3, 8)])
def test_a_state_of_newer_rules_is_refused_with_what_to_do(home: Home, record: AppVersion) -> None:
    state = started()
    APP_VERSION.set(state, record)
    with pytest.raises(
        NodeError, match="rules are version 3, this program knows 2 to 2: install the release"
    ) as refused:
        require_agreement(home, state, 7)
    assert "\n" not in str(refused.value)


def test_a_version_that_begins_later_does_not_stop_this_program_yet(home: Home) -> None:
    state = started()
    APP_VERSION.set(state, AppVersion(2, 3, 20))
    with pytest.raises(NodeError, match="the application is ahead of the blocks"):
        require_agreement(home, state, 7)  # the home has no blocks: what follows the version's check objects
