"""The imported base model, and fine-tunes that the real command trains and records."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from openledger_cli.demo import cast
from openledger_cli.demo.stage import Stage, must

if TYPE_CHECKING:
    from abci_app.modules.models.records import Evaluation, StoredEntry


def import_base(stage: Stage) -> None:
    """Convert the base model on first use, check its files, record it with its terms."""
    from abci_app.modules.licences import terms_id_of
    from trainer.base_model import check_base_model, import_base_model
    from trainer.publish import ClientLedger
    from trainer.record import record_import

    stage.report.say("  finding and checking the base model (converted once, about a minute)")
    base = import_base_model()
    check_base_model(base)
    artefact = base.artefact
    stage.report.say(f"  {base.name}: {artefact.byte_count // 10**6} MB of float32 weights from {base.source}")
    record = record_import(
        base, terms_id_of(cast.APACHE), stage.store, int(time.time()), owner=stage.signer(cast.BUILDER).address
    )
    published = ClientLedger(stage.client, stage.signer(cast.BUILDER), prove=False).publish(record)
    stage.settle(published.height)
    stage.entries["base"] = published.entry_id
    stored = _stored(stage, "base")
    stage.report.check(
        f"the base model is on the chain, proven: tensors {artefact.tensor_digest.hex()[:16]}..., {base.licence}",
        (stored.entry.output.tensor_digest, stored.entry.terms_id)
        == (artefact.tensor_digest, terms_id_of(cast.APACHE)),
    )
    stage.report.fact("base model", f"{base.name}, {published.entry}")


def train_first(stage: Stage) -> None:
    """A fresh adapter on version 1 of both DataNets."""
    _train(stage, "first", cast.first_recipe(_text(stage, "base"), stage.pace))


def train_second(stage: Stage) -> None:
    """The first adapter continued on a mix with version 2 of the questions."""
    recipe = cast.second_recipe(_text(stage, "base"), _text(stage, "first"), stage.pace)
    _train(stage, "second", recipe)


def _train(stage: Stage, name: str, recipe: str) -> None:
    """`openledger train`: checks data and terms, trains, stores, records run and evaluations."""
    from abci_app.bech32 import decode_id

    path = stage.folder / f"{name}.yaml"
    path.write_text(recipe, encoding="utf-8")
    started = time.monotonic()
    adapter = stage.folder / f"{name}-adapter"
    said = stage.command(
        "train", str(path), "--from", cast.BUILDER, "--folder", str(adapter), "--output", "json", watch=True
    )
    seconds = time.monotonic() - started
    result = must(said, "openledger train").document()
    stage.entries[name] = decode_id(result["entry"], "olrun")[1]
    stage.settle(int(result["height"]))
    stage.report.say(f"  {result['entry']} recorded at height {result['height']}")
    _check_run(stage, name, result)
    pace = stage.pace
    fact = f"{pace.steps} steps of up to {pace.tokens_a_step} tokens, {seconds:.0f} s; held-out loss "
    stage.report.fact(f"{name} fine-tune", fact + str(result.get("held_out_loss", "not measured")))


def _check_run(stage: Stage, name: str, result: dict[str, Any]) -> None:
    """The chain has what is on the disk, and the measurements before and after."""
    from openledger.content.artefact import describe_artefact
    from openledger.data.manifest import get_manifest

    stored = _stored(stage, name)
    artefact = describe_artefact(stage.folder / f"{name}-adapter")
    output = stored.entry.output
    stage.report.check(
        f"the adapter's files and tensors are those of the entry on the chain: {output.tensor_digest.hex()[:16]}...",
        (output.artefact_digest, output.tensor_digest) == (artefact.artefact_digest, artefact.tensor_digest),
    )
    manifest = get_manifest(stage.store, stored.entry.manifest_root)
    filters = [step["step"] for part in manifest.inputs for step in part["filters"]]
    stage.report.check(
        f"recipe, partition and filters ({', '.join(dict.fromkeys(filters))}) lie behind the entry's manifest root",
        stored.entry.manifest_root.hex() == result["manifest_root"] and len(manifest.inputs) == 2 and len(filters) == 6,
    )
    parent = stored.entry.parents[-1].entry_id
    before, after = _measured(stage, parent, stored), _measured(stage, stage.entries[name], stored)
    both = set(before) & set(after)
    words = ", ".join(
        f"{_datanet_name(stage, key[0])} {before[key].value / 10**6:.3f} -> {after[key].value / 10**6:.3f}"
        for key in sorted(both)
    )
    stage.report.check(f"held-out loss before and after is on the chain, proven: {words}", len(both) == 2)
    if stage.pace == cast.FULL_PACE:
        lower = [after[key].value < before[key].value for key in both]
        stage.report.check("training lowered the loss on rows that it never saw", bool(lower) and all(lower))


def _measured(stage: Stage, entry_id: bytes, run: StoredEntry) -> dict[tuple[bytes, int], Evaluation]:
    """Measurements of an entry on the run's own input versions."""
    from abci_app.modules.models.queries import EntryEventsQuery

    used = {(item.datanet_id, item.version) for item in run.entry.inputs}
    page = stage.query("models", "evaluations", EntryEventsQuery(entry_id, 0, 100))
    records = [item.evaluation for item in page.evaluations]
    found = {(one.benchmark_datanet_id, one.benchmark_version): one for one in records}
    return {key: one for key, one in found.items() if key in used}


def _datanet_name(stage: Stage, datanet_id: bytes) -> str:
    return next(name for name, known in stage.datanets.items() if known == datanet_id)


def _stored(stage: Stage, name: str) -> StoredEntry:
    from abci_app.modules.models.queries import EntryQuery

    stored: StoredEntry = stage.query("models", "entry", EntryQuery(stage.entries[name])).stored
    return stored


def _text(stage: Stage, name: str) -> str:
    from trainer.publish import entry_text

    return entry_text(stage.entries[name])
