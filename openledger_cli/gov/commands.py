"""`openledger gov`: the group; each task has a file of its own."""

from __future__ import annotations

import argparse
from typing import Any

from openledger_cli.gov import deciding, gopen, listing, parameters, proposing, showing, upgrading

_EXAMPLES = """\
examples:
  openledger gov lock 100OPEN --from alice             gOPEN, which votes from the next epoch on
  openledger gov delegate bob --from alice             let bob vote with it
  openledger gov dry-run proposal.yaml                 what a proposal would change, in words
  openledger gov propose proposal.yaml --from alice
  openledger gov vote 3 yes --from alice
  openledger gov show 3                                where it stands, what happens when, what you can do
  openledger gov parameters fees                       live values, their limits, what they mean

docs/governance.md tells the whole of it
"""


def register(subparsers: Any) -> None:
    """Add the group with all of its tasks."""
    parser = subparsers.add_parser(
        "gov",
        help="governance: lock gOPEN, delegate, propose, vote, object; parameters and upgrades",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="tasks", metavar="TASK", required=True)
    gopen.register(commands)
    proposing.register(commands)
    deciding.register(commands)
    showing.register(commands)
    listing.register(commands)
    parameters.register(commands)
    upgrading.register(commands)
