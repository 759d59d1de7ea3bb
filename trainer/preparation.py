"""From a row to the turns that a model sees: the preprocessing steps of an input, then the row's form.

A step speaks of a field. In a DataNet of several forms, rows of a form that has no such field pass the step unchanged;
they are counted. Where some rows of a form have the field and others have not, or no row has it, the recipe is wrong.
A row of no stated form is read by the names of its fields (`openledger.data.forms.form_of`) once the steps are done.
"""

from collections import Counter
from dataclasses import dataclass

from abci_app.modules.datanets import Form
from openledger.data.forms import find_problem, form_of
from trainer.dataset import Row
from trainer.recipe import Dataset
from trainer.row_values import TURNS, Conversation, Fields, NotText, Unreadable, Value
from trainer.steps import MissingStepField, StepError, Template
from trainer.turns import Turn, UnreadableRow, conversation_turns, pair_turns, plain_turns

_NAMES = {
    Form.TEXT: ("text",),
    Form.COMPLETION: ("prompt", "completion"),
    Form.INSTRUCTION: ("instruction", "output"),
}


@dataclass(frozen=True, slots=True)
class PreparedRow:
    """Fields of a row after the steps, with `prompt` and `completion`; its form, and whether a template wrote them."""

    fields: Fields
    form: Form
    by_template: bool

    def turns(self) -> tuple[Turn, ...]:
        """Give the turns of the example; raises `StepError` where the recipe leaves a value that is no text."""
        conversation = self.fields.get(TURNS)
        if isinstance(conversation, Conversation):
            return conversation.turns
        texts: dict[str, str] = {}
        for name in ("prompt", "completion"):
            value = self.fields[name]
            if not isinstance(value, str):
                raise StepError(value.problem if isinstance(value, Unreadable) else f"{name}: {value.problem}")
            texts[name] = value
        if self.form == Form.TEXT:
            return plain_turns(Form.TEXT, {"text": texts["completion"]})
        return pair_turns(texts["prompt"], texts["completion"])


class Preparation:
    """Prepares the rows of one input, and counts; `problems` are those that only all rows together show."""

    def __init__(self, dataset: Dataset) -> None:
        self._steps = dataset.preprocess
        self.changed = [0] * len(self._steps)
        self._applied: Counter[tuple[int, Form]] = Counter()
        self._missing: Counter[tuple[int, Form]] = Counter()
        self._first: dict[tuple[int, Form], tuple[Row, str]] = {}

    def prepare(self, row: Row) -> PreparedRow:
        """Apply all steps, then the form; raises `StepError`."""
        fields = row.fields()
        by_template = False
        for at, step in enumerate(self._steps):
            key = at, row.form
            try:
                before, fields = fields, step.apply(fields)
            except MissingStepField as error:
                if row.form == Form.OTHER:
                    raise
                self._missing[key] += 1
                self._first.setdefault(key, (row, str(error)))
                continue
            self._applied[key] += 1
            self.changed[at] += before != fields
            by_template |= isinstance(step, Template)
        return _by_template(fields) if by_template else _by_form(fields, row.form)

    @property
    def passed(self) -> tuple[int, ...]:
        """How many rows each step left alone, since their form has no such field."""
        return tuple(
            [sum(count for (at, _), count in self._missing.items() if at == step) for step in range(len(self._steps))]
        )

    def problems(self) -> list[tuple[Row, str, int]]:
        """Rows without a field that others of their form have, or that none has: the first, why, how many there are."""
        found = []
        for key, (row, reason) in self._first.items():
            at, _ = key
            nowhere = not any(step == at for step, _ in self._applied)
            if nowhere or self._applied[key]:
                found.append((row, reason, self._missing[key]))
        return found


def _by_template(fields: Fields) -> PreparedRow:
    return PreparedRow({"prompt": ""} | fields, Form.COMPLETION, by_template=True)


def _by_form(fields: Fields, stated: Form) -> PreparedRow:
    form = stated if stated != Form.OTHER else form_of(fields)
    if form in (Form.MESSAGES, Form.SHAREGPT):
        return PreparedRow(fields | _conversation(fields, form), form, by_template=False)
    missing = [name for name in _NAMES.get(form, ()) if name not in fields]
    if missing:
        unreadable = Unreadable(f"the row {find_problem(form, fields)}")
        return PreparedRow(fields | {"prompt": unreadable, "completion": unreadable}, form, by_template=False)
    if form == Form.TEXT:
        return PreparedRow(fields | {"prompt": "", "completion": fields["text"]}, form, by_template=False)
    if form == Form.INSTRUCTION:
        return PreparedRow(fields | _instruction(fields), form, by_template=False)
    if "completion" not in fields:
        raise StepError(
            f"rows have neither 'completion' nor 'text' but {', '.join(sorted(fields))}; add a template step"
        )
    return PreparedRow({"prompt": ""} | fields, Form.COMPLETION, by_template=False)


def _instruction(fields: Fields) -> Fields:
    asked, given = fields["instruction"], fields.get("input", "")
    prompt: Value = asked
    if isinstance(given, NotText) and given.is_null:
        given = ""
    if not isinstance(given, str):
        prompt = given
    elif isinstance(asked, str):
        prompt = plain_turns(Form.INSTRUCTION, {"instruction": asked, "input": given, "output": ""})[0].text
    return {"prompt": prompt, "completion": fields["output"]}


def _conversation(fields: Fields, form: Form) -> Fields:
    """Turns, and what filters see of them: all answers, and everything else."""
    name = "messages" if form == Form.MESSAGES else "conversations"
    values = {
        key: value.value if isinstance(value, NotText) else value
        for key, value in fields.items()
        if key in (name, "system")
    }
    try:
        turns = conversation_turns(form, values)
    except UnreadableRow as error:
        unreadable = Unreadable(f"the row {error}")
        return {"prompt": unreadable, "completion": unreadable}
    return {
        TURNS: Conversation(turns),
        "prompt": "\n".join([turn.text for turn in turns if turn.role != "assistant"]),
        "completion": "\n".join([turn.text for turn in turns if turn.role == "assistant"]),
    }
