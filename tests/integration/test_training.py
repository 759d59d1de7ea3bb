"""Train, record, repeat against a real node, through the command: what it says is proven by signed headers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from abci_app.modules.models.queries import EntryEventsQuery, EntryQuery
from abci_app.modules.models.records import Grade
from abci_app.types import PPB
from openledger.content.artefact import describe_artefact
from openledger.content.store import ContentStore
from openledger.exit_codes import ExitCode
from tests.kit.integration.office import ALICE, BOB, Office, open_office
from tests.kit.trainer.on_chain import fill_chain, publish_base
from trainer.publish import ClientLedger

pytestmark = [pytest.mark.integration, pytest.mark.ml]


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Office]:
    with open_office(tmp_path, monkeypatch, capsys) as made:
        fill_chain(made.client, ALICE, BOB, made.store)
        made.settle(publish_base(ClientLedger(made.client, ALICE, prove=False), made.store).height)
        yield made


def test_two_fine_tunes_are_trained_recorded_repeated_and_told_in_words(office: Office) -> None:
    recipe = office.recipe("first.yaml")
    assert office.run("train", recipe, "--check") == ""
    first = office.document("train", recipe, "--from", "alice", "--folder", "first")
    assert first["tensors"] == describe_artefact(office.folder / "first").tensor_digest.hex()
    again = office.recipe("second.yaml", ("{base: base}", f"{{base: base, adapter: {first['entry']}}}"))
    second = office.document("train", again, "--from", "alice", "--folder", "second")
    assert (first["model"], second["model"]) == ("tiny", "tiny")

    repeated = office.document("train", "--verify", "tiny", "--from", "bob")
    assert (repeated["grade"], repeated["findings"]) == (
        "bit-exact",
        [
            "output files and tensors are equal byte for byte",
            "measurements taken again on the recorded tensors: 3 hold",
            "measurements of the model that training started from, taken again: 2 hold",
        ],
    )  # fmt: skip
    events = EntryEventsQuery(_entry_id(office, "tiny"), 0, 10)
    (known,) = office.client.query("models", "reproductions", events, prove=False).value.reproductions
    assert (known.reproduction.reproducer, known.reproduction.grade) == (BOB.address, Grade.BIT_EXACT)

    told = office.run("query", "lineage", "tiny")
    for words in (
        "filter: keep rows whose completion has at least 10 characters (40 left)",
        "prepare: build prompt '{question} ' and completion '{answer}' from the row's fields",
        "split: 20 % held out by hash of the text under 'held-out'",
        "reproduced: bit exact",
    ):
        assert words in told


def test_a_run_of_another_framework_is_recorded_with_what_it_was_made_from(office: Office) -> None:
    office.document("train", office.recipe("first.yaml"), "--from", "alice", "--folder", "first")
    (office.folder / "merged").mkdir()
    (office.folder / "merged" / "weights.npz").write_bytes(b"weights")
    recorded = office.document(
        "record", "--model", "merged", "--kind", "merge", "merged", "--recipe", "first.yaml",
        "--framework", "mergekit 0.1", "--parent", "base:left:60%", "--parent", "tiny@1:right", "--input", "facts@1",
        "--step", "rows with numbers removed", "--from", "bob",
    )  # fmt: skip
    entry_id = _entry_id(office, recorded["entry"])
    entry = office.client.query("models", "entry", EntryQuery(entry_id), prove=False).value.stored.entry
    assert [(item.role, item.share_ppb) for item in entry.parents] == [
        ("left", PPB * 6 // 10),
        ("right", PPB * 4 // 10),
    ]
    assert [(item.version, item.weight_ppb) for item in entry.inputs] == [(1, PPB)]
    assert "declared by the recorder: rows with numbers removed" in office.run("query", "lineage", "merged")
    said = office.run("train", "--verify", recorded["entry"], expect=ExitCode.USAGE)
    assert "recorded from mergekit 0.1; its recipe cannot run here" in said


def test_a_changed_row_stops_training_before_anything_is_recorded(office: Office) -> None:
    version = ClientLedger(office.client, prove=False).datanet_version("facts", 1)
    path = Path(ContentStore.open(None).path_of(version.contributions[0].commitment.content_digest))
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"chain", b"chaim", 1))
    said = office.run("train", office.recipe("first.yaml"), "--from", "alice", expect=ExitCode.NOT_VERIFIED)
    assert "was changed after it was registered" in said
    assert said.count("\n") <= 2
    assert "there is no model named 'tiny'" in office.run("query", "lineage", "tiny", expect=ExitCode.NOT_FOUND)


def _entry_id(office: Office, reference: str) -> bytes:
    return ClientLedger(office.client, prove=False).entry(reference).entry_id
