"""`openledger validator`: the group; its tasks stand in the order of a validator's life."""

from __future__ import annotations

import argparse
from typing import Any

from openledger_cli.validator import joining, keys, peers, showing

_EXAMPLES = """\
examples, in the home of the validator's node:
  openledger validator apply --from bob --bond 100000OPEN     become a candidate; a proposal admits it
  openledger validator show                                   what this validator is, owes and risks
  openledger validator list                                   all of them
  openledger validator bond 500OPEN --from bob                add to the bond
  openledger validator unjail --from bob                      come back from jail
  openledger validator rotate --from bob                      sign with a new key from the second block after on
  openledger validator leave --from bob                       give up the power; then the bond leaves
"""


def register(subparsers: Any) -> None:
    """Add the group with all of its tasks."""
    parser = subparsers.add_parser(
        "validator",
        help="validate: apply, bond, rotate keys, come back from jail, leave, and see who does",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="tasks", metavar="TASK", required=True)
    for module in (joining, keys, peers, showing):
        module.register(commands)
