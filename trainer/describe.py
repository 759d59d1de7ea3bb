"""A manifest in words: what lineage prints below an entry. Pure: no torch, no I/O."""

from typing import Any

import msgspec

from openledger.data.manifest import Manifest, ManifestError
from trainer.recording.words import describe_training
from trainer.steps import FilterStep, PreprocessStep

_PPB_PER_PERCENT = 10**7


def share(ppb: int) -> str:
    """Parts per billion as a percentage without rounding."""
    whole, rest = divmod(abs(ppb), _PPB_PER_PERCENT)
    return f"{'-' if ppb < 0 else ''}{whole}{f'.{rest:07}'.rstrip('0') if rest else ''} %"


def loss(micronats: int) -> str:
    """Micronats as nats with four decimals."""
    whole, rest = divmod(micronats, 1_000_000)
    return f"{whole}.{rest // 100:04}"


def describe_input(part: Any) -> list[str]:
    """One `input/NNNN` part (parsed JSON) as lines: steps, filters with what they left, split, sampling, use."""
    if "declared_steps" in part:
        steps = part["declared_steps"]
        return [f"declared by the recorder: {step}" for step in steps] or ["steps: none declared"]
    forms = describe_forms(part["rows_by_form"])
    lines = [f"{part['rows']:,} rows in the version" + (f": {forms}" if forms else "")]
    for step, changed, passed in zip(part["preprocess"], part["changed_by_step"], part["passed_by_step"], strict=True):
        without = f", {passed:,} of a form without that field left as they are" if passed else ""
        lines.append(f"prepare: {_words(step, PreprocessStep)} ({changed:,} changed{without})")
    for step, kept in zip(part["filters"], part["kept_by_filter"], strict=True):
        lines.append(f"filter: {_words(step, FilterStep)} ({kept:,} left)")
    if part["rows_empty"]:
        lines.append(f"empty: {part['rows_empty']:,} rows without a completion left out")
    lines += describe_split(part["split"], part["rows_held_out"], part["rows_for_training"], part["held_out_copies"])
    if part.get("copies_left_out"):
        lines.append(f"copies: {part['copies_left_out']:,} rows left out, since an earlier row says the same")
    limit = part["sampling"]["max_rows"]
    over = f" ({part['rows_over_limit']:,} left out)" if limit else ""
    order = {"shuffled": "shuffled by the seed", "in_order": "in the order of the version"}[part["sampling"]["order"]]
    lines.append(f"sampling: {order}" + (f", at most {limit:,} rows{over}" if limit else ""))
    lines.append(f"used: {part['rows_used']:,} different rows")
    for name, what in (("trained", "rows used"), ("measured", "held-out rows measured on")):
        line = describe_cuts(part["cut"][name], what)
        lines += [line] if line else []
    return lines


def describe_split(split: Any, held_out: int, training: int, copies: Any) -> list[str]:
    """Lines on what is held out of an input, and which rows are not trained on because of that."""
    lines = ["split: nothing held out"]
    if split["held_out_ppb"]:
        counts = f"{held_out:,} held out, {training:,} for training"
        lines = [
            f"split: {share(split['held_out_ppb'])} held out by hash of the text under {split['name']!r} ({counts})"
        ]
    exact, near, inside = copies["exact"], copies["near"], copies["inside"]
    if exact or near or inside:
        lines.append(
            f"copies of held-out rows: {exact + (near or 0) + (inside or 0):,} rows left out ({exact:,} of equal text, "
            f"{near or 0:,} of nearly equal text, {inside or 0:,} with such a text inside, inside one, or of a long "
            "stretch of one), held out in this or another input"
        )
    if near is None:
        lines.append("copies of held-out rows: only equal texts were looked for, there are too many rows for more")
    elif inside is None:
        lines.append("copies of held-out rows: texts inside others were not looked for, there is too much text")
    return lines


def describe_forms(rows_by_form: Any) -> str:
    """Rows by form in words, as `3 messages, 2 text`."""
    return ", ".join(f"{count:,} {form}" for form, count in sorted(rows_by_form.items()))


def describe_writing(writing: Any) -> list[str]:
    """Lines on how conversations are written and what of them is learned; none where there are none."""
    lines = []
    if "template_sha256" in writing:
        date = f", its date {writing['date']}" if "date" in writing else ""
        digest = f"(SHA-256 {writing['template_sha256'][:16]}…)"
        lines.append(f"conversations: written by {writing['conversations']} {digest}{date}")
    elif writing["conversations"] != "none":
        lines.append(f"conversations: written in {writing['conversations']}")
    if "learned" in writing:
        lines.append(f"learned of conversations: {writing['learned']}")
    if "instructions" in writing:
        lines.append(f"instructions: written as {writing['instructions']!r}, and learned is what follows")
    return lines


def describe_cuts(counts: Any, what: str) -> str:
    """One line on rows that did not fit into a sequence; empty when all did."""
    parts = []
    if counts["tokens_cut"] or counts["without_target"]:
        parts.append(
            f"{counts['prompts_cut']:,} lost the beginning of their prompt and {counts['completions_cut']:,} the end "
            f"of their completion, {counts['tokens_cut']:,} tokens in all"
        )
    others = {
        "without_target": "have no token to predict",
        "turns_cut": "turns had no room",
        "unanswered_turns": "turns behind the last answer were left out",
        "answers_passed": "answers are read and not learned, since the template rewrites them later",
    }
    parts += [f"{counts[name]:,} {words}" for name, words in others.items() if counts.get(name)]
    return f"cut: of {counts['examples']:,} {what}, {'; '.join(parts)}" if parts else ""


def describe_run(manifest: Manifest) -> list[str]:
    """Everything but the inputs as lines: kind, method, optimisation, code, loss."""
    about = manifest.json("about")
    lines = [
        f"{about['kind']} by {about['framework']}" + (f", recorded {about['recorded']}" if "recorded" in about else "")
    ]
    if "source" in manifest.parts:
        source = manifest.json("source")
        lines.append(f"imported from {source['source']} ({source['licence']}); {source['conversion']}")
        lines.append(f"training data: {source['training_data']}")
    if about["data_checked"] and "recipe" in manifest.parts:
        order = manifest.json("data-order") if "data-order" in manifest.parts else {}
        lines += _describe_recipe(manifest.json("recipe"), order.get("steps"))
    if "writing" in manifest.parts:
        lines += describe_writing(manifest.json("writing"))
    if "devices" in manifest.parts:
        devices = manifest.json("devices")
        if (devices["kind"], devices["processes"]) != ("cpu", 1):
            where = "CUDA GPUs" if devices["kind"] == "cuda" else "a CPU"
            lines.append(f"computed on {where} in {devices['processes']} processes, as its recorder says")
    if "code" in manifest.parts:
        code = manifest.json("code")
        libraries = ", ".join(f"{name} {version}" for name, version in sorted(code["libraries"].items()))
        lines.append(f"code {code['digest'][:16]}…; {libraries}")
    if "training" in manifest.parts:
        lines += describe_training(manifest.json("training"))
    if "loss-trace" in manifest.parts:
        lines.append(_describe_losses(manifest.json("loss-trace")))
    return lines


def _describe_losses(trace: Any) -> str:
    """One line on the training loss; a tool may have logged every tenth step, which are not so many steps."""
    losses, steps = trace["losses"], trace.get("at_steps")
    if steps is None:
        return f"training loss {loss(losses[0])} at the first, {loss(losses[-1])} at the last of {len(losses)} steps"
    return (
        f"training loss {loss(losses[0])} at step {steps[0]}, {loss(losses[-1])} at step {steps[-1]} "
        f"({len(losses)} values logged)"
    )


def _describe_recipe(recipe: Any, steps: Any) -> list[str]:
    method, train = recipe["method"], recipe["train"]
    warmup = f"{train['warmup_steps']} steps warm-up"
    if train.get("warmup_ppb"):
        warmup = f"{share(train['warmup_ppb'])} of the steps warm-up"
    rate = f"{train['learning_rate']} ({train['schedule']}, {warmup})"
    rows = train["batch_size"] * train.get("accumulation", 1)
    length = f"{train['steps']} steps" if "steps" in train else f"{train['epochs']} epochs, {steps or 'some'} steps"
    size = f"{length} of {rows} rows, at most {train['sequence_tokens']} tokens each"
    if train["end_of_text"] == "none":
        size += " without an end-of-text token"
    how = "" if train.get("precision", "float32") == "float32" else f", products in {train['precision']}"
    return [_describe_method(method), f"{size}; AdamW, learning rate {rate}, seed {train['seed']}{how}"]


def _describe_method(method: Any) -> str:
    if method.get("kind") == "full":
        return "full fine-tuning of all numbers"
    targets = method["target_modules"]
    layers = "all linear layers" if targets == "all-linear" else ", ".join(targets)
    scaled = ", rank-stabilised" if method.get("rslora") else ""
    return f"LoRA rank {method['rank']}, alpha {method['alpha']}{scaled}, dropout {method['dropout']} on {layers}"


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
