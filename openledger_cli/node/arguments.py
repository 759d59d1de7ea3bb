"""Helpers of the commands of `openledger node`: how they are declared, which home they are about, how they report."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.home import Home


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    words: str,
    examples: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    """One command of a group, with examples below its options."""
    parser = commands.add_parser(
        name, help=words, description=words, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(run=run)
    return parser


def home_of(args: argparse.Namespace) -> Home:
    """The node's home that the command line names; raises `NodeError` when there is none."""
    from node.home import Home

    home = Home(args.context.home)
    home.require_initialised()
    return home


def report(args: argparse.Namespace, text: str, **values: object) -> int:
    """Print what was done: `text` for people, `values` as JSON when that is asked for."""
    if args.context.as_json:
        args.context.output.json(values)
    else:
        print(text)
    return 0
