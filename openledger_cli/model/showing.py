"""`openledger model show`: one version of a model on a page: from what, how, under which terms, how good."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from openledger_cli.lines import Line, count, show_size, show_time
from openledger_cli.proofs.trust import open_client
from openledger_cli.tasks import add_reading_options, add_task, head_of, members_of, naming, say_how, say_next

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from abci_app.modules.models.lineage import LineagePage
    from abci_app.modules.models.queries import ModelVersionItem
    from abci_app.modules.models.records import StoredEntry
    from openledger.client.client import Client
    from openledger.data.manifest import Manifest
    from openledger_cli.context import CommandContext

_PAGE = 200
_VERSIONS_SHOWN = 10
_EXAMPLES = """\
  openledger model show gardener
  openledger model show gardener@1 --output json
"""


def register(commands: Any) -> None:
    """Add the task."""
    parser = add_task(commands, "show", show, "what a model is: from what, how, under which terms, how good", _EXAMPLES)
    parser.add_argument("name", metavar="NAME[@VERSION]|ENTRY", help="a model's version (default: the latest)")
    add_reading_options(parser, content=True)


def show(arguments: argparse.Namespace) -> None:
    """Ask for the lineage and the list of versions, and show the page."""
    from openledger.client.provenance import lineage, lineage_question
    from openledger_cli.query.lineage import read_manifests

    context: CommandContext = arguments.context
    prove = not arguments.unverified
    with open_client(context, arguments) as client:
        whole = lineage(client, lineage_question(arguments.name), prove=prove)
        page = whole.value
        stored = page.entries[0].stored
        versions = versions_of(client, stored.model_id, height=whole.height, prove=prove) if stored.model_id else []
        members = members_of(client, whole.height, prove=prove)
    manifest = read_manifests(page, arguments.content)[stored.entry.manifest_root]
    answer = whole.answers[0]
    if context.as_json:
        head = {**head_of(answer), "complete": whole.complete}
        context.output.show({**head, "entry": page.entries[0], "versions": versions, "lineage": page})
        return
    lines = [model_line(page, manifest, versions, naming(context, members))]

    def people(console: Console, _document: Any) -> None:
        from openledger_cli.lines import print_lines

        print_lines(console, lines)

    context.output.show({}, people)
    say_how(context, answer)
    say_next(context, f"openledger model may {arguments.name} --sell", f"openledger query lineage {arguments.name}")


def versions_of(client: Client, model_id: bytes, *, height: int, prove: bool) -> list[ModelVersionItem]:
    """All versions of a model, oldest first."""
    from abci_app.modules.models.queries import ModelVersionsQuery

    found: list[ModelVersionItem] = []
    after = 0
    while True:
        question = ModelVersionsQuery(model_id=model_id, name="", after_version=after, limit=_PAGE)
        page = client.query("models", "versions", question, height=height, prove=prove).value
        found += page.versions
        after = page.next_version
        if not after:
            return found


def model_line(
    page: LineagePage, manifest: Manifest | str, versions: list[ModelVersionItem], name_of: Callable[[bytes], str]
) -> Line:
    """The page about one version."""
    from abci_app.modules.models.kinds import is_unknown_below
    from openledger.client.may.sources import entry_name, sources_of
    from openledger.words import word_of
    from openledger_cli.query.lineage_tree import measured_words, unknown_words

    stored = page.entries[0].stored
    entry, admission = stored.entry, stored.admission
    top = Line(
        f"{entry_name(page, page.entry_id, stored)}: {word_of('kind', entry.kind)}, "
        f"{show_size(entry.output.byte_count)}"
    )
    if stored.superseded_by_entry_id:
        top.add("SUPERSEDED: its record was replaced by another, see `openledger query lineage`")
    top.add(
        f"recorded by {name_of(admission.recorder)} at {show_time(admission.time_seconds)}, height {admission.height}"
    )
    if len(versions) > 1:
        shown = versions[-_VERSIONS_SHOWN:]
        labels = [f"@{each.version}{f' {each.label}' if each.label else ''}" for each in shown]
        top.add(f"{count(len(versions), 'version')}: {', '.join(labels)}")
    top.below += _made_from(page, stored)
    if isinstance(manifest, str):
        top.add(f"how it was made is not shown: {manifest}")
    else:
        top.below.append(Line("how", [Line(text) for text in _how(manifest)]))
    terms = Line("terms", [Line(source.in_words(name_of)) for source in sources_of(page)])
    top.below += [terms] if terms.below else []
    for item in page.evaluations:
        metric, value, interval = measured_words(item.metric, item.value, item.interval)
        place = next((each.name for each in page.datanets if each.datanet_id == item.benchmark_datanet_id), "")
        where = f"{place or item.benchmark_datanet_id.hex()[:12]}@{item.benchmark_version}"
        doubt = f"± {interval}" if item.interval or item.sample_size > 1 else "(interval unknown)"
        top.add(
            f"measured on {where}: {metric} {value} {doubt}, {count(item.sample_size, 'row')}, "
            f"by {name_of(item.evaluator)}"
        )
    for above in page.entries:
        kind, undeclared = above.stored.entry.kind, above.stored.entry.undeclared
        if is_unknown_below(kind, undeclared):
            top.add(f"{entry_name(page, above.entry_id, above.stored)}: {unknown_words(kind, undeclared)}")
    return top


def _made_from(page: LineagePage, stored: StoredEntry) -> list[Line]:
    from openledger.amounts import show_share
    from openledger.client.may.sources import entry_name

    known = {item.entry_id: item.stored for item in page.entries}
    lines = []
    for parent in stored.entry.parents:
        above = known.get(parent.entry_id)
        name = entry_name(page, parent.entry_id, above) if above else parent.entry_id.hex()[:12]
        lines.append(Line(f"made from {name} as {parent.role} ({show_share(parent.share_ppb)})"))
    for item in stored.entry.inputs:
        for datanet in page.datanets:
            if (datanet.datanet_id, datanet.version) == (item.datanet_id, item.version):
                rows = (
                    f"{item.rows_used:,} of {datanet.record.row_count:,} rows"
                    if item.rows_used_root
                    else "rows not declared"
                )
                people = len({each.accepted.contributor for each in datanet.contributions})
                revoked = "" if datanet.usable else ", REVOKED IN PART since"
                lines.append(
                    Line(
                        f"trained on {datanet.name}@{item.version}, {show_share(item.weight_ppb)} of the mix, {rows}, "
                        f"{count(people, 'contributor')}{revoked}"
                    )
                )
    return lines


def _how(manifest: Manifest) -> list[str]:
    from trainer.describe import describe_run

    try:
        return describe_run(manifest)
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        return [f"the manifest has a form that is not known here ({type(error).__name__})"]
