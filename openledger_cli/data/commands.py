"""`openledger data`: the group; each task has a file of its own."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import Any

_EXAMPLES = """\
files of your own, a DataNet of your own, in one go:
  openledger data publish garden chat.jsonl faq.csv --terms CC-BY-4.0 --from olga

with others who contribute and review:
  openledger data new garden --terms CC-BY-4.0 --reviewers remy --from olga
  openledger data add garden chat.jsonl faq.csv ... --from dana
  openledger data review garden                                  (remy looks at what waits)
  openledger data review garden --accept 1-3 --from remy
  openledger data freeze garden --from olga --note "first"
  openledger data export garden@1 --to out.jsonl

garden is a DataNet, garden@1 its first version, garden#2 the second submission to it.
"""
# In the order of a DataNet's life.
_TASKS = ("publish", "new", "add", "review", "freeze", "show", "diff", "export", "prove", "revoke", "erase")


def register(subparsers: Any) -> None:
    """Add the group with all of its tasks."""
    parser = subparsers.add_parser(
        "data",
        help="DataNets: make, fill, review, freeze, look at, export, revoke, erase",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="tasks", metavar="TASK", required=True)
    for task in _TASKS:
        import_module(f"openledger_cli.data.{task}").register(commands)
