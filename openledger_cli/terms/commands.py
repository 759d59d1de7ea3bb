"""`openledger terms`: the group; each task has a file of its own."""

from __future__ import annotations

import argparse
from typing import Any

from openledger_cli.terms import adding, checking, listing

_EXAMPLES = """\
examples:
  openledger terms list                                   registered terms, and the licences of the table
  openledger terms show CC-BY-NC-4.0                      what a licence says, in words
  openledger terms check CC-BY-SA-4.0 MIT Apache-2.0      may these be mixed, and what binds the result
  openledger terms add CC-BY-4.0 --from olga
  openledger terms add "garden terms" --like CC-BY-4.0 --use non-commercial --from olga

wherever terms are wanted (--terms), the name of a licence does, in any usual spelling; it is registered when missing
"""


def register(subparsers: Any) -> None:
    """Add the group with all of its tasks."""
    parser = subparsers.add_parser(
        "terms",
        help="licences by name: list, show, add, check whether they may be mixed",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="tasks", metavar="TASK", required=True)
    listing.register(commands)
    adding.register(commands)
    checking.register(commands)
