"""The commands `attribution measure` and `attribution calibrate`, on a tiny recorded run."""

import json
from pathlib import Path

import pytest

from abci_app.module import Message
from abci_app.modules.models.records import EvaluationDraft, RecordEvaluations
from attribution.measure.certificate import decode
from openledger.content.store import ContentStore
from openledger.data.versions import VersionRecord
from openledger.exit_codes import ExitCode
from openledger_cli.main import main
from tests.kit.openledger.fake_ledger import use_recorded_runs
from tests.kit.trainer.explained import World
from trainer.ancestry import KnownEntry

pytestmark = pytest.mark.ml
SMALL = ["--model", "first", "--queries", "3", "--subsets", "2", "--contributor-subsets", "2"]


class Ledger:
    """The tiny chain, as the commands see a client's ledger."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.sent: list[tuple[Message, bytes]] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._world.records, name)

    def datanet_version(self, reference: str, version: int) -> VersionRecord:
        return self._world.chain.datanet_version(reference, version)

    def entry(self, reference: str) -> KnownEntry:
        return self._world.chain.entry(reference)

    def send(self, message: Message, memo_digest: bytes = b"") -> int:
        self.sent.append((message, memo_digest))
        return 7


@pytest.fixture(autouse=True)
def ledger(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    fake = Ledger(world)
    use_recorded_runs(world, tmp_path, fake, monkeypatch)
    return fake


def test_a_measurement_compares_methods_records_its_certificate_and_goes_on_where_it_was(
    world: World, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["attribution", "measure", *SMALL, "--write", "c.json", "--plot", "c.svg", "--from", "alice"]
    assert main(words) == ExitCode.OK
    shown = capsys.readouterr().out
    for name in ("LGA-1", "TF-IDF", "BM25", "gradient dot", "gradient cosine", "DataInf", "LESS", "one seed"):
        assert name in shown
    certificate = decode(Path("c.json").read_bytes())
    assert certificate.digest.hex() in shown
    assert certificate.methods[0].method == "LGA-1"
    assert (certificate.queries, certificate.owners, certificate.seeds) == (3, 2, (1, 2))
    ((message, memo),) = ledger.sent
    assert isinstance(message, RecordEvaluations)
    assert memo == certificate.digest
    assert ContentStore.open(world.folder / "content").get(memo) == certificate.encode()
    drafts = message.evaluations
    assert [draft.metric for draft in drafts] == ["attribution/lds-contributors", "attribution/lds-examples"]
    assert drafts[0] == EvaluationDraft(
        world.records.names["first"], b"facts".ljust(32, b"."), 1, *certificate.evaluations()[0]
    )
    assert Path("c.svg").read_text(encoding="utf-8").startswith("<svg")
    kept = sorted((world.folder / "cache").rglob("attribution-retrains/*.npy"))
    times = [path.stat().st_mtime_ns for path in kept]
    assert main(["attribution", "measure", *SMALL, "--output", "json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["digest"] == certificate.digest.hex()
    assert [path.stat().st_mtime_ns for path in kept] == times
    assert len(kept) in (6, 8)  # the two halves of two contributors may be the same one


def test_a_run_that_continued_an_adapter_can_be_measured(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["attribution", "measure", "--model", "second", *SMALL[2:], "--output", "json"]
    assert main(words) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["methods"][0]["method"] == "LGA-1"


def test_a_calibration_lists_ways_controls_and_the_band(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["attribution", "calibrate", "--model", "first", "--queries", "2"]) == ExitCode.OK
    shown = capsys.readouterr().out
    for text in ("float32, batches of 8", "float64, sums in another order", "must be rejected", "band "):
        assert text in shown
    assert "from float32 on the CPU" not in shown


def test_a_calibration_asks_with_rows_of_different_lengths_of_held_out_and_trained_ones(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("openledger_cli.explain.attribution.CALIBRATION_QUERIES", 14)  # thirteen rows are held out
    assert main(["attribution", "calibrate", "--model", "first", "--output", "json"]) == ExitCode.OK
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert (found["queries"], found["against_float32"]) == (14, [])
    assert found["shortest_tokens"] < found["longest_tokens"]
    assert found["padded_queries"] > 0
    assert "14 queries in 14 ways" in printed.err
    assert f"queries in all ways: {14 * 14 * 2} of {14 * 14 * 2}" in printed.err


def test_another_device_is_compared_with_float64_and_float32_of_the_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    """The CPU stands for a GPU."""
    words = ["attribution", "calibrate", "--model", "first", "--queries", "3", "--device", "cpu"]
    assert main(words) == ExitCode.OK
    shown = capsys.readouterr().out
    for text in ("from float64 on the CPU, 3 queries of ", "from float32 on the CPU", "float32 on cpu, batches of 32"):
        assert text in shown
    assert shown.count("float32 on cpu, sums in another order") == 2


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["measure", "--model", "first", "--seeds", "1"], "--seeds 2 to 16"),
        (
            ["measure", "--model", "first", "--subsets", "1"],
            "--contributor-subsets are 2 to 10000 (ranks are compared)",
        ),
        (["measure", "--model", "first", "--queries", "0"], "--queries is 1 to 10000"),
        (["calibrate", "--model", "base"], "committed to no attribution"),
        (["calibrate", "--model", "first", "--queries", "0"], "--queries is 1 to 10000"),
        (["calibrate", "--model", "first", "--device", "toaster"], "device: torch cannot use 'toaster' here"),
    ],
)
def test_mistakes_give_one_line(words: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["attribution", *words]) == ExitCode.USAGE
    assert text in capsys.readouterr().err
