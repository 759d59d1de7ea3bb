"""A backup comes back as it was, never with an older word on what the validator has signed, and whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.backup import backup, read_manifest, restore
from node.comet_heights import comet_heights
from node.devnet import Devnet, DevnetNode
from node.errors import NodeError
from node.home import Home
from node.maintenance import check
from node.run import open_store
from openledger.errors import UsageError

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def signing_state(home: Home) -> dict[str, object]:
    found: dict[str, object] = json.loads(home.signing_state_file.read_text())
    return found


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Devnet, Path]]:
    """A stopped validator that went on after its backup was made; the backup."""
    folder = tmp_path_factory.mktemp("backup")
    net = Devnet.create(folder / "net", comet={("consensus", "timeout_commit"): "50ms"})
    (node,) = net.nodes
    with net:
        net.wait_for_height(3)
    backup(node.home, folder / "kept")
    node.start()
    net.wait_for_height(read_manifest(folder / "kept").blocks_height + 4)
    node.stop()
    yield net, folder / "kept"
    net.stop()


@pytest.fixture
def home(stopped: tuple[Devnet, Path], tmp_path: Path) -> Home:
    (node,) = stopped[0].nodes
    shutil.copytree(node.home.folder, tmp_path / "home")
    return Home(tmp_path / "home")


@pytest.fixture
def kept(stopped: tuple[Devnet, Path]) -> Path:
    return stopped[1]


def test_a_backup_comes_back_with_its_heights_and_the_newest_signing_state(home: Home, kept: Path) -> None:
    manifest, signed = read_manifest(kept), signing_state(home)
    assert comet_heights(home)[1] > manifest.blocks_height
    done = restore(home, kept)
    assert (done.height, done.files) == (manifest.blocks_height, len(manifest.files))
    assert comet_heights(home)[1] == manifest.blocks_height
    assert signing_state(home) == signed
    assert manifest.application_height == check(home)
    assert not list(kept.rglob("priv_validator*"))


def test_a_node_starts_again_on_its_backup(home: Home, kept: Path) -> None:
    restore(home, kept)
    node = DevnetNode(home, 0)
    node.start()
    try:
        # Alone, it must not sign again what it has signed: it waits at the backup's height for the others' blocks.
        Devnet(home.folder, [node]).wait_for_height(read_manifest(kept).blocks_height, 30)
        assert node.running
    finally:
        assert node.stop() == 0


def test_an_older_signing_state_is_refused_by_its_heights(home: Home, kept: Path) -> None:
    older = {"height": "1", "round": 0, "step": 3}
    home.signing_state_file.write_text(json.dumps(older))
    before = comet_heights(home)
    with pytest.raises(
        NodeError, match=r"says that this validator signed until height 1, the backup knows of height \d+: p"
    ):
        restore(home, kept)
    home.signing_state_file.unlink()
    with pytest.raises(NodeError, match=r"priv_validator_state\.json is missing: put back the newest one that exists"):
        restore(home, kept)
    assert comet_heights(home) == before


def test_a_new_key_begins_with_nothing_signed(home: Home, kept: Path) -> None:
    key = json.loads(home.validator_key_file.read_text())
    home.validator_key_file.write_text(json.dumps({**key, "address": "00" * 20}))
    home.signing_state_file.write_text(json.dumps({"height": "0", "round": 0, "step": 0}))
    assert restore(home, kept).height == read_manifest(kept).blocks_height


def test_a_damaged_backup_changes_nothing(home: Home, kept: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(kept, damaged)
    before = comet_heights(home)
    victim = min(path for path in (damaged / "application").iterdir() if path.stat().st_size)
    victim.write_bytes(victim.read_bytes()[:-1] + b"\x00\x01")
    with pytest.raises(NodeError, match="is not what was backed up: use another backup; nothing was changed"):
        restore(home, damaged)
    victim.unlink()
    with pytest.raises(NodeError, match="is not what was backed up"):
        restore(home, damaged)
    assert comet_heights(home) == before
    assert not (home.data_folder / ".restoring").exists()


@pytest.mark.parametrize(
    "name", ["../config/priv_validator_key.json", "/etc/passwd", "priv_validator_state.json", "x/y"]
)
def test_a_backup_reaches_nothing_beside_the_databases(home: Home, kept: Path, tmp_path: Path, name: str) -> None:
    hostile = tmp_path / "hostile"
    shutil.copytree(kept, hostile)
    manifest = json.loads((hostile / "backup.json").read_text())
    manifest["files"][name] = [0, ""]
    (hostile / "backup.json").write_text(json.dumps(manifest))
    with pytest.raises(NodeError, match="which is no part of a node's data"):
        restore(home, hostile)


def test_a_restore_that_was_cut_short_keeps_the_node_from_starting_and_is_done_again(
    home: Home, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    done: list[Path] = []

    def rmtree(path: Path, ignore_errors: bool = False) -> None:
        shutil_rmtree(path, ignore_errors=ignore_errors)
        done.append(path)
        if len(done) == 3:
            raise Killed

    shutil_rmtree = shutil.rmtree
    monkeypatch.setattr("shutil.rmtree", rmtree)
    with pytest.raises(Killed):
        restore(home, kept)
    monkeypatch.undo()
    with (
        pytest.raises(NodeError, match="a backup was not put back to the end: run `openledger node restore` again"),
        open_store(home, home.settings()),
    ):
        pass
    signed = signing_state(home)
    restore(home, kept)
    assert check(home) == read_manifest(kept).application_height
    assert signing_state(home) == signed


def test_a_backup_goes_into_a_new_folder_only(home: Home, kept: Path) -> None:
    with pytest.raises(UsageError, match="is not empty: delete it, or name another folder"):
        backup(home, kept)


def test_another_chain_is_refused(home: Home, kept: Path) -> None:
    home.genesis_file.write_bytes(home.genesis_file.read_bytes() + b"\n")
    with pytest.raises(NodeError, match="is another document"):
        restore(home, kept)
