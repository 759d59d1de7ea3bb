"""`openledger query lineage | impact | clean | verdict`: the questions that the chain exists for.

Verified by the light client unless --unverified. Pages are followed at the height of the first one; only the whole is
called complete.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openledger.errors import UsageError
from openledger_cli import examples
from openledger_cli.context import CommandContext
from openledger_cli.proofs.trust import add_trust_options, open_client
from openledger_cli.tasks import say_next
from openledger_cli.text import note

if TYPE_CHECKING:
    from rich.console import Console

    from abci_app.modules.models.impact import ImpactPage
    from abci_app.modules.models.lineage import CleanView, LineagePage
    from openledger.client.client import Client
    from openledger.client.provenance import Whole
    from openledger.client.results import Answer
    from openledger.data.manifest import Manifest
    from openledger.light.attachments import Attachment
    from openledger_cli.lines import Line

# Manifests in one bundle; with the proof it stays well below `bundle.MAX_BUNDLE_BYTES`.
MAX_ATTACHED_BYTES = 16 * 1024 * 1024
_LINEAGE_EXAMPLES = """\
examples:
  openledger query lineage my-model                    the latest version, everything it was made from
  openledger query lineage my-model@2 --output json
  openledger query lineage --entry olrun1... --bundle lineage.json
"""
_IMPACT_EXAMPLES = """\
examples:
  openledger query impact my-datanet --version 1       everything that was made from version 1, proven complete
  openledger query impact my-datanet --direct          only what was trained on it itself, any version
"""


def register(commands: Any) -> None:
    """Add the four short forms."""
    from openledger_cli.query import verdict

    lineage = _command(
        commands, "lineage", _lineage, "everything that a model was made from, as a tree", _LINEAGE_EXAMPLES
    )
    lineage.add_argument("name", nargs="?", metavar="MODEL|ENTRY", help="model name, name@version, or olrun1...")
    lineage.add_argument("--entry", metavar="ENTRY", help="entry id, olrun1... or 64 hex digits")
    lineage.add_argument("--version", type=int, default=0, metavar="N", help="version of the model (default: latest)")
    lineage.add_argument("--all-contributors", action="store_true", help="show every contributor, however many")
    lineage.add_argument("--content", metavar="URL", help="content store with the manifests ($OPENLEDGER_CONTENT)")
    impact = _command(commands, "impact", _impact, "everything that was made from a DataNet version", _IMPACT_EXAMPLES)
    impact.add_argument("name", metavar="DATANET", help="DataNet name, name@version, or oldata1...")
    impact.add_argument("--version", type=int, default=0, metavar="N", help="version of the DataNet (default: any)")
    impact.add_argument("--direct", action="store_true", help="leave out what stands on it through a parent only")
    clean = _command(
        commands,
        "clean",
        _clean,
        "whether a DataNet is among what a model was made from",
        examples.written("query clean"),
    )
    clean.add_argument("name", metavar="MODEL|ENTRY", help="model name, name@version, or olrun1...")
    clean.add_argument("datanet", metavar="DATANET", help="DataNet name, name@version (else any), or oldata1...")
    verdict.register(commands)


def _command(commands: Any, name: str, run: Any, help_text: str, epilog: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=help_text, description=help_text, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_trust_options(parser)
    parser.set_defaults(run=run)
    return parser


# --- Lineage


def _lineage(arguments: argparse.Namespace) -> None:
    from openledger.client.provenance import lineage, lineage_question
    from openledger_cli.query.answers import denials_as_bundles

    if bool(arguments.name) == bool(arguments.entry):
        raise UsageError("name a model or an entry: `openledger query lineage my-model`, or --entry olrun1...")
    _check_bundle(arguments)
    context: CommandContext = arguments.context
    question = lineage_question(arguments.entry or arguments.name, arguments.version)
    if arguments.entry and not question.entry_id:
        raise UsageError(f"--entry {arguments.entry!r}: give olrun1... or 64 hex digits, or a model's name without it")
    with open_client(context, arguments) as client:
        with denials_as_bundles(client, arguments):
            whole = lineage(client, question, height=arguments.height, prove=not arguments.unverified)
        manifests = read_manifests(whole.value, arguments.content)
        _write_bundles(client, arguments, whole, manifests)
    words = {root.hex(): _manifest_words(found) for root, found in manifests.items()}
    if context.as_json:
        show_whole(context, whole, "", {"manifests": words})
        return
    from openledger_cli.query.lineage_tree import Shown, counts, lineage_tree

    shown = Shown(
        page=whole.value, manifests=manifests, people=known_people(context), all_contributors=arguments.all_contributors
    )
    show_whole(context, whole, counts(whole.value), {}, lineage_tree(shown))
    version = f"@{arguments.version}" if arguments.version else ""
    say_next(context, f"openledger model may {arguments.entry or arguments.name}{version} --sell")


def read_manifests(page: LineagePage, url: str | None = None) -> dict[bytes, Manifest | str]:
    """The manifests of a lineage by root, from the content store; or why one cannot be shown.

    The store is not trusted: a manifest is taken only when it hashes to the root that its proven entry names.
    """
    from openledger.client.may.sources import entry_name
    from openledger.content.store import ContentError, ContentStore, calling_content
    from openledger.data.manifest import get_manifest
    from openledger.errors import OpenLedgerError

    roots = {item.stored.entry.manifest_root: entry_name(page, item.entry_id, item.stored) for item in page.entries}
    try:
        store = ContentStore.open(url)
    except ContentError as error:
        return {root: str(error) for root in roots}
    found: dict[bytes, Manifest | str] = {}
    for root, name in roots.items():
        try:
            with calling_content(f"the manifest of {name}"):
                found[root] = get_manifest(store, root)
        except (OpenLedgerError, OSError) as error:
            found[root] = " ".join(str(error).split())
    return found


def _manifest_words(found: Manifest | str) -> list[str]:
    from trainer.describe import describe

    return [f"not shown: {found}"] if isinstance(found, str) else describe(found)


def known_people(context: CommandContext) -> dict[bytes, str]:
    """Names of this home's own keys by address."""
    from openledger import connection

    return connection.known_people(context.settings)


# --- Impact


def _impact(arguments: argparse.Namespace) -> None:
    from openledger.client.provenance import impact, impact_question
    from openledger_cli.query.answers import denials_as_bundles

    _check_bundle(arguments)
    context: CommandContext = arguments.context
    question = impact_question(arguments.name, arguments.version, direct_only=arguments.direct)
    with open_client(context, arguments) as client:
        with denials_as_bundles(client, arguments):
            whole = impact(client, question, height=arguments.height, prove=not arguments.unverified)
        _write_bundles(client, arguments, whole, {})
    if context.as_json:
        show_whole(context, whole, "", {})
        return
    show_whole(context, whole, impact_counts(whole.value, direct_only=arguments.direct), {}, impact_lines(whole.value))
    say_next(context, impact_next(whole.value))


def impact_next(page: ImpactPage) -> str:
    """The next step: what the newest model was made from besides, else what the DataNet is."""
    named = [item for item in page.entries if item.model_name]
    if named:
        return f"openledger query lineage {named[0].model_name}@{named[0].model_version}"
    return f"openledger data show {page.name}@{page.version}" if page.version else f"openledger data show {page.name}"


def impact_lines(page: ImpactPage) -> list[Line]:
    """Entries by number, each with how it stands on the DataNet."""
    from abci_app.bech32 import encode_id
    from abci_app.modules.models.kinds import is_unknown_below
    from openledger.words import word_of
    from openledger_cli.lines import Line, count
    from openledger_cli.query.lineage_tree import unknown_words

    version = f"version {page.version}" if page.version else "any version"
    top = Line(f"made from {page.name}, {version}, {encode_id('oldata', page.datanet_id)}")
    for item in page.entries:
        model = f"{item.model_name} version {item.model_version}, " if item.model_name else ""
        how = "trained on it" if item.direct else "through a parent"
        line = top.add(f"{model}{word_of('kind', item.kind)}, {how}")
        line.add(encode_id("olrun", item.entry_id))
        line.add(f"recorded at height {item.height} by {encode_id('open', item.recorder)}")
        if item.owner != item.recorder:
            line.add(f"owned by {encode_id('open', item.owner)}, whom its manifest names")
        if item.superseded_by_entry_id:
            line.add(f"SUPERSEDED by {encode_id('olrun', item.superseded_by_entry_id)}")
        if is_unknown_below(item.kind, item.undeclared):
            line.add(unknown_words(item.kind, item.undeclared))
    if not page.entries:
        top.add("nothing that declares it")
    if page.undeclared_entries:
        top.add(
            f"UNKNOWN: {count(page.undeclared_entries, 'entry', 'entries')} of this chain that came from outside or "
            "declare less than all may stand on it without saying so"
        )
    return [top]


def impact_counts(page: ImpactPage, *, direct_only: bool = False) -> str:
    """`2 entries: 1 trained on it, 1 through a parent`."""
    from openledger_cli.lines import count

    direct = sum([item.direct for item in page.entries])
    found = count(len(page.entries), "entry", "entries")
    if direct_only:
        return f"{found} trained on it (what stands on those was not asked for)"
    return f"{found}: {direct} trained on it, {len(page.entries) - direct} through a parent"


# --- Clean


def _clean(arguments: argparse.Namespace) -> None:
    from abci_app.modules.models.lineage import CleanQuery
    from openledger.client.provenance import entry_id_of_text, id_of_text
    from openledger.references import split_version
    from openledger_cli.query.answers import ask, show_answer

    name, version = split_version(arguments.name)
    datanet, datanet_version = split_version(arguments.datanet)
    entry_id, datanet_id = entry_id_of_text(name), id_of_text("oldata", datanet)
    question = CleanQuery(
        entry_id=entry_id,
        model_name="" if entry_id else name,
        model_version=version,
        datanet_id=datanet_id,
        datanet_name="" if datanet_id else datanet,
        datanet_version=datanet_version,
    )
    context: CommandContext = arguments.context
    with open_client(context, arguments) as client:
        answer: Answer[CleanView] = ask(client, arguments, "models", "clean", question)
    lines = clean_lines(answer.value, "" if entry_id else arguments.name, datanet_version)

    def people(console: Console, _document: Any) -> None:
        from openledger_cli.lines import print_lines

        print_lines(console, lines)

    show_answer(context, answer, people)
    say_next(context, f"openledger query lineage {arguments.name}")


def clean_lines(view: CleanView, model: str, datanet_version: int) -> list[Line]:
    """The answer in words, with names and ids. It speaks of what was declared, never of content."""
    from abci_app.bech32 import encode_id
    from abci_app.modules.models.lineage import CleanAnswer
    from openledger.amounts import show_share
    from openledger_cli.lines import Line, count
    from openledger_cli.query.lineage_tree import unknown_words

    looked = count(view.entry_count, "entry", "entries")
    datanet = view.datanet_name + (f" version {datanet_version}" if datanet_version else "")
    if view.answer == CleanAnswer.PRESENT:
        top = Line(f"PRESENT: {datanet} is among the declared inputs")
        for hit in view.found:
            top.add(
                f"version {hit.version}, {show_share(hit.weight_ppb)} of the mix of {encode_id('olrun', hit.entry_id)}"
            )
    elif view.answer == CleanAnswer.NOT_DECLARED:
        top = Line(f"NOT DECLARED: {datanet} is not among the declared inputs, and nothing below is unknown")
    else:
        top = Line(f"NOT DECLARED, UNKNOWN BELOW: {datanet} is not among the declared inputs")
    for item in view.unknown_below:
        top.add(f"{encode_id('olrun', item.entry_id)}: {unknown_words(item.kind, item.undeclared)}")
    top.add(f"the DataNet {view.datanet_name} is {encode_id('oldata', view.datanet_id)}")
    entry = f"{model}, {encode_id('olrun', view.entry_id)}" if model else encode_id("olrun", view.entry_id)
    top.add(f"looked at all of {entry} and its ancestors: {looked}")
    top.add("this speaks of declared DataNet versions, not of content: the same text may stand elsewhere")
    return [top]


# --- All pages of one question


def _check_bundle(arguments: argparse.Namespace) -> None:
    if arguments.bundle and arguments.unverified:
        raise UsageError("--bundle needs a verified answer: leave --unverified out")


def _write_bundles(
    client: Client, arguments: argparse.Namespace, whole: Whole[Any], manifests: dict[bytes, Manifest | str]
) -> None:
    """One bundle a page: FILE, then FILE with .2, .3, ... before its ending. Each carries the manifests it names."""
    if not arguments.bundle or client.light is None:
        return
    paths = bundle_paths(arguments.bundle, len(whole.answers))
    for path, answer in zip(paths, whole.answers, strict=True):
        arguments.context.write(path, client.light.bundle(answer.evidence, attachments_of(answer.value, manifests)))
    names = " ".join([str(path) for path in paths])
    note(f"wrote {names}: check it anywhere with `openledger verify {names}`")


def attachments_of(page: Any, manifests: dict[bytes, Manifest | str]) -> list[Attachment]:
    """Manifests of the page's entries, newest first, as far as a bundle may carry them."""
    from openledger.light.attachments import Attachment
    from openledger.light.bundle import MAX_ATTACHMENTS

    found: list[Attachment] = []
    left_bytes = MAX_ATTACHED_BYTES
    for root in dict.fromkeys([item.stored.entry.manifest_root for item in getattr(page, "entries", ()) if manifests]):
        manifest = manifests.get(root)
        if manifest is None or isinstance(manifest, str) or len(found) == MAX_ATTACHMENTS:
            continue
        data = manifest.encode()
        left_bytes -= len(data)
        if left_bytes < 0:
            break
        found.append(Attachment(f"manifest {root.hex()[:16]}", data, "manifest"))
    return found


def bundle_paths(first: Path, pages: int) -> list[Path]:
    """Where the bundles of so many pages go."""
    return [first] + [first.with_name(f"{first.stem}.{number}{first.suffix}") for number in range(2, pages + 1)]


def show_whole(
    context: CommandContext, whole: Whole[Any], summary: str, more: dict[str, Any], lines: Sequence[Line] = ()
) -> None:
    """Print the union of all pages, whether it is complete, and one line about how far it can be trusted."""
    from openledger.documents import to_document

    first: Answer[Any] = whole.answers[0]
    if context.as_json:
        head = {"height": whole.height, "verified": first.verified, "how": first.note}
        body = {"complete": whole.complete, "pages": len(whole.answers), "result": to_document(whole.value)}
        context.output.show({**head, **body, **more})
        return

    def people(console: Console, _document: Any) -> None:
        from openledger_cli.lines import print_lines
        from openledger_cli.output import print_line

        print_lines(console, lines)
        pages = f" (from {len(whole.answers)} pages)" if len(whole.answers) > 1 else ""
        complete = "complete" if whole.complete else "NOT complete"
        print_line(console, f"{complete}{'' if first.verified else ' if the node is honest'}: {summary}{pages}")

    context.output.show({}, people)
    note(f"\n{first.note}" if first.verified else f"\nNOT VERIFIED: {first.note}")
