"""`openledger verify`: check a proof bundle offline, from an anchor that is the user's own."""

from __future__ import annotations

import argparse
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openledger.connection import known_people
from openledger.errors import UsageError
from openledger.exit_codes import ExitCode
from openledger_cli.text import note

if TYPE_CHECKING:
    from abci_app.modules.models.lineage import LineagePage
    from openledger.data.manifest import Manifest
    from openledger.exports import ProofReference
    from openledger.light.anchors import GenesisAnchor, HashAnchor
    from openledger.light.bundle import BundleAnchor, BundleVerdict
    from openledger.light.verifier import TrustRules
    from openledger_cli.proofs.proven import Statement

_EXAMPLES = """\
what is trusted comes from you, never from the bundle:
  openledger verify BUNDLE.json                        from blocks that this machine verified earlier
  openledger verify BUNDLE.json --genesis genesis.json   from the chain's genesis document
  openledger verify BUNDLE.json --trust 120:8F3A...      from a height and header hash that you trust
  openledger verify gardener-2.cdx.json                an export: its bundle, and whether it says the same
exit code 0 only when one of them vouches for the answer; 8 when the bundle is consistent but nothing does; 7 when
something in it is wrong.
"""
# What a proof of a row has as ids and digests beside, which its sentence says in words; `--output json` has all of it.
_TOLD_BY_A_ROW = ("rows", "question", "names", "attachments", "answer")
_TOLD_BY_THE_FILE = ("answer", "question", "names", "attachments")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "verify",
        help="check a proof bundle, or an export with its bundle, offline",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "bundle",
        type=Path,
        nargs="+",
        metavar="BUNDLE",
        help="file written by `openledger query ... --bundle`, or by `openledger export` with its bundle beside it; "
        "several bundles are the pages of one answer, in order",
    )
    add_anchor_options(parser)
    parser.set_defaults(run=run)


def add_anchor_options(parser: argparse._ActionsContainer) -> None:
    """Where trust starts, for every command that verifies; to a parser or a group of its options."""
    add_trust_source(parser)
    parser.add_argument("--trust-store", type=Path, metavar="DIR", help="verified blocks (default: <home>/light)")


def add_trust_source(parser: argparse._ActionsContainer) -> None:
    """Add what a person trusts of a chain, and for how long a block of it vouches for later ones."""
    parser.add_argument("--genesis", type=Path, metavar="FILE", help="the chain's genesis document")
    parser.add_argument("--trust", metavar="HEIGHT:HASH", help="a header hash from somebody you trust")
    parser.add_argument(
        "--trusting-period", default="36h", metavar="TIME", help="how long a block vouches for later ones (36h)"
    )


def read_anchor(args: argparse.Namespace) -> GenesisAnchor | HashAnchor | None:
    """The anchor that the command line names, if any; raises `UsageError` and `NoAnchor`."""
    from openledger.light.anchors import parse_genesis, parse_trust
    from openledger.light.errors import MalformedAnswer

    if args.genesis is not None and args.trust is not None:
        raise UsageError("--genesis and --trust: give one of them")
    if args.trust is not None:
        return parse_trust(args.trust)
    if args.genesis is None:
        return None
    try:
        return parse_genesis(_read(args.genesis, "the genesis document"))
    except MalformedAnswer as error:
        raise UsageError(
            f"{args.genesis} is no genesis document ({error}): give config/genesis.json of a node"
        ) from None


def read_rules(args: argparse.Namespace) -> TrustRules:
    """The trust rules that the command line asks for; raises `UsageError`."""
    from openledger.light.verifier import TrustRules

    text = args.trusting_period
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdigit() and unit in _UNITS and int(number)):
        raise UsageError(f"--trusting-period {text!r}: give a number and s, m, h or d, such as 36h")
    return TrustRules(trusting_period_seconds=int(number) * _UNITS[unit])


def run(args: argparse.Namespace) -> int:
    """Check the bundles and say what they prove."""
    from openledger_cli.export.verifying import find_reference
    from openledger_cli.proofs.proven import next_step, statement

    files = [_read(path, "the bundle") for path in args.bundle]
    reference = find_reference(files[0])
    if reference is not None:
        return _run_export(args, files[0], reference)
    verdicts = [_check(args, data) for data in files]
    said = statement(verdicts, known_people(args.context.settings))
    documents = [describe(verdict, said.sentence, said.complete) for verdict in verdicts]
    if args.context.as_json:
        several = {"proven": said.sentence, "complete": said.complete, "bundles": documents}
        args.context.output.show(documents[0] if len(documents) == 1 else several)
    else:
        _print(args, said, verdicts, documents, files)
        note(f"next: {next_step(verdicts, said, list(map(str, args.bundle)))}")
    return max([int(verdict.exit_code) for verdict in verdicts])


def _run_export(args: argparse.Namespace, data: bytes, reference: ProofReference) -> int:
    """Check the bundles that lie beside an export, and whether it says what they prove."""
    from openledger_cli.export.verifying import compare_export
    from openledger_cli.proofs.proven import next_step, statement

    path: Path = args.bundle[0]
    if len(args.bundle) > 1:
        raise UsageError(f"{path} is an export, which names its bundles itself: give it alone")
    files = [_read(path.parent / name, f"the proof that {path} names,") for name in reference.bundles]
    verdicts = [_check(args, each) for each in files]
    said = statement(verdicts)
    checked = compare_export(data, reference, files, verdicts)
    about = {"export": str(path), "form": reference.form, "of": checked.name}
    beside = {"unproven": list(checked.beside)} if checked.beside else {}
    bundles = [str(path.parent / name) for name in reference.bundles]
    if not checked.same:
        # That its bundle holds by itself says nothing about this file: the one outcome is the worst.
        outcome = "NOT VERIFIED: this file does not say what its proof proves"
        args.context.output.show(
            {"outcome": outcome, **about, "differs": list(checked.differs), **beside, "bundles": bundles}
        )
        note(f"{path} was changed, or its bundle belongs to another export: do not rely on it")
        note(f"next: openledger verify {shlex.join(bundles)}      (what is proven)")
        return ExitCode.NOT_VERIFIED
    described = describe(verdicts[0], said.sentence, said.complete)
    document = {**about, "says": "what its proof proves", **beside, **described, "bundles": bundles}
    untold = ("answer",) if args.context.as_json else _TOLD_BY_THE_FILE
    args.context.output.show({name: value for name, value in document.items() if name not in untold})
    if not args.context.as_json:
        note(f"next: {next_step(verdicts, said, [str(path)])}")
    return max([int(verdict.exit_code) for verdict in verdicts])


def _check(args: argparse.Namespace, data: bytes) -> BundleVerdict:
    from openledger.light.bundle import verify_bundle

    anchor: BundleAnchor | None = read_anchor(args)
    if anchor is None:
        anchor = _stored_blocks(args, data)
    return verify_bundle(data, anchor, time.time_ns(), read_rules(args))


def _print(
    args: argparse.Namespace,
    said: Statement,
    verdicts: Sequence[BundleVerdict],
    documents: Sequence[dict[str, Any]],
    files: Sequence[bytes],
) -> None:
    """For people: what was verified, then the answer; a lineage as its tree, where the pages make one statement."""
    page = said.lineage
    for verdict, each in zip(verdicts, documents, strict=True):
        document = {**each, "attachments": _attachment_words(verdict, page)}
        rows = each.get("rows")
        untold = _TOLD_BY_A_ROW if rows else ("answer",) if page is not None else ()
        args.context.output.show({name: value for name, value in document.items() if name not in untold})
        for row in rows or ():
            _print_row(row)
    if page is None:
        return
    from openledger_cli.lines import print_lines
    from openledger_cli.output import people_console
    from openledger_cli.query.lineage_tree import Shown, lineage_tree

    people = known_people(args.context.settings)
    print_lines(people_console(), lineage_tree(Shown(page, _manifests(files), people)))


def _print_row(row: str) -> None:
    """A row that is proven, word for word: the proof is of nothing less."""
    from openledger_cli.output import people_console, print_line

    print_line(people_console(), f"row          {row}")


def _attachment_words(verdict: BundleVerdict, page: LineagePage | None) -> list[str]:
    """Name the attachments of a bundle as the proven answer does."""
    from openledger.client.may.sources import entry_name

    names: dict[bytes, str] = {}
    if page is not None:
        for item in page.entries:
            names[item.stored.entry.manifest_root] = entry_name(page, item.entry_id, item.stored)
    return [
        f"the manifest of {names[each.digest]}"
        if each.digest in names
        else f"a {each.kind} that the proven state names, called {each.label!r} by the bundle"
        for each in verdict.attachments
    ]


def _manifests(files: Sequence[bytes]) -> dict[bytes, Manifest | str]:
    """Manifests that the bundles carry, by root; that the proven state names them is checked already."""
    from openledger.data.manifest import Manifest
    from openledger.light.bundle import parse_bundle

    attachments = [each for data in files for each in parse_bundle(data).attachments if each.kind == "manifest"]
    found = [Manifest.decode(each.data) for each in attachments]
    return {manifest.root: manifest for manifest in found}


def describe(verdict: BundleVerdict, sentence: str, complete: bool | None) -> dict[str, Any]:
    """The verdict as a document: exactly what was proven, for which height and chain, from which anchor."""
    from openledger.light.parse import format_time
    from openledger_cli.proofs.proven import proven_rows
    from openledger_cli.proofs.questions import describe_names, describe_question

    header = verdict.header
    rows = [each.row.decode() for each in proven_rows(verdict)]
    return {
        "outcome": verdict.outcome,
        "proven": sentence,
        **({} if complete is None else {"complete": complete}),
        **({"rows": rows} if rows else {}),
        "chain": verdict.chain_id,
        "height": verdict.height,
        "header": f"{header.height}:{header.hash.hex().upper()}",
        "header_time": format_time(header.time_ns),
        "age_seconds": verdict.age_seconds,
        "anchor": verdict.anchor,
        "path": " -> ".join([str(height) for height in verdict.path]) or "none",
        "question": describe_question(verdict.question, verdict.names),
        "names": describe_names(verdict.names),
        "attachments": [
            f"{each.kind} {each.digest.hex()} (named by {each.named_by}; the bundle's own words for it: {each.label!r})"
            for each in verdict.attachments
        ],
        "answer": _answer(verdict),
    }


def _answer(verdict: BundleVerdict) -> Any:
    """The result; a proven no; or raw rows, each with its key."""
    from openledger.documents import to_document
    from openledger.light.query import Denial, ReadQuestion

    if isinstance(verdict.value, Denial):
        return {"denied": verdict.value.text, "code": f"{verdict.value.codespace} {verdict.value.code}"}
    if not isinstance(verdict.question, ReadQuestion):
        return to_document(verdict.value)
    keys = [
        {"key": key.hex(), "value": "absent" if value is None else value.hex()}
        for key, value in zip(verdict.question.keys, verdict.value.values, strict=True)
    ]
    ranges = [
        {
            "start": start.hex(),
            "end": end.hex(),
            "rows": [{"key": key.hex(), "value": value.hex()} for key, value in rows],
        }
        for (start, end), rows in zip(verdict.question.ranges, verdict.value.rows, strict=True)
    ]
    return {"keys": keys, "ranges": ranges}


def _stored_blocks(args: argparse.Namespace, data: bytes) -> BundleAnchor | None:
    """Blocks of the bundle's chain in this machine's trust store. Whether they fit is verified, not assumed."""
    from openledger.client.trust_store import FileTrustStore
    from openledger.light.anchors import BlockAnchor
    from openledger.light.bundle import parse_bundle

    folder = args.trust_store or args.context.home / "light"
    trusted = FileTrustStore(folder).load(parse_bundle(data).target.chain_id)
    if trusted is None:
        return None
    return [BlockAnchor(block, trusted.anchor) for block in trusted.blocks]


def _read(path: Path, what: str) -> bytes:
    """A bounded file; raises `UsageError`."""
    from openledger.light.anchors import MAX_GENESIS_BYTES

    try:
        with path.open("rb") as file:
            data = file.read(MAX_GENESIS_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{what} {path} cannot be read: {error.strerror}") from error
    return data
