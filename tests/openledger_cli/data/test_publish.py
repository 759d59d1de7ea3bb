"""`openledger data publish`: one command, one passphrase."""

import sys
from pathlib import Path

import httpx
import pytest

from openledger.client import client as client_module
from openledger.client.rpc import RpcClient
from openledger.keys.key_file import Cost
from openledger.keys.wallet import Wallet
from openledger_cli.main import main
from tests.kit.openledger.contributing import DANA_SEED, Garden, chats

PASSPHRASE = "correct horse"


@pytest.fixture
def garden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Garden:
    made = Garden(tmp_path)
    Wallet.open(made.home, cost=Cost(32, 1, 1)).import_seed("dana", DANA_SEED, PASSPHRASE)
    transport = httpx.MockTransport(made.node.answer)
    monkeypatch.setattr(client_module, "_rpc", lambda url: RpcClient(url, transport=transport))
    monkeypatch.setenv("OPENLEDGER_HOME", str(made.home))
    monkeypatch.setenv("OPENLEDGER_CONTENT", str(tmp_path / "content"))
    monkeypatch.chdir(tmp_path)
    return made


def test_the_passphrase_is_asked_for_once(
    garden: Garden, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four transactions of one key: the DataNet, its contribution, the verdict and the version."""
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return PASSPHRASE

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", ask)
    path = garden.write("chat.jsonl", chats(3))
    words = ["data", "publish", "beds", str(path), "--terms", "CC-BY-4.0", "--from", "dana", "--unverified"]
    assert main(words) == 0
    assert asked == ["Passphrase of dana: "]
    assert "beds@1: 3 rows; it never changes" in capsys.readouterr().out


def test_a_passphrase_that_can_be_read_once_is_enough(garden: Garden, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe, as a shell's `<(...)` gives one, is empty when it is read again."""
    import os

    reading, writing = os.pipe()
    os.write(writing, PASSPHRASE.encode())
    os.close(writing)
    path = garden.write("chat.jsonl", chats(3))
    line = ["data", "publish", "beds", str(path), "--terms", "CC-BY-4.0", "--from", "dana", "--unverified"]
    try:
        assert main([*line, "--passphrase-file", f"/dev/fd/{reading}"]) == 0
    finally:
        os.close(reading)


def test_a_name_like_one_that_is_there_is_told(garden: Garden, capsys: pytest.CaptureFixture[str]) -> None:
    path = garden.write("chat.jsonl", chats(3))
    assert main(["data", "publish", "gardn", str(path), "--from", "dana", "--unverified"]) == 2
    assert "say under which licence, as --terms CC-BY-4.0; did you mean garden?" in capsys.readouterr().err
