"""The reference of all commands: nothing that a parser takes is left out of it."""

import argparse
from collections.abc import Iterator

from abci_app.chain.registry import MODULES, all_queries
from abci_app.module import snake_case
from openledger.exit_codes import MEANINGS
from openledger_cli.main import GROUPS, build_parser
from openledger_cli.reference import SHARED, reference


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _parsers(below)


def test_every_option_of_every_command_is_described() -> None:
    text = reference()
    for group in GROUPS:
        for parser in _parsers(build_parser(group)):
            for action in parser._actions:
                for flag in action.option_strings:
                    assert flag in text or flag in ("-h", "--help"), f"{parser.prog} {flag}"


def test_every_message_query_and_exit_code_has_its_place() -> None:
    lines = set(reference().splitlines())
    for module in MODULES:
        for message in module.messages:
            assert f"#### openledger tx {module.name} {snake_case(message.__name__).replace('_', '-')}" in lines
    for module_name, query in all_queries():
        assert f"#### openledger query {module_name} {query.replace('_', '-')}" in lines
    for code, meaning in MEANINGS.items():
        assert f"| {int(code)} | {meaning} |" in lines


def test_shared_options_are_described_once() -> None:
    text = reference()
    assert [text.count(f"\n## {heading}\n") for heading in SHARED.values()] == [1, 1, 1]
    assert text.count("- `--allow-stale`") == 1
    assert text.count("- `--fee-limit AMOUNT`") == 1


def test_it_is_the_same_each_time() -> None:
    assert reference() == reference()
