"""Forms of rows that trainers know, told by the names of their fields.

    messages      {"messages": [{"role": "user", "content": "…"}, …]}        content: text, or parts of text
    sharegpt      {"conversations": [{"from": "human", "value": "…"}, …]}    beside it, a text `system` may stand
    instruction   {"instruction": "…", "input": "…", "output": "…"}          input may be missing, empty or null
    completion    {"prompt": "…", "completion": "…"}
    text          {"text": "…"}
    other         everything else: a recipe says by a template what becomes of it

A row of several forms has the first of this list, since hubs put a written-out `text` or `prompt` beside the turns that
it was made from. Further fields are kept and mean nothing here. Names are those above and no others: what a hub calls
`question` becomes `prompt` only where its contributor says so.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from abci_app.modules.datanets import Form
from openledger.data.row_json import Number

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
SHAREGPT_SPEAKERS = (
    "system", "human", "user", "gpt", "assistant", "chatgpt", "bing", "bard", "tool", "function", "function_call",
    "function_response", "observation",
)  # fmt: skip
_SHOWN_VALUE_CHARACTERS = 40


def form_of(row: Mapping[str, Any]) -> Form:
    """The form that the names of a row's fields say; `find_problem` tells whether the row keeps it.

    A field of null is as if it were not there: where tables were put together, every row has the columns of all.
    """
    if row.get("messages") is not None:
        return Form.MESSAGES
    if row.get("conversations") is not None:
        return Form.SHAREGPT
    if row.get("instruction") is not None and row.get("output") is not None:
        return Form.INSTRUCTION
    if row.get("prompt") is not None and row.get("completion") is not None:
        return Form.COMPLETION
    return Form.TEXT if row.get("text") is not None else Form.OTHER


def common_form(rows: Iterable[Mapping[str, Any]]) -> Form:
    """The form that every one of these rows has and keeps, or `Form.OTHER` where they differ."""
    form: Form | None = None
    for row in rows:
        found = form_of(row)
        if form not in (None, found) or find_problem(found, row) is not None:
            return Form.OTHER
        form = found
    return form or Form.OTHER


# What hubs call the fields of a form, the form's own name first.
_CALLED: dict[Form, tuple[tuple[str, ...], ...]] = {
    Form.MESSAGES: (("messages", "conversation", "dialogue", "dialog", "chat", "turns"),),
    Form.INSTRUCTION: (
        ("instruction",),
        ("input", "context"),
        ("output", "response", "answer", "completion"),
    ),
    Form.COMPLETION: (
        ("prompt", "question", "query", "input", "problem", "instruction", "source"),
        ("completion", "answer", "response", "output", "solution", "target", "chosen"),
    ),
    Form.TEXT: (("text", "content", "document", "body", "article"),),
}
_MAY_BE_MISSING = "input"


def suggested_names(fields: Iterable[str]) -> tuple[Form, dict[str, str]]:
    """A form that rows with these fields may be meant to have, and the names to give them; `Form.OTHER` for none."""
    by_word = {name.strip().lower().replace(" ", "_"): name for name in fields}
    for form, wanted in _CALLED.items():
        renamed: dict[str, str] = {}
        for called in wanted:
            word = next((one for one in called if one in by_word and by_word[one] not in renamed), None)
            if word is not None:
                renamed[by_word[word]] = called[0]
            elif called[0] != _MAY_BE_MISSING:
                break
        else:
            return form, {old: new for old, new in renamed.items() if old != new}
    return Form.OTHER, {}


def find_problem(form: Form, row: Mapping[str, Any]) -> str | None:
    """Why a row is not of this form, in words that follow its place (`line 7 …`), or None where it is."""
    if form == Form.MESSAGES:
        return _messages_problem(row)
    if form == Form.SHAREGPT:
        return _sharegpt_problem(row)
    if form == Form.INSTRUCTION:
        return _texts_problem(row, ("instruction", "output")) or _optional_text_problem(row, "input")
    if form == Form.COMPLETION:
        return _texts_problem(row, ("prompt", "completion"))
    return _texts_problem(row, ("text",)) if form == Form.TEXT else None


def is_text(value: object) -> bool:
    """Whether a value of a row is text; numbers as `read_row` gives them are not."""
    return isinstance(value, str) and not isinstance(value, Number)


def _texts_problem(row: Mapping[str, Any], names: Iterable[str], place: str = "") -> str | None:
    for name in names:
        if name not in row:
            return f"has no {place}{name}; {_has(row)}"
        if not is_text(row[name]):
            return f"has {_named(row[name])} as {place}{name}, which must be text"
    return None


def _optional_text_problem(row: Mapping[str, Any], name: str, place: str = "") -> str | None:
    value = row.get(name)
    return None if value is None or is_text(value) else f"has {_named(value)} as {place}{name}, which must be text"


def _messages_problem(row: Mapping[str, Any]) -> str | None:
    turns = row.get("messages")
    if not isinstance(turns, list) or not turns:
        return 'has no list of messages; write [{"role": "user", "content": "…"}, …]'
    for at, turn in enumerate(turns):
        place = f"messages[{at}]"
        if not isinstance(turn, dict):
            return f"has {_named(turn)} as {place}; a message is an object of role and content"
        problem = _texts_problem(turn, ("role",), f"{place}.")
        if problem is not None:
            return problem
        if turn["role"] not in ROLES:
            return f"has the role {_shown(turn['role'])} in {place}; a role is one of {', '.join(ROLES)}"
        problem = _content_problem(turn, f"{place}.content")
        if problem is not None:
            return problem
    return None


def _content_problem(turn: Mapping[str, Any], place: str) -> str | None:
    content = turn.get("content")
    if is_text(content):
        return None
    if content is None:
        called = isinstance(turn.get("tool_calls"), list) or isinstance(turn.get("function_call"), dict)
        return None if called else f"has no text as {place}"
    if not isinstance(content, list):
        return f"has {_named(content)} as {place}, which must be text"
    for at, part in enumerate(content):
        if not isinstance(part, dict) or part.get("type") != "text" or not is_text(part.get("text")):
            return f'has a part that is no text as {place}[{at}]; a part is {{"type": "text", "text": "…"}}'
    return None


def _sharegpt_problem(row: Mapping[str, Any]) -> str | None:
    turns = row.get("conversations")
    if not isinstance(turns, list) or not turns:
        return 'has no list of conversations; write [{"from": "human", "value": "…"}, …]'
    for at, turn in enumerate(turns):
        place = f"conversations[{at}]"
        if not isinstance(turn, dict):
            return f"has {_named(turn)} as {place}; a turn is an object of from and value"
        problem = _texts_problem(turn, ("from", "value"), f"{place}.")
        if problem is not None:
            return problem
        if turn["from"] not in SHAREGPT_SPEAKERS:
            return f"is from {_shown(turn['from'])} in {place}; from is one of {', '.join(SHAREGPT_SPEAKERS)}"
    return _optional_text_problem(row, "system")


def _named(value: object) -> str:
    """The kind of a JSON value, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Number | int | float):
        return f"the number {value!s:.{_SHOWN_VALUE_CHARACTERS}}"
    return "a text" if isinstance(value, str) else "a list" if isinstance(value, list) else "an object"


def _has(row: Mapping[str, Any]) -> str:
    names = ", ".join(_shown(name) for name in list(row)[:8])
    return f"its fields are {names}{' …' if len(row) > 8 else ''}" if row else "it has no fields"


def _shown(text: str) -> str:
    """A name or value that may hold anything, in one line of ASCII."""
    return ascii(text[:_SHOWN_VALUE_CHARACTERS])
