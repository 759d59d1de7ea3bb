"""`openledger model`: the group; each task has a file of its own."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import Any

_EXAMPLES = """\
examples:
  openledger model add tiny-llama ./tiny-llama --terms Apache-2.0 --from olga      a base of yours, from its folder
  openledger model list
  openledger model show gardener                     what it was made from, under which terms, how good it is
  openledger model may gardener --sell               yes, no or ask, with whom to credit
  openledger model compare gardener@1 gardener@2     what changed, and which change helped
  openledger model get gardener@2 --to ./gardener

gardener is a model, gardener@2 its second version; without @ it is the latest
"""
_TASKS = ("adding", "listing", "showing", "getting", "comparing", "permission")


def register(subparsers: Any) -> None:
    """Add the group with all of its tasks."""
    parser = subparsers.add_parser(
        "model",
        help="models: add a base, list, show, fetch, compare, and what may be done with them",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="tasks", metavar="TASK", required=True)
    for task in _TASKS:
        import_module(f"openledger_cli.model.{task}").register(commands)
