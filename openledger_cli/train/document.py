"""docs/recipes.md, from the sections of a recipe and what is written about their fields: `scripts/help` writes it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from openledger_cli.train.events import FIELDS, HEAD, json_schema
from trainer.describe import share
from trainer.method import Full, Lora
from trainer.recipe import (
    AttributionSection,
    Dataset,
    Evaluate,
    ModelSection,
    OutputSection,
    Payout,
    Recipe,
    Sampling,
    Split,
    Train,
)
from trainer.recipe_fields import FIELD_HELP, RecipeSection
from trainer.steps import STEPS_BY_NAME, Preprocess
from trainer.verify import BANDS
from trainer.worked_examples import EXAMPLES, WorkedExample

# Where a section stands in a recipe.
SECTIONS: tuple[tuple[str, type[RecipeSection]], ...] = (
    ("", Recipe),
    ("model", ModelSection),
    ("method", Lora),
    ("method", Full),
    ("datasets", Dataset),
    ("datasets.split", Split),
    ("datasets.sampling", Sampling),
    ("train", Train),
    ("evaluate", Evaluate),
    ("output", OutputSection),
    ("attribution", AttributionSection),
    ("attribution.payout", Payout),
)
_PER_CENT = "_ppb"


def document() -> str:
    """The whole page."""
    lines = [
        "# Recipes",
        "",
        "Written by `scripts/help` from the code; `scripts/check` refuses it when it is not current.",
        "",
        *_INTRODUCTION.splitlines(),
        "",
        "## Worked examples",
        "",
        *[line for example in EXAMPLES for line in _example(example)],
        "## All fields",
        "",
        "A share is written in per cent (`weight: 75 %`), or in parts per billion with the ending `_ppb`",
        "(`weight_ppb: 750000000`). A field without a default must be given.",
        "",
    ]
    for path, section in SECTIONS:
        lines += _section(path, section)
    lines += ["## Steps and filters", "", *_steps(), *_PRECISION.format(**_bands()).splitlines(), "", *_events()]
    return "\n".join(lines).rstrip() + "\n"


_INTRODUCTION = """\
A recipe says everything that decides the result of a fine-tune. The same recipe on the same machine gives the same
bytes, and its digest is recorded with the run, so that anybody can repeat it (`openledger train --verify`).

```sh
openledger train --init sft.yaml --base tiny-llama --data garden@2   # a recipe with comments, made for base and data
openledger train sft.yaml --check                                    # what will happen, and all that is wrong
openledger train sft.yaml --from alice                               # train, store, record
```

`--check` holds the recipe against base, data and terms: rows that are left out and why, the epochs that result, two
examples exactly as the model will see them, an estimate of time (from a step or two that it computes, and of the
index from one layer of each size), memory and disk. All wrong fields are named at once.

Models and DataNets go by name, `NAME@VERSION` or id. What is recorded names ids: `adapter: gardener` is recorded as
the version that it was when the run began. A recipe that has made a version already says which one (`--again`
trains it once more). The output goes into a new folder, `<name>-adapter` or `<name>-model`, or the one of `--folder
DIR`, never over files that are there. A folder that is full is said at once, also by `--check`, with what it holds.

A run that was interrupted goes on from its last checkpoint (`checkpoint_steps`) when the same command is given
again, to the same bytes as if nothing had happened. One that could not be recorded, or was trained with `--local`, is
recorded by the same command without training again. Who has changed the recipe since hears how to record that run,
and to name another folder for the new one."""

_PRECISION = """\
## Devices, precision and what a repetition promises

- `device: auto` takes a CUDA GPU where there is one. Several GPUs of one machine: start the command by `torchrun
  --nproc-per-node 4 -m openledger_cli.main train sft.yaml --from alice` (tried with processes on a CPU; `accelerate
  launch --multi_gpu` starts them in the same way, untried where there is no GPU). The processes share every batch:
  a step takes the same rows for any number of them, and the run is recorded once, by the first one. `batch_size`
  must be at least their number.
- On one machine's CPU with the same `threads`, a repetition is equal bit by bit: in float32 and bf16, with
  accumulation, with gradient checkpointing, resumed or not. Several processes, GPUs and other machines take sums in
  another order: their repetition is a *trace match*.
- A trace match in float32 allows {float32_loss} nats in the loss of every step and {float32_distance} of its length
  in every trained matrix; in bf16 {bf16_loss} nats and {bf16_distance}. Of a full fine-tune the way from the base
  is compared, not the numbers themselves. These limits come from runs on CPUs (ADR 36). No GPU was at hand: what a
  GPU's run promises is **not measured**, and `--verify` says so where one took part.
- bf16 means products in bfloat16 (autocast). Trained numbers, their moments and the recorded files are float32, and
  held-out rows are measured in float32, so that measurements of different runs can be compared.
- The index lga-1 is computed in float32 on the recorded adapters, not in the precision that they were trained in;
  it knows rsLoRA's scaling. Steps that it indexes are steps of the optimizer, of however many batches; a row that
  several epochs repeat is in it once. A row counts in it as much as it did in training: with `loss: tokens` as
  often as it has learned tokens.
- `target_modules: all-linear` leaves the output layer out, which in many models shares its numbers with the
  embedding. Added tokens that the base has no numbers for are refused by name."""


_EVENT_WORDS = """\
`--events FILE` writes the progress of a run as JSON lines, one object a line, each written at once. A run that goes
on after an interruption goes on in its file; any other file that is there is refused. A file that cannot be written
any more (a full disk) does not stop the run. Every line has:"""


def _bands() -> dict[str, str]:
    values = {}
    for precision, band in BANDS.items():
        values[f"{precision}_loss"] = f"{band.losses_micronats / 10**6:g}"
        values[f"{precision}_distance"] = f"{band.distance * 100:g} %"
    return values


def _example(example: WorkedExample) -> Iterator[str]:
    yield from (f"### {example.title}", "", example.words, "", "```json", *example.rows, "```", "")
    yield from ("```yaml", *example.recipe.rstrip().splitlines(), "```", "")


def _section(path: str, section: type[RecipeSection]) -> Iterator[str]:
    kind = str(section.__struct_config__.tag or "")
    title = f"`{path}`" if path else "The recipe"
    title += f", kind {kind}" if kind else ""
    yield from (f"### {title}", "", " ".join((inspect.getdoc(section) or "").split()), "")
    yield from ("| field | default | what to write |", "|---|---|---|")
    if kind:
        yield f"| `kind` | {'lora' if kind == 'lora' else ''} | {FIELD_HELP['method.kind']} |"
    for field in msgspec.structs.fields(section):
        name = field.name.removesuffix(_PER_CENT)
        place = f"{path}.{field.name}" if path else field.name
        text = FIELD_HELP.get(place) or f"see `{place}` below"
        yield f"| `{name}` | {_default(field)} | {text.replace('|', chr(92) + '|')} |"
    yield ""


def _default(field: Any) -> str:
    value = field.default
    if field.default_factory is not msgspec.NODEFAULT:
        value = field.default_factory()
    if value is msgspec.NODEFAULT or value is None or isinstance(value, RecipeSection):
        return ""
    if field.name.endswith(_PER_CENT) and field.name != "copy_cosine_ppb":
        return share(value)
    return "" if value == "" else str(f"{value:f}" if isinstance(value, Decimal) else value).replace("'", "")


def _steps() -> Iterator[str]:
    yield "A step is `name`, `name: main value` or `name: {field: value}`; the first value below is the main one."
    yield from ("", "| step | list | what it does | values |", "|---|---|---|---|")
    for name, step in STEPS_BY_NAME.items():
        which = "preprocess" if issubclass(step, Preprocess) else "filters"
        values = ", ".join(
            f"`{field.name}`" + (f" ({field.default})" if field.default not in (msgspec.NODEFAULT, "") else "")
            for field in msgspec.structs.fields(step)
        )
        words = " ".join((inspect.getdoc(step) or "").split())
        yield f"| `{name}` | {which} | {words} | {values} |"
    yield ""


def _events() -> Iterator[str]:
    yield from ("## Events", "")
    yield from _EVENT_WORDS.splitlines()
    yield from ("", "| field | type | meaning |", "|---|---|---|")
    for name, (kind, text) in HEAD.items():
        yield f"| `{name}` | {kind} | {text} |"
    for event, fields in FIELDS.items():
        yield from ("", f"`{event}`:", "", "| field | type | meaning |", "|---|---|---|")
        for name, (kind, text) in fields.items():
            yield f"| `{name}` | {kind} | {text} |"
    yield from ("", "The same as JSON Schema:", "", "```json", json.dumps(json_schema(), ensure_ascii=False), "```")
