"""Measurements of the model that training started from are taken again when a run is repeated."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.kit.trainer.tiny import TinyChain
from trainer.ancestry import KnownEntry
from trainer.measurements import RecordedMeasurement
from trainer.run_records import RunRecord
from trainer.verify import RunVerdict
from trainer.workflow import verify_entry

pytestmark = pytest.mark.ml

RECORDER, OTHER = b"r" * 32, b"o" * 32
HEIGHT = 9


@pytest.fixture(scope="module")
def made(chain: TinyChain, record: RunRecord) -> tuple[TinyChain, RunRecord]:
    return chain, record


def measurements(record: RunRecord, *, of_parent: bool) -> list[RecordedMeasurement]:
    """The run's own, as its recorder put them on the chain."""
    return [
        RecordedMeasurement(
            source="recorded by r", by_recorder=not of_parent, metric=item.metric, value=item.value,
            datanet_id=item.datanet_id, version=item.version, sample_size=item.sample_size, interval=item.interval,
            evaluator=RECORDER, height=HEIGHT,
        )
        for item in record.evaluations
        if item.of_parent == of_parent
    ]  # fmt: skip


def repeated(
    made: tuple[TinyChain, RunRecord], of_parent: list[RecordedMeasurement], folder: Path, patch: pytest.MonkeyPatch
) -> RunVerdict:
    chain, record = made
    patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    base = chain.entries["base"].entry_id
    patch.setitem(chain.measured, b"\1" * 32, measurements(record, of_parent=False))
    patch.setitem(chain.measured, base, of_parent)
    return verify_entry(KnownEntry(b"\1" * 32, record.entry), chain, chain.store)[0]


def test_what_the_recorder_measured_of_the_parent_is_taken_again(
    made: tuple[TinyChain, RunRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = measurements(made[1], of_parent=True)
    assert len(right) == 2
    verdict = repeated(made, right, tmp_path, monkeypatch)
    assert "measurements of the model that training started from, taken again: 2 hold" in verdict.findings
    assert verdict.contradictions == ()
    assert (
        "measurements by others of the model that training started from, which stand at that model's entry"
        in verdict.unchecked
    )


def test_a_parent_that_was_made_to_look_worse_is_a_contradiction(
    made: tuple[TinyChain, RunRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = measurements(made[1], of_parent=True)
    worse = replace(first, value=first.value + 500_000)
    verdict = repeated(made, [worse, second], tmp_path, monkeypatch)
    assert verdict.failed
    (line,) = verdict.contradictions
    assert line.startswith("of the model that training started from: ")
    assert "MADE UP: the recorded tensors give" in line
    assert "measurements of the model that training started from, taken again: 1 hold" in verdict.findings
    # Another run of the same recorder in the block measured the same model on rows of its own.
    assert not repeated(made, [worse, first, second], tmp_path, monkeypatch).failed


def test_what_others_or_other_blocks_say_of_the_parent_is_not_held_against_the_run(
    made: tuple[TinyChain, RunRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = measurements(made[1], of_parent=True)
    worse = replace(first, value=first.value + 500_000)
    verdict = repeated(
        made, [replace(worse, evaluator=OTHER), replace(worse, height=HEIGHT + 1)], tmp_path, monkeypatch
    )
    assert not verdict.failed
    assert (
        "measurements of the model that training started from, which stand at that model's entry" in verdict.unchecked
    )
