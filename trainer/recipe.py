"""Recipes: everything that decides the result of a fine-tune, as one YAML file people can write and read.

    version: 1
    name: python-helper
    model:
      base: olrun1…            # entry whose output is trained from
      adapter: olrun1…         # optional: entry whose LoRA adapter training continues
    method: {rank: 8, alpha: 16, target_modules: [q_proj, v_proj]}
    datasets:
      - datanet: oldata1…
        version: 1
        weight_ppb: 1000000000  # shares of the mix, together 1000000000
        preprocess: [strip, {template: {prompt: "Question: {question}\\nAnswer: ", completion: "{answer}"}}]
        filters: [{min_chars: 40}, deduplicate]
        split: {held_out_ppb: 100000000}
        sampling: {order: shuffled}
    train: {steps: 25, batch_size: 4, sequence_tokens: 128, learning_rate: 0.0005, seed: 7}
    evaluate: {rows: 32}
    output: {model: helper}
    attribution: {checkpoints: 1} # optional: commit, with the run, to who shaped what (docs/attribution.md)

The canonical form is JSON with every default written out and decimal numbers as plain text; its SHA-256 is the
recipe digest and its name in the content store. Canonical JSON is a recipe file again.
"""

import difflib
import re
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml
from msgspec import Meta

from abci_app.hashing import sha256
from abci_app.types import MAX_NAME_LENGTH, NAME_PATTERN, PPB
from attribution.lga.code_copies import DEFAULT_COSINE_PPB, LEAST_COSINE_PPB, OFF_PPB
from attribution.lga.parameters import MAX_CODES
from openledger.data.manifest import to_json
from openledger.errors import UsageError
from trainer.steps import STEPS_BY_NAME, FilterStep, PreprocessStep, expand_step

# A recipe is read by people; data belongs into DataNets.
MAX_RECIPE_BYTES = 64 * 2**10
# Inputs of one entry on the chain (abci_app.modules.models.records.MAX_INPUTS).
MAX_DATASETS = 32
MAX_STEPS_PER_DATASET = 32

Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Reference = Annotated[str, Meta(min_length=1, max_length=120, pattern=r"\A[!-~]+\Z")]
OptionalReference = Annotated[str, Meta(max_length=120, pattern=r"\A[!-~]*\Z")]
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_LENGTH, pattern=NAME_PATTERN)]

AttributionMethod = Literal["lga-1", "tsa-1"]
# By gradients of the adapter, and by spans of the training text.
ATTRIBUTION_METHODS: tuple[AttributionMethod, ...] = ("lga-1", "tsa-1")

# What to write where, shown when a field is wrong.
FIELD_HELP = {
    "version": "the recipe format: 1",
    "name": "a short name: lower-case letters, digits, '.', '_', '-', '/'",
    "model.base": "the entry id (olrun1…) of the base model, see 'openledger query models'",
    "model.adapter": "the entry id (olrun1…) of the adapter to continue from, or leave it out",
    "model.adapter_share_ppb": "the adapter's part in what this model owes its parents, 0 to 1000000000; rest: base",
    "method.kind": "lora",
    "method.rank": "rank of the LoRA matrices: 1 to 256, usually 8",
    "method.alpha": "scale of the LoRA update: 1 to 1024, usually twice the rank",
    "method.dropout": "share of adapter inputs dropped in training: 0 up to below 1",
    "method.target_modules": "names of linear layers, for example [q_proj, v_proj]",
    "datasets": "1 to 32 inputs, each with datanet, version and weight_ppb",
    "datasets.datanet": "a DataNet id (oldata1…), see 'openledger query datanets'",
    "datasets.version": "the number of a published version, 1 or more",
    "datasets.weight_ppb": "share of the mix in parts per billion; all shares together are 1000000000",
    "datasets.preprocess": "a list of " + ", ".join(str(s.__struct_config__.tag) for s in PreprocessStep.__args__),
    "datasets.filters": "a list of " + ", ".join(str(s.__struct_config__.tag) for s in FilterStep.__args__),
    "datasets.split.held_out_ppb": "share of rows kept for evaluation in parts per billion: 0 to 900000000",
    "datasets.sampling.order": "shuffled or in_order",
    "train.steps": "number of optimizer steps, 1 to 1000000",
    "train.batch_size": "rows a step, 1 to 1024",
    "train.sequence_tokens": "longest row in tokens, 8 to 32768; of longer ones the prompt is cut first",
    "train.learning_rate": "a decimal number above 0 and at most 1, for example 0.0005",
    "train.threads": "CPU threads, 1 to 256: part of the recipe, since sums depend on it",
    "train.seed": "a whole number, 0 to 4294967295",
    "train.end_of_text": "append (a model learns to stop), or none where the base's tokenizer has no such token",
    "evaluate.rows": "held-out rows measured before and after, 0 (none) to 100000",
    "output.model": "name of the model on the chain that this run makes a version of",
    "attribution": "a mapping, {} for all defaults; leave it out, and no answer of the model can be explained",
    "attribution.methods": "a list of " + ", ".join(ATTRIBUTION_METHODS),
    "attribution.checkpoints": "points of the training that are indexed: 1 to 16",
    "attribution.lga.codes": "numbers kept of a row at each of these points, 1 to 65536; more is better and larger",
    "attribution.copy_cosine_ppb": "cosine of codes from which on a row is a copy: 500000000 to 1000000000, "
    "or 1000000001 to look for none",
    "attribution.payout.kappa_ppb": "part paid by scores, in parts per billion; with flat_ppb at most 1000000000",
    "attribution.payout.flat_ppb": "part paid by the number of rows used, in parts per billion",
    "attribution.payout.cap_ppb": "most that one contributor gets of one answer: 1 to 1000000000 (no cap)",
    "attribution.payout.minimum_positive_ppb": "part of the scores that must be positive, else all is paid flat",
    "attribution.payout.score_unit": "row (names among which rows are spread gain nothing) or owner (checked by sums)",
    "attribution.payout.pool": "account (open1...) that gets what nobody explains; leave it out for the treasury",
}


class RecipeError(UsageError, ValueError):
    """A recipe is wrong; one line with the field, the reason and what to write."""


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the parts of a recipe."""


class Model(_Section, frozen=True):
    """What training starts from; references are entry ids, or names that are resolved before training."""

    base: Reference
    adapter: OptionalReference = ""
    adapter_share_ppb: Annotated[int, Meta(ge=0, le=PPB)] = PPB // 2


class Lora(_Section, frozen=True):
    """Low-rank adapters (Hu et al. 2021) on some linear layers."""

    kind: Literal["lora"] = "lora"
    rank: Annotated[int, Meta(ge=1, le=256)] = 8
    alpha: Annotated[int, Meta(ge=1, le=1024)] = 16
    dropout: Decimal = Decimal(0)
    target_modules: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=64)]], Meta(min_length=1, max_length=64)
    ] = msgspec.field(default_factory=lambda: ["q_proj", "v_proj"])

    def __post_init__(self) -> None:
        """Bounds that msgspec cannot express."""
        _normalise_decimal(self, "dropout", Decimal(0), Decimal("0.999999999"))
        if len(set(self.target_modules)) != len(self.target_modules):
            raise ValueError("target_modules names a layer twice")


class Split(_Section, frozen=True):
    """Rows held out of training, chosen by a hash of their text in normal form under `name`.

    Rows that say the same fall together; copies of held-out rows are trained on in no input of the mix.
    """

    held_out_ppb: Annotated[int, Meta(ge=0, le=900_000_000)] = 100_000_000
    name: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"\A[ -~]+\Z")] = "held-out"


class Sampling(_Section, frozen=True):
    """Order in which the rows of an input are consumed; after the last one it starts again."""

    order: Literal["shuffled", "in_order"] = "shuffled"
    max_rows: Count = 0


class Dataset(_Section, frozen=True):
    """One input: a DataNet version, its share of the mix and the way from its rows to training examples."""

    datanet: Reference
    version: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    weight_ppb: Annotated[int, Meta(ge=1, le=PPB)]
    preprocess: Annotated[list[PreprocessStep], Meta(max_length=MAX_STEPS_PER_DATASET)] = msgspec.field(
        default_factory=list
    )
    filters: Annotated[list[FilterStep], Meta(max_length=MAX_STEPS_PER_DATASET)] = msgspec.field(default_factory=list)
    split: Split = msgspec.field(default_factory=Split)
    sampling: Sampling = msgspec.field(default_factory=Sampling)


class Train(_Section, frozen=True):
    """The optimisation: AdamW, linear warm-up, then constant or linearly falling learning rate."""

    steps: Annotated[int, Meta(ge=1, le=1_000_000)]
    batch_size: Annotated[int, Meta(ge=1, le=1024)] = 4
    sequence_tokens: Annotated[int, Meta(ge=8, le=32_768)] = 128
    learning_rate: Decimal = Decimal("0.0005")
    weight_decay: Decimal = Decimal(0)
    max_gradient_norm: Decimal = Decimal(1)
    warmup_steps: Count = 0
    schedule: Literal["constant", "linear"] = "constant"
    seed: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0
    threads: Annotated[int, Meta(ge=1, le=256)] = 2
    checkpoint_steps: Count = 10
    end_of_text: Literal["append", "none"] = "append"

    @property
    def with_end(self) -> bool:
        """Whether an end-of-text token closes every completion."""
        return self.end_of_text == "append"

    def __post_init__(self) -> None:
        """Bounds that msgspec cannot express."""
        _normalise_decimal(self, "learning_rate", Decimal("0.000000001"), Decimal(1))
        _normalise_decimal(self, "weight_decay", Decimal(0), Decimal(10))
        _normalise_decimal(self, "max_gradient_norm", Decimal("0.000000001"), Decimal(1000))


class Evaluate(_Section, frozen=True):
    """Loss on held-out rows, before and after training."""

    rows: Annotated[int, Meta(ge=0, le=100_000)] = 32


class Output(_Section, frozen=True):
    """What the run makes."""

    model: Name
    format: Literal["safetensors"] = "safetensors"


class Payout(_Section, frozen=True):
    """How scores become shares (abci_app.integers.shares.PayoutPolicy), fixed before anybody has seen a score."""

    kappa_ppb: Annotated[int, Meta(ge=0, le=PPB)] = PPB // 2
    flat_ppb: Annotated[int, Meta(ge=0, le=PPB)] = PPB // 2
    cap_ppb: Annotated[int, Meta(ge=1, le=PPB)] = PPB
    minimum_positive_ppb: Annotated[int, Meta(ge=0, le=PPB)] = 0
    pool: OptionalReference = ""
    score_unit: Literal["row", "owner"] = "row"

    def __post_init__(self) -> None:
        """Rules across fields."""
        if self.kappa_ppb + self.flat_ppb > PPB:
            raise ValueError(f"kappa_ppb and flat_ppb together exceed {PPB}; lower one of them")


class Attribution(_Section, frozen=True):
    """What the run commits to, so that outputs can be explained: see the packages `attribution` and its methods."""

    methods: Annotated[list[AttributionMethod], Meta(min_length=1, max_length=2)] = msgspec.field(
        default_factory=lambda: list(ATTRIBUTION_METHODS)
    )
    checkpoints: Annotated[int, Meta(ge=1, le=16)] = 1
    codes: Annotated[int, Meta(ge=1, le=65_536)] = 4_096
    copy_cosine_ppb: Annotated[int, Meta(ge=LEAST_COSINE_PPB, le=OFF_PPB)] = DEFAULT_COSINE_PPB
    payout: Payout = msgspec.field(default_factory=Payout)

    def __post_init__(self) -> None:
        """One form for one meaning."""
        if self.methods != sorted(set(self.methods)):
            raise ValueError(f"methods: name each method once, in this order: {', '.join(ATTRIBUTION_METHODS)}")
        if self.checkpoints * self.codes > MAX_CODES:
            raise ValueError(f"codes: checkpoints x codes must be at most {MAX_CODES}; lower one of them")


class Recipe(_Section, frozen=True):
    """One fine-tune."""

    version: Literal[1]
    name: Name
    model: Model
    datasets: Annotated[list[Dataset], Meta(min_length=1, max_length=MAX_DATASETS)]
    train: Train
    output: Output
    method: Lora = msgspec.field(default_factory=Lora)
    evaluate: Evaluate = msgspec.field(default_factory=Evaluate)
    attribution: Attribution | None = None

    def __post_init__(self) -> None:
        """Rules across fields."""
        if self.attribution is not None and self.attribution.checkpoints > self.train.steps:
            raise ValueError(
                f"attribution: {self.attribution.checkpoints} checkpoints of {self.train.steps} steps; write fewer"
            )
        total = sum(dataset.weight_ppb for dataset in self.datasets)
        if total != PPB:
            raise ValueError(f"datasets: weight_ppb sum to {total}, must be {PPB} (missing {PPB - total})")
        keys = [(dataset.datanet, dataset.version) for dataset in self.datasets]
        if len(set(keys)) != len(keys):
            raise ValueError("datasets: one DataNet version is listed twice; give each version one weight")

    def canonical(self) -> bytes:
        """Canonical JSON: defaults written out, keys sorted, decimals as text; without attribution no such section."""
        described: dict[str, Any] = msgspec.to_builtins(self)
        if self.attribution is None:
            del described["attribution"]
        return to_json(described)

    def digest(self) -> bytes:
        """SHA-256 of the canonical form."""
        return sha256(self.canonical())


def load_recipe(path: Path) -> Recipe:
    """Read and check a recipe file; raises `RecipeError` naming file, field and remedy."""
    try:
        if path.stat().st_size > MAX_RECIPE_BYTES:
            raise RecipeError(f"{path}: larger than {MAX_RECIPE_BYTES} bytes; a recipe holds no data")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such file; give the path of a recipe (YAML)") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read: {error}") from error
    return parse_recipe(text, str(path))


def parse_recipe(text: str | bytes, source: str = "recipe") -> Recipe:
    """Check a recipe given as YAML or canonical JSON; `source` names it in errors."""
    if len(text) > MAX_RECIPE_BYTES:
        raise RecipeError(f"{source}: longer than {MAX_RECIPE_BYTES} bytes; a recipe holds no data")
    try:
        value = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - derived from SafeLoader
    except (yaml.YAMLError, RecursionError) as error:
        raise RecipeError(f"{source}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(value, dict):
        raise RecipeError(f"{source}: a recipe is a mapping with {', '.join(Recipe.__struct_fields__)}")
    if "attribution" in value and not isinstance(value["attribution"], dict):
        raise RecipeError(f"{source}: attribution: write {FIELD_HELP['attribution']}")
    try:
        return msgspec.convert(_expanded(value), Recipe, strict=True)
    except msgspec.ValidationError as error:
        raise RecipeError(f"{source}: {_explain(str(error))}") from error


class _StrictLoader(yaml.SafeLoader):
    """YAML without aliases (they can blow a small file up) and without repeated keys (the first would vanish)."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse aliases."""
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.constructor.ConstructorError(None, None, "aliases are not allowed", self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Refuse repeated keys."""
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _expanded(value: dict[Any, Any]) -> dict[Any, Any]:
    """The recipe with its steps in full form."""
    datasets = value.get("datasets")
    if not isinstance(datasets, list):
        return value
    return value | {"datasets": [_expand_dataset(item) if isinstance(item, dict) else item for item in datasets]}


def _expand_dataset(dataset: dict[Any, Any]) -> dict[Any, Any]:
    steps = {
        key: [expand_step(item) for item in dataset[key]]
        for key in ("preprocess", "filters")
        if isinstance(dataset.get(key), list)
    }
    return dataset | steps


def _normalise_decimal(section: msgspec.Struct, name: str, lowest: Decimal, highest: Decimal) -> None:
    """Check bounds and write the number in one form, so that 5e-4 and 0.00050 give one digest."""
    value: Decimal = getattr(section, name)
    try:
        if not value.is_finite() or not lowest <= value <= highest or round(value, 12) != value:
            raise ValueError(f"{name} is {value}; it must lie between {lowest:f} and {highest:f}, at most 12 decimals")
    except InvalidOperation as error:
        raise ValueError(f"{name} is {value}; it must lie between {lowest:f} and {highest:f}") from error
    normal = value.normalize()
    msgspec.structs.force_setattr(section, name, Decimal(f"{normal:f}"))


def _explain(text: str) -> str:
    """msgspec's message as 'field: what is wrong; write what'."""
    reason, _, place = text.partition(" - at `$")
    path = place.rstrip("`").lstrip(".")
    unknown = re.search(r"unknown field `(.*?)`", reason)
    if unknown:
        known = sorted({key.rsplit(".", 1)[-1] for key in FIELD_HELP} | _all_field_names())
        close = difflib.get_close_matches(unknown[1], known, 1)
        hint = f"; did you mean {close[0]!r}?" if close else "; remove it or correct its name"
        return f"{path or 'recipe'}: unknown field {unknown[1]!r}{hint}"
    missing = re.search(r"missing required field `(.*?)`", reason)
    if missing:
        path = f"{path}.{missing[1]}" if path else missing[1]
        reason = "is missing"
    bad_step = re.search(r"Invalid value '(.*?)'", reason)
    if bad_step and re.search(r"(preprocess|filters)\[", path):
        close = difflib.get_close_matches(bad_step[1], STEPS_BY_NAME, 1)
        reason = f"unknown step {bad_step[1]!r}" + (f" (did you mean {close[0]!r}?)" if close else "")
        if bad_step[1] in STEPS_BY_NAME:
            reason = f"step {bad_step[1]!r} belongs into the other list (preprocess changes rows, filters drop them)"
    help_text = FIELD_HELP.get(re.sub(r"\[[^]]*\]", "", path.split("[...]")[0].removesuffix(".step")))
    if help_text is None:
        help_text = FIELD_HELP.get(re.sub(r"\[.*", "", path)) if "[" not in path else _step_help(path)
    return f"{path}: {reason}" + (f"; write {help_text}" if help_text else "") if path else reason


def _step_help(path: str) -> str | None:
    """Help for a place inside the steps of a dataset."""
    match = re.match(r"datasets\[[^]]*\]\.(preprocess|filters)", path)
    return FIELD_HELP.get(f"datasets.{match[1]}") if match else None


def _all_field_names() -> set[str]:
    sections: tuple[type[msgspec.Struct], ...] = (
        Recipe,
        Model,
        Lora,
        Dataset,
        Split,
        Sampling,
        Train,
        Evaluate,
        Output,
        Attribution,
        Payout,
    )
    return {name for section in sections for name in section.__struct_fields__}
