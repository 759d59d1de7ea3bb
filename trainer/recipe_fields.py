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
    "train.chat_template": "auto (conversations and instructions in the base's chat template, where it has one), "
    "always (prompts with completions, too) or never (in plain words)",
    "train.chat_date": "the date, as 2026-11-28, for chat templates that insert one; leave it out otherwise",
    "train.system_turns": "keep, or merge into the user's first turn, for chat templates without a system role",
    "train.loss": "tokens (every learned token of a step counts alike, as in other trainers) or rows (every row alike)",
    "train.packing": "true (short rows of a step share a sequence, each seeing itself alone) or false",
    "evaluate.rows": "held-out rows measured before and after, 0 (none) to 100000",
    "output.model": "name of the model on the chain that this run makes a version of",
    "attribution": "a mapping, {} for all defaults; leave it out, and no answer of the model can be explained",
    "attribution.methods": "a list of lga-1, tsa-1",
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
            msgspec.structs.force_setattr(self, name, Decimal(f"{getattr(self, name).normalize():f}"))

    @classmethod
    def problems(cls, given: Mapping[str, Any]) -> list[str]:
        """Name what is wrong with fields that have the right type; those that have not are absent from `given`."""
        found = [_decimal_problem(name, given[name], *cls.bounds[name]) for name in cls.bounds if name in given]
        return [problem for problem in found if problem]


def find_problems(value: object, kind: type[RecipeSection], path: str = "") -> list[str]:
    """Name every wrong field of a section given as plain data; none when it can be converted."""
    if not isinstance(value, dict):
        return [_explained(value, kind, path)]
    hints, names = get_type_hints(kind, include_extras=True), kind.__struct_fields__
    found, right = [], dict[str, Any]()
    guessed = {name for key in value if key not in names for name in _close(key, names)}
    for key in value:
        if key not in names:
            hint = "".join(f"; did you mean {name!r}?" for name in _close(key, names))
            found.append(f"{path or 'recipe'}: unknown field {key!r}{hint or '; remove it or correct its name'}")
    for name, default in zip(names, _defaults(kind), strict=True):
        if name in value:
            problems = _problems_of(value[name], hints[name], f"{path}.{name}" if path else name)
            found += problems
            if not problems:
                right[name] = msgspec.convert(value[name], hints[name], strict=True)
        elif default is not msgspec.NODEFAULT:
            right[name] = default
        elif name not in guessed:
            place = f"{path}.{name}" if path else name
            found.append(f"{place}: is missing" + _remedy(place))
    return found + [f"{path}: {problem}" if path else problem for problem in kind.problems(right)]


def _problems_of(value: object, hint: Any, path: str) -> list[str]:
    """List the problems of one field: a section, a list of sections or steps, or a plain value."""
    plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    options = get_args(plain) if get_origin(plain) in {Union, types.UnionType} else (plain,)
    section = next((item for item in options if isinstance(item, type) and issubclass(item, RecipeSection)), None)
    if section is not None:
        return find_problems(value, section, path)
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
        if bad_step[1] in STEPS_BY_NAME:
            reason = f"step {bad_step[1]!r} belongs into the other list (preprocess changes rows, filters drop them)"
    return f"{path}: {reason}{_remedy(path)}"


def _remedy(path: str) -> str:
    """Say what to write there: the help of the field, or of the list of steps that the field belongs to."""
    steps = re.match(r"datasets\[[^]]*\]\.(preprocess|filters)\b", path)
    names = f"datasets.{steps[1]}" if steps else re.sub(r"\[[^]]*\]", "", path)
    help_text = FIELD_HELP.get(names)
    return f"; write {help_text}" if help_text else ""
