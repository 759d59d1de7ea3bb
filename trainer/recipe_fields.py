"""Which fields of a recipe are wrong: all of them, each in one line with what to write there.

msgspec stops at the first wrong field. Here a recipe is converted field by field, and rules across fields are asked
with those fields that are right, so that one look at the result is enough to mend the file.
"""

import difflib
import re
import types
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Annotated, Any, ClassVar, Union, get_args, get_origin, get_type_hints

import msgspec

from trainer.steps import STEPS_BY_NAME, FilterStep, PreprocessStep

# What to write where: shown when a field is wrong, and in docs/recipes.md.
FIELD_HELP = {
    "version": "the recipe format: 1",
    "name": "a short name: lower-case letters, digits, '.', '_', '-', '/'",
    "model.base": "the model that training starts from: its name, NAME@VERSION or entry id (olrun1…); see "
    "'openledger model list'",
    "model.adapter": "the adapter to continue from: name, NAME@VERSION or entry id (olrun1…); or leave it out",
    "model.adapter_share_ppb": "the adapter's part in what this model owes its parents, 0 % to 100 %; the rest is the "
    "base's",
    "method.kind": "lora (an adapter beside the base), or full (all numbers of the base)",
    "method.rank": "rank of the LoRA matrices: 1 to 256, usually 8",
    "method.alpha": "scale of the LoRA update: 1 to 1024, usually twice the rank",
    "method.dropout": "share of adapter inputs dropped in training: 0 up to below 1",
    "method.target_modules": "all-linear (every linear layer but the output), or names of linear layers, for example "
    "[q_proj, v_proj]",
    "method.rslora": "true or false: scale the adapter by alpha / sqrt(rank), which suits high ranks, not alpha / rank",
    "datasets": "1 to 32 inputs, each with a datanet and, where there are several, its weight",
    "datasets.datanet": "a DataNet as NAME@VERSION, or its name or id (oldata1…) with the version beside it; see "
    "'openledger data list'",
    "datasets.version": "the number of a frozen version, 1 or more; or write it as datanet: NAME@VERSION",
    "datasets.weight_ppb": "share of the mix in per cent, for example weight: 75 %; all together are 100 %, one input "
    "alone needs none",
    "datasets.preprocess": "a list of " + ", ".join(str(s.__struct_config__.tag) for s in PreprocessStep.__args__),
    "datasets.filters": "a list of " + ", ".join(str(s.__struct_config__.tag) for s in FilterStep.__args__),
    "datasets.split.held_out_ppb": "share of rows kept for evaluation: 0 % to 90 %",
    "datasets.split.name": "what the split is chosen by: inputs with one name hold the same texts out",
    "datasets.sampling.order": "shuffled or in_order",
    "datasets.sampling.max_rows": "at most so many rows for training, the first of the version; 0 for all",
    "train.steps": "number of optimizer steps, 1 to 1000000; or write epochs",
    "train.epochs": "passes over the rows for training, for example 3 or 0.5; or write steps",
    "train.batch_size": "rows that are computed at once, 1 to 1024",
    "train.accumulation": "batches that one step adds up, 1 to 4096: a step takes batch_size x accumulation rows",
    "train.sequence_tokens": "longest row in tokens, 8 to 32768; of longer ones the prompt is cut first",
    "train.learning_rate": "a decimal number above 0 and at most 1, for example 0.0005",
    "train.weight_decay": "0 to 10: what AdamW takes off the trained matrices",
    "train.max_gradient_norm": "length to which the gradient of a step is cut",
    "train.warmup_steps": "steps in which the learning rate rises to its full height; or write warmup",
    "train.warmup_ppb": "the same as a share of all steps, for example warmup: 5 %",
    "train.schedule": "constant, linear (falls to zero) or cosine (falls to zero along a half wave), after the warm-up",
    "train.precision": "float32, or bf16 (products in bfloat16, numbers and their moments in float32)",
    "train.gradient_checkpointing": "true or false: compute layers twice and keep less in memory; the result is equal",
    "train.device": "auto (a CUDA GPU where there is one), cpu or cuda; with several processes, one GPU each",
    "train.threads": "CPU threads, 1 to 256: part of the recipe, since sums depend on it",
    "train.seed": "a whole number, 0 to 4294967295",
    "train.checkpoint_steps": "steps after which the run is saved, to go on from there; 0 for the end alone",
    "train.end_of_text": "append (a model learns to stop), or none where the base's tokenizer has no such token",
    "train.chat_template": "auto (conversations and instructions in the base's chat template, where it has one), "
    "always (prompts with completions, too) or never (in plain words)",
    "train.chat_date": "the date, as 2026-11-28, for chat templates that insert one; leave it out otherwise",
    "train.system_turns": "keep, or merge into the user's first turn, for chat templates without a system role",
    "train.loss": "tokens (every learned token of a step counts alike, as in other trainers) or rows (every row alike)",
    "train.packing": "true (short rows of a step share a sequence, each seeing itself alone) or false",
    "evaluate.rows": "held-out rows measured before and after, 0 (none) to 100000",
    "output.model": "name of the model on the chain that this run makes a version of",
    "output.format": "safetensors",
    "attribution": "a mapping, {} for all defaults; leave it out, and no answer of the model can be explained",
    "attribution.methods": "a list of lga-1, tsa-1 (full fine-tuning: tsa-1 alone)",
    "attribution.checkpoints": "points of the training that are indexed: 1 to 16",
    "attribution.codes": "numbers kept of a row at each of these points, 1 to 65536; more is better and larger",
    "attribution.copy_cosine_ppb": "cosine of codes from which on a row is a copy: 500000000 to 1000000000, "
    "or 1000000001 to look for none",
    "attribution.payout.kappa_ppb": "part paid by scores; with flat at most 100 %",
    "attribution.payout.flat_ppb": "part paid by the number of rows used",
    "attribution.payout.cap_ppb": "most that one contributor gets of one answer, up to 100 % (no cap)",
    "attribution.payout.minimum_positive_ppb": "part of the scores that must be positive, else all is paid flat",
    "attribution.payout.score_unit": "row (names among which rows are spread gain nothing) or owner (checked by sums)",
    "attribution.payout.pool": "account (open1...) that gets what nobody explains; leave it out for the treasury",
}


class RecipeSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the parts of a recipe."""

    # Lowest and highest value of decimal fields, which msgspec cannot express.
    bounds: ClassVar[Mapping[str, tuple[Decimal, Decimal]]] = {}

    def __post_init__(self) -> None:
        """Refuse what `problems` finds, and write decimal numbers in one form."""
        found = self.problems({name: getattr(self, name) for name in self.__struct_fields__})
        if found:
            raise ValueError("; ".join(found))
        for name in self.bounds:
            # 5e-4 and 0.00050 give one digest.
            if getattr(self, name) is not None:
                msgspec.structs.force_setattr(self, name, Decimal(f"{getattr(self, name).normalize():f}"))

    @classmethod
    def problems(cls, given: Mapping[str, Any]) -> list[str]:
        """Name what is wrong with fields that have the right type; those that have not are absent from `given`."""
        numbers = [name for name in cls.bounds if given.get(name) is not None]
        found = [_decimal_problem(name, given[name], *cls.bounds[name]) for name in numbers]
        return [problem for problem in found if problem]


def find_problems(value: object, kind: type[RecipeSection], path: str = "") -> list[str]:
    """Name every wrong field of a section given as plain data; none when it can be converted."""
    if not isinstance(value, dict):
        return [_explained(value, kind, path)]
    hints, names = get_type_hints(kind, include_extras=True), kind.__struct_fields__
    found, right = [], dict[str, Any]()
    guessed = {name for key in value if key not in names for name in _close(key, names)}
    for key in value:
        if f"{key}_ppb" in names:
            place = f"{path}.{key}" if path else key
            found.append(f"{place}: {value[key]!r} is no share; write one in per cent, for example 25 %")
        elif key not in names:
            hint = "".join(f"; did you mean {name!r}?" for name in _close(key, names))
            found.append(f"{path or 'recipe'}: unknown field {key!r}{hint or '; remove it or correct its name'}")
    for name, default in zip(names, _defaults(kind), strict=True):
        if name in value:
            problems = _problems_of(value[name], hints[name], f"{path}.{name}" if path else name)
            found += problems
            if not problems:
                right[name] = msgspec.convert(value[name], hints[name], strict=True)
        elif name in guessed:
            continue
        elif default is not msgspec.NODEFAULT:
            right[name] = default
        else:
            place = f"{path}.{name}" if path else name
            found.append(f"{place}: is missing" + _remedy(place))
    return found + [f"{path}: {problem}" if path else problem for problem in kind.problems(right)]


def _problems_of(value: object, hint: Any, path: str) -> list[str]:
    """List the problems of one field: a section, a list of sections or steps, or a plain value."""
    plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    options = get_args(plain) if get_origin(plain) in {Union, types.UnionType} else (plain,)
    sections = [item for item in options if isinstance(item, type) and issubclass(item, RecipeSection)]
    if len(sections) > 1:
        return _problems_of_kinds(value, sections, path)
    if sections:
        return find_problems(value, sections[0], path)
    if get_origin(plain) is list and isinstance(value, list):
        (item_hint,) = get_args(plain)
        found = [problem for at, item in enumerate(value) for problem in _problems_of(item, item_hint, f"{path}[{at}]")]
        if found:
            return found
    try:
        msgspec.convert(value, hint, strict=True)
    except msgspec.ValidationError as error:
        return [_explain(str(error), path)]
    return []


def _problems_of_kinds(value: object, sections: list[type[RecipeSection]], path: str) -> list[str]:
    """List the problems of a section that is of the kind that it names."""
    if not isinstance(value, dict):
        return [_explained(value, sections[0], path)]
    kinds = {str(section.__struct_config__.tag): section for section in sections}
    named = value.get("kind")
    if named not in kinds:
        return [f"{path}.kind: {named!r} is unknown; write {' or '.join(kinds)}"]
    return find_problems({key: item for key, item in value.items() if key != "kind"}, kinds[named], path)


def _explained(value: object, kind: type[RecipeSection], path: str) -> str:
    if path == "attribution":
        return f"attribution: write {FIELD_HELP['attribution']}"
    try:
        msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        return _explain(str(error), path)
    raise AssertionError("a section is a mapping")


@cache
def _defaults(kind: type[RecipeSection]) -> tuple[Any, ...]:
    """Default of every field, in order; NODEFAULT where the field must be given."""
    described = msgspec.structs.fields(kind)
    return tuple(
        [
            field.default_factory() if field.default_factory is not msgspec.NODEFAULT else field.default
            for field in described
        ]
    )


def _close(key: object, names: tuple[str, ...]) -> list[str]:
    return difflib.get_close_matches(str(key), names, 1)


def _decimal_problem(name: str, value: Decimal, lowest: Decimal, highest: Decimal) -> str:
    """Empty for a number within its bounds with at most 12 decimals."""
    limits = f"{name} is {value}; it must lie between {lowest:f} and {highest:f}"
    try:
        right = value.is_finite() and lowest <= value <= highest and round(value, 12) == value
    except InvalidOperation:
        return limits
    return "" if right else f"{limits}, at most 12 decimals"


def _explain(text: str, path: str) -> str:
    """msgspec's message as 'field: what is wrong; write what'."""
    reason, _, place = text.partition(" - at `$")
    path += place.rstrip("`")
    bad_step = re.search(r"Invalid value '(.*?)'", reason)
    if bad_step and re.search(r"(preprocess|filters)\[", path):
        close = difflib.get_close_matches(bad_step[1], STEPS_BY_NAME, 1)
        reason = f"unknown step {bad_step[1]!r}" + (f" (did you mean {close[0]!r}?)" if close else "")
        if "chat" in bad_step[1] or "message" in bad_step[1]:
            reason = (
                f"unknown step {bad_step[1]!r}; conversations need none, train.chat_template says how they are written"
            )
        if bad_step[1] in STEPS_BY_NAME:
            reason = f"step {bad_step[1]!r} belongs into the other list (preprocess changes rows, filters drop them)"
    return f"{path}: {reason}{_remedy(path)}"


def _remedy(path: str) -> str:
    """Say what to write there: the help of the field, or of the list of steps that the field belongs to."""
    steps = re.match(r"datasets\[[^]]*\]\.(preprocess|filters)\b", path)
    names = f"datasets.{steps[1]}" if steps else re.sub(r"\[[^]]*\]", "", path)
    help_text = FIELD_HELP.get(names)
    return f"; write {help_text}" if help_text else ""
