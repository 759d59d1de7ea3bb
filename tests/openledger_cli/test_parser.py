"""Parsers: no option is taken by its beginning, in any command."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from openledger.exit_codes import ExitCode
from openledger_cli.main import GROUPS, build_parser, main
from openledger_cli.parser import OutputFile


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


# Goes on in the file of its own run, and refuses any other that is there (openledger_cli/train/events.py).
_OF_A_RUN = {"--events"}


@pytest.mark.parametrize("group", GROUPS)
def test_every_option_that_names_a_file_to_write_is_looked_at_before_anything_is_done(group: str) -> None:
    found = [
        (parser.prog, action.option_strings)
        for parser in all_parsers(build_parser(group))
        for action in parser._actions
        if action.option_strings
        and action.nargs != 0
        and re.search(r"\bwrites?\b", action.help or "")
        and "FILE" in str(action.metavar)
        and action.type is not OutputFile
        and not set(action.option_strings) & _OF_A_RUN
    ]
    assert found == []


def test_a_file_that_is_there_stops_a_command_before_its_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = tmp_path / "taken.json"
    taken.write_text("mine")
    for words in (
        ("explain", "--model", "m", "--prompt", "p", "--html", str(taken)),
        ("query", "lineage", "m", "--bundle", str(taken)),
        ("genesis", "add-validator", "--name", "me", "--file", str(taken)),
    ):
        assert main([*words, "--home", str(tmp_path / "home")]) == ExitCode.USAGE
        said = capsys.readouterr().err
        assert said == f"error: {taken} is there already: name another file, or pass --overwrite\n"
    assert taken.read_text() == "mine"
