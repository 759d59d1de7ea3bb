"""Verification looks at the output: tensors by distance, measurements taken again, and all that was not compared."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from attribution.adapter_config import CONFIG_FILE
from attribution.adapter_file import ADAPTER_FILE
from openledger.content.artefact import describe_artefact, put_artefact
from openledger.data.manifest import Manifest, put_manifest, to_json
from openledger.errors import NotVerified
from tests.kit.trainer.tiny import TinyChain, tiny_recipe
from trainer.ancestry import KnownEntry
from trainer.evaluate import METRIC
from trainer.measurements import RecordedMeasurement
from trainer.run_records import EntryRecord, RunRecord
from trainer.train import TrainedRun
from trainer.verify import RunGrade, RunVerdict
from trainer.workflow import train_recipe, verify_entry

pytestmark = pytest.mark.ml


def repeat(chain: TinyChain, entry: EntryRecord) -> RunVerdict:
    return verify_entry(KnownEntry(b"\1" * 32, entry), chain, chain.store)[0]


def changed_adapter(source: Path, target: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The adapter of a folder with other tensors, in another folder."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(source, target)
    tensors = load_file(target / ADAPTER_FILE)
    change(tensors)
    save_file({name: tensor.contiguous() for name, tensor in sorted(tensors.items())}, target / ADAPTER_FILE)
    return target


def randomise(tensors: dict[str, Any], *, only: str = "lora_", size: float = 1.0) -> None:
    """Random numbers of the tensors' own length in some of them."""
    import torch

    torch.manual_seed(5)
    for name, tensor in tensors.items():
        if only in name:
            other = torch.randn_like(tensor)
            tensors[name] = tensor + size * (other / other.norm() * tensor.norm() - tensor)


def randomise_file(path: Path) -> None:
    """Other tensors under other names in a file."""
    from safetensors.torch import load_file, save_file

    save_file({f"other.{name}": tensor * 2 for name, tensor in load_file(path).items()}, path)


def published(chain: TinyChain, record: RunRecord, folder: Path, name: str) -> KnownEntry:
    """The record of a run with another output, whose files lie in the store."""
    artefact = describe_artefact(folder)
    put_artefact(chain.store, folder, artefact)
    listed = [{"name": each.name, "sha256": each.digest.hex(), "bytes": each.byte_count} for each in artefact.files]
    manifest = Manifest({**record.manifest.parts, "output": to_json({"files": listed})})
    entry = replace(
        record.entry,
        manifest_root=put_manifest(chain.store, manifest),
        artefact_digest=artefact.artefact_digest,
        tensor_digest=artefact.tensor_digest,
        byte_count=artefact.byte_count,
    )
    return KnownEntry(name.encode().ljust(32, b"."), entry)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("random", randomise),
        ("random-b", lambda tensors: randomise(tensors, only="lora_B")),
        ("one-tensor", lambda tensors: randomise(tensors, only="layers.1.self_attn.v_proj.lora_B")),
        ("scaled", lambda tensors: [tensor.mul_(1.5) for name, tensor in tensors.items() if "lora_B" in name]),
        ("negated", lambda tensors: [tensor.neg_() for name, tensor in tensors.items() if "lora_B" in name]),
        ("swapped", lambda tensors: tensors.update(
            {
                "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight":
                    tensors["base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight"] + 0,
            }
        )),
    ],
)  # fmt: skip
def test_another_adapter_under_honest_losses_differs_and_its_farthest_tensor_is_named(
    chain: TinyChain,
    recorded: tuple[TrainedRun, RunRecord],
    tmp_path: Path,
    name: str,
    change: Callable[[dict[str, Any]], object],
) -> None:
    folder = changed_adapter(recorded[0].folder, tmp_path / "forged", change)
    verdict, _ = verify_entry(published(chain, recorded[1], folder, name), chain, chain.store)
    assert (verdict.grade, verdict.failed) == (RunGrade.DIFFERS, True)
    assert re.match(r"final tensors: .* at most in one \(base_model.*lora_", verdict.findings[0])


def test_float_noise_in_the_tensors_is_a_trace_match(
    chain: TinyChain, recorded: tuple[TrainedRun, RunRecord], tmp_path: Path
) -> None:
    folder = changed_adapter(recorded[0].folder, tmp_path / "near", lambda tensors: randomise(tensors, size=0.001))
    verdict, _ = verify_entry(published(chain, recorded[1], folder, "near"), chain, chain.store)
    assert (verdict.grade, verdict.failed) == (RunGrade.TRACE_MATCH, False)


def test_the_same_tensors_under_another_scaling_differ(
    chain: TinyChain, recorded: tuple[TrainedRun, RunRecord], tmp_path: Path
) -> None:
    folder = changed_adapter(recorded[0].folder, tmp_path / "scaled", lambda tensors: None)
    config = json.loads((folder / CONFIG_FILE).read_text())
    (folder / CONFIG_FILE).write_text(json.dumps(config | {"lora_alpha": 400}))
    verdict, _ = verify_entry(published(chain, recorded[1], folder, "scaling"), chain, chain.store)
    assert verdict.grade == RunGrade.DIFFERS
    assert any("configuration says rank, scaling, modules (2, 200.0, " in line for line in verdict.findings)


@pytest.mark.parametrize("change", [{"layers_to_transform": [0]}, {"exclude_modules": ["v_proj"]}])
def test_the_same_tensors_of_which_a_loader_takes_some_differ(
    chain: TinyChain, recorded: tuple[TrainedRun, RunRecord], tmp_path: Path, change: dict[str, Any]
) -> None:
    folder = changed_adapter(recorded[0].folder, tmp_path / "some", lambda tensors: None)
    config = json.loads((folder / CONFIG_FILE).read_text())
    (folder / CONFIG_FILE).write_text(json.dumps(config | change))
    verdict, _ = verify_entry(published(chain, recorded[1], folder, "some"), chain, chain.store)
    assert verdict.grade == RunGrade.DIFFERS
    assert any(f"says rank, scaling, modules (2, 2.0, ('{next(iter(change))} " in line for line in verdict.findings)


def test_what_lies_beside_the_adapter_is_compared_or_said_to_be_unchecked(
    chain: TinyChain, recorded: tuple[TrainedRun, RunRecord], tmp_path: Path
) -> None:
    folder = changed_adapter(recorded[0].folder, tmp_path / "more", lambda tensors: None)
    (folder / "tokenizer.json").write_text("{}")
    verdict, _ = verify_entry(published(chain, recorded[1], folder, "more"), chain, chain.store)
    assert verdict.grade == RunGrade.TRACE_MATCH
    assert "the recorded file tokenizer.json, which the repetition has not" in verdict.unchecked
    shutil.copy(folder / ADAPTER_FILE, folder / "other.safetensors")
    randomise_file(folder / "other.safetensors")
    verdict, _ = verify_entry(published(chain, recorded[1], folder, "beside"), chain, chain.store)
    assert verdict.grade == RunGrade.DIFFERS
    assert any("other.safetensors stands beside an adapter" in line for line in verdict.findings)


def test_without_the_recorded_output_there_is_no_grade(
    chain: TinyChain, recorded: tuple[TrainedRun, RunRecord]
) -> None:
    entry = replace(recorded[1].entry, artefact_digest=b"\2" * 32, tensor_digest=b"\2" * 32)
    with pytest.raises(NotVerified, match="lists other files than the entry records"):
        repeat(chain, entry)


def test_an_honest_adapter_under_made_up_losses_or_order_is_bit_exact_and_fails(
    chain: TinyChain, recorded: tuple[TrainedRun, RunRecord]
) -> None:
    losses = [loss - 300_000 for loss in recorded[0].loss_trace_micronats]
    for part, value, text in (
        (
            "loss-trace",
            {"unit": "micronats", "losses": losses},
            "the recorded losses are not those of this run",
        ),
        ("data-order", {"root": "11" * 32, "examples": 12}, "the recorded order of the examples is not that"),
    ):
        manifest = Manifest({**recorded[1].manifest.parts, part: to_json(value)})
        verdict = repeat(chain, replace(recorded[1].entry, manifest_root=put_manifest(chain.store, manifest)))
        assert (verdict.grade, verdict.failed, len(verdict.contradictions)) == (RunGrade.BIT_EXACT, True, 1)
        assert verdict.contradictions[0].startswith(text)


def measurements_of(record: RunRecord, trained: TrainedRun) -> list[RecordedMeasurement]:
    """List the measurements that an honest recorder records of its own entry."""
    assert trained.after is not None
    return [RecordedMeasurement("run event", True, METRIC, trained.after.overall.loss_micronats)] + [
        RecordedMeasurement(
            "recorder", True, item.metric, item.value, item.datanet_id, item.version, item.sample_size, item.interval
        )
        for item in record.evaluations
        if not item.of_parent
    ]


def test_honest_measurements_hold_and_others_are_listed_as_not_checked(
    chain: TinyChain, recorded: tuple[TrainedRun, RunRecord], tmp_path: Path
) -> None:
    honest = measurements_of(recorded[1], recorded[0])
    foreign = RecordedMeasurement("recorded by eve", False, "accuracy", 99, b"\5" * 32, 1, 10, 1)
    folder = changed_adapter(recorded[0].folder, tmp_path / "near", lambda tensors: randomise(tensors, size=0.0005))
    for known in (
        KnownEntry(b"\1" * 32, recorded[1].entry), published(chain, recorded[1], folder, "near-measured"),
    ):  # fmt: skip
        chain.measured[known.entry_id] = [*honest, foreign]
        verdict, _ = verify_entry(known, chain, chain.store)
        del chain.measured[known.entry_id]
        assert (verdict.failed, verdict.contradictions) == (False, ())
        assert f"measurements taken again on the recorded tensors: {len(honest)} hold" in verdict.findings
        assert verdict.unchecked[0] == (
            f"accuracy 99 on {'05' * 8}… version 1, recorded by eve (another metric or benchmark than the recipe's)"
        )


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"value": 1}, r"MADE UP: the recorded tensors give \d+ \(allowed difference 1000\)"),
        ({"sample_size": 600}, r"MADE UP: over 600 rows, where the recipe holds out \d"),
        ({"interval": 10**9}, r"MADE UP: its interval is 1000000000, the recorded tensors give"),
    ],
)
def test_made_up_measurements_are_named_with_what_the_recorded_tensors_give(
    chain: TinyChain, recorded: tuple[TrainedRun, RunRecord], changes: dict[str, Any], text: str
) -> None:
    quality, first, *rest = measurements_of(recorded[1], recorded[0])
    forged = replace(first, **changes)
    known = KnownEntry(b"\1" * 32, recorded[1].entry)
    for by_recorder in (True, False):
        chain.measured[known.entry_id] = [quality, replace(forged, by_recorder=by_recorder), *rest]
        verdict, _ = verify_entry(known, chain, chain.store)
        del chain.measured[known.entry_id]
        # What somebody else made up speaks against that account, not against the entry.
        assert (verdict.grade, verdict.failed) == (RunGrade.BIT_EXACT, by_recorder)
        named = verdict.contradictions if by_recorder else verdict.findings
        assert any(re.search(text, line) for line in named)


def test_a_quality_where_the_recipe_holds_nothing_out_is_made_up(chain: TinyChain, tmp_path: Path) -> None:
    recipe = tiny_recipe(("evaluate: {rows: 6}", "evaluate: {rows: 0}"))
    _, record = train_recipe(recipe, chain, chain.store, tmp_path)
    known = KnownEntry(b"\1" * 32, record.entry)
    chain.measured[known.entry_id] = [RecordedMeasurement("run event", True, METRIC, 5)]
    verdict, _ = verify_entry(known, chain, chain.store)
    del chain.measured[known.entry_id]
    assert verdict.contradictions == (f"{METRIC} 5, run event: MADE UP: the recipe holds out no row to measure it on",)
