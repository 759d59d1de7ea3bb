"""`openledger verify`: what it prints and how it exits, for each kind of anchor and of mistake."""

import json
import time
from pathlib import Path

import pytest

from openledger.client.light_client import LightClient
from openledger.client.trust_store import FileTrustStore
from openledger.exit_codes import ExitCode
from openledger_cli.main import main
from tests.kit.simulated_chain import SimulatedChain, SimulatedNode


class Files:
    """A chain of just now, a bundle of it and its genesis document in a folder."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.chain = SimulatedChain()
        self.chain.make_blocks(12)
        self.bundle = folder / "bundle.json"
        self.genesis = folder / "genesis.json"
        self.genesis.write_bytes(self.chain.genesis_bytes())
        client = LightClient(
            SimulatedNode(self.chain, "primary"),
            [SimulatedNode(self.chain, "witness")],
            anchor=self.chain.genesis,
            store=FileTrustStore(folder / "store"),
            clock=lambda: self.chain.now_ns,
        )
        self.bundle.write_bytes(client.bundle(client.read([b"number/now"])))
        self.store = folder / "store"
        self.header = self.chain.blocks[12]

    def verify(self, *options: str) -> int:
        return main(["verify", str(self.bundle), "--home", str(self.home), *options])


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    made = Files(tmp_path)
    monkeypatch.setattr(time, "time_ns", lambda: made.chain.now_ns)
    return made


def test_it_says_what_is_proven_and_exits_with_0(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert files.verify("--genesis", str(files.genesis), "--output", "json") == ExitCode.OK
    assert json.loads(capsys.readouterr().out) == {
        "outcome": "verified",
        "proven": "1 key of raw state, present or absent, and 0 ranges, each complete",
        "chain": "dev-simulated",
        "height": 11,
        "header": f"12:{files.header.hash.hex().upper()}",
        "header_time": "2026-09-21T14:13:31Z",
        "age_seconds": 2,
        "anchor": str(files.chain.genesis),
        "path": "1 -> 12",
        "question": {"keys": [b"number/now".hex()], "ranges": []},
        "names": [],
        "attachments": [],
        "answer": {"keys": [{"key": b"number/now".hex(), "value": b"11".hex()}], "ranges": []},
    }


def test_it_reads_well_as_text(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert files.verify("--trust", f"12:{files.header.hash.hex()}") == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["outcome", "verified"]
    assert [line.split()[0] for line in lines[1:9]] == [
        "proven", "chain", "height", "header", "header_time", "age_seconds", "anchor", "path",
    ]  # fmt: skip


def test_blocks_verified_earlier_vouch(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert files.verify("--trust-store", str(files.store)) == ExitCode.OK
    assert "verified earlier (genesis document" in capsys.readouterr().out


def test_without_an_anchor_it_exits_with_8(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert files.verify() == ExitCode.NOT_ANCHORED
    out = capsys.readouterr().out
    assert "consistent, not anchored" in out
    assert "proven       nothing, since nothing that you trust vouches for it; with an anchor it would be: 1 key" in out
    assert "none: no anchor was given" in out


def test_a_tampered_bundle_exits_with_7_and_one_line(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    files.bundle.write_bytes(files.bundle.read_bytes().replace(b'"height":"11"', b'"height":"10"'))
    assert files.verify("--genesis", str(files.genesis)) == ExitCode.NOT_VERIFIED
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "error: the bundle is damaged or was changed: checksum or form are not as it was written\n"


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--trust", "12"], ExitCode.NOT_ANCHORED, "error: trust '12': give HEIGHT:HASH, the hash as 64 hex digits\n"),
        (
            ["--genesis", "GENESIS", "--trust", "12:" + "00" * 32],
            ExitCode.USAGE,
            "error: --genesis and --trust: give one of them\n",
        ),
        (
            ["--genesis", "missing.json"],
            ExitCode.USAGE,
            "error: the genesis document missing.json cannot be read: No such file or directory\n",
        ),
        (
            ["--trusting-period", "soon"],
            ExitCode.USAGE,
            "error: --trusting-period 'soon': give a number and s, m, h or d, such as 36h\n",
        ),
    ],
)
def test_a_mistake_is_one_line(
    files: Files, capsys: pytest.CaptureFixture[str], options: list[str], code: ExitCode, message: str
) -> None:
    assert files.verify(*[str(files.genesis) if each == "GENESIS" else each for each in options]) == code
    assert capsys.readouterr().err == message


def test_a_missing_bundle_is_one_line(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    files.bundle.unlink()
    assert files.verify() == ExitCode.USAGE
    assert capsys.readouterr().err == f"error: the bundle {files.bundle} cannot be read: No such file or directory\n"
