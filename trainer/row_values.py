"""Values of a row as preprocessing steps see them: text, or what is no text and says where it came from."""

import json
from dataclasses import dataclass
from typing import Any

from openledger.data.row_json import Number
from trainer.turns import Turn


@dataclass(frozen=True, slots=True)
class NotText:
    """A value of a row that is no text: the field that it came from, its kind in words, the value as JSON text."""

    field: str
    kind: str
    json: str

    @property
    def is_null(self) -> bool:
        """Whether the row says that there is no value."""
        return self.kind == "null"

    @property
    def problem(self) -> str:
        """Where and what it is, and what a recipe can do about it."""
        step = f"{{fill_null: {{field: {self.field}, text: …}}}}" if self.is_null else f"{{as_text: {self.field}}}"
        remedy = f"write the step {step}, or drop such rows with the filter {{has_text: FIELD}}"
        return f"field {self.field!r} is {self.kind}, no text; {remedy}"

    @property
    def value(self) -> Any:
        """The value itself, numbers as they are written."""
        return json.loads(self.json, parse_int=Number, parse_float=Number)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands for prompt and completion of a row that is not what its form says."""

    reason: str

    @property
    def problem(self) -> str:
        """Say what is wrong and what a recipe can do about it."""
        return f"{self.reason}; or drop such rows with the filter has_text"


@dataclass(frozen=True, slots=True)
class Conversation:
    """The turns of a row, for filters that look at them."""

    turns: tuple[Turn, ...]

    @property
    def problem(self) -> str:
        """Say why this is no text."""
        return f"field {TURNS!r} is a conversation, no text; name prompt or completion"


# A row's fields by name while steps run over it; `prompt` and `completion` are what filters see in the end.
Value = str | NotText | Unreadable | Conversation
Fields = dict[str, Value]
# No name that a row of somebody's has.
TURNS = "(turns)"


def value_of(field: str, value: object) -> Value:
    """Return a value of a row (openledger.data.row_json) as steps see it."""
    if isinstance(value, Number):
        return NotText(field, "a number", str(value))
    if isinstance(value, str):
        return value
    if value is None:
        return NotText(field, "null", "null")
    kind = {bool: "true or false", list: "a list", dict: "an object"}[type(value)]
    return NotText(field, kind, _json(value))


def _json(value: object) -> str:
    """Compact JSON with numbers as they were written; `json.dumps` would write `Number` as a string."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, list):
        return f"[{','.join(map(_json, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{_json(key)}:{_json(item)}' for key, item in value.items())}}}"
    return json.dumps(value, ensure_ascii=False)
