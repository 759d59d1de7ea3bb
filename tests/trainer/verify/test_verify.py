"""Repetitions: bit-exact, trace match, differs; and entries whose manifest, recipe or inputs contradict them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from abci_app.types import PPB
from openledger.data.manifest import Manifest, put_manifest, to_json
from openledger.errors import NotVerified, UsageError
from tests.kit.trainer.tiny import TinyChain, tiny_model, tiny_recipe
from trainer.ancestry import KnownEntry
from trainer.partition import data_order_root
from trainer.run_records import EntryRecord, RunRecord
from trainer.train import TrainedRun
from trainer.verify import RunGrade, RunVerdict, grade, read_plan, retrain
from trainer.workflow import train_recipe, verify_entry

pytestmark = pytest.mark.ml
BIT_EXACT = "output files and tensors are equal byte for byte"
DECLARED = "times, machine and environment of the recorded run, which are declared"
OF_THE_BASE = "measurements of the model that training started from, which stand at that model's entry"


def repeat(chain: TinyChain, entry: EntryRecord) -> RunVerdict:
    return verify_entry(KnownEntry(b"\1" * 32, entry), chain, chain.store)[0]


def test_the_same_machine_repeats_a_run_bit_by_bit(
    chain: TinyChain, recorded: tuple[TrainedRun, RunRecord], tmp_path: Path
) -> None:
    said: list[str] = []
    known = KnownEntry(b"\1" * 32, recorded[1].entry)
    verdict, run = verify_entry(known, chain, chain.store, output_folder=tmp_path / "kept", say=said.append)
    assert verdict == RunVerdict(RunGrade.BIT_EXACT, (BIT_EXACT,), unchecked=(DECLARED, OF_THE_BASE))
    assert run.artefact == recorded[0].artefact
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    assert said == [
        "training 6 steps again, as entry 0101010101010101… records them", "taking the recorded measurements again",
    ]  # fmt: skip


def test_without_a_folder_nothing_of_a_repetition_stays(
    chain: TinyChain, recorded: tuple[TrainedRun, RunRecord]
) -> None:
    _, run = verify_entry(KnownEntry(b"\1" * 32, recorded[1].entry), chain, chain.store)
    assert not run.folder.exists()


def test_an_adapter_on_an_adapter_is_repeated_bit_by_bit(
    chain: TinyChain, recorded: tuple[TrainedRun, RunRecord], tmp_path: Path
) -> None:
    chain.add_entry("first", recorded[1].entry)
    recipe = tiny_recipe(("{base: base}", "{base: base, adapter: first}"))
    _, second = train_recipe(recipe, chain, chain.store, tmp_path)
    assert repeat(chain, second.entry).grade == RunGrade.BIT_EXACT


def test_near_losses_are_a_trace_match_and_far_ones_differ(recorded: tuple[TrainedRun, RunRecord]) -> None:
    trained, record = recorded
    plan = read_plan(record.manifest)
    entry = replace(record.entry, tensor_digest=b"\1" * 32, artefact_digest=b"\2" * 32)
    near, far, short = [
        replace(trained, loss_trace_micronats=trace)
        for trace in (
            tuple(loss + 3 for loss in trained.loss_trace_micronats),
            tuple(loss + 30_000 for loss in trained.loss_trace_micronats),
            trained.loss_trace_micronats[:-1],
        )
    ]
    graded = [grade(entry, plan, each, lambda: trained.folder) for each in (near, far, short)]
    assert [each.grade for each in graded] == [
        RunGrade.TRACE_MATCH,
        RunGrade.DIFFERS,
        RunGrade.DIFFERS,
    ]
    assert [each.findings[1] for each in graded] == [
        "largest difference of a step's loss: 3 micronats, allowed 5000",
        "largest difference of a step's loss: 30000 micronats, allowed 5000",
        "the record has 6 steps, the repetition 5",
    ]
    assert graded[0].findings[0].startswith("final tensors: 0.0e+00 from the repeated ones over all, 0.0e+00 at most")
    assert "0.1 is allowed: float noise moves them by thousandths" in graded[0].findings[0]


def test_equal_tensors_in_other_files_are_said(recorded: tuple[TrainedRun, RunRecord]) -> None:
    trained, record = recorded
    entry = replace(record.entry, artefact_digest=b"\2" * 32)
    verdict = grade(entry, read_plan(record.manifest), trained, lambda: trained.folder)
    assert verdict.grade == RunGrade.TRACE_MATCH
    assert "tensors are equal byte for byte, the files around them are not" in verdict.findings


def test_other_code_libraries_and_examples_are_named(recorded: tuple[TrainedRun, RunRecord]) -> None:
    trained, record = recorded
    plan = read_plan(record.manifest)
    libraries = {**dict(plan.libraries), "torch": "1.0"}
    del libraries["peft"]
    other = replace(plan, code_digest="ab" * 32, libraries=tuple(sorted(libraries.items())), data_order_root=b"\1" * 32)
    verdict = grade(replace(record.entry, tensor_digest=b"\1" * 32), other, trained, lambda: trained.folder)
    here = dict(plan.libraries)
    assert verdict.grade == RunGrade.DIFFERS
    assert verdict.findings[2] == "the examples or their order differ from the record"
    assert verdict.findings[3].startswith("other training code: abababababababab… in the record, ")
    assert verdict.findings[4] == (
        f"other library versions (record / here): peft absent / {here['peft']}, torch 1.0 / {here['torch']}"
    )


def test_a_plan_is_what_the_manifest_says(recorded: tuple[TrainedRun, RunRecord]) -> None:
    trained, record = recorded
    plan = read_plan(record.manifest)
    assert (plan.recipe, plan.losses_micronats) == (
        trained.prepared.recipe, trained.loss_trace_micronats
    )  # fmt: skip
    assert plan.data_order_root == data_order_root(trained.prepared.order)


def test_runs_of_other_frameworks_and_imports_are_not_repeated() -> None:
    manifest = Manifest({"about": to_json({"framework": "axolotl 0.9", "data_checked": False})})
    with pytest.raises(UsageError, match=r"recorded from axolotl 0\.9; its recipe cannot run here: repeat it with"):
        read_plan(manifest)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("about", b"[1]"),
        ("about", b'"data_checked"'),
        ("about", b"{"),
        ("recipe", b"steps: many"),
        ("recipe", b"[[[["),
        ("loss-trace", b'{"losses": [null]}'),
        ("loss-trace", b'{"losses": 7}'),
        ("loss-trace", b'{"losses": [Infinity]}'),
        ("data-order", b'{"root": "xyz"}'),
        ("data-order", b"{}"),
        ("code", b'{"digest": 1, "libraries": []}'),
        ("code", b"[]"),
    ],
)
def test_a_manifest_of_another_form_is_refused_in_one_line(
    recorded: tuple[TrainedRun, RunRecord], part: str, value: bytes
) -> None:
    forged = Manifest({**recorded[1].manifest.parts, part: value})
    with pytest.raises(NotVerified, match="manifest is not one that this trainer writes") as caught:
        read_plan(forged)
    assert "\n" not in str(caught.value)


def _other_inputs(entry: EntryRecord) -> EntryRecord:
    return replace(entry, inputs=entry.inputs[::-1])


def _other_parents(entry: EntryRecord) -> EntryRecord:
    return replace(entry, parents=(replace(entry.parents[0], role="teacher"),))


def _no_parents(entry: EntryRecord) -> EntryRecord:
    return replace(entry, parents=())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (_other_inputs, "the entry's inputs are not those of its manifest"),
        (_other_parents, "the entry's parents are not those of its recipe"),
        (_no_parents, "the entry's parents are not those of its recipe"),
    ],
)
def test_an_entry_that_contradicts_its_manifest_is_not_repeated(
    chain: TinyChain,
    recorded: tuple[TrainedRun, RunRecord],
    change: Callable[[EntryRecord], EntryRecord],
    text: str,
) -> None:
    with pytest.raises(NotVerified, match=text):
        repeat(chain, change(recorded[1].entry))


def _forged_manifest(chain: TinyChain, record: RunRecord, **changes: Any) -> EntryRecord:
    """The entry with a manifest, stored, whose first input says something else, as the entry then does too."""
    parts = dict(record.manifest.parts)
    parts["input/0000"] = to_json(record.manifest.json("input/0000") | changes)
    return replace(record.entry, manifest_root=put_manifest(chain.store, Manifest(parts)))


def test_an_entry_that_declares_other_weights_than_its_recipe_is_found_out_before_training(
    chain: TinyChain, recorded: tuple[TrainedRun, RunRecord]
) -> None:
    entry = _forged_manifest(chain, recorded[1], weight_ppb=PPB // 2)
    forged = replace(entry, inputs=(replace(entry.inputs[0], weight_ppb=PPB // 2), entry.inputs[1]))
    with pytest.raises(NotVerified, match="input 0: the recipe uses 9 rows at weight 750000000, the entry records"):
        repeat(chain, forged)


def test_an_entry_that_declares_other_rows_than_its_recipe_uses_is_found_out_before_training(
    chain: TinyChain, recorded: tuple[TrainedRun, RunRecord]
) -> None:
    entry = _forged_manifest(chain, recorded[1], rows_used_root="11" * 32)
    forged = replace(entry, inputs=(replace(entry.inputs[0], rows_used_root=b"\x11" * 32), entry.inputs[1]))
    with pytest.raises(NotVerified, match=r"records 9 at 750000000 \(or other rows\); do not rely"):
        repeat(chain, forged)


def test_a_recipe_with_more_inputs_than_the_entry_is_found_out(
    chain: TinyChain, recorded: tuple[TrainedRun, RunRecord], tmp_path: Path
) -> None:
    _, record = recorded
    short = replace(record.entry, inputs=record.entry.inputs[:1])
    versions = [chain.versions["facts", 1]]
    with pytest.raises(NotVerified, match="the entry has 1 inputs, its recipe 2"):
        retrain(short, read_plan(record.manifest), versions, chain.store, tiny_model(), tmp_path)


def test_a_manifest_whose_inputs_cannot_be_read_is_refused(
    chain: TinyChain, recorded: tuple[TrainedRun, RunRecord]
) -> None:
    parts = {**recorded[1].manifest.parts, "input/0000": b"[7]"}
    entry = replace(recorded[1].entry, manifest_root=put_manifest(chain.store, Manifest(parts)))
    with pytest.raises(NotVerified, match="the inputs in the entry's manifest cannot be read"):
        repeat(chain, entry)
