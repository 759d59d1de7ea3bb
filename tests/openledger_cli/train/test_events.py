"""The file of `--events`: numbered lines of a schema, one run a file, whatever happens to the process or the disk."""

import errno
import json
import os
import signal
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from openledger.errors import UsageError
from openledger.exit_codes import ExitCode
from openledger_cli.main import main
from openledger_cli.train.events import EventFile, json_schema
from openledger_cli.train.progress import RunWatch, show_seconds
from tests.kit.openledger.fake_ledger import FakeLedger, Published, use_fake_ledger
from trainer.run_records import RunRecord
from trainer.watch import StepFacts

pytestmark = pytest.mark.ml
WORDS = ["train", "recipe.yaml", "--from", "alice", "--content", "content", "--events", "run.jsonl"]


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeLedger:
    return use_fake_ledger(tmp_path, monkeypatch)


def events(path: Path = Path("run.jsonl")) -> list[dict[str, Any]]:
    """The lines, each held against the schema, numbered without a gap."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        jsonschema.validate(line, json_schema())
    assert [line["number"] for line in lines] == list(range(1, len(lines) + 1))
    assert len({line["run"] for line in lines}) == 1
    return lines


def test_a_run_writes_stages_steps_evaluations_and_what_came_of_it(ledger: FakeLedger) -> None:
    assert main(WORDS) == ExitCode.OK
    lines = events()
    assert [line.get("stage", line["event"]) for line in lines] == [
        "check", "fetch", "load", "measure", "evaluation", "train", *["step"] * 6, "measure", "evaluation", "record",
        "recorded", "done",
    ]  # fmt: skip
    steps = [line for line in lines if line["event"] == "step"]
    assert [(line["step"], line["steps"], line["learning_rate"]) for line in steps] == [
        (at, 6, 0.05) for at in range(1, 7)
    ]
    (record,) = ledger.records
    losses = record.manifest.json("loss-trace")["losses"]
    assert [round(line["loss"] * 10**6) for line in steps] == losses
    before, after = [line for line in lines if line["event"] == "evaluation"]
    assert (before["when"], before["rows"], after["when"]) == ("before", 6, "after")
    assert round(after["loss"] * 10**6) == record.event.quality_value
    assert (lines[-2]["entry"], lines[-2]["model"], lines[-2]["height"]) == ("published", "tiny", 7)
    assert lines[-1]["tensors"] == record.entry.tensor_digest.hex()


def test_a_stopped_run_says_how_to_go_on_and_goes_on_in_its_file(
    ledger: FakeLedger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = RunWatch.step

    def stop(self: RunWatch, facts: StepFacts) -> None:
        told(self, facts)
        if facts.step == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr(RunWatch, "step", stop)
        assert main(WORDS) == ExitCode.INTERRUPTED
    assert signal.getsignal(signal.SIGTERM) == before
    last = events()[-1]
    assert (last["event"], last["signal"], last["saved_step"]) == ("stopped", "SIGTERM", 4)
    assert last["resume"] == "openledger train recipe.yaml --from alice --content content --events run.jsonl"
    assert f"the same command goes on from step 4: {last['resume']}" in capsys.readouterr().err
    # The process was killed in the middle of a line.
    with Path("run.jsonl").open("a") as file:
        file.write('{"number": 99, "event": "st')
    assert main(last["resume"].split()[1:]) == ExitCode.OK
    lines = events()
    assert [line["step"] for line in lines if line["event"] == "step"] == [1, 2, 3, 4, 5, 5, 6]
    assert lines[-1]["event"] == "done"


def test_who_stops_a_run_while_it_is_recorded_hears_that_it_may_be(
    ledger: FakeLedger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The transaction may be on its way; the next try looks for it on the chain."""
    published = ledger.publish

    def stop(record: RunRecord) -> Published:
        published(record)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "publish", stop)
        assert main(WORDS) == ExitCode.INTERRUPTED
    said = capsys.readouterr().err
    assert "whether the run was recorded is open; the same command finds out, and trains nothing again: " in said
    assert "nothing was recorded" not in said
    ledger.remembers = True
    assert main(WORDS) == ExitCode.OK
    assert "this recipe has run already: it made tiny@1; nothing was trained" in capsys.readouterr().err
    assert events()[-1]["event"] == "done"
    assert len(ledger.records) == 1


def test_a_run_that_fails_says_why_and_its_file_takes_the_next_try(ledger: FakeLedger) -> None:
    ledger.refusal = "no money: ask for some"
    assert main(WORDS) == ExitCode.USAGE
    last = events()[-1]
    assert (last["event"], last["error"], last["exit_code"]) == ("failed", "no money: ask for some", 2)
    ledger.refusal = ""
    assert main(WORDS) == ExitCode.OK
    assert events()[-1]["event"] == "done"


def test_a_file_of_something_else_is_never_written_to(ledger: FakeLedger, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(WORDS) == ExitCode.OK
    done = Path("run.jsonl").read_bytes()
    Path("diary.txt").write_text("dear diary")
    for name, text in (("run.jsonl", "is there already and its run is done"), ("diary.txt", "is no file of this run")):
        assert main([*WORDS[:-1], name]) == ExitCode.USAGE
        error = capsys.readouterr().err
        assert text in error
        assert error.endswith("name another file\n")
    assert (Path("run.jsonl").read_bytes(), Path("diary.txt").read_text()) == (done, "dear diary")
    other = EventFile(Path("other.jsonl"), "a" * 16)
    other.write("stage", {"stage": "check", "words": ""})
    with pytest.raises(UsageError, match="another run writes to it"):
        EventFile(Path("other.jsonl"), "a" * 16)
    other.close()
    with pytest.raises(UsageError, match="is no file of this run"):
        EventFile(Path("other.jsonl"), "b" * 16)
    with pytest.raises(UsageError, match="No such file or directory; name a file that can be written"):
        EventFile(Path("absent/run.jsonl"), "a" * 16)


def test_a_full_disk_ends_the_events_and_not_the_run(
    ledger: FakeLedger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = os.write

    def full(descriptor: int, data: bytes) -> int:
        if b'"event": "step"' in data:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr("openledger_cli.train.events.os.write", full)
    assert main(WORDS) == ExitCode.OK
    said = capsys.readouterr().err
    assert said.count("run.jsonl: No space left on device; no more events are written, the run goes on") == 1
    assert [line["event"] for line in events()][-1] == "stage"
    assert len(ledger.records) == 1


def test_events_go_into_a_pipe(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    try:
        file = EventFile(Path(f"/dev/fd/{writing}"), "a" * 16)
        file.write("stage", {"stage": "check", "words": "über"})
        file.close()
        line = json.loads(os.read(reading, 10_000))
    finally:
        os.close(reading)
        os.close(writing)
    assert (line["number"], line["words"]) == (1, "über")


def test_elsewhere_than_on_a_terminal_progress_is_a_line_every_ten_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [0.0]
    monkeypatch.setattr("openledger_cli.train.progress.time.monotonic", lambda: clock[0])
    watch = RunWatch()
    for step in range(1, 41):
        clock[0] += 1.0
        watch.step(StepFacts(step=step, steps=40, loss_nats=2.5, learning_rate=0.0002, tokens=100))
    lines = capsys.readouterr().err.splitlines()
    assert [int(line.split()[1].split("/")[0]) for line in lines] == [1, 11, 21, 31, 40]
    assert lines[1] == "step 11/40 [######..................] loss 2.5000, rate 0.0002, 100 tokens/s, 29 s left"


def test_on_a_terminal_progress_is_one_line_that_is_rewritten(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    watch = RunWatch()
    for step in (1, 2, 3):
        watch.step(StepFacts(step=step, steps=3, loss_nats=1.0, learning_rate=0.1, tokens=1))
    said = capsys.readouterr().err
    assert said.count("\r") == 3
    assert said.count("\n") == 1


def test_times_have_two_units() -> None:
    assert [show_seconds(each) for each in (0.4, 59, 61, 3_599, 7_260)] == [
        "0 s", "59 s", "1 min 1 s", "59 min 59 s", "2 h 1 min",
    ]  # fmt: skip
