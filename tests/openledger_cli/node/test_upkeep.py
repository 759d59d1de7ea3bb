"""The commands that keep a node, from the person's side: what they print, refuse and leave behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from node.devnet import Devnet
from node.home import Home
from openledger.exit_codes import ExitCode
from openledger_cli.main import main

pytestmark = [pytest.mark.integration, pytest.mark.timeout(90)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A stopped validator with a few blocks."""
    net = Devnet.create(tmp_path_factory.mktemp("upkeep") / "net", comet={("consensus", "timeout_commit"): "50ms"})
    with net:
        net.wait_for_height(3)
    return net.nodes[0].home


def test_snapshots_of_a_stopped_node_are_made_once_and_listed(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--home", str(home.folder)]
    assert main(["node", "snapshot", "list", *words]) == 0
    assert capsys.readouterr().out == "none\n"
    assert main(["node", "snapshot", "make", *words, "--output", "json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["format"], made["chunks"], made["height"] >= 3) == (1, 1, True)
    assert main(["node", "snapshot", "make", *words]) == 0
    assert capsys.readouterr().out.startswith(f"made the snapshot of height {made['height']}: 1 chunks, 0.0 MB")
    assert main(["node", "snapshot", "list", *words]) == 0
    assert str(made["height"]) in capsys.readouterr().out


def test_a_backup_is_made_and_put_back(home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words, kept = ["--home", str(home.folder)], tmp_path / "kept"
    assert main(["node", "backup", "--to", str(kept), *words]) == 0
    first, following = capsys.readouterr().out.splitlines()
    assert first.startswith("backed up height ")
    assert following == "next: openledger node start"
    assert main(["node", "backup", "--to", str(kept), *words]) == ExitCode.USAGE
    assert "is not empty: delete it, or name another folder" in capsys.readouterr().err
    assert main(["node", "backup", "--to", str(home.data_folder / "kept"), *words]) == ExitCode.USAGE
    assert "lies in the home itself" in capsys.readouterr().err
    assert main(["node", "restore", "--from", str(kept), *words]) == 0
    assert capsys.readouterr().out.startswith(f"{home.folder} is at height ")
    assert main(["node", "restore", "--from", str(tmp_path), *words]) == ExitCode.FAILURE
    assert "holds no backup.json: name a folder that `openledger node backup` made" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--peer", "x"], "--peer belongs to --state-sync: add it, or leave --peer out"),
        (["--trust", "1:ab"], "--trust belongs to --state-sync: add it, or leave --trust out"),
        (
            ["--state-sync"],
            "--state-sync needs the chain's genesis document from somebody you trust: give --genesis FILE",
        ),
    ],
)
def test_options_of_joining_belong_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], text: str
) -> None:
    assert main(["node", "init", "--chain-id", "dev-1", "--home", str(tmp_path / "n"), *words]) == ExitCode.USAGE
    assert text in capsys.readouterr().err
    assert not (tmp_path / "n").exists()
