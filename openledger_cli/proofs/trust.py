"""Options of every verified answer, and the clients made from them."""

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from openledger.errors import UsageError
from openledger_cli.context import CommandContext
from openledger_cli.parser import OutputFile
from openledger_cli.proofs.verify import add_anchor_options, read_anchor, read_rules
from openledger_cli.text import note

if TYPE_CHECKING:
    from openledger.client.client import Client
    from openledger.client.light_client import LightClient
    from openledger.light.anchors import Anchor


def add_trust_options(parser: argparse.ArgumentParser, *, one_answer: bool = True) -> None:
    """Add the options that say what to trust and whom to compare with; --unverified takes the node's word.

    `one_answer`: the command answers one question, whose height can be chosen and whose proof can be kept.
    """
    group = parser.add_argument_group("verification")
    group.add_argument("--unverified", action="store_true", help="take the node's word, and say so")
    add_anchor_options(group)
    group.add_argument(
        "--trust-on-first-use", action="store_true", help="start from the node's first answer; it is reported"
    )
    group.add_argument(
        "--witness", action="append", default=[], metavar="URL", help="a node to compare headers with (repeatable)"
    )
    group.add_argument("--no-witness", action="store_true", help="compare with no other node, and say so")
    group.add_argument("--allow-stale", action="store_true", help="take an answer that is or may be old, and say so")
    group.add_argument("--max-age", type=int, metavar="SECONDS", help="refuse headers older than this")
    if not one_answer:
        return
    group.add_argument("--height", type=int, default=0, help="height to ask about (default: the newest provable)")
    group.add_argument("--bundle", type=OutputFile, metavar="FILE", help="also write a bundle for `openledger verify`")


def open_client(context: CommandContext, arguments: argparse.Namespace | None = None) -> "Client":
    """A client of the node; with trust options on the line, its queries are verified."""
    from openledger import connection
    from openledger.client.client import Client
    from openledger.keys.turns import KeyTurns

    light = None
    if arguments is not None and not getattr(arguments, "unverified", True):
        light = open_light_client(context, arguments)
    client = Client(context.node_url, chain_id=context.settings.chain_id, light=light)
    client.people = connection.known_people(context.settings)
    client.try_first = not getattr(arguments, "send_anyway", False)
    client.turns = KeyTurns(context.home, note)
    return client


def open_light_client(context: CommandContext, arguments: argparse.Namespace) -> "LightClient":
    """The light client that the options describe; raises `UsageError` or a light client's error."""
    from openledger import connection
    from openledger.light.anchors import FirstUseAnchor
    from openledger.light.results import LightSettings

    if arguments.no_witness and arguments.witness:
        raise UsageError("--witness and --no-witness: give one of them")
    settings = context.settings
    if arguments.witness:
        settings = replace(settings, witnesses=",".join(arguments.witness))
    demands = LightSettings(
        rules=read_rules(arguments),
        without_witness=arguments.no_witness,
        allow_stale=arguments.allow_stale,
        max_age_seconds=arguments.max_age,
    )
    anchor: Anchor | None = read_anchor(arguments)
    if anchor is None and arguments.trust_on_first_use:
        anchor = FirstUseAnchor()
    return connection.open_light_client(settings, anchor=anchor, demands=demands, store=arguments.trust_store)
