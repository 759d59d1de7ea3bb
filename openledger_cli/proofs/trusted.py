"""`openledger trust`: note once what vouches for a chain, so that every later question about it is verified unasked."""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openledger.errors import UsageError
from openledger.settings import CONFIG_FILE, NO_WITNESS, ClientSettings, read_config, trust_folder
from openledger_cli.context import CommandContext
from openledger_cli.proofs.verify import add_trust_source, read_anchor, read_rules
from openledger_cli.text import note

if TYPE_CHECKING:
    from openledger.light.anchors import Anchor
    from openledger.light.results import VerifiedHeader

_ADD_EXAMPLES = """\
examples:
  openledger trust add --node https://node.example --genesis genesis.json --witness https://other.example
  openledger trust add --node https://node.example --genesis genesis.json --no-witness
  openledger trust add --node https://node.example --trust 120:8F3A... --no-witness

The genesis document, or height and header hash, come from somebody whom you trust, never from the node itself. A
witness is a second node, run by somebody else, that would show a forged or an old answer. The first chain becomes the
one that is asked; another one is named with --chain-id.
"""
_LIST_EXAMPLES = """\
examples:
  openledger trust list
  openledger trust list --output json
"""
_REMOVE_EXAMPLES = """\
examples:
  openledger trust remove ledger-1
"""
GENESIS_FILE = "genesis.json"


def register(subparsers: Any) -> None:
    """Add `trust` and its commands."""
    text = "note what vouches for a chain, so that its answers are verified"
    parser = subparsers.add_parser("trust", help=text, description=text, epilog=_ADD_EXAMPLES)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    text = "verify a node's chain from its genesis document, and remember how"
    add = commands.add_parser("add", help=text, description=text, epilog=_ADD_EXAMPLES)
    add_trust_source(add)
    add.add_argument("--witness", action="append", default=[], metavar="URL", help="a second node (repeatable)")
    add.add_argument("--no-witness", action="store_true", help="compare with no other node")
    add.set_defaults(run=_add)
    text = "the chains that are trusted here, and how far they are verified"
    listing = commands.add_parser("list", help=text, description=text, epilog=_LIST_EXAMPLES)
    listing.set_defaults(run=_list)
    text = "forget a chain"
    remove = commands.add_parser("remove", help=text, description=text, epilog=_REMOVE_EXAMPLES)
    remove.add_argument("chain", metavar="CHAIN", help="its id, as `openledger trust list` shows it")
    remove.set_defaults(run=_remove)


# --- Adding


def _add(arguments: argparse.Namespace) -> None:
    from openledger.light.anchors import GenesisAnchor

    context: CommandContext = arguments.context
    _check_complete(arguments)
    anchor = read_anchor(arguments)
    assert anchor is not None
    chain_id = anchor.genesis.chain_id if isinstance(anchor, GenesisAnchor) else _chain_of(context)
    witnesses = ",".join(arguments.witness) or NO_WITNESS
    # What other sources say of this chain is left out: only what stands on this line is noted.
    settings = replace(context.settings, chain_id=chain_id, witnesses=witnesses, genesis="")
    folder = trust_folder(context.home, chain_id)
    _check_same(folder, arguments.genesis, chain_id)
    header = _verify(settings, anchor, arguments)
    noted = {"chain_id": chain_id, "node": settings.node, "witnesses": witnesses}
    if arguments.genesis:
        _write(folder / GENESIS_FILE, arguments.genesis.read_bytes())
        noted["genesis"] = str((folder / GENESIS_FILE).resolve())
    _write(folder / CONFIG_FILE, _yaml(noted).encode())
    _say(context, noted, header, is_default=_make_default(context, chain_id))


def _check_complete(arguments: argparse.Namespace) -> None:
    """Raise one `UsageError` for everything that the line leaves open."""
    missing = []
    if arguments.genesis is None and arguments.trust is None:
        missing.append(
            "--genesis FILE, the chain's genesis document from somebody whom you trust (or --trust HEIGHT:HASH of one "
            "of its headers)"
        )
    if not arguments.witness and not arguments.no_witness:
        missing.append("--witness URL of a second node that would show a forged or an old answer (or --no-witness)")
    if missing:
        raise UsageError(f"give {', and '.join(missing)}")
    if arguments.witness and arguments.no_witness:
        raise UsageError("--witness and --no-witness: give one of them")


def _chain_of(context: CommandContext) -> str:
    """The id that the node gives its chain; only a header with the hash that is trusted counts as of that chain."""
    from openledger.connection import connect

    with connect(context.settings, verified=False) as client:
        return client.chain_id


def _check_same(folder: Path, genesis: Path | None, chain_id: str) -> None:
    """Another genesis document under one chain id is another chain: that is never exchanged in silence."""
    kept = folder / GENESIS_FILE
    if genesis is not None and kept.exists() and kept.read_bytes() != genesis.read_bytes():
        raise UsageError(
            f"{chain_id} is trusted here by another genesis document: if that is to change, "
            f"`openledger trust remove {chain_id}` first"
        )


def _verify(settings: ClientSettings, anchor: Anchor, arguments: argparse.Namespace) -> VerifiedHeader:
    """The newest header, verified now, so that nothing is noted that does not hold."""
    from openledger.connection import open_light_client
    from openledger.light.results import LightSettings

    demands = LightSettings(rules=read_rules(arguments))
    with open_light_client(settings, anchor=anchor, demands=demands) as light:
        return light.header()


def _make_default(context: CommandContext, chain_id: str) -> bool:
    """Whether a bare command asks this chain: the first one is written into client.yaml, where there is none."""
    path = context.home / CONFIG_FILE
    if not path.exists():
        _write(path, _yaml({"chain_id": chain_id}).encode())
    from openledger.settings import load_settings

    return load_settings({"home": context.settings.home}).chain_id == chain_id


def _say(context: CommandContext, noted: dict[str, str], header: VerifiedHeader, *, is_default: bool) -> None:
    chain_id, option = noted["chain_id"], "" if is_default else f" --chain-id {noted['chain_id']}"
    next_command = f"openledger data list{option}"
    if context.as_json:
        more = {"height": header.header.height, "anchor": header.anchor, "default": is_default, "next": next_command}
        context.output.show({**noted, **more})
        return
    print(f"trusted: {chain_id}, verified up to height {header.header.height} from {header.anchor}")
    if not is_default:
        print(f"another chain is asked unless one is named: add --chain-id {chain_id}")
    note(f"next: {next_command}")


def _yaml(values: dict[str, str]) -> str:
    return "".join([f"{name}: {json.dumps(value)}\n" for name, value in values.items()])


def _write(path: Path, data: bytes) -> None:
    from openledger.content.files import write_whole

    write_whole(path, data)


# --- Listing and removing


def _list(arguments: argparse.Namespace) -> None:
    context: CommandContext = arguments.context
    found = [_describe(context, chain_id) for chain_id in _chains(context)]
    columns = ("chain", "node", "witnesses", "verified up to", "trusted from")
    rows = [
        (one["chain_id"], one["node"] or "not noted", one["witnesses"] or "not noted", one["height"], one["anchor"])
        for one in found
    ]
    context.output.rows("", columns, rows, found)
    if not found and not context.as_json:
        note("next: openledger trust add --node URL --genesis FILE")


def _chains(context: CommandContext) -> list[str]:
    """Ids of the chains that were added or verified here."""
    from openledger.client.trust_store import FileTrustStore

    noted = [read_config(path).get("chain_id", "") for path in (context.home / "trust").glob(f"*/{CONFIG_FILE}")]
    return sorted({*FileTrustStore(context.home / "light").chains(), *noted} - {""})


def _describe(context: CommandContext, chain_id: str) -> dict[str, Any]:
    from openledger.client.trust_store import FileTrustStore

    noted = read_config(trust_folder(context.home, chain_id) / CONFIG_FILE)
    trusted = FileTrustStore(context.home / "light").load(chain_id)
    return {
        "chain_id": chain_id,
        "node": noted.get("node", ""),
        "witnesses": noted.get("witnesses", ""),
        "genesis": noted.get("genesis", ""),
        "height": trusted.blocks[-1].height if trusted else 0,
        "anchor": trusted.anchor if trusted else "",
    }


def _remove(arguments: argparse.Namespace) -> None:
    from openledger.client.trust_store import FileTrustStore

    context: CommandContext = arguments.context
    known = _chains(context)
    if arguments.chain not in known:
        raise UsageError(f"{arguments.chain!r} is not trusted here; known: {', '.join(known) or 'none'}")
    shutil.rmtree(trust_folder(context.home, arguments.chain), ignore_errors=True)
    FileTrustStore(context.home / "light").forget(arguments.chain)
    default = context.home / CONFIG_FILE
    if default.exists() and default.read_text(encoding="utf-8") == _yaml({"chain_id": arguments.chain}):
        default.unlink()
    context.output.show({"removed": arguments.chain})
