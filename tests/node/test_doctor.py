"""Each finding of the doctor says how it is and what to do, and looking changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from abci_app.mechanisms.beacon import OnionInForce
from abci_app.modules.governance import UpgradeView
from abci_app.versions import AppVersion, Plan
from node import cometbft, disk, doctor, onions, rpc
from node.doctor import Mark, examine
from node.home import Home, NodeSettings
from node.initialise import initialise
from node.ports import free_ports
from node.release import lock_digest
from node.status import NodeStatus, State
from openledger.exit_codes import ExitCode
from openledger_cli.main import main

NOW = 1_800_000_000.0
RUNNING = NodeStatus(
    state=State.MAKING_BLOCKS, why="", rpc_url="url", height=100, block_time="2027-01-15T07:59:59.5Z", peers=2
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Home:
    ports = free_ports()
    home = tmp_path_factory.mktemp("doctor") / "home"
    return initialise(home, "dev-1", rpc_port=next(ports), p2p_port=next(ports))


@pytest.fixture
def home(made: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setattr(disk, "free_bytes", lambda _folder: 2**40)
    config, settings = made.comet_config_file.read_text(), made.settings_file.read_text()
    signed = made.signing_state_file.read_text()
    yield made
    made.comet_config_file.write_text(config)
    made.settings_file.write_text(settings)
    made.signing_state_file.write_text(signed)
    made.unfinished_restore_file.unlink(missing_ok=True)
    made.validator_key_file.chmod(0o600)


NO_UPGRADE = UpgradeView(AppVersion(2, 0, 0), None)


def found(
    home: Home,
    monkeypatch: pytest.MonkeyPatch,
    status: NodeStatus = RUNNING,
    peer_height: int = 101,
    upgrade: UpgradeView = NO_UPGRADE,
) -> dict[str, tuple[str, str, str]]:
    dump = {"peers": [{"peer_state": {"round_state": {"height": str(peer_height)}}}]}
    monkeypatch.setattr(doctor, "status_of", lambda _home: status)
    monkeypatch.setattr(rpc, "call", lambda _url, _method: dump)
    monkeypatch.setattr(doctor, "planned_upgrade", lambda _url: upgrade)
    return {each.name: (each.mark.value, each.found, each.remedy) for each in examine(home, lambda: NOW)}


def test_a_node_that_is_well_has_nothing_to_do(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.read_bytes() for path in home.config_folder.rglob("*") if path.is_file()}
    page = found(home, monkeypatch)
    assert {name: mark for name, (mark, _, _) in page.items() if mark != "ok"} == {}
    assert page["node"] == ("ok", "making blocks, height 100", "")
    assert page["clock"] == ("ok", "the last block is 0.5 s old", "")
    assert page["peers"] == ("ok", "2 connected of 0 configured, none far ahead", "")
    assert page["snapshots"] == ("ok", "none yet; one is made at each multiple of 2000", "")
    assert {path: path.read_bytes() for path in home.config_folder.rglob("*") if path.is_file()} == before


def test_each_fault_has_its_mark_and_its_remedy(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.unfinished_restore_file.touch()
    home.validator_key_file.chmod(0o644)
    monkeypatch.setattr(disk, "free_bytes", lambda _folder: 2**20)
    home.write_settings(NodeSettings(keep_blocks=1000, snapshot_interval_heights=0))
    cometbft.change_config(home, {("p2p", "persistent_peers"): "a@b:1,c@d:2"})
    late = replace(RUNNING, block_time="2027-01-15T08:00:30Z", peers=0, alarm="something was put aside")
    page = found(home, monkeypatch, late)
    assert page["home"] == ("fail", "a backup was not put back to the end", "run `openledger node restore` again")
    assert page["settings"][0] == "warn"
    assert page["settings"][2] == "set snapshot_interval_heights in config/node.toml"
    assert page["keys"] == (
        "warn", "others may read priv_validator_key.json", "chmod 600 them; make new ones if others did",
    )  # fmt: skip
    assert page["disk"][0] == "fail"
    assert page["node"][:2] == ("warn", "making blocks, height 100; something was put aside")
    assert page["clock"] == ("fail", "the last block is from 30 s in the future: this clock is late", "set up NTP")
    assert page["peers"] == ("fail", "none of 2 is connected", "see `openledger node status`, and firewalls")
    assert page["snapshots"] == ("ok", "none are made (snapshot_interval_heights is 0)", "")


def test_the_planned_upgrade_is_compared_with_what_is_installed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def planned(version: int, digest: bytes) -> tuple[str, str, str]:
        plan = Plan(height=500, name="two", app_version=version, lock_digest=digest)
        return found(home, monkeypatch, upgrade=UpgradeView(AppVersion(2, version, 500), plan))["upgrade"]

    own, remedy = lock_digest(), "install release two before height 500"
    same, other = (f"release two of height 500 has {digest.hex()}" for digest in (own, bytes(32)))
    assert found(home, monkeypatch)["upgrade"] == ("ok", "none is planned", "")
    assert planned(2, own) == ("ok", f"ready; {same}: this installation", "")
    assert planned(2, bytes(32)) == (
        "warn",
        f"this program knows the next rules, with other packages: {other}: this one has {own.hex()}",
        remedy,
    )
    assert planned(9, own) == ("warn", f"this program stops before height 500; {same}: this installation", remedy)


def test_a_node_that_is_behind_its_peers_is_told_how_far(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(home, monkeypatch, peer_height=501)["peers"] == (
        "warn", "2 connected, 400 blocks ahead of this node", "wait: it catches up",
    )  # fmt: skip


def test_snapshots_that_do_not_come_are_said(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    page = found(home, monkeypatch, replace(RUNNING, height=10_000))
    assert page["snapshots"][0] == "warn"


def test_a_part_that_cannot_be_looked_at_fails_alone(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.settings_file.write_text("history = 3")
    home.signing_state_file.unlink()
    page = found(home, monkeypatch)
    assert page["settings"][:2] == ("fail", page["settings"][1])
    assert page["settings"][1].startswith("cannot be checked: ")
    assert "is missing: put back the newest one that exists" in page["keys"][1]
    assert page["clock"][0] == "ok"


def test_the_locked_packages_are_those_that_are_installed(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("msgspec==0.0.1 \\\n    --hash=sha256:00\nnothing-such==1\nother==1 ; sys_platform == 'win32' \\\n")
    (one, two) = doctor._not_as_locked(lock)
    assert one.startswith("msgspec ")
    assert one.endswith(" (locked 0.0.1)")
    assert two == "nothing-such missing (locked 1)"


def test_the_command_prints_a_line_for_each_and_fails_where_one_fails(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["node", "doctor", "--home", str(home.folder)]) == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"ok    home       {home.folder}, chain dev-1"
    assert f"{' ' * 17}→ openledger node start" in lines
    home.unfinished_restore_file.touch()
    assert main(["node", "doctor", "--home", str(home.folder), "--output", "json"]) == ExitCode.FAILURE
    assert json.loads(capsys.readouterr().out)[0]["mark"] == Mark.FAIL


@pytest.mark.parametrize(
    ("change", "page"),
    [
        ("none", ("ok", "16384 reveals are left", "")),
        ("no onion", ("ok", "the chain has no onion of this validator, or does not tell", "")),
        ("few", ("warn", "4095 reveals are left", "openledger node onion --renew")),
        (
            "another's",
            (
                "fail",
                "no chain in beacon_secret.json leads to this validator's onion: it is silent",
                "put the right file back, or `openledger node onion --renew`",
            ),
        ),
        (
            "open",
            (
                "warn",
                "others may read beacon_secret.json",
                "chmod 600 it; if others did, make a new one and tell the chain its onion",
            ),
        ),
        (
            "missing",
            (
                "warn",
                "no beacon_secret.json: this validator is silent where the chain has an onion of it",
                "put it back from its backup, or make one with `openledger node onion`",
            ),
        ),
    ],
)
def test_whether_the_validator_can_reveal_is_said(
    home: Home, monkeypatch: pytest.MonkeyPatch, change: str, page: tuple[str, str, str]
) -> None:
    kept = home.beacon_secret_file.read_bytes()
    home.beacon_secret_file.unlink()
    onions.make_secret(home, 16 * onions.STRETCH)
    chain = onions.read_secret(home).chains[0]
    onion: OnionInForce | None = OnionInForce(chain.onion, 0)
    if change == "no onion":
        onion = None
    elif change == "few":
        used = chain.length - 4095
        onion = OnionInForce(chain.stretch(4095)[4095 % onions.STRETCH], used)
    elif change == "another's":
        onion = OnionInForce(bytes(32), 0)
    elif change == "open":
        home.beacon_secret_file.chmod(0o640)
    elif change == "missing":
        home.beacon_secret_file.unlink()
    monkeypatch.setattr(onions, "of_chain", lambda *asked: onion)
    try:
        assert found(home, monkeypatch)["beacon"] == page
    finally:
        home.beacon_secret_file.write_bytes(kept)
        home.beacon_secret_file.chmod(0o600)
