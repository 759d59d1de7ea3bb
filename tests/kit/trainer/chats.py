"""Conversations read for a base with a chat template, and shown as people write them."""

from typing import Any

from abci_app.modules.datanets import Form
from tests.kit.trainer.tiny import byte_tokenizer
from trainer.dataset import Row
from trainer.examples import ReadExample, opened_reader
from trainer.partition import Example
from trainer.recipe import Train
from trainer.turns import Role, Turn

ROW = Row(bytes(32), 0, b"{}", bytes(32))


def turns(*said: tuple[Role, str]) -> tuple[Turn, ...]:
    """Turns of which the assistant's are learned."""
    return tuple([Turn(role, text, role == "assistant") for role, text in said])


def chat_tokenizer(template: str | None, special: tuple[str, ...] = (), **more: Any) -> Any:
    """A tokenizer of a token a byte with a chat template and its tokens."""
    tokenizer = byte_tokenizer(special=special, bos_token="<s>", **more)
    tokenizer.chat_template = template
    return tokenizer


def read_chat(tokenizer: Any, said: tuple[Turn, ...], limit: int = 512, **settings: Any) -> ReadExample:
    """A conversation as a run with these settings reads it."""
    with opened_reader(tokenizer, Train(steps=1, sequence_tokens=limit, **settings)) as reader:
        return reader.read(Example(0, ROW, said, Form.MESSAGES))


def shown(tokenizer: Any, read: ReadExample) -> str:
    """All tokens as text, what is learned between « and »."""
    parts, at = [], 0
    for start, end in read.tokens.learned:
        parts += [decoded(tokenizer, read, at, start), "«", decoded(tokenizer, read, start, end), "»"]
        at = end
    return "".join([*parts, decoded(tokenizer, read, at, len(read.tokens.ids))])


def decoded(tokenizer: Any, read: ReadExample, start: int, end: int) -> str:
    """Some of the tokens as text."""
    return str(tokenizer.decode(list(read.tokens.ids[start:end])))
