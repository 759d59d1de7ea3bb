"""From a run to what the chain records: manifest, entry, run event, evaluations. Pure but for the content store.

The dataclasses here are framework-neutral; `publish` turns them into messages. Everything that decides or describes
the run lies in the manifest and is bound by its root; what differs between repetitions (operator, times, machine,
measured quality) lies in the run event.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import msgspec

from abci_app.hashing import list_root
from abci_app.types import MAX_TEXT_LENGTH
from openledger.content.artefact import Artefact, put_artefact
from openledger.content.folder import ArtefactFile
from openledger.content.store import ContentStore
from openledger.data.manifest import Manifest, put_manifest, to_json
from openledger.data.ownership import owner_parts
from trainer.base_model import BaseModel
from trainer.environment import code_description, environment_line
from trainer.evaluate import METRIC, HeldOutLoss, Measurement
from trainer.examples import Cuts
from trainer.partition import Partition, data_order_root, rows_used
from trainer.recipe import Dataset
from trainer.run_records import (
    NO_DIGEST,
    EntryRecord,
    EvaluationRecord,
    InputRecord,
    ParentRecord,
    RunEventRecord,
    RunRecord,
)
from trainer.train import PreparedRun, TrainedRun

MANIFEST_FORMAT = 1
KINDS = ("pretrain", "lora", "full", "merge", "distil", "quantise", "prompt", "retrieval", "import")
TOKENIZER_FILES = frozenset(
    ("chat_template.jinja", "merges.txt", "special_tokens_map.json", "tokenizer.json", "tokenizer.model",
     "tokenizer_config.json", "vocab.json")
)  # fmt: skip
MAX_ROLE_LENGTH = 32  # a label on the chain


def record_training(
    run: TrainedRun,
    base: Artefact,
    parents: Sequence[ParentRecord],
    store: ContentStore,
    *,
    attribution_method: int = 0,
    attribution_root: bytes = NO_DIGEST,
    owner: bytes = b"",
) -> RunRecord:
    """Record a run of our own trainer; stores recipe, manifest and output.

    `owner`: the account that the manifest names, so that it can claim the entry if somebody else records it first.
    """
    recipe = run.prepared.recipe
    inputs = input_records(run.prepared)
    parts = training_parts(run, base) | {
        **owner_parts(owner),
        "code": to_json(code_description()),
        "devices": to_json({"kind": run.devices.kind, "processes": run.devices.processes}),
        "loss-trace": to_json({"unit": "micronats", "losses": list(run.loss_trace_micronats)}),
    }
    manifest = Manifest(parts)
    store.put(recipe.canonical())
    put_manifest(store, manifest)
    put_artefact(store, run.folder, run.artefact)
    entry = replace(
        make_entry(recipe.method.kind, parents, inputs, manifest, run.artefact),
        attribution_method=attribution_method,
        attribution_root=attribution_root,
    )
    quality = run.after.overall.loss_micronats if run.after else 0
    event = RunEventRecord(
        started_seconds=run.started_seconds,
        finished_seconds=run.finished_seconds,
        environment=environment_line(),
        quality_metric=METRIC if run.after else "",
        quality_value=quality,
    )
    return RunRecord(
        model_name=recipe.output.model,
        manifest=manifest,
        entry=entry,
        event=event,
        evaluations=_evaluations(run, inputs),
    )


def training_parts(run: TrainedRun, base: Artefact) -> dict[str, bytes]:
    """Parts of a run's manifest that follow from its recipe, rows and base, without a float; `output` is this run's."""
    prepared = run.prepared
    recipe = prepared.recipe
    tokenizer = tuple(file for file in base.files if file.name in TOKENIZER_FILES)
    parts = {
        "about": about_part(recipe.method.kind, "openledger trainer", True),
        "base": to_json(_base_part(base, recipe.model.base, recipe.model.adapter)),
        "data-order": to_json(
            {"root": data_order_root(prepared.order).hex(), "examples": len(prepared.order), "steps": prepared.steps}
        ),
        "output": files_part(run.artefact.files),
        "recipe": recipe.canonical(),
        "seed": to_json({"seed": recipe.train.seed, "threads": recipe.train.threads}),
        "tokenizer": files_part(tokenizer),
        "writing": to_json(dict(run.cuts.writing)),
    }
    for index, (dataset, record) in enumerate(zip(recipe.datasets, input_records(prepared), strict=True)):
        part = _partition_part(dataset, record, prepared.partitions[index], prepared.versions[index].root)
        part["cut"] = _cut_part(run.cuts, index)
        if recipe.attribution is not None:
            part["copies_left_out"] = sum(copy.row.input_index == index for copy in prepared.copies)
        parts[f"input/{index:04}"] = to_json(part)
    return parts


def record_import(
    base: BaseModel, terms_id: bytes, store: ContentStore, now_seconds: int, *, owner: bytes = b""
) -> RunRecord:
    """Record a model that came from outside under some terms; the manifest says that its training data are unknown."""
    tokenizer = tuple(file for file in base.artefact.files if file.name in TOKENIZER_FILES)
    source = {
        "source": base.source,
        "source_sha256": base.source_digest.hex(),
        "licence": base.licence,
        "conversion": "4-bit GGUF weights de-quantised to float32 safetensors",
        "training_data": "unknown: not declared on this chain",
    }
    manifest = Manifest(
        {
            **owner_parts(owner),
            "about": about_part("import", "openledger trainer", False),
            "code": to_json(code_description()),
            "output": files_part(base.artefact.files),
            "source": to_json(source),
            "tokenizer": files_part(tokenizer),
        }
    )
    put_manifest(store, manifest)
    entry = replace(make_entry("import", (), (), manifest, base.artefact), terms_id=terms_id)
    return RunRecord(
        model_name=base.name,
        manifest=manifest,
        entry=entry,
        event=RunEventRecord(
            started_seconds=now_seconds,
            finished_seconds=now_seconds,
            environment=environment_line(),
            quality_metric="",
            quality_value=0,
        ),
    )


def make_entry(
    kind: str,
    parents: Sequence[ParentRecord],
    inputs: Sequence[InputRecord],
    manifest: Manifest,
    artefact: Artefact,
) -> EntryRecord:
    """An entry of these parts, without terms, undeclared things and attribution."""
    return EntryRecord(
        kind=kind,
        parents=tuple(parents),
        inputs=tuple(inputs),
        manifest_root=manifest.root,
        artefact_digest=artefact.artefact_digest,
        tensor_digest=artefact.tensor_digest,
        byte_count=artefact.byte_count,
        format="safetensors" if any(file.name.endswith(".safetensors") for file in artefact.files) else "files",
    )


def about_part(kind: str, framework: str, data_checked: bool, recorded: str = "") -> bytes:
    """The part `about`; `recorded` says when, for runs that others did."""
    text = framework[:MAX_TEXT_LENGTH]
    part = {"format": MANIFEST_FORMAT, "kind": kind, "framework": text, "data_checked": data_checked}
    return to_json(part | ({"recorded": recorded} if recorded else {}))


def _base_part(base: Artefact, base_entry: str, adapter_entry: str) -> dict[str, Any]:
    part = {
        "entry": base_entry,
        "artefact_digest": base.artefact_digest.hex(),
        "tensor_digest": base.tensor_digest.hex(),
    }
    return part | ({"adapter": adapter_entry} if adapter_entry else {})


def files_part(files: Sequence[ArtefactFile]) -> bytes:
    """Names, digests and sizes of files."""
    return to_json(
        {"files": [{"name": file.name, "sha256": file.digest.hex(), "bytes": file.byte_count} for file in files]}
    )


def input_records(prepared: PreparedRun) -> tuple[InputRecord, ...]:
    """Make an entry's records of the inputs of a run, from recipe and rows alone."""
    records = []
    for index, (dataset, version) in enumerate(zip(prepared.recipe.datasets, prepared.versions, strict=True)):
        leaves = rows_used(prepared.order, index)
        root = list_root("rows-used", leaves)
        records.append(
            InputRecord(
                datanet_id=version.datanet_id,
                version=version.version,
                weight_ppb=dataset.weight_ppb,
                rows_used=len(leaves),
                rows_used_root=root,
            )
        )
    return tuple(records)


def input_head(record: InputRecord) -> dict[str, Any]:
    """The beginning of an input's part: which version, its weight, the rows used as far as they are known."""
    return {
        "datanet": record.datanet_id.hex(),
        "version": record.version,
        "weight_ppb": record.weight_ppb,
        "rows_used_root": record.rows_used_root.hex(),
    } | ({"rows_used": record.rows_used} if record.rows_used_root else {})


def _partition_part(dataset: Dataset, record: InputRecord, partition: Partition, version_root: bytes) -> dict[str, Any]:
    """Describe the fate of the rows of one input, step by step."""
    described = msgspec.to_builtins(dataset)
    return input_head(record) | {
        "version_root": version_root.hex(),
        "preprocess": described["preprocess"],
        "filters": described["filters"],
        "split": described["split"],
        "sampling": described["sampling"],
        "rows": partition.row_count,
        "changed_by_step": list(partition.changed_by_step),
        "passed_by_step": list(partition.passed_by_step),
        "rows_by_form": dict(partition.rows_by_form),
        "kept_by_filter": list(partition.kept_by_filter),
        "rows_empty": partition.empty,
        "held_out_copies": {
            "exact": partition.exact_held_out_copies,
            "near": partition.near_held_out_copies,
            "inside": partition.held_out_inside,
        },
        "rows_over_limit": partition.over_limit,
        "rows_held_out": len(partition.held_out),
        "rows_for_training": len(partition.training),
    }


def _cut_part(cuts: Cuts, index: int) -> dict[str, Any]:
    """Count the rows of one input that did not fit into a sequence: different rows trained on, and rows measured on."""
    return {"trained": asdict(cuts.trained[index]), "measured": asdict(cuts.measured[index])}


def _evaluations(run: TrainedRun, inputs: Sequence[InputRecord]) -> tuple[EvaluationRecord, ...]:
    measured: list[EvaluationRecord] = []
    sides: tuple[tuple[HeldOutLoss | None, bool], ...] = ((run.before, True), (run.after, False))
    for evaluation, of_parent in sides:
        for record, measurement in zip(inputs, evaluation.by_input if evaluation else (), strict=False):
            if measurement is not None:
                measured.append(_evaluation(record, measurement, of_parent))
    return tuple(measured)


def _evaluation(record: InputRecord, measurement: Measurement, of_parent: bool) -> EvaluationRecord:
    return EvaluationRecord(
        datanet_id=record.datanet_id,
        version=record.version,
        metric=METRIC,
        value=measurement.loss_micronats,
        sample_size=measurement.sample_size,
        interval=measurement.interval_micronats,
        of_parent=of_parent,
    )
