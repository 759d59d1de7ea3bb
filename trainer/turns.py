"""Rows of every form as turns: who says what, and which of it is learned.

Text is one turn of nobody; a prompt with its completion, and an instruction with its output, are a user and an
assistant; conversations are what they are. `developer` is a system turn, `function` and `observation` are tools, and
`human`, `gpt` and the names of ShareGPT's other speakers mean user and assistant. Content in parts is the parts one
behind another. What cannot be read so is refused in words: calls of tools beside the text have no place here, and
neither has a picture.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from abci_app.modules.datanets import Form
from openledger.data.forms import find_problem

Role = Literal["text", "system", "user", "assistant", "tool"]

# Rendering a conversation takes a pass over it for every answer.
MAX_TURNS = 512
_ROLES: Mapping[str, Role] = {
    "system": "system", "developer": "system", "user": "user", "human": "user", "assistant": "assistant",
    "gpt": "assistant", "chatgpt": "assistant", "bing": "assistant", "bard": "assistant",
    "function_call": "assistant", "tool": "tool", "function": "tool", "function_response": "tool",
    "observation": "tool",
}  # fmt: skip


class UnreadableRow(ValueError):
    """A row is not what its form says; the text says where."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn; `learned` is false for what is read only, as every turn is that is not the assistant's."""

    role: Role
    text: str
    learned: bool


def plain_turns(form: Form, values: Mapping[str, Any]) -> tuple[Turn, ...]:
    """Turns of a row that is no conversation; `values` are texts, a missing or null `input` is none."""
    if form == Form.TEXT:
        return (Turn("text", values["text"], True),)
    if form == Form.INSTRUCTION:
        asked, given = values["instruction"], values.get("input") or ""
        return pair_turns(f"{asked}\n\n{given}" if given.strip() else asked, values["output"])
    return pair_turns(values.get("prompt") or "", values["completion"])


def pair_turns(prompt: str, completion: str) -> tuple[Turn, ...]:
    """A prompt that is read, if there is one, and a completion that is learned."""
    return (*([Turn("user", prompt, False)] if prompt else []), Turn("assistant", completion, True))


def conversation_turns(form: Form, values: Mapping[str, Any]) -> tuple[Turn, ...]:
    """Turns of a conversation (`openledger.data.forms`); raises `UnreadableRow`.

    A message of OpenAI's form with `weight` 0 is read and not learned.
    """
    problem = find_problem(form, values)
    if problem is not None:
        raise UnreadableRow(problem)
    name, speaker, said = (
        ("messages", "role", "content") if form == Form.MESSAGES else ("conversations", "from", "value")
    )
    items = values[name]
    if len(items) > MAX_TURNS:
        raise UnreadableRow(f"has {len(items)} turns, more than {MAX_TURNS}; cut the conversation")
    turns = []
    for at, item in enumerate(items):
        if item.get("tool_calls") or item.get("function_call"):
            raise UnreadableRow(
                f"calls a tool in {name}[{at}] beside its text, which is not read here: write the call into its {said}"
            )
        content = item[said]
        text = content if isinstance(content, str) else "".join([part["text"] for part in content])
        role = _ROLES[item[speaker]]
        turns.append(Turn(role, text, role == "assistant" and str(item.get("weight", 1)) != "0"))
    system = values.get("system")
    if form == Form.SHAREGPT and system and turns[0].role != "system":
        turns.insert(0, Turn("system", system, False))
    return tuple(turns)


def merged_system(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """Turns whose first one, a system's, stands in front of the user's first text instead."""
    if len(turns) < 2 or turns[0].role != "system" or turns[1].role != "user":
        return turns
    return (Turn("user", f"{turns[0].text}\n\n{turns[1].text}", False), *turns[2:])


def takes_turns(turns: tuple[Turn, ...]) -> bool:
    """Whether, after a system turn at most, user and assistant speak in turn, the user first and the assistant last."""
    roles = [turn.role for turn in turns[turns[0].role == "system" :]] if turns else []
    return bool(roles) and len(roles) % 2 == 0 and roles == ["user", "assistant"] * (len(roles) // 2)
