"""Parsers: no option is taken by its beginning, in any command."""

import argparse
from collections.abc import Iterator

import pytest

from openledger.exit_codes import ExitCode
from openledger_cli.main import GROUPS, build_parser, main


def all_parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser and every one below it."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from all_parsers(below)


@pytest.mark.parametrize("group", GROUPS)
def test_no_command_takes_an_option_by_its_beginning(group: str) -> None:
    assert [parser.prog for parser in all_parsers(build_parser(group)) if parser.allow_abbrev] == []


@pytest.mark.parametrize(
    "words",
    [
        ("tx", "build", "--messages", "m.json", "--from", "olga", "--fil", "draft.json"),
        ("query", "account", "olga", "--unver"),
        ("devnet", "--acc", "olga=1OPEN"),
        ("keys", "list", "--out", "json"),
    ],
)
def test_the_beginning_of_an_option_is_refused(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    assert stopped.value.code == ExitCode.USAGE
    assert "unrecognized arguments" in capsys.readouterr().err
