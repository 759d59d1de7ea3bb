"""A manifest in words: what lineage prints below an entry. Pure: no torch, no I/O."""

from typing import Any

import msgspec

from openledger.data.manifest import Manifest, ManifestError
from trainer.steps import FilterStep, PreprocessStep

_PPB_PER_PERCENT = 10**7


def share(ppb: int) -> str:
    """Parts per billion as a percentage without rounding."""
    whole, rest = divmod(ppb, _PPB_PER_PERCENT)
    return f"{whole}{f'.{rest:07}'.rstrip('0') if rest else ''} %"


def loss(micronats: int) -> str:
    """Micronats as nats with four decimals."""
    whole, rest = divmod(micronats, 1_000_000)
    return f"{whole}.{rest // 100:04}"


def describe_input(part: Any) -> list[str]:
    """One `input/NNNN` part (parsed JSON) as lines: steps, filters with what they left, split, sampling, use."""
    if "declared_steps" in part:
        steps = part["declared_steps"]
        return [f"declared by the recorder: {step}" for step in steps] or ["steps: none declared"]
    lines = [f"{part['rows']:,} rows in the version"]
    lines += [f"prepare: {_words(step, PreprocessStep)}" for step in part["preprocess"]]
    for step, kept in zip(part["filters"], part["kept_by_filter"], strict=True):
        lines.append(f"filter: {_words(step, FilterStep)} ({kept:,} left)")
    held_out = part["split"]["held_out_ppb"]
    if held_out:
        lines.append(
            f"split: {share(held_out)} held out by hash of the row under {part['split']['name']!r} "
            f"({part['rows_held_out']:,} held out, {part['rows_for_training']:,} for training)"
        )
    else:
        lines.append("split: nothing held out")
    if part.get("copies_left_out"):
        lines.append(f"copies: {part['copies_left_out']:,} rows left out, since an earlier row says the same")
    limit = part["sampling"]["max_rows"]
    order = {"shuffled": "shuffled by the seed", "in_order": "in the order of the version"}[part["sampling"]["order"]]
    lines.append(f"sampling: {order}" + (f", at most {limit:,} rows" if limit else ""))
    lines.append(f"used: {part['rows_used']:,} different rows")
    return lines


def describe_run(manifest: Manifest) -> list[str]:
    """Everything but the inputs as lines: kind, method, optimisation, code, loss."""
    about = manifest.json("about")
    lines = [f"{about['kind']} by {about['framework']}"]
    if "source" in manifest.parts:
        source = manifest.json("source")
        lines.append(f"imported from {source['source']} ({source['licence']}); {source['conversion']}")
        lines.append(f"training data: {source['training_data']}")
    if about["data_checked"] and "recipe" in manifest.parts:
        lines += _describe_recipe(manifest.json("recipe"))
    if "code" in manifest.parts:
        code = manifest.json("code")
        libraries = ", ".join(f"{name} {version}" for name, version in sorted(code["libraries"].items()))
        lines.append(f"code {code['digest'][:16]}…; {libraries}")
    if "loss-trace" in manifest.parts:
        losses = manifest.json("loss-trace")["losses"]
        lines.append(
            f"training loss {loss(losses[0])} at the first, {loss(losses[-1])} at the last of {len(losses)} steps"
        )
    return lines


def _describe_recipe(recipe: Any) -> list[str]:
    method, train = recipe["method"], recipe["train"]
    layers = ", ".join(method["target_modules"])
    rate = f"{train['learning_rate']} ({train['schedule']}, {train['warmup_steps']} steps warm-up)"
    size = f"{train['steps']} steps of {train['batch_size']} rows, at most {train['sequence_tokens']} tokens each"
    return [
        f"LoRA rank {method['rank']}, alpha {method['alpha']}, dropout {method['dropout']} on {layers}",
        f"{size}; AdamW, learning rate {rate}, seed {train['seed']}",
    ]


def describe(manifest: Manifest) -> list[str]:
    """The whole manifest as lines, inputs indented; a part that cannot be read is named, never guessed."""
    try:
        lines = describe_run(manifest)
        for part in manifest.inputs:
            lines.append(
                f"input {part['datanet'][:16]}… version {part['version']}, {share(part['weight_ppb'])} of the mix"
            )
            lines += [f"  {line}" for line in describe_input(part)]
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, ManifestError) as error:
        return [f"manifest {manifest.root.hex()[:16]}… has parts of an unknown form: {error}"]
    return lines


def _words(step: Any, kind: Any) -> str:
    """The step's own words; a step of a later vocabulary is shown as it is written."""
    try:
        return str(msgspec.convert(step, kind).words)
    except msgspec.ValidationError:
        return ", ".join(f"{key} {value}" for key, value in sorted(step.items()))
