"""Comparison of a manifest's parts beside the output with the repeated run: steps, counts, cuts, base, tokenizer.

People read these in the lineage, so none may be made up: they follow from recipe, rows and base without a float.
"""

from collections.abc import Mapping
from dataclasses import replace

from openledger.content.artefact import Artefact
from openledger.data.manifest import Manifest, ManifestError
from trainer.record import training_parts
from trainer.train import TrainedRun
from trainer.verify import RunGrade, RunVerdict

# Compared by distance or named as differences of the set-up.
_GRADED = ("code", "data-order", "devices", "loss-trace")
# Says whose the entry is, which the chain checks when it is claimed.
_OWNER = "owner"
_SHOWN_CHARACTERS = 60


def with_parts(verdict: RunVerdict, manifest: Manifest, run: TrainedRun, base: Artefact) -> RunVerdict:
    """The verdict with every part that the recipe does not give, and the names of those that nothing gives."""
    given = training_parts(run, base)
    if verdict.grade != RunGrade.BIT_EXACT:
        del given["output"]  # its files are compared as tensors
    found = []
    for name in sorted(given.keys() - frozenset(_GRADED)):
        said = manifest.parts.get(name)
        if said is None:
            found.append(f"the manifest has no part {name}, the recipe gives one")
        elif said != given[name]:
            found.append(
                f"the manifest's part {name} is not what the recipe gives: {_difference(manifest, name, given)}"
            )
    found += [
        f"the manifest's part {name} is of an input that the recipe has not"
        for name in sorted(manifest.parts.keys() - given.keys())
        if name.startswith("input/")
    ]
    more = sorted(manifest.parts.keys() - given.keys() - frozenset((*_GRADED, _OWNER, "output")))
    unknown = [f"the manifest's part {name}" for name in more if not name.startswith("input/")]
    return replace(
        verdict,
        contradictions=(*verdict.contradictions, *found),
        unchecked=(*verdict.unchecked, *unknown),
    )


def _difference(manifest: Manifest, name: str, given: Mapping[str, bytes]) -> str:
    """The first field that differs."""
    try:
        one, other = manifest.json(name), Manifest(dict(given)).json(name)
    except ManifestError:
        return "it cannot be read"
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            if one.get(key) != other.get(key):
                return f"{key!a} is {_shown(one.get(key))}, not {_shown(other.get(key))}"
    return "it is written otherwise"


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."
