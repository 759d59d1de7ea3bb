"""The vocabulary of preprocessing steps and filters: small, named, each able to say in words what it does.

A recipe lists steps by name; lineage shows their `words`. A preprocessing step changes a row's text fields, a filter
keeps or drops a row. Nothing else may touch the data between a DataNet and the model. Steps depend on the row
alone (and `deduplicate` on the rows before it), never on time, randomness or the machine.

In a recipe a step is `name: main value`, `name: {field: value…}` or just `name`:

    preprocess: [strip, {template: {prompt: "Question: {question}\\nAnswer: ", completion: "{answer}"}}]
    filters: [{min_chars: 40}, {regex_exclude: "(?i)deprecated"}, deduplicate]
"""

import string
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta

# A row's fields by name while steps run over it; `prompt` and `completion` are what training reads in the end.
Fields = dict[str, str]

MAX_PATTERN_LENGTH = 256
MAX_TEMPLATE_LENGTH = 4_096
# A recipe may come from somebody else (verification): no pattern may take longer than this on one row.
PATTERN_SECONDS = 2.0

FieldName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"\A[A-Za-z_][A-Za-z0-9_]*\Z")]
Characters = Annotated[int, Meta(ge=1, le=1_000_000)]
Template_ = Annotated[str, Meta(max_length=MAX_TEMPLATE_LENGTH)]
Pattern = Annotated[str, Meta(min_length=1, max_length=MAX_PATTERN_LENGTH)]


class StepError(ValueError):
    """A step cannot be applied; the text names the step, the field and what to do."""


class _Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="step"):
    """Base of all steps; the first field of a step is its main value."""

    @property
    def words(self) -> str:
        """What the step does, in one phrase for people."""
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
        return fields | {self.field: _value(self, fields, self.field).strip()}


class CollapseSpace(Preprocess, frozen=True, tag="collapse_space"):
    """Replace every run of white space by one space."""

    field: FieldName = "text"

    @property
    def words(self) -> str:
        """See base."""
        return f"replace every run of white space in {self.field} by one space"

    def apply(self, fields: Fields) -> Fields:
        """See base."""
        return fields | {self.field: " ".join(_value(self, fields, self.field).split())}


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
        return fields | {self.field: _value(self, fields, self.field)[: self.characters]}


class Template(Preprocess, frozen=True, tag="template"):
    """Build prompt and completion from a row's fields."""

    completion: Template_
    prompt: Template_ = ""

    def __post_init__(self) -> None:
        """Reject placeholders that are more than a field name."""
        for text in (self.prompt, self.completion):
            try:
                parts = list(string.Formatter().parse(text))
            except ValueError as error:
                raise ValueError(f"template {text!r}: {error}; write {{{{ and }}}} for braces") from error
            if any(name is not None and (not name.isidentifier() or spec or kind) for _, name, spec, kind in parts):
                raise ValueError(f"template {text!r}: a placeholder is a field name in braces, like {{text}}")

    @property
    def words(self) -> str:
        """See base."""
        prompt = f"prompt {self.prompt!r} and " if self.prompt else ""
        return f"build {prompt}completion {self.completion!r} from the row's fields"

    def apply(self, fields: Fields) -> Fields:
        """See base."""
        try:
            built = {"prompt": self.prompt.format_map(fields), "completion": self.completion.format_map(fields)}
        except KeyError as error:
            raise StepError(
                f"template: rows have no field {error}; they have {', '.join(sorted(fields))}; correct the template"
            ) from error
        return fields | built


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


class Deduplicate(Filter, frozen=True, tag="deduplicate"):
    """Keep the first of rows that are equal in a field."""

    field: FieldName = "completion"

    @property
    def words(self) -> str:
        """See base."""
        return f"of rows with equal {self.field} keep the first"

    def keeps(self, fields: Fields, seen: set[bytes], /) -> bool:
        """See base."""
        digest = sha256(f"{self.field}\0{_value(self, fields, self.field)}".encode()).digest()
        if digest in seen:
            return False
        seen.add(digest)
        return True


PreprocessStep = Strip | CollapseSpace | Truncate | Template
FilterStep = MinChars | MaxChars | Contains | RegexExclude | Deduplicate
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
    return {"step": name, (step.__struct_fields__[0] if step else "value"): value}


def _value(step: _Step, fields: Fields, name: str) -> str:
    if name not in fields:
        raise StepError(
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
