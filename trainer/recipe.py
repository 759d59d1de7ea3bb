"""Recipes: everything that decides the result of a fine-tune, as one YAML file people can write and read.

    version: 1
    name: python-helper
    model:
      base: smollm2-135m       # entry whose output is trained from: a name, NAME@VERSION or an id (olrun1…)
      adapter: helper@1        # optional: entry whose LoRA adapter training continues
    method: {rank: 8, alpha: 16, target_modules: all-linear}
    datasets:
      - datanet: questions@2   # NAME@VERSION, or an id (oldata1…) with version: 2
        weight: 100 %          # shares of the mix, together 100 %; needed where there are several inputs
        preprocess: [strip, {template: {prompt: "Question: {question}\\nAnswer: ", completion: "{answer}"}}]
        filters: [{min_chars: 40}, deduplicate]
        split: {held_out: 10 %}
        sampling: {order: shuffled}
    train: {epochs: 3, batch_size: 4, accumulation: 4, sequence_tokens: 128, learning_rate: 0.0005, seed: 7}
    evaluate: {rows: 32}
    output: {model: helper}
    attribution: {checkpoints: 1} # optional: commit, with the run, to who shaped what (docs/attribution.md)

The canonical form is JSON with every default written out, shares in parts per billion and decimal numbers as plain
text; its SHA-256 is the recipe digest and its name in the content store. Canonical JSON is a recipe file again.
docs/recipes.md says what every field does.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import yaml
from msgspec import Meta

from abci_app.hashing import sha256
from abci_app.types import MAX_NAME_LENGTH, NAME_PATTERN, PPB
from attribution.lga.code_copies import DEFAULT_COSINE_PPB, LEAST_COSINE_PPB, OFF_PPB
from attribution.lga.parameters import MAX_CODES
from openledger.data.manifest import to_json
from openledger.errors import UsageError
from trainer.describe import share
from trainer.method import Full, Lora, Method
from trainer.recipe_fields import FIELD_HELP, RecipeSection, find_problems
from trainer.shorthand import expand_recipe
from trainer.steps import FilterStep, PreprocessStep

# A recipe is read by people; data belongs into DataNets.
MAX_RECIPE_BYTES = 64 * 2**10
# Inputs of one entry on the chain (abci_app.modules.models.records.MAX_INPUTS).
MAX_DATASETS = 32
MAX_STEPS_PER_DATASET = 32
MAX_STEPS = 1_000_000

Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Reference = Annotated[str, Meta(min_length=1, max_length=120, pattern=r"\A[!-~]+\Z")]
OptionalReference = Annotated[str, Meta(max_length=120, pattern=r"\A[!-~]*\Z")]
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_LENGTH, pattern=NAME_PATTERN)]

AttributionMethod = Literal["lga-1", "tsa-1"]
# By gradients of the adapter, and by spans of the training text.
ATTRIBUTION_METHODS: tuple[AttributionMethod, ...] = ("lga-1", "tsa-1")


class RecipeError(UsageError, ValueError):
    """A recipe is wrong: the file, then a line for every wrong field with the reason and what to write."""

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        lines = [f"{source}: {problems[0]}"] if len(problems) == 1 else []
        super().__init__("\n  ".join(lines or [f"{source}: {len(problems)} fields are wrong", *problems]))


class ModelSection(RecipeSection, frozen=True):
    """The models that training starts from; references are entry ids, or names that are resolved before training."""

    base: Reference
    adapter: OptionalReference = ""
    adapter_share_ppb: Annotated[int, Meta(ge=0, le=PPB)] = PPB // 2


class Split(RecipeSection, frozen=True):
    """Rows held out of training, chosen by a hash of their text in normal form under `name`.

    Rows that say the same fall together; copies of held-out rows are trained on in no input of the mix.
    """

    held_out_ppb: Annotated[int, Meta(ge=0, le=900_000_000)] = 100_000_000
    name: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"\A[ -~]+\Z")] = "held-out"


class Sampling(RecipeSection, frozen=True):
    """Order in which the rows of an input are consumed; after the last one it starts again."""

    order: Literal["shuffled", "in_order"] = "shuffled"
    max_rows: Count = 0


class Dataset(RecipeSection, frozen=True):
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

    @classmethod
    def problems(cls, given: Mapping[str, Any]) -> list[str]:
        """See base."""
        if "@" in (reference := given.get("datanet", "")):
            return [f"datanet {reference!r}: write NAME@VERSION, without another version beside it"]
        return []


class Train(RecipeSection, frozen=True):
    """The optimisation: AdamW, linear warm-up, then a constant or falling learning rate.

    A step takes `batch_size` x `accumulation` rows, on however many devices.
    """

    steps: Annotated[int, Meta(ge=1, le=MAX_STEPS)] | None = None
    epochs: Decimal | None = None
    batch_size: Annotated[int, Meta(ge=1, le=1024)] = 4
    accumulation: Annotated[int, Meta(ge=1, le=4096)] = 1
    sequence_tokens: Annotated[int, Meta(ge=8, le=32_768)] = 128
    learning_rate: Decimal = Decimal("0.0005")
    weight_decay: Decimal = Decimal(0)
    max_gradient_norm: Decimal = Decimal(1)
    warmup_steps: Count = 0
    warmup_ppb: Annotated[int, Meta(ge=0, le=PPB)] = 0
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    precision: Literal["float32", "bf16"] = "float32"
    gradient_checkpointing: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0
    threads: Annotated[int, Meta(ge=1, le=256)] = 2
    checkpoint_steps: Count = 10
    end_of_text: Literal["append", "none"] = "append"
    chat_template: Literal["auto", "always", "never"] = "auto"
    chat_date: Annotated[str, Meta(pattern=r"\A([0-9]{4}-[0-9]{2}-[0-9]{2})?\Z")] = ""
    system_turns: Literal["keep", "merge"] = "keep"
    loss: Literal["tokens", "rows"] = "tokens"
    packing: bool = False

    @property
    def with_end(self) -> bool:
        """Whether an end-of-text token closes every completion."""
        return self.end_of_text == "append"

    @property
    def step_rows(self) -> int:
        """Rows that one step of the optimizer takes."""
        return self.batch_size * self.accumulation

    @classmethod
    def problems(cls, given: Mapping[str, Any]) -> list[str]:
        """See base."""
        found = super().problems(given)
        if "steps" in given and "epochs" in given:
            if given["steps"] is None and given["epochs"] is None:
                found.append(f"steps or epochs is missing; write one of them: {FIELD_HELP['train.epochs']}")
            elif None not in (given["steps"], given["epochs"]):
                found.append("steps and epochs both say how long the run is; leave one of them out")
        if given.get("warmup_steps") and given.get("warmup_ppb"):
            found.append("warmup and warmup_steps both say how long the warm-up is; leave one of them out")
        return found

    bounds: ClassVar[Mapping[str, tuple[Decimal, Decimal]]] = {
        "epochs": (Decimal("0.000001"), Decimal(10_000)),
        "learning_rate": (Decimal("0.000000001"), Decimal(1)),
        "weight_decay": (Decimal(0), Decimal(10)),
        "max_gradient_norm": (Decimal("0.000000001"), Decimal(1000)),
    }


class Evaluate(RecipeSection, frozen=True):
    """Loss on held-out rows, before and after training."""

    rows: Annotated[int, Meta(ge=0, le=100_000)] = 32


class OutputSection(RecipeSection, frozen=True):
    """The model that the run makes."""

    model: Name
    format: Literal["safetensors"] = "safetensors"


class Payout(RecipeSection, frozen=True):
    """How scores become shares (abci_app.integers.shares.PayoutPolicy), fixed before anybody has seen a score."""

    kappa_ppb: Annotated[int, Meta(ge=0, le=PPB)] = PPB // 2
    flat_ppb: Annotated[int, Meta(ge=0, le=PPB)] = PPB // 2
    cap_ppb: Annotated[int, Meta(ge=1, le=PPB)] = PPB
    minimum_positive_ppb: Annotated[int, Meta(ge=0, le=PPB)] = 0
    pool: OptionalReference = ""
    score_unit: Literal["row", "owner"] = "row"

    @classmethod
    def problems(cls, given: Mapping[str, Any]) -> list[str]:
        """See base."""
        if given.get("kappa_ppb", 0) + given.get("flat_ppb", 0) > PPB:
            return [f"kappa_ppb and flat_ppb together exceed {PPB}; lower one of them"]
        return []


class AttributionSection(RecipeSection, frozen=True):
    """The commitments of the run, by which outputs can be explained: see the packages `attribution` and its methods."""

    methods: Annotated[list[AttributionMethod], Meta(min_length=1, max_length=2)] = msgspec.field(
        default_factory=lambda: list(ATTRIBUTION_METHODS)
    )
    checkpoints: Annotated[int, Meta(ge=1, le=16)] = 1
    codes: Annotated[int, Meta(ge=1, le=65_536)] = 4_096
    copy_cosine_ppb: Annotated[int, Meta(ge=LEAST_COSINE_PPB, le=OFF_PPB)] = DEFAULT_COSINE_PPB
    payout: Payout = msgspec.field(default_factory=Payout)

    @classmethod
    def problems(cls, given: Mapping[str, Any]) -> list[str]:
        """See base."""
        found, methods = [], given.get("methods", [])
        if methods != sorted(set(methods)):
            found.append(f"methods: name each method once, in this order: {', '.join(ATTRIBUTION_METHODS)}")
        if given.get("checkpoints", 0) * given.get("codes", 0) > MAX_CODES:
            found.append(f"codes: checkpoints x codes must be at most {MAX_CODES}; lower one of them")
        return found


class Recipe(RecipeSection, frozen=True):
    """One fine-tune."""

    version: Literal[1]
    name: Name
    model: ModelSection
    datasets: Annotated[list[Dataset], Meta(min_length=1, max_length=MAX_DATASETS)]
    train: Train
    output: OutputSection
    method: Method = msgspec.field(default_factory=Lora)
    evaluate: Evaluate = msgspec.field(default_factory=Evaluate)
    attribution: AttributionSection | None = None

    @classmethod
    def problems(cls, given: Mapping[str, Any]) -> list[str]:
        """See base."""
        found = []
        attribution, train, datasets = given.get("attribution"), given.get("train"), given.get("datasets", [])
        if attribution is not None and train is not None and attribution.checkpoints > (train.steps or MAX_STEPS):
            found.append(f"attribution: {attribution.checkpoints} checkpoints of {train.steps} steps; write fewer")
        if isinstance(given.get("method"), Full):
            if attribution is not None and "lga-1" in attribution.methods:
                found.append(
                    "attribution: lga-1 indexes gradients of an adapter, and full fine-tuning has none; write "
                    "methods: [tsa-1], which explains by spans of the training text"
                )
            if given.get("model") is not None and given["model"].adapter:
                found.append("model: an adapter is continued by method lora; leave adapter out")
        total = sum(dataset.weight_ppb for dataset in datasets)
        if datasets and total != PPB:
            found.append(f"datasets: weights sum to {share(total)}, must be 100 % (missing {share(PPB - total)})")
        keys = [(dataset.datanet, dataset.version) for dataset in datasets]
        if len(set(keys)) != len(keys):
            found.append("datasets: one DataNet version is listed twice; give each version one weight")
        return found

    def canonical(self) -> bytes:
        """Canonical JSON: defaults written out, keys sorted, decimals as text; no key for what is left out."""
        described: dict[str, Any] = msgspec.to_builtins(self)
        if self.attribution is None:
            del described["attribution"]
        del described["train"]["steps" if self.train.steps is None else "epochs"]
        return to_json(described)

    def digest(self) -> bytes:
        """SHA-256 of the canonical form."""
        return sha256(self.canonical())


def load_recipe(path: Path) -> Recipe:
    """Read and check a recipe file; raises `RecipeError` naming file, field and remedy."""
    try:
        if path.stat().st_size > MAX_RECIPE_BYTES:
            raise RecipeError(str(path), [f"larger than {MAX_RECIPE_BYTES} bytes; a recipe holds no data"])
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RecipeError(str(path), ["no such file; give the path of a recipe (YAML)"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(str(path), [f"cannot be read: {error}"]) from error
    return parse_recipe(text, str(path))


def parse_recipe(text: str | bytes, source: str = "recipe") -> Recipe:
    """Check a recipe given as YAML or canonical JSON; `source` names it in errors."""
    if len(text) > MAX_RECIPE_BYTES:
        raise RecipeError(source, [f"longer than {MAX_RECIPE_BYTES} bytes; a recipe holds no data"])
    try:
        value = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - derived from SafeLoader
    except (yaml.YAMLError, RecursionError) as error:
        raise RecipeError(source, [f"not valid YAML: {' '.join(str(error).split())}"]) from error
    if not isinstance(value, dict):
        raise RecipeError(source, [f"a recipe is a mapping with {', '.join(Recipe.__struct_fields__)}"])
    expanded = expand_recipe(value)
    problems = find_problems(expanded, Recipe)
    if problems:
        raise RecipeError(source, problems)
    try:
        return msgspec.convert(expanded, Recipe, strict=True)
    except msgspec.ValidationError as error:
        raise RecipeError(source, [str(error)]) from error


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
