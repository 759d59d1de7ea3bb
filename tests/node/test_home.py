"""The home folder: its lock, its settings, where the socket goes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from node.errors import NodeError
from node.home import Home, NodeSettings


def test_a_second_holder_of_a_home_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with home.lock():
        with pytest.raises(NodeError) as refusal, home.lock():
            pass
        assert str(refusal.value) == (
            f"{tmp_path} is in use by process {os.getpid()}; stop that node, or give another --home"
        )
    with home.lock():
        pass


def test_the_lock_is_free_after_an_error(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with pytest.raises(ValueError, match="inside"), home.lock():
        raise ValueError("inside")
    with home.lock():
        pass


def test_settings_come_back_as_written(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.config_folder.mkdir()
    settings = NodeSettings(cometbft_binary="/x", history_heights=7, cache_mebibytes=9, log_level="debug")
    home.write_settings(settings)
    assert home.settings() == settings


def test_a_home_without_settings_has_the_defaults(tmp_path: Path) -> None:
    assert Home(tmp_path).settings() == NodeSettings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "history = 3",
            "no setting 'history'; known: cometbft_binary, history_heights, cache_mebibytes, snapshot_interval_heights",
        ),
        ("history_heights = '3'", "history_heights is '3'; give a value of type int"),
        ("history_heights = true", "history_heights is True; give a value of type int"),
        ("history_heights = 1", "history_heights is 1; give 2 to 100000"),
        ("cache_mebibytes = 0", "cache_mebibytes is 0; give 1 to 1000000"),
        ("snapshot_interval_heights = -1", "snapshot_interval_heights is -1; give 0 (none) or more"),
        ("snapshots_kept = 11", "snapshots_kept is 11; give 1 to 10"),
        ("keep_blocks = 999", "keep_blocks is 999; give 0 (all) or at least 1000"),
        ("log_level = 'loud'", "log_level is 'loud'; give one of debug, info, warning, error"),
        ("log_format = 'xml'", "log_format is 'xml'; give one of text, json"),
        ("metrics_port = 70000", "metrics_port is 70000; give 0 (none) to 65535"),
        ("log_level = ", "correct the file or delete it"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, message: str) -> None:
    home = Home(tmp_path)
    home.config_folder.mkdir()
    home.settings_file.write_text(text)
    with pytest.raises(NodeError) as refusal:
        home.settings()
    assert message in str(refusal.value)


def test_a_folder_that_is_no_home_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NodeError) as refusal:
        Home(tmp_path).require_initialised()
    assert str(refusal.value) == (
        f"{tmp_path} is not a node's home; run `openledger node init --home {tmp_path}` first"
    )


def test_the_socket_of_a_short_home_is_in_the_home(tmp_path: Path) -> None:
    with Home(Path("/tmp")).socket_path() as path:
        assert path == Path("/tmp").resolve() / "abci.sock"


def test_the_socket_of_a_long_home_is_elsewhere_and_private(tmp_path: Path) -> None:
    with Home(tmp_path / ("x" * 120)).socket_path() as path:
        assert len(str(path)) <= 100
        assert path.parent.stat().st_mode & 0o777 == 0o700
    assert not path.parent.exists()
