"""Contributor and owner on a real chain: from files of their own to a version, its proofs, and back out again."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import openledger.data
from abci_app.bech32 import encode_id
from abci_app.chain.genesis import GenesisState
from node import cometbft
from node.devnet import Devnet
from openledger.content.store import ContentErased
from openledger.data import memory
from openledger.exit_codes import ExitCode
from openledger.keys.signer import Signer
from openledger.keys.wallet import Wallet
from openledger_cli.main import main

pytestmark = pytest.mark.integration

QUICK: cometbft.Changes = {("consensus", "timeout_commit"): "100ms", ("consensus", "timeout_propose"): "500ms"}
_HEX = re.compile(r"[0-9a-f]{32}")


class Desk:
    """The command in a folder with people's files."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def run(self, line: str, expect: ExitCode = ExitCode.OK) -> str:
        """What a command line prints; its error where it fails."""
        code = main(line.split())
        said = self._capsys.readouterr()
        assert code == expect, said.err
        return said.out if code == ExitCode.OK else said.err


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Desk]:
    wallet, balances = Wallet.open(tmp_path / "home", "test", "dev-1"), []
    for number, name in enumerate(("olga", "remy", "dana"), 1):
        wallet.import_seed(name, bytes([number]) * 32)
        balances.append((encode_id("open", Signer.from_seed(bytes([number]) * 32).address), 1_000 * 10**9))
    state = GenesisState(balances=tuple(balances))
    with Devnet.create(tmp_path / "net", app_state=state, comet=QUICK) as net:
        # From here on every answer can be proven.
        net.wait_for_height(3)
        settings = {
            "OPENLEDGER_HOME": tmp_path / "home", "OPENLEDGER_KEYS": "test", "OPENLEDGER_WITNESSES": "none",
            "OPENLEDGER_NODE": net.nodes[0].rpc_url, "OPENLEDGER_GENESIS": net.nodes[0].home.genesis_file,
            "OPENLEDGER_CONTENT": tmp_path / "content", "XDG_CACHE_HOME": tmp_path / "cache",
        }  # fmt: skip
        for name, value in settings.items():
            monkeypatch.setenv(name, str(value))
        (tmp_path / "desk").mkdir()
        monkeypatch.chdir(tmp_path / "desk")
        memory.forget()
        yield Desk(tmp_path / "desk", capsys)


def write_files(folder: Path) -> int:
    """Files as people have them: a mark and CRLF of Windows, a table, Parquet, gzip, a folder of texts; their rows."""
    chats = [
        {
            "messages": [
                {"role": "user", "content": f"How is rose {number} pruned?"},
                {"role": "assistant", "content": f"In March, above bud {number}."},
            ]
        }
        for number in range(10)
    ]
    lines = "".join([json.dumps(chat) + "\r\n" for chat in chats])
    (folder / "chat.jsonl").write_bytes(b"\xef\xbb\xbf" + lines.encode())
    (folder / "faq.csv").write_text('prompt,completion\n"When, exactly?","In ""May"",\nor June"\nWhy?,Because.\n')
    rows = [{"prompt": f"How wet is bed {number}?", "completion": f"{number} l a day"} for number in range(5)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "faq.parquet")
    (folder / "more.jsonl.gz").write_bytes(gzip.compress(b'{"text":"Moss likes the shade of old walls."}\n'))
    (folder / "notes").mkdir()
    (folder / "notes" / "spring.txt").write_text("Sow the peas when the soil is warm enough to sit on.\n")
    return 10 + 2 + 5 + 1 + 1


def test_files_become_a_version_a_proof_and_files_again_in_six_commands_without_an_id(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    row_count = write_files(desk.folder)
    said = [
        desk.run("data new garden --terms CC-BY-4.0 --reviewers remy --from olga"),
        desk.run("data add garden chat.jsonl faq.csv faq.parquet more.jsonl.gz notes/ --from dana"),
        desk.run("data review garden --accept 1-5 --from remy"),
        desk.run("data freeze garden --from olga --note first"),
        desk.run("data export garden@1 --to out.jsonl"),
        desk.run("data prove garden@1 --row 17"),
    ]
    assert [line for text in said for line in text.splitlines() if _HEX.search(line)] == []
    assert f"garden@1: {row_count} rows" in said[3]
    exported = [json.loads(line) for line in (desk.folder / "out.jsonl").read_bytes().splitlines()]
    assert len(exported) == row_count
    assert exported[10] == {"prompt": "When, exactly?", "completion": 'In "May",\nor June'}
    assert exported[16] == {"prompt": "How wet is bed 4?", "completion": "4 l a day"}

    genesis = f"{desk.folder.parent}/net/node0/config/genesis.json"
    with monkeypatch.context() as offline:
        offline.setenv("OPENLEDGER_NODE", "http://127.0.0.1:1")
        offline.setenv("OPENLEDGER_HOME", str(desk.folder / "elsewhere"))
        proven = desk.run(f"verify garden-1-row-17.bundle.json --genesis {genesis}")
    assert "row 5 of the 5 in garden#3, contributed by open1" in proven
    assert '{"prompt":"How wet is bed 4?","completion":"4 l a day"}' in proven

    loaded = openledger.data.load("garden@1")
    assert list(loaded) == exported
    assert [each.reference for each in openledger.data.loaded()] == ["garden@1"]
    assert loaded.to_dataset()[16]["completion"] == "4 l a day"

    _takes_one_back(desk, exported)


def _takes_one_back(desk: Desk, exported: list[object]) -> None:
    """Revoking says first what it means; erasing leaves nothing; the next version and its readers go on."""
    said = desk.run("data review garden --accept 3 --from remy", expect=ExitCode.REFUSED)
    assert "garden#3 does not wait any more, it is accepted" in said
    said = desk.run("data review garden --accept 3 --from dana", expect=ExitCode.REFUSED)
    assert said.count("\n") == 1
    said = desk.run("data revoke garden#2 --reason personal-data --from dana")
    assert "version 1 can no longer be trained on" in said
    assert "no model declares to be made from it" in said
    assert "garden#2 is revoked already" in desk.run(
        "data revoke garden#2 --reason other --from dana", expect=ExitCode.REFUSED
    )
    said = desk.run("data erase garden#2 --yes")
    assert "export of garden@1" in said
    assert not (desk.folder / "out.jsonl").exists()
    holding = [
        path for path in desk.folder.parent.rglob("*") if path.is_file() and b"When, exactly?" in path.read_bytes()
    ]
    assert holding == [desk.folder / "faq.csv"]
    assert "were erased from this content store" in desk.run(
        "data export garden@1 --to again.jsonl", expect=ExitCode.NOT_FOUND
    )
    with pytest.warns(UserWarning, match="not to be trained on: garden#2"):
        loaded = openledger.data.load("garden@1")
    with pytest.raises(ContentErased):
        list(loaded)
    desk.run("data freeze garden --from olga --note without")
    assert "- garden#2  2 rows" in desk.run("data diff garden@1 garden@2")
    desk.run("data export garden@2 --to again.jsonl")
    lines = (desk.folder / "again.jsonl").read_bytes().splitlines()
    assert [json.loads(line) for line in lines] == exported[:10] + exported[12:]
