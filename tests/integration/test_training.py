"""Train, record, repeat against a real node, through the command: what it says is proven by signed headers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from abci_app.bech32 import encode_id
from abci_app.modules.models.queries import EntryEventsQuery, EntryQuery
from abci_app.modules.models.records import Grade
from abci_app.types import PPB
from openledger.content.artefact import describe_artefact
from openledger.content.store import ContentStore
from openledger.exit_codes import ExitCode
from tests.kit.integration.office import ALICE, BOB, Office, open_office
from tests.kit.trainer.on_chain import fill_chain, publish_base
from trainer.publish import ClientLedger, Published
from trainer.run_records import RunRecord

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


def test_who_records_a_copied_run_first_loses_it_to_the_account_that_its_manifest_names(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alice sees Bob's runs on their way and records each first, as a version of a model of hers."""
    publish = ClientLedger.publish

    def publish_second(self: ClientLedger, record: RunRecord, label: str = "") -> Published:
        publish(ClientLedger(office.client, ALICE, prove=False), replace(record, model_name="stolen"))
        return publish(self, record, label)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ClientLedger, "publish", publish_second)
    (office.folder / "merged").mkdir()
    (office.folder / "merged" / "weights.npz").write_bytes(b"weights")
    train = ["train", office.recipe("first.yaml"), "--from", "bob"]
    record = [
        "record", "merged", "--model", "merged", "--kind", "merge", "--recipe", "first.yaml", "--framework", "mergekit",
        "--parent", "base:left", "--parent", "tiny@1:right", "--input", "facts@1", "--from", "bob",
    ]  # fmt: skip

    with monkeypatch.context() as patch:
        patch.setattr("trainer.publish.claim_if_taken", stop)
        assert office.run(*train, expect=ExitCode.INTERRUPTED)
    office.settle(office.net.nodes[0].height())
    assert "stolen version" in office.run("query", "lineage", "tiny")
    again = office.document(*train)
    assert (again["model"], again["trained"]) == ("tiny@1", "no")
    claimed = office.document(*record)
    (office.folder / "merged" / "weights.npz").write_bytes(b"other weights")
    with monkeypatch.context() as patch:
        patch.setattr("trainer.publish.claim_if_taken", stop)
        assert office.run(*record, expect=ExitCode.INTERRUPTED)
    office.settle(office.net.nodes[0].height())
    later = office.document("record", "--claim", "merged@2", "--model", "merged", "--from", "bob")
    assert {each["recorded_first_by"] for each in (claimed, again, later)} == {encode_id("open", ALICE.address)}
    office.settle(later["claimed_height"])
    assert "yours already" in office.run("record", "--claim", "merged@2", "--model", "merged", "--from", "bob")
    for model, version in (("tiny", 1), ("merged", 2)):
        told = office.run("query", "lineage", model)
        assert (f"{model} version {version}" in told, "whom its manifest names" in told) == (True, True)


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
