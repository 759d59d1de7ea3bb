"""Every command that a document or a help text shows is one that the parser takes."""

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from openledger_cli.main import GROUPS, build_parser, split_global_options

REPOSITORY = Path(__file__).parents[2]
DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")])
_LINE = re.compile(r"^\s*(?:\$ )?(openledger .+)$")
# What follows two blanks or a # on a line explains it; prose after a command begins with a bracket or a comma.
_REMARK = re.compile(r"(\s{2,}|\s+#|\s+[<>|&]).*$")


def command_lines(text: str) -> list[str]:
    """`openledger ...` lines of a text, without remarks and continuation marks."""
    joined = re.sub(r"\s*\\\n\s*", " ", text)
    found = [match.group(1) for match in map(_LINE.match, joined.splitlines()) if match]
    return [_REMARK.sub("", re.sub(r"(?<=\S) {1}(?= )", "  ", line)).strip() for line in found]


def check(line: str) -> None:
    """Parse one command line; fails with the parser's own words."""
    words = shlex.split(line)[1:]
    _, rest = split_global_options(words)
    if "..." in rest or not rest:
        return
    parser = build_parser(rest[0])
    try:
        parser.parse_args(rest)
    except SystemExit as stopped:
        if stopped.code:
            pytest.fail(f"the parser refuses: {line}")


def _code_blocks(text: str) -> str:
    return "\n".join(re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_commands_in_documents_exist(path: Path) -> None:
    for line in command_lines(_code_blocks(path.read_text(encoding="utf-8"))):
        check(line)


@pytest.mark.parametrize("group", GROUPS)
def test_examples_in_help_texts_exist(group: str) -> None:
    parser = build_parser(group)
    (subparsers,) = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    lines = command_lines(f"{parser.epilog}\n{subparsers.choices[group].epilog or ''}")
    assert lines
    for line in lines:
        check(line)


def test_remarks_beside_a_command_are_not_part_of_it() -> None:
    text = "  openledger keys add alice     a key\n$ openledger status # how far\nopenledger verify B.json > out"
    assert command_lines(text) == ["openledger keys add alice", "openledger status", "openledger verify B.json"]


def _leaves(name: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command below a parser that does something, by its whole name; aliases once."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield name, parser
    for action in below:
        named = {id(each): word for word, each in reversed(action.choices.items())}
        for word, each in action.choices.items():
            if named[id(each)] == word:
                yield from _leaves(f"{name} {word}", each)


@pytest.mark.parametrize("group", GROUPS)
def test_every_command_has_examples_of_itself_that_its_parser_takes(group: str) -> None:
    (subparsers,) = [
        action for action in build_parser(group)._actions if isinstance(action, argparse._SubParsersAction)
    ]
    leaves = list(_leaves(f"openledger {group}", subparsers.choices[group]))
    without = []
    for name, parser in leaves:
        lines = command_lines(parser.epilog or "")
        if not any(line == name or line.startswith(f"{name} ") for line in lines):
            without.append(name)
        for line in lines:
            check(line)
    assert without == []
