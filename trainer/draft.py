"""`openledger train --init`: a recipe to begin with, made for a base and data, with a comment at every choice.

What stands in it is looked up, not guessed: the base's window and its end of text, forms and numbers of rows, how long
rows are in the base's own tokens. It is a recipe that passes `--check` where the data fit the base.
"""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import yaml

from abci_app.modules.datanets import Form
from attribution.lga.basis import DEFAULT_DIRECTIONS
from attribution.text_tokens import end_id, open_tokenizer
from openledger.content.store import ContentStore
from openledger.data.versions import VersionRecord
from openledger.errors import UsageError
from openledger.references import split_version
from openledger.words import word_of_number
from trainer.base_check import open_skeleton, target_layers
from trainer.dataset import Row, load_rows
from trainer.examples import ExampleError, read_tokens, template_of
from trainer.method import ALL_LINEAR
from trainer.partition import Example, PartitionError
from trainer.recipe import Recipe, RecipeError, parse_recipe
from trainer.row_values import NotText
from trainer.train import prepare_run
from trainer.workflow import ChainReader, artefact_folder

_RANK, _CODES = 8, 4_096
_THREADS = 16
# Rows whose lengths are looked at; of more, as many in the order of training.
_READ_ROWS = 2_000
# Sequences hold all but the longest hundredth of rows, in whole blocks of so many tokens.
_COVERED, _BLOCK = 99, 64
_LEAST_TOKENS, _MOST_TOKENS = 64, 32_768
_HELD_OUT_FROM = 20
_STEP_ROWS = 16
# Fields whose text is an answer, by their usual names.
_ANSWERS = ("completion", "answer", "output", "response", "target", "reply", "text")


@dataclass(frozen=True, slots=True)
class _Input:
    """One input as it goes into the recipe."""

    reference: str
    version: VersionRecord
    rows: int
    forms: Mapping[str, int]
    template: str


def draft_recipe(
    name: str,
    base: str,
    data: Sequence[str],
    chain: ChainReader,
    store: ContentStore,
    *,
    model: str = "",
    full: bool = False,
    stage: Callable[[str], None] = lambda _: None,
) -> str:
    """The recipe's text; raises `UsageError` for a base or data that cannot be read.

    `stage` hears in words which part of the work begins.
    """
    stage("looking at the rows")
    inputs = [_look_at(reference, chain, store) for reference in data]
    stage("opening base and tokenizer")
    entry = chain.entry(base)
    folder = artefact_folder(entry, store)[0]
    skeleton, tokenizer = open_skeleton(folder), open_tokenizer(folder)
    window = int(getattr(skeleton.config, "max_position_embeddings", None) or _MOST_TOKENS)
    rows = sum(item.rows for item in inputs)
    facts: dict[str, Any] = {
        "name": _plain_name(name),
        "model": model or _plain_name(name),
        "base": base,
        "full": full,
        "window": min(window, _MOST_TOKENS),
        "tokens": min(window, 512),
        "covered": "",
        "ends": end_id(tokenizer) is not None,
        "template": template_of(tokenizer) is not None,
        "codes": _codes(skeleton),
        "rows": rows,
    }
    recipe = _parsed(_text(facts, inputs))
    try:
        stage("preparing rows")
        prepared = prepare_run(recipe, [item.version for item in inputs], store)
        stage(f"writing {min(len(prepared.order), _READ_ROWS):,} rows in tokens, to see how long they are")
        facts |= _length_facts(_lengths(tokenizer, recipe, prepared.order), facts["window"])
    except (PartitionError, ExampleError) as error:
        # Something for a person to decide: the recipe is where they do.
        facts["problem"] = " ".join(str(error).split())
    text = _text(facts, inputs)
    _parsed(text)
    return text


def _look_at(reference: str, chain: ChainReader, store: ContentStore) -> _Input:
    """One DataNet version: its rows by form, and a template where no form says what to train on."""
    name, number = split_version(reference)
    if not number:
        raise UsageError(f"--data {reference}: which version? write {reference}@VERSION; see 'openledger data list'")
    version = chain.datanet_version(name, number)
    forms: Counter[str] = Counter()
    for record in version.contributions:
        forms[word_of_number(Form, record.form)] += record.commitment.row_count
    first = next((row for row in load_rows(store, version) if row.form == Form.OTHER), None)
    return _Input(
        reference=reference,
        version=version,
        rows=sum(forms.values()),
        forms=forms,
        template=_template_for(first) if first else "",
    )


def _template_for(row: Row) -> str:
    """A template step for rows of no known form, from the names of the first one's fields; empty where none is due."""
    texts = [name for name, value in row.fields().items() if not isinstance(value, NotText)]
    if "text" in texts or "completion" in texts:
        return ""
    if not texts:
        raise UsageError(
            f"rows have no field that is text but {', '.join(row.fields())}: write the recipe by hand, with as_text"
        )
    answer = next((name for name in _ANSWERS if name in texts), texts[-1])
    asked = [name for name in texts if name != answer]
    prompt = "".join(f"{{{name}}}\n" for name in asked)
    return f"{{template: {{prompt: {_quoted(prompt)}, completion: {_quoted(f'{{{answer}}}')}}}}}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _plain_name(name: str) -> str:
    """A file's name as the name of a recipe."""
    plain = "".join([letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "-" for letter in name])
    return plain.lower().strip("._-")[:48] or "my-model"


def _codes(skeleton: Any) -> int:
    layers = target_layers(skeleton, ALL_LINEAR)
    return min(_CODES, sum(min(out, DEFAULT_DIRECTIONS) * _RANK for out, _ in layers.values()))


def _lengths(tokenizer: Any, recipe: Recipe, order: Sequence[Example]) -> list[int]:
    """Tokens of different rows, shortest first."""
    different = {(each.input_index, each.row.contribution_id, each.row.index): each for each in order}
    read = read_tokens(tokenizer, recipe.train, list(different.values())[:_READ_ROWS])
    return sorted(len(tokens.ids) for tokens in read)


def _length_facts(lengths: Sequence[int], window: int) -> dict[str, Any]:
    covered = lengths[min(len(lengths) - 1, len(lengths) * _COVERED // 100)]
    tokens = min(window, max(_LEAST_TOKENS, -(-covered // _BLOCK) * _BLOCK))
    middle = lengths[len(lengths) // 2]
    return {"tokens": tokens, "covered": f"; half of the rows have at most {middle}, nearly all at most {covered}"}


def _parsed(text: str) -> Recipe:
    try:
        return parse_recipe(text, "the recipe for these data")
    except (RecipeError, yaml.YAMLError) as error:
        raise UsageError(f"{error}; choose other names, or write the recipe by hand (docs/recipes.md)") from error


def _text(facts: Mapping[str, Any], inputs: Sequence[_Input]) -> str:
    """The recipe with its comments."""
    rows = int(facts["rows"])
    held_out = "10 %" if rows >= _HELD_OUT_FROM else "0 %"
    lines = [
        "# A recipe for 'openledger train', written by --init. docs/recipes.md says what every field does.",
        *([f"# Rows need a step or a filter first: {facts['problem']}"] if "problem" in facts else []),
        "version: 1",
        f"name: {facts['name']}",
        f"model: {{base: {facts['base']}}}  # a name, NAME@VERSION or an entry's id",
        *_method_lines(facts),
        "datasets:",
    ]
    for item, weight in zip(inputs, _weights(inputs), strict=True):
        forms = ", ".join(f"{count:,} {form}" for form, count in sorted(item.forms.items()))
        lines += [
            f"  - datanet: {item.reference}  # {item.rows:,} rows: {forms}",
            *([f"    weight: {weight}  # of the mix, as many rows as there are" if len(inputs) > 1 else ""]),
            *([f"    preprocess: [{item.template}]  # what is asked, what is learned"] if item.template else []),
            "    filters: []  # for example [{min_chars: 20}, deduplicate]",
            f"    split: {{held_out: {held_out}}}  # rows that are measured, and not trained on",
        ]
    lines += _train_lines(facts, rows)
    lines += [
        "evaluate: {rows: 32}  # held-out rows measured before and after; 0 for none",
        f"output: {{model: {facts['model']}}}  # the model that a run makes a version of",
        _attribution_line(facts),
    ]
    return "\n".join([line for line in lines if line]) + "\n"


def _method_lines(facts: Mapping[str, Any]) -> list[str]:
    if facts["full"]:
        return ["method: {kind: full}  # all numbers of the base are trained"]
    lora = f"{{rank: {_RANK}, alpha: {2 * _RANK}, target_modules: {ALL_LINEAR}}}"
    return [f"method: {lora}  # LoRA; for full fine-tuning: {{kind: full}}"]


def _weights(inputs: Sequence[_Input]) -> list[str]:
    """Shares by rows in per cent with two decimals, each above zero, 100 together."""
    rows = sum(item.rows for item in inputs)
    shares = [max(Decimal("0.01"), (Decimal(100 * item.rows) / rows).quantize(Decimal("0.01"))) for item in inputs]
    largest = max(range(len(shares)), key=shares.__getitem__)
    shares[largest] += 100 - sum(shares)
    return [f"{share.normalize():f} %" for share in shares]


def _train_lines(facts: Mapping[str, Any], rows: int) -> list[str]:
    few, many = 5_000, 50_000
    epochs = 3 if rows < few else 2 if rows < many else 1
    batch = min(4, max(1, rows))
    accumulation = max(1, min(_STEP_ROWS // batch, rows // (4 * batch) or 1))
    rate = "0.00002" if facts["full"] else "0.0002"
    threads = min(_THREADS, os.cpu_count() or 1)
    chat = "in the base's chat template" if facts["template"] else "in plain words: the base has no chat template"
    return [
        "train:",
        f"  epochs: {epochs}  # passes over the rows; or steps: 100",
        f"  batch_size: {batch}  # rows computed at once: less needs less memory",
        f"  accumulation: {accumulation}  # batches to a step, which takes batch_size x accumulation rows",
        f"  sequence_tokens: {facts['tokens']}  # the base reads {facts['window']}{facts['covered']}",
        f"  learning_rate: {rate}",
        "  schedule: cosine  # or linear, constant",
        "  warmup: 5 %",
        f"  chat_template: auto  # conversations and instructions are written {chat}",
        "  loss: tokens  # every learned token counts alike; rows: every row alike",
        "  precision: float32  # bf16 is faster on GPUs and new CPUs",
        "  gradient_checkpointing: false  # true needs less memory and a third more time",
        "  device: auto  # a CUDA GPU where there is one, else the CPU",
        f"  threads: {threads}  # on the CPU; other numbers of threads give other last bits",
        "  seed: 1",
        *([] if facts["ends"] else ["  end_of_text: none  # the base's tokenizer names no end"]),
    ]


def _attribution_line(facts: Mapping[str, Any]) -> str:
    if facts["full"]:
        return "attribution: {methods: [tsa-1]}  # answers are explained by spans of the training text"
    return f"attribution: {{codes: {facts['codes']}}}  # answers can be explained; leave it out to save time"
