"""A run that some other tool did, as a record: its files, its configuration, and what its owner declares."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from abci_app.modules.models.kinds import (
    EntryKind,
    Undeclared,
    fault_of_rows,
    fault_of_shares,
    fault_of_structure,
    fault_of_terms,
)
from abci_app.types import MAX_NAME_LENGTH, NAME_PATTERN
from openledger.content.artefact import Artefact, put_artefact
from openledger.content.store import ContentStore
from openledger.data.manifest import Manifest, ManifestError, put_manifest, to_json
from openledger.data.ownership import owner_parts
from openledger.words import number_of
from trainer.record import KINDS, about_part, files_part, input_head, make_entry
from trainer.recording.facts import LoggedLoss
from trainer.run_records import (
    NO_DIGEST,
    DeclaredInput,
    InputRecord,
    ParentRecord,
    RunEventRecord,
    RunRecord,
)

# When a run of another tool was recorded: by itself while it ran, or from its files.
DURING = "during the run"
AFTERWARDS = "afterwards"
MAX_ROLE_LENGTH = 32  # a label on the chain


def record_external(
    *,
    model_name: str,
    kind: str,
    framework: str,
    recipe: bytes,
    parents: Sequence[ParentRecord],
    inputs: Sequence[DeclaredInput],
    folder: Path,
    artefact: Artefact,
    store: ContentStore,
    event: RunEventRecord,
    training: Mapping[str, int | str] | None = None,
    losses: Sequence[LoggedLoss] = (),
    recorded: str = AFTERWARDS,
    terms_id: bytes = NO_DIGEST,
    undeclared: str = "nothing",
    owner: bytes = b"",
) -> RunRecord:
    """Record a run of any framework from its output folder, its recipe or configuration as text, and its inputs.

    `training`, `losses`: the facts that the tool's files show (facts.RunFacts); `recorded`: when (`DURING` the run).
    `terms_id`: terms that the run itself brings in (an import needs those under which the model was received).
    `undeclared`: which parents or inputs there were beyond those given; they need terms, too.
    `owner`: the account that the manifest names, so that it can claim the entry if somebody else records it first.
    """
    _check_words(model_name, kind, parents)
    _check_declared(kind, parents, inputs, undeclared, terms_id)
    parts = {
        **owner_parts(owner),
        "about": about_part(kind, framework, False, recorded),
        "output": files_part(artefact.files),
        "recipe": recipe,
    }
    if training:
        parts["training"] = to_json(training)
    if losses:
        parts["loss-trace"] = to_json(
            {
                "unit": "micronats",
                "losses": [logged.loss_micronats for logged in losses],
                "at_steps": [logged.step for logged in losses],
            }
        )
    records = [_input_record(item) for item in inputs]
    for index, (item, made) in enumerate(zip(inputs, records, strict=True)):
        parts[f"input/{index:04}"] = to_json(input_head(made) | {"declared_steps": list(item.steps)})
    manifest = Manifest(parts)
    store.put(recipe)
    put_manifest(store, manifest)
    put_artefact(store, folder, artefact)
    entry = make_entry(kind, parents, tuple(records), manifest, artefact)
    entry = replace(entry, terms_id=terms_id, undeclared=undeclared)
    return RunRecord(model_name=model_name, manifest=manifest, entry=entry, event=event)


def _input_record(item: DeclaredInput) -> InputRecord:
    return InputRecord(
        datanet_id=item.datanet_id,
        version=item.version,
        weight_ppb=item.weight_ppb,
        rows_used=item.rows_used,
        rows_used_root=item.rows_used_root,
    )


def _check_declared(
    kind: str, parents: Sequence[ParentRecord], inputs: Sequence[DeclaredInput], undeclared: str, terms_id: bytes
) -> None:
    """The kind's structure by the chain's own rules; raises `ManifestError`."""
    missing = Undeclared(number_of("undeclared", undeclared) or 0)
    which = EntryKind[kind.upper()]
    fault = fault_of_structure(which, [parent.role for parent in parents], len(inputs), missing)
    fault = fault or fault_of_terms(which, missing, bool(terms_id))
    for item in inputs:
        fault = fault or fault_of_rows(item.rows_used, item.rows_used_root)
    if fault:
        raise ManifestError(fault)
    for what, shares, left_out in (
        ("weights of the inputs", [item.weight_ppb for item in inputs], missing.has_inputs),
        ("shares of the parents", [parent.share_ppb for parent in parents], missing.has_parents),
    ):
        fault = fault_of_shares(what, shares, left_out)
        if fault:
            raise ManifestError(fault)


def _check_words(model_name: str, kind: str, parents: Sequence[ParentRecord]) -> None:
    """Refuse the words that the chain would refuse in the end, before anything is stored."""
    if kind not in KINDS:
        raise ManifestError(f"kind of run {kind!r} is unknown; use one of {', '.join(KINDS)}")
    for what, word, longest in (
        ("model name", model_name, MAX_NAME_LENGTH),
        *[("role", parent.role, MAX_ROLE_LENGTH) for parent in parents],
    ):
        if len(word) > longest or re.fullmatch(NAME_PATTERN, word) is None:
            raise ManifestError(
                f"{what} {word!r}: write lower-case letters, digits, '.', '_', '-', '/', at most {longest}"
            )
