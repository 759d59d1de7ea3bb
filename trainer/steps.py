"""The vocabulary of preprocessing steps and filters: small, named, each able to say in words what it does.

A recipe lists steps by name; lineage shows their `words`. A preprocessing step changes a row's text fields, a filter
keeps or drops a row. Nothing else may touch the data between a DataNet and the model. Steps depend on the row
alone (and `deduplicate` on the rows before it), never on time, randomness or the machine.

In a recipe a step is `name: main value`, `name: {field: value…}` or just `name`:

    preprocess: [strip, {template: {prompt: "Question: {question}\\nAnswer: ", completion: "{answer}"}}]
    filters: [{min_chars: 40}, {regex_exclude: "(?i)deprecated"}, deduplicate]

Without a template step a row becomes an example by the form of its contribution (trainer.turns); filters see the
assistant's turns as `completion` and all others as `prompt`, in every form.

A value that is no text (null, a number, a list) never becomes one by itself: a row in which training would read such a
value is refused, until the recipe says what becomes of it: `as_text`, `fill_null`, or the filter `has_text`.
"""

from collections.abc import Callable, Mapping
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta

from openledger.data.normalised import normalised_text
from trainer.placeholders import MissingField, check_template, filled
from trainer.row_values import TURNS, Conversation, Fields, NotText, Value
from trainer.turns import takes_turns

MAX_PATTERN_LENGTH = 256
MAX_TEMPLATE_LENGTH = 4_096
# A recipe may come from somebody else (verification): no pattern may take longer than this on one row.
PATTERN_SECONDS = 2.0

# Names as contributors' files have them, in any language; no line or brace, since people read them in one line.
FieldName = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"\A[^\x00-\x1f\x7f{}]+\Z")]
Characters = Annotated[int, Meta(ge=1, le=1_000_000)]
Template_ = Annotated[str, Meta(max_length=MAX_TEMPLATE_LENGTH)]
Pattern = Annotated[str, Meta(min_length=1, max_length=MAX_PATTERN_LENGTH)]


class StepError(ValueError):
    """A step cannot be applied; the text names the step, the field and what to do."""


class MissingStepField(StepError):
    """A row has no field that a step speaks of."""


class _Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="step"):
    """Base of all steps; the first field of a step is its main value."""

    @property
    def words(self) -> str:
        """Describe the work of the step in one phrase for people."""
        raise NotImplementedError


class Preprocess(_Step, frozen=True):
    """A step that rewrites fields."""

    def apply(self, fields: Fields) -> Fields:
        """The row's fields after the step."""
        raise NotImplementedError


class Filter(_Step, frozen=True):
    """A step that keeps or drops rows."""

    def keeps(self, fields: Fields, _seen: set[bytes], /) -> bool:
        """Whether the row stays; `_seen` holds the digests that `deduplicate` met before, per input."""
        raise NotImplementedError


class Strip(Preprocess, frozen=True, tag="strip"):
    """Remove white space at both ends."""

    field: FieldName = "text"

    @property
    def words(self) -> str:
        """See base."""
        return f"remove white space at both ends of {self.field}"

    def apply(self, fields: Fields) -> Fields:
        """See base."""
        return fields | {self.field: _mapped(self, fields, str.strip)}


class CollapseSpace(Preprocess, frozen=True, tag="collapse_space"):
    """Replace every run of white space by one space."""

    field: FieldName = "text"

    @property
    def words(self) -> str:
        """See base."""
        return f"replace every run of white space in {self.field} by one space"

    def apply(self, fields: Fields) -> Fields:
        """See base."""
        return fields | {self.field: _mapped(self, fields, lambda text: " ".join(text.split()))}


class Truncate(Preprocess, frozen=True, tag="truncate"):
    """Cut a field after some characters."""

    characters: Characters
    field: FieldName = "text"

    @property
    def words(self) -> str:
        """See base."""
        return f"cut {self.field} after {self.characters:,} characters"

    def apply(self, fields: Fields) -> Fields:
        """See base."""
        return fields | {self.field: _mapped(self, fields, lambda text: text[: self.characters])}


class Template(Preprocess, frozen=True, tag="template"):
    """Build prompt and completion from a row's fields."""

    completion: Template_
    prompt: Template_ = ""

    def __post_init__(self) -> None:
        """Reject what is no template."""
        for text in (self.prompt, self.completion):
            check_template(text)

    @property
    def words(self) -> str:
        """See base."""
        prompt = f"prompt {self.prompt!r} and " if self.prompt else ""
        return f"build {prompt}completion {self.completion!r} from the row's fields"

    def apply(self, fields: Fields) -> Fields:
        """See base."""
        return fields | {"prompt": _built(self.prompt, fields), "completion": _built(self.completion, fields)}


def _built(template: str, fields: Fields) -> Value:
    try:
        return filled(template, fields)
    except MissingField as error:
        raise MissingStepField(str(error)) from error


class AsText(Preprocess, frozen=True, tag="as_text"):
    """Write a value that is no text as its JSON."""

    field: FieldName

    @property
    def words(self) -> str:
        """See base."""
        return f"write numbers, lists and objects in {self.field} as JSON text"

    def apply(self, fields: Fields) -> Fields:
        """See base."""
        value = _present(self, fields, self.field)
        return fields | {self.field: value.json if isinstance(value, NotText) and not value.is_null else value}


class FillNull(Preprocess, frozen=True, tag="fill_null"):
    """Give rows in which a field is null or missing a text."""

    field: FieldName
    text: Template_

    @property
    def words(self) -> str:
        """See base."""
        return f"where {self.field} is null or missing, put {self.text!r}"

    def apply(self, fields: Fields) -> Fields:
        """See base."""
        value = fields.get(self.field)
        absent = value is None or (isinstance(value, NotText) and value.is_null)
        return fields | {self.field: self.text} if absent else fields


class HasText(Filter, frozen=True, tag="has_text"):
    """Keep rows in which a field is text that is more than white space."""

    field: FieldName = "completion"

    @property
    def words(self) -> str:
        """See base."""
        return f"keep rows whose {self.field} is text and not blank"

    def keeps(self, fields: Fields, _seen: set[bytes], /) -> bool:
        """See base."""
        value = _present(self, fields, self.field)
        return isinstance(value, str) and bool(normalised_text(value))


class MinChars(Filter, frozen=True, tag="min_chars"):
    """Keep rows of a minimum length."""

    characters: Characters
    field: FieldName = "completion"

    @property
    def words(self) -> str:
        """See base."""
        return f"keep rows whose {self.field} has at least {self.characters:,} characters"

    def keeps(self, fields: Fields, _seen: set[bytes], /) -> bool:
        """See base."""
        return len(_value(self, fields, self.field)) >= self.characters


class MaxChars(Filter, frozen=True, tag="max_chars"):
    """Keep rows up to a maximum length."""

    characters: Characters
    field: FieldName = "completion"

    @property
    def words(self) -> str:
        """See base."""
        return f"keep rows whose {self.field} has at most {self.characters:,} characters"

    def keeps(self, fields: Fields, _seen: set[bytes], /) -> bool:
        """See base."""
        return len(_value(self, fields, self.field)) <= self.characters


class Contains(Filter, frozen=True, tag="contains"):
    """Keep rows that contain a text."""

    text: Pattern
    field: FieldName = "completion"

    @property
    def words(self) -> str:
        """See base."""
        return f"keep rows whose {self.field} contains {self.text!r}"

    def keeps(self, fields: Fields, _seen: set[bytes], /) -> bool:
        """See base."""
        return self.text in _value(self, fields, self.field)


class RegexExclude(Filter, frozen=True, tag="regex_exclude"):
    """Drop rows that a regular expression finds."""

    pattern: Pattern
    field: FieldName = "completion"

    def __post_init__(self) -> None:
        """Reject what does not compile; without the package that judges it a step can still be read and described."""
        if find_spec("regex") is not None:
            _compiled(self.pattern)

    @property
    def words(self) -> str:
        """See base."""
        return f"drop rows whose {self.field} matches the pattern {self.pattern!r}"

    def keeps(self, fields: Fields, _seen: set[bytes], /) -> bool:
        """See base."""
        try:
            found = _compiled(self.pattern).search(_value(self, fields, self.field), timeout=PATTERN_SECONDS)
        except TimeoutError as error:
            raise StepError(
                f"regex_exclude: pattern {self.pattern!r} took more than {PATTERN_SECONDS:g} s on one row; simplify it"
            ) from error
        return found is None


class TakesTurns(Filter, frozen=True, tag="takes_turns"):
    """Drop conversations in which user and assistant do not take turns; other rows stay."""

    @property
    def words(self) -> str:
        """See base."""
        return "keep conversations in which user and assistant take turns, the user first, the assistant last"

    def keeps(self, fields: Fields, _seen: set[bytes], /) -> bool:
        """See base."""
        value = fields.get(TURNS)
        return not isinstance(value, Conversation) or takes_turns(value.turns)


class Deduplicate(Filter, frozen=True, tag="deduplicate"):
    """Keep the first of rows whose texts in a field are equal in normal form (openledger.data.normalised)."""

    field: FieldName = "completion"

    @property
    def words(self) -> str:
        """See base."""
        return f"of rows that say the same in {self.field} keep the first"

    def keeps(self, fields: Fields, seen: set[bytes], /) -> bool:
        """See base."""
        digest = sha256(normalised_text(_value(self, fields, self.field)).encode()).digest()
        if digest in seen:
            return False
        seen.add(digest)
        return True


PreprocessStep = Strip | CollapseSpace | Truncate | Template | AsText | FillNull
FilterStep = HasText | MinChars | MaxChars | Contains | RegexExclude | TakesTurns | Deduplicate
_STEPS: tuple[type[_Step], ...] = (*PreprocessStep.__args__, *FilterStep.__args__)
STEPS_BY_NAME: Mapping[str, type[_Step]] = {str(step.__struct_config__.tag): step for step in _STEPS}


def expand_step(item: Any) -> Any:
    """A step as people write it to the full form `{"step": name, field: value…}`; other shapes come back unchanged."""
    if isinstance(item, str):
        return {"step": item}
    if not isinstance(item, dict) or "step" in item or len(item) != 1:
        return item
    ((name, value),) = item.items()
    if isinstance(value, dict):
        return {"step": name, **value}
    step = STEPS_BY_NAME.get(name)
    return {"step": name, (step.__struct_fields__[0] if step and step.__struct_fields__ else "value"): value}


def _mapped(step: Strip | CollapseSpace | Truncate, fields: Fields, change: Callable[[str], str]) -> Value:
    """The step's field changed; what is no text stays as it is."""
    value = _present(step, fields, step.field)
    return change(value) if isinstance(value, str) else value


def _value(step: _Step, fields: Fields, name: str) -> str:
    value = _present(step, fields, name)
    if not isinstance(value, str):
        raise StepError(f"{step.__struct_config__.tag}: {value.problem}")
    return value


def _present(step: _Step, fields: Fields, name: str) -> Value:
    if name not in fields:
        raise MissingStepField(
            f"{step.__struct_config__.tag}: rows have no field {name!r}; they have {', '.join(sorted(fields))}; "
            "name another field or build it with a template"
        )
    return fields[name]


@cache
def _compiled(pattern: str) -> Any:
    """Compiled with the `regex` package, whose search has a time limit (transformers depends on it already)."""
    try:
        import regex  # type: ignore[import-untyped]
    except ImportError as error:
        raise StepError("regex_exclude needs the package 'regex'; install openledger[ml]") from error
    try:
        return cast("Any", regex.compile(pattern))
    except regex.error as error:
        raise ValueError(f"pattern {pattern!r} is no regular expression: {error}") from error
