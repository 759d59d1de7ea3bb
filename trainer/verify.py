"""Retrain a recorded run and grade how close the result comes."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from openledger.content import ContentStore
from openledger.errors import UsageError
from openledger.manifest import Manifest
from trainer.dataset import DatanetVersion
from trainer.environment import code_description
from trainer.partition import data_order_root
from trainer.recipe import parse_recipe
from trainer.record import EntryRecord
from trainer.train import Progress, TrainedRun, prepare_run, train

# float32 sums in another order (other threads, other processor) differ by some 1e-6 a step and grow over a run of
# tens of steps; other data, seed or rates move single losses by 1e-2 and more.
TRACE_TOLERANCE_MICRONATS = 5_000


class Grade(StrEnum):
    """How a repetition compares with the record."""

    BIT_EXACT = "bit-exact"
    TRACE_MATCH = "trace match"
    DIFFERS = "differs"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The grade and, in words, what is equal and what is not."""

    grade: Grade
    findings: tuple[str, ...]


def retrain(
    manifest: Manifest,
    versions: Sequence[DatanetVersion],
    store: ContentStore,
    base_folder: Path,
    output_folder: Path,
    *,
    adapter_folder: Path | None = None,
    progress: Progress | None = None,
) -> TrainedRun:
    """Run the manifest's recipe again on the same inputs; raises `UsageError` for runs of other frameworks."""
    about = manifest.json("about")
    if not about.get("data_checked"):
        raise UsageError(
            f"this entry was recorded from {about.get('framework', 'another framework')}; its recipe cannot run here: "
            "repeat it with that framework and compare the output digests"
        )
    recipe = parse_recipe(manifest.parts["recipe"], "recipe of the entry")
    prepared = prepare_run(recipe, versions, store)
    return train(
        prepared,
        base_folder,
        output_folder,
        base_label=recipe.model.base,
        adapter_folder=adapter_folder,
        progress=progress,
    )


def grade(entry: EntryRecord, manifest: Manifest, run: TrainedRun) -> Verdict:
    """Compare a repetition with the record: output digests, then the loss trace; differences of set-up are named."""
    findings = [*_differences_of_setup(manifest, run)]
    if (run.artefact.artefact_digest, run.artefact.tensor_digest) == (entry.artefact_digest, entry.tensor_digest):
        return Verdict(Grade.BIT_EXACT, ("output files and tensors are equal byte for byte", *findings))
    if run.artefact.tensor_digest == entry.tensor_digest:
        findings.insert(0, "tensors are equal byte for byte, the files around them are not")
    recorded = manifest.json("loss-trace")["losses"]
    repeated = run.loss_trace_micronats
    if len(recorded) != len(repeated):
        findings.insert(0, f"the record has {len(recorded)} steps, the repetition {len(repeated)}")
        return Verdict(Grade.DIFFERS, tuple(findings))
    largest = max(abs(one - other) for one, other in zip(recorded, repeated, strict=True))
    findings.insert(0, f"largest difference of a step's loss: {largest} micronats, allowed {TRACE_TOLERANCE_MICRONATS}")
    same_data = data_order_root(run.prepared.order).hex() == manifest.json("data-order")["root"]
    matches = same_data and largest <= TRACE_TOLERANCE_MICRONATS
    return Verdict(Grade.TRACE_MATCH if matches else Grade.DIFFERS, tuple(findings))


def _differences_of_setup(manifest: Manifest, run: TrainedRun) -> list[str]:
    """What was not the same from the start."""
    findings = []
    if data_order_root(run.prepared.order).hex() != manifest.json("data-order")["root"]:
        findings.append("the examples or their order differ from the record")
    recorded, here = manifest.json("code"), code_description()
    if recorded["digest"] != here["digest"]:
        findings.append(
            f"other training code: {recorded['digest'][:16]}… in the record, {str(here['digest'])[:16]}… here"
        )
    versions = here["libraries"]
    if isinstance(versions, dict) and recorded["libraries"] != versions:
        changed = [
            f"{name} {recorded['libraries'].get(name, 'absent')} / {version}"
            for name, version in sorted(versions.items())
            if recorded["libraries"].get(name) != version
        ]
        findings.append(f"other library versions (record / here): {', '.join(changed)}")
    return findings
