"""`openledger account`: the group; each task has a file of its own."""

from __future__ import annotations

import argparse
from typing import Any

from openledger_cli.account import locks, payee, withdraw

_EXAMPLES = """\
examples:
  openledger account locks alice                     bonds, stakes and gOPEN, and what is leaving until when
  openledger account withdraw --from alice           take out everything that has finished leaving
  openledger account payee alice                     who receives what the chain's rules pay alice
  openledger account payee --to bob --from alice

balance and keys of an account: `openledger query account alice`
"""


def register(subparsers: Any) -> None:
    """Add the group with all of its tasks."""
    parser = subparsers.add_parser(
        "account",
        help="what an account has locked, take it out, who receives for it",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="tasks", metavar="TASK", required=True)
    locks.register(commands)
    withdraw.register(commands)
    payee.register(commands)
