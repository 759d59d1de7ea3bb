"""What texts advise: every `openledger ...` that a message names is a command, and one that does something."""

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from openledger_cli.main import build_parser

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("abci_app", "attribution", "node", "openledger", "openledger_cli", "trainer")


def texts_of(package: str) -> Iterator[tuple[Path, str]]:
    """Every text in the code of a package but its docstrings."""
    for path in sorted((ROOT / package).rglob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        alone = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
                yield path.relative_to(ROOT), node.value


def commands_below(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands of a group; none where the parser is a command itself."""
    return next(
        (action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)),
        {},
    )


def fault_of(advice: str) -> str | None:
    """Why these words after `openledger` are no command, or None where they are one."""
    words = advice.split()
    parser = build_parser(words[0])
    for word in words:
        below = commands_below(parser)
        if not below or word.startswith("-"):
            return None
        if word not in below:
            return f"{word} is no command"
        parser = below[word]
    return "is a group: it answers with its usage" if commands_below(parser) else None


@pytest.mark.parametrize("package", PACKAGES)
def test_every_command_that_a_message_tells_people_to_see_exists_and_answers(package: str) -> None:
    # Words in braces end the part that is looked at; a text that ends in the middle of a command is one with braces.
    told = [
        (path, words, fault_of(words))
        for path, text in texts_of(package)
        for words in re.findall(r"\bsee `openledger ([a-z][a-z -]*[a-z])(?=`| [^a-z ])", text)
    ]
    assert [each for each in told if each[2]] == []


def test_advice_that_names_a_group_or_no_command_is_found() -> None:
    assert fault_of("query datanets") == "is a group: it answers with its usage"
    assert fault_of("data lst") == "lst is no command"
    assert fault_of("data list") is None
