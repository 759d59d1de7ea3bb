"""Options of every verified answer, and the clients made from them."""

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from openledger.errors import UsageError
from openledger_cli.context import CommandContext
from openledger_cli.proofs.verify import add_anchor_options, read_anchor, read_rules

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
    group.add_argument("--bundle", type=Path, metavar="FILE", help="also write a proof bundle for `openledger verify`")


def open_client(context: CommandContext, arguments: argparse.Namespace | None = None) -> "Client":
    """A client of the node; with trust options on the line, its queries are verified."""
    from openledger.client.client import Client

    light = None
    if arguments is not None and not getattr(arguments, "unverified", True):
        light = open_light_client(context, arguments)
    return Client(context.node_url, chain_id=context.settings.chain_id, light=light)


def open_light_client(context: CommandContext, arguments: argparse.Namespace) -> "LightClient":
    """The light client that the options describe; raises `UsageError` or a light client's error."""
    from openledger.client.light_client import LightClient
    from openledger.client.trust_store import FileTrustStore
    from openledger.light.results import LightSettings

    witnesses = list(arguments.witness) or [url for url in context.settings.witnesses.split(",") if url.strip()]
    without_witness = arguments.no_witness or witnesses == ["none"]
    settings = LightSettings(
        rules=read_rules(arguments),
        chain_id=context.settings.chain_id,
        without_witness=without_witness,
        allow_stale=arguments.allow_stale,
        max_age_seconds=arguments.max_age,
    )
    return LightClient(
        context.node_url,
        [] if without_witness else [url.strip() for url in witnesses],
        anchor=_anchor(context, arguments),
        settings=settings,
        store=FileTrustStore(arguments.trust_store or context.home / "light"),
        clock=time.time_ns,
    )


def _anchor(context: CommandContext, arguments: argparse.Namespace) -> "Anchor | None":
    """Find the anchor: named on the line, else the genesis document of a node in this home, else the store's choice."""
    from openledger.light.anchors import FirstUseAnchor, parse_genesis

    named = read_anchor(arguments)
    if named is not None:
        return named
    if arguments.trust_on_first_use:
        return FirstUseAnchor()
    setting = context.settings.genesis
    path = Path(setting).expanduser() if setting else context.home / "config" / "genesis.json"
    if not setting and not path.exists():
        return None
    try:
        return parse_genesis(path.read_bytes())
    except OSError as error:
        raise UsageError(f"genesis document {path} cannot be read: {error.strerror}") from None
